"""Makes invisible characters visible; every other escaper starts from here.

A terminal obeys escape codes, a browser reorders bidi text, and zero-width characters make two names look like one.
All of them become ``\\x1b``-style notation, so a reader sees what is there.
"""

from __future__ import annotations

import re
import unicodedata

# Control, format (bidi, zero-width, tags), surrogate and private-use characters, and the two Unicode line ends.
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
# Blank or joining characters of other categories: grapheme joiner, Hangul fillers, variation selectors, Braille blank.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u2800\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_COMBINING = "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_COMBINING_RUN = re.compile(f"({_COMBINING}{{3}}){_COMBINING}+")
_PRINTABLE_ASCII = re.compile(r"[\x20-\x7e]*")


def visible(text: str, keep: str = "") -> str:
    """Return ``text`` with invisible characters written as escapes, save those in ``keep`` (e.g. ``"\\n\\t"``)."""
    if _PRINTABLE_ASCII.fullmatch(text):
        return text
    text = "".join(c if c in keep or not _hidden(c) else _notation(c) for c in text)
    return _COMBINING_RUN.sub(r"\1", text)


def one_line(text: str) -> str:
    """Return ``text`` on one line: line ends and tabs become spaces, other invisible characters become escapes."""
    return visible(re.sub(r"[\s\x1c-\x1f\x85\u2028\u2029]+", " ", text)).strip()


def lines(text: str, count: int, width: int) -> list[str]:
    """Return the first ``count`` lines of ``text``, each cut at ``width`` characters, with a mark where it was cut."""
    rows = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    shown = [shorten(visible(row.expandtabs(4)), width) for row in rows[:count]]
    return [*shown, f"… {len(rows) - count} more lines"] if len(rows) > count else shown


def shorten(text: str, width: int) -> str:
    """Return ``text`` cut at ``width`` characters, ending in an ellipsis if it was longer."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE or _BLANK.match(character) is not None


def _notation(character: str) -> str:
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
