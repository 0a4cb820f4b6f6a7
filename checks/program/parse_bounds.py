"""A cheap look at the text before it is parsed: what would crash or stall a recursive parser.

Measured on LibCST 1.9: a crash at 3,000 nested brackets or 10,000 chained unary operators, over 40 s for 10,000 chained
operators, attributes or calls, a refusal above some 3,000 adjacent string literals (one record of 2026 has 11,573).
The scan is one linear regular expression over tokens; it may lose step in nested f-strings with equal quotes, for the
rest of a line at most in practice, which is why the limits stand far above what people write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: Deepest bracket nesting: CPython's own limit.
MAX_DEPTH = 200
#: Longest chain of operators, attributes, calls or prefixes without a comma or bracket between.
MAX_CHAIN = 1_500
#: Most adjacent string literals that LibCST is asked to join.
MAX_JOINED = 2_500
#: Most different indentations in a file; CPython itself allows 100 nested blocks.
MAX_INDENTS = 400
MAX_CHARACTERS = 8_000_000

_STRING = (
    r"""(?:(?<!\w)[rRbBuUfFtT]{1,2})?(?:\"\"\"(?:[^"\\]|\\.|"(?!""))*\"\"\"|'''(?:[^'\\]|\\.|'(?!''))*'''"""
    r"""|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')"""
)
_SCAN = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>\#[^\n]*)|(?P<open>[(\[{{])|(?P<close>[)\]}}])"
    r"|(?P<newline>\n)|(?P<reset>[,;])"
    r"|(?P<chain>[-+*/%@&|^~<>=.!]|\b(?:and|or|not|if|else|lambda|await|in|is|elif)\b)|(?P<word>\w+)",
    re.DOTALL,
)
_INDENT = re.compile(r"^[ \t]+", re.MULTILINE)
_CRAMPED = re.compile(
    rf"{_STRING}|\#[^\n]*"
    r"|(?P<word>(?<=[\d)\]}'\"])(?:if|else|for|in|is|and|or|not|async)\b"
    r"|\b(?:if|else|in|is|and|or|not|lambda|yield|return|await|from|import|as)(?=['\"(\[{~+-]))",
    re.DOTALL,
)


@dataclass(frozen=True)
class Excess:
    """What goes beyond the bounds; empty strings when nothing does."""

    too_deep: str = ""
    too_long_for_libcst: str = ""


def excess(text: str) -> Excess:
    """Scan once over the tokens of ``text`` (linear in its length)."""
    if len(text) > MAX_CHARACTERS:
        return Excess(too_deep=f"longer than {MAX_CHARACTERS:,} characters")
    if len(set(map(len, _INDENT.findall(text)))) > MAX_INDENTS:
        return Excess(too_deep=f"more than {MAX_INDENTS} different indentations")
    if text.count("elif") > MAX_CHAIN:
        return Excess(too_deep=f"more than {MAX_CHAIN:,} elif")
    depth = chain = joined = longest_join = 0
    outer: list[int] = []
    for match in _SCAN.finditer(text):
        kind = match.lastgroup
        if kind == "chain":
            chain += 1
            joined = 0
        elif kind == "open":
            depth += 1
            outer.append(chain + 1)
            chain = joined = 0
        elif kind == "close":
            depth = max(depth - 1, 0)
            chain = outer.pop() if outer else 0
            joined = 0
        elif kind == "string":
            joined += 1
            longest_join = max(longest_join, joined)
        elif kind == "reset":
            chain = joined = 0
        elif kind == "newline":
            if not depth:
                chain = joined = 0
        else:
            joined = 0
        if depth > MAX_DEPTH:
            return Excess(too_deep=f"brackets nested more than {MAX_DEPTH} deep, line {_line(text, match)}")
        if chain > MAX_CHAIN:
            what = "operators, attributes or calls in one chain"
            return Excess(too_deep=f"more than {MAX_CHAIN:,} {what}, line {_line(text, match)}")
    if longest_join > MAX_JOINED:
        return Excess(too_long_for_libcst=f"libcst: {longest_join:,} adjacent string literals, more than it joins")
    return Excess()


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def with_keywords_spaced(text: str) -> str:
    """``1if x else"y"`` -> ``1 if x else "y"``: LibCST wants the spaces that minifiers leave out; lines stay."""

    def spaced(match: re.Match[str]) -> str:
        word = match["word"]
        if word is None:
            return match.group()
        before = text[match.start() - 1 : match.start()]
        after = text[match.end() : match.end() + 1]
        left = " " if before and (before.isdigit() or before in ")]}'\"") else ""
        return f"{left}{word} " if after in "'\"([{~+-" and after else f"{left}{word}"

    return _CRAMPED.sub(spaced, text)
