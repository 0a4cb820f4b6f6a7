"""The line counter of the lowering walk, and the parts of it that every kind of node shares.

LibCST keeps every character, so walking a tree in source order and counting the newlines that pass gives line numbers
for a fraction of what its ``PositionProvider`` costs (which is more than the parse itself).
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst

#: Lowers one node (first argument) at the cursor.
Lowering = Callable[[Any, "Cursor"], Any]

LOAD, STORE, DEL = ast.Load(), ast.Store(), ast.Del()
#: Nodes whose innermost parentheses belong to their own position.
_OWNS_PARENTHESES = frozenset({cst.Tuple, cst.GeneratorExp})


class Cursor:
    """Where the walk stands: ``line`` is the 1-based line of the last token or whitespace passed."""

    __slots__ = ("continued", "expressions", "line")

    def __init__(self, continued: bool, expressions: Mapping[type, Lowering]) -> None:
        self.line = 1
        #: True when the text has backslash continuations, so that plain whitespace may hold newlines.
        self.continued = continued
        self.expressions = expressions


def gap(space: object, at: Cursor) -> None:
    """Pass one whitespace field."""
    kind = space.__class__
    if kind is cst.ParenthesizedWhitespace:
        at.line += 1 + len(space.empty_lines)  # type: ignore[attr-defined]
        if at.continued:
            gap(space.first_line.whitespace, at)  # type: ignore[attr-defined]
            gap(space.last_line, at)  # type: ignore[attr-defined]
    elif at.continued and kind is cst.SimpleWhitespace:
        at.line += space.value.count("\n")  # type: ignore[attr-defined]


def empty_lines(lines: Sequence[cst.EmptyLine], at: Cursor) -> None:
    """Pass blank and comment lines."""
    at.line += len(lines)
    if at.continued:
        for line in lines:
            gap(line.whitespace, at)


def end_of_line(space: cst.TrailingWhitespace, at: Cursor) -> None:
    """Pass the rest of a line."""
    at.line += 1
    if at.continued:
        gap(space.whitespace, at)


def around(token: Any, at: Cursor) -> None:
    """Pass a one-word operator, comma, dot, colon or ``=`` with the whitespace on both sides (or a missing one)."""
    if token is not None:
        gap(token.whitespace_before, at)
        gap(token.whitespace_after, at)


def placed(node: Any, start: int, end: int) -> Any:
    """Give ``node`` its lines; columns are not tracked and stay 0."""
    node.lineno = start
    node.end_lineno = end
    node.col_offset = node.end_col_offset = 0
    return node


def expression(node: Any, at: Cursor) -> Any:
    """Lower one expression with its parentheses, which count as outside of all but tuples and generators."""
    kind = node.__class__
    opening = node.lpar
    if not opening:
        start = at.line
        out = at.expressions[kind](node, at)
        out.lineno = start
        out.end_lineno = at.line
        out.col_offset = out.end_col_offset = 0
        return out
    start = at.line
    for paren in opening:
        start = at.line
        gap(paren.whitespace_after, at)
    owner = kind in _OWNS_PARENTHESES
    if not owner:
        start = at.line
    out = at.expressions[kind](node, at)
    end = at.line
    for index, paren in enumerate(node.rpar):
        gap(paren.whitespace_before, at)
        if owner and index == 0:
            end = at.line
    return placed(out, start, end)


def store(node: Any, context: ast.expr_context = STORE) -> Any:
    """Turn a lowered expression into an assignment target (or, with ``DEL``, a deletion target)."""
    kind = node.__class__
    if kind is ast.Name or kind is ast.Attribute or kind is ast.Subscript:
        node.ctx = context
    elif kind is ast.Tuple or kind is ast.List:
        node.ctx = context
        for element in node.elts:
            store(element, context)
    elif kind is ast.Starred:
        node.ctx = context
        store(node.value, context)
    return node


def target(node: Any, at: Cursor) -> Any:
    """Lower an assignment target."""
    return store(expression(node, at))


def comma_separated(nodes: Iterable[Any], one: Lowering, at: Cursor) -> list[Any]:
    """Lower nodes that carry their own comma."""
    out = []
    for node in nodes:
        out.append(one(node, at))
        around(node.comma, at)
    return out
