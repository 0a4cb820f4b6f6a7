"""Escapes for GitHub Actions' workflow commands (``::error file=…::message``)."""

from __future__ import annotations

from reports.escaping.plain import one_line, visible


def message(value: str) -> str:
    """Return text for the message of a command; line ends survive as ``%0A``."""
    value = visible(value.replace("\r\n", "\n").replace("\r", "\n"), keep="\n")
    return value.replace("%", "%25").replace("\n", "%0A")


def property_value(value: str) -> str:
    """Return text for a property (file, title) of a command."""
    return one_line(value).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
