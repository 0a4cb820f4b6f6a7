"""Losses that C-like code divides by the number of their token's bytes and mixes, byte by byte, with a model of bytes.

The text of a function says it: an entry of a floating array that it is handed is divided by a count that an integer
array gives for the token, and in the same source a sum of exponentials is taken the logarithm of, or weighted parts of
one are added.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from checks.program.native.reader import NativeSource, sources
from checks.program.program import Program

_MAX_SOURCE = 400_000
_FLOATS = re.compile(r"\b(?:double|float)\s*(?:const\s*)?\*\s*(?:__?restrict(?:__)?\s+)?(\w+)\s*[,)]")
_COUNTS = re.compile(
    r"\b(?:u?int\d*(?:_t)?|size_t|short|long|unsigned|char)\s*(?:const\s*)?\*"
    r"\s*(?:__?restrict(?:__)?\s+)?(\w+)\s*[,)]"
)
_SET = re.compile(r"\b(\w+)\s*=(?!=)\s*([^;{}]{1,200});")
_DIVIDED = re.compile(r"\b(\w+)\s*\[[^][;]{1,60}\]\s*\)?\s*/\s*(?:\(\s*(?:double|float)\s*\)\s*)?\(?\s*(\w+)")
_MIXED = re.compile(
    r"\blog\w{0,3}\s*\([^;]{0,80}\bexpf?\s*\([^;]{1,80}\+[^;]{0,80}\bexpf?\s*\(|\+\s*\(\s*1(?:\.0?f?)?\s*-\s*\w+\s*\)\s*\*"
)


@dataclass(frozen=True)
class NativeSpread:
    """A loss spread over its token's bytes. ``line``: of the division, ``excerpt`` its text."""

    source: NativeSource
    line: int
    excerpt: str


def spread_losses(program: Program, called: frozenset[str]) -> list[NativeSpread]:
    """The divisions of losses by byte counts in sources that define one of the functions ``called``."""
    found = []
    for source in sources(program):
        text = source.text[:_MAX_SOURCE]
        if not any(re.search(rf"\b{re.escape(name)}\s*\(", text) for name in called) or not _MIXED.search(text):
            continue
        losses, counts = set(_FLOATS.findall(text)), _counted(text)
        for match in _DIVIDED.finditer(text):
            if match[1] in losses and match[2] in counts:
                line = source.first + text.count("\n", 0, match.start())
                found.append(NativeSpread(source, line, source.excerpt(line)))
    return found


def _counted(text: str) -> set[str]:
    """Variables that are set from an entry of an integer array, or from such a variable and what is added to it."""
    arrays = set(_COUNTS.findall(text))
    found: set[str] = set()
    settings = _SET.findall(text)
    for _ in range(2):
        for name, value in settings:
            first = re.match(r"\s*(?:\(\s*\w+\s*\)\s*)?(\w+)\s*(\[)?", value)
            if first is not None and (first[1] in arrays if first[2] else first[1] in found):
                found.add(name)
    return found
