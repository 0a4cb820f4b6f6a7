"""Bytes become text as a Python interpreter reads them."""

from __future__ import annotations

import codecs

import pytest

from checks.program.source import Undecodable, decode


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"x = 1\n", "x = 1\n"),
        (b"", ""),
        ("x = 'é'\n".encode(), "x = 'é'\n"),
        (codecs.BOM_UTF8 + b"x = 1\n", "x = 1\n"),
        (codecs.BOM_UTF8 + b"# coding: latin-1\nx = 1\n", "# coding: latin-1\nx = 1\n"),
        (b"# -*- coding: latin-1 -*-\nx = '\xe9'\n", "# -*- coding: latin-1 -*-\nx = 'é'\n"),
        (
            b"#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'\x80'\n",
            "#!/usr/bin/python\n# vim: set fileencoding=cp1252 :\n'€'\n",
        ),
        (b"x = 1\n# coding: latin-1\n'\xc3\xa9'\n", "x = 1\n# coding: latin-1\n'é'\n"),  # too late to count
        ("x = 'é'\n".encode("utf-16"), "x = 'é'\n"),
        (codecs.BOM_UTF32_LE + "x\n".encode("utf-32-le"), "x\n"),
        (b"a\r\nb\rc\n", "a\nb\nc\n"),
        (b"a\x0cb\n", "a\x0cb\n"),
    ],
)
def test_decoded(data: bytes, text: str) -> None:
    assert decode(data) == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"x = '\xff'\n", "not utf-8 text"),
        (b"x\0\n", "NUL"),
        (b"# coding: no-such-encoding\n", "does not know"),
        (b"# coding: rot13\nk = 1\n", "not an encoding of text"),
        (b"# coding: unicode_escape\n", "not an encoding of text"),
        (b"\x80\x04\x95pickle", "not utf-8 text"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(Undecodable, match=reason):
        decode(data)
