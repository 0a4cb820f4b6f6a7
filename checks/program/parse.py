"""Text of a Python file -> the standard library's ``ast`` tree, whatever grammar the host has.

LibCST parses, because it reads newer grammar than the host (f-strings of PEP 701, for one) and the same on every host;
``checks.program.lowering.lower`` turns its tree into ``ast`` nodes. Where LibCST refuses, the host's own parser is asked.
"""

from __future__ import annotations

import ast
import gc
import warnings
from dataclasses import dataclass

from checks.program import parse_bounds
from checks.program.lowering import nodes
from checks.program.lowering.lower import lower
from checks.program.lowering.strings import MalformedLiteral


@dataclass(frozen=True)
class ParsedModule:
    """A parsed file: every statement and expression of ``tree`` has ``lineno`` and ``end_lineno``.

    ``parser`` names who parsed it; ``refusals`` are the reasons of those asked before.
    """

    tree: ast.Module
    parser: str
    refusals: tuple[str, ...]


class Unparsable(ValueError):
    """No parser reads the file, or reading it would cost too much; ``reasons`` says why, one per parser asked."""

    def __init__(self, reasons: tuple[str, ...]) -> None:
        super().__init__("; ".join(reasons))
        self.reasons = reasons


def parse(text: str) -> ParsedModule:
    """Parse the text of one file. Raises ``Unparsable``.

    May recurse as deep as the code is nested (the bounds of ``parse_bounds`` keep that finite): run it on a big stack.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise Unparsable(("contains NUL characters, which Python refuses in source code",))
    limits = parse_bounds.excess(text)
    if limits.too_deep:
        raise Unparsable((limits.too_deep,))
    refusals: list[str] = [limits.too_long_for_libcst] if limits.too_long_for_libcst else []
    collecting = gc.isenabled()
    gc.disable()  # hundreds of thousands of nodes, none of them garbage before the end
    try:
        if not refusals:
            try:
                return ParsedModule(_by_libcst(text), "libcst", ())
            except _REFUSALS as error:
                refusals.append(f"libcst: {_reason(error)}")
            spaced = parse_bounds.with_keywords_spaced(text)
            if spaced != text:
                try:
                    return ParsedModule(_by_libcst(spaced), "libcst, keywords spaced", tuple(refusals))
                except _REFUSALS as error:
                    refusals.append(f"libcst, keywords spaced: {_reason(error)}")
        try:
            return ParsedModule(_by_host(text), "ast", tuple(refusals))
        except _REFUSALS as error:
            refusals.append(f"ast: {_reason(error)}")
    finally:
        if collecting:
            gc.enable()
    raise Unparsable(tuple(refusals))


_REFUSALS = (
    nodes.ParserSyntaxError,
    MalformedLiteral,
    SyntaxError,
    ValueError,
    RecursionError,
    MemoryError,
    KeyError,
    AttributeError,  # LibCST 1.9 on a line break inside some parentheses
)


def _by_libcst(text: str) -> ast.Module:
    return lower(nodes.parse_module(text), text)


def _by_host(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes and the like in somebody else's code
        return ast.parse(text)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "too complex"
    if isinstance(error, nodes.ParserSyntaxError):
        return f"line {error.raw_line}: {error.message.partition(': expected')[0].removeprefix('parser error: ')}"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return str(error).partition("\n")[0][:200] or type(error).__name__
