"""Escapes for CSV cells that people open in a spreadsheet."""

from __future__ import annotations

from reports.escaping.plain import one_line


def cell(value: object) -> str:
    """Return a cell that no spreadsheet takes for a formula; the csv module does the quoting."""
    if isinstance(value, (int, float)):
        return str(value)
    line = one_line("" if value is None else str(value))
    return "'" + line if line.startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")) else line
