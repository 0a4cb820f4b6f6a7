"""The bytes of a Python file as text, the way a Python interpreter reads them."""

from __future__ import annotations

import codecs
import re

#: PEP 263: a comment in one of the first two lines, the first of which is blank or a comment.
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
_BLANK = re.compile(rb"^[ \t\f]*(?:#|$)")
#: Names that ``codecs`` knows and that are not encodings of text.
_NOT_TEXT = frozenset(
    {"base64", "bz2", "hex", "quopri", "rot13", "uu", "zlib", "idna", "punycode", "undefined", "unicode_escape"}
)
#: Longer marks first: that of UTF-32 begins with that of UTF-16.
_WIDE = (
    ("utf-32", (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)),
    ("utf-16", (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)),
)


class Undecodable(ValueError):
    """The bytes are not the text of a Python file; the message says why, without quoting them."""


def decode(data: bytes) -> str:
    """Decode a Python file: byte-order mark, then the declared encoding, then UTF-8. Newlines come out as ``\\n``.

    UTF-16 with a byte-order mark, which Python refuses, is read all the same, so that it can be judged.
    Raises ``Undecodable``.
    """
    encoding, data = _encoding(data)
    try:
        text = data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise Undecodable(f"not {encoding} text: {getattr(error, 'reason', error)}") from error
    if "\0" in text:
        raise Undecodable("contains NUL bytes, which Python refuses in source code")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text.removeprefix("\ufeff")


def _encoding(data: bytes) -> tuple[str, bytes]:
    for wide, marks in _WIDE:
        if data.startswith(marks):
            return wide, data
    if data.startswith(codecs.BOM_UTF8):
        return "utf-8", data[len(codecs.BOM_UTF8) :]
    for line in re.split(rb"\r\n|\r|\n", data[:2000], maxsplit=2)[:2]:
        match = _CODING.match(line)
        if match:
            return _known(match.group(1).decode("ascii", "replace")), data
        if not _BLANK.match(line):
            break
    return "utf-8", data


def _known(name: str) -> str:
    try:
        found = codecs.lookup(name).name
    except LookupError:
        raise Undecodable("declares an encoding that Python does not know") from None
    if found.replace("-", "_") in _NOT_TEXT or found.startswith(("rot", "raw_unicode")):
        raise Undecodable(f"declares {found}, which is not an encoding of text")
    return found
