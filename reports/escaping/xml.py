"""Escapes for XML and HTML text; the element tree or the template quotes markup, this removes what neither may hold."""

from __future__ import annotations

from reports.escaping.plain import visible


def character_data(value: str) -> str:
    """Return text without characters that XML 1.0 forbids or that readers cannot see; line ends and tabs stay."""
    return (
        visible(value.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")
        .replace("\ufffe", "\\ufffe")
        .replace("\uffff", "\\uffff")
    )
