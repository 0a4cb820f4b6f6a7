"""Text of a Python file -> the standard library's ``ast`` tree, whatever grammar the host has.

LibCST parses, because it reads newer grammar than the host (f-strings of PEP 701, for one) and the same on every host;
``checks.program.lowering.lower`` turns its tree into ``ast`` nodes. Where LibCST refuses, the host's own parser is asked.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import libcst as cst

from checks.program import parse_bounds
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
    cst.ParserSyntaxError,
    cst.CSTValidationError,
    MalformedLiteral,
    SyntaxError,
    ValueError,
    RecursionError,
    MemoryError,
    KeyError,
    AttributeError,  # LibCST 1.9 on a line break inside some parentheses
)


def _by_libcst(text: str) -> ast.Module:
    with _read_only_nodes():
        tree = cst.parse_module(text)
    return lower(tree, text)


@contextlib.contextmanager
def _read_only_nodes() -> Iterator[None]:
    """Have LibCST make nodes for reading, for the time of a parse: a quarter less work, the same tree.

    Its parser, in Rust, calls the classes of the package ``libcst`` by their names. Each node checks itself when it is
    made, for those who build trees by hand, and each of tens of thousands of gaps between tokens is a node of its own,
    for those who change trees. What the parser has read is right, nothing here changes it, and two in five nodes are
    ``SimpleWhitespace`` of a handful of values: one node each will do.
    """
    gaps: dict[str, cst.SimpleWhitespace] = {}
    made: Callable[..., cst.SimpleWhitespace] = cst.SimpleWhitespace
    checked = cst.CSTNode.__post_init__

    def gap(value: str) -> cst.SimpleWhitespace:
        known = gaps.get(value)
        if known is None:
            known = gaps[value] = made(value=value)
        return known

    patched: Any = cst
    patched.SimpleWhitespace = gap
    patched.CSTNode.__post_init__ = _unchecked
    try:
        yield
    finally:
        patched.SimpleWhitespace = made
        patched.CSTNode.__post_init__ = checked


def _unchecked(node: cst.CSTNode) -> None:
    """Nothing to check."""


def _by_host(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about escapes and the like in somebody else's code
        return ast.parse(text)


def _reason(error: BaseException) -> str:
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, MemoryError):
        return "too complex"
    if isinstance(error, cst.ParserSyntaxError):
        return f"line {error.raw_line}: {error.message.partition(': expected')[0].removeprefix('parser error: ')}"
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    return str(error).partition("\n")[0][:200] or type(error).__name__
