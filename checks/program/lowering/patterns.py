"""Patterns of ``match`` statements as ``ast`` nodes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from checks.program.lowering.cursor import Cursor, Lowering, around, comma_separated, expression, gap, placed

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst


def pattern(node: Any, at: Cursor) -> Any:
    """Lower one pattern with its parentheses, which belong to sequences only."""
    kind = node.__class__
    if kind is cst.MatchValue or kind is cst.MatchSingleton:  # their parentheses are those of the expression inside
        return _PATTERNS[kind](node, at)
    start = at.line
    for paren in node.lpar:
        start = at.line
        gap(paren.whitespace_after, at)
    if kind is not cst.MatchTuple:
        start = at.line
    out = _PATTERNS[kind](node, at)
    end = at.line
    for index, paren in enumerate(node.rpar):
        gap(paren.whitespace_before, at)
        if index == 0 and kind is cst.MatchTuple:
            end = at.line
    return placed(out, start, end)


def _value(node: cst.MatchValue, at: Cursor) -> ast.MatchValue:
    value = expression(node.value, at)
    out: ast.MatchValue = placed(ast.MatchValue(value), value.lineno, value.end_lineno)
    return out


def _singleton(node: cst.MatchSingleton, at: Cursor) -> ast.MatchSingleton:
    value = expression(node.value, at)
    out: ast.MatchSingleton = placed(ast.MatchSingleton(value.value), value.lineno, value.end_lineno)
    return out


def _element(node: Any, at: Cursor) -> Any:
    if not isinstance(node, cst.MatchStar):
        return pattern(node.value, at)
    start = at.line
    gap(node.whitespace_before_name, at)
    return placed(ast.MatchStar(node.name.value if node.name else None), start, at.line)


def _sequence(node: cst.MatchList | cst.MatchTuple, at: Cursor) -> ast.MatchSequence:
    bracket = node.lbracket if isinstance(node, cst.MatchList) else None
    if bracket is not None:
        gap(bracket.whitespace_after, at)
    out = ast.MatchSequence(comma_separated(node.patterns, _element, at))
    if bracket is not None:
        gap(node.rbracket.whitespace_before, at)  # type: ignore[union-attr]
    return out


def _mapping(node: cst.MatchMapping, at: Cursor) -> ast.MatchMapping:
    gap(node.lbrace.whitespace_after, at)
    keys, patterns = [], []
    for element in node.elements:
        keys.append(expression(element.key, at))
        gap(element.whitespace_before_colon, at)
        gap(element.whitespace_after_colon, at)
        patterns.append(pattern(element.pattern, at))
        around(element.comma, at)
    if node.rest is not None:
        gap(node.whitespace_before_rest, at)
        around(node.trailing_comma, at)
    gap(node.rbrace.whitespace_before, at)
    return ast.MatchMapping(keys, patterns, node.rest.value if node.rest else None)


def _class(node: cst.MatchClass, at: Cursor) -> ast.MatchClass:
    cls = expression(node.cls, at)
    gap(node.whitespace_after_cls, at)
    gap(node.whitespace_before_patterns, at)
    patterns = comma_separated(node.patterns, _element, at)
    names, values = [], []
    for element in node.kwds:
        names.append(element.key.value)
        gap(element.whitespace_before_equal, at)
        gap(element.whitespace_after_equal, at)
        values.append(pattern(element.pattern, at))
        around(element.comma, at)
    gap(node.whitespace_after_kwds, at)
    return ast.MatchClass(cls, patterns, names, values)


def _as(node: cst.MatchAs, at: Cursor) -> ast.MatchAs:
    inner = None
    if node.pattern is not None:
        inner = pattern(node.pattern, at)
        gap(node.whitespace_before_as, at)
        gap(node.whitespace_after_as, at)
    return ast.MatchAs(inner, node.name.value if node.name else None)


def _or(node: cst.MatchOr, at: Cursor) -> ast.MatchOr:
    patterns = []
    for element in node.patterns:
        patterns.append(pattern(element.pattern, at))
        around(element.separator, at)
    return ast.MatchOr(patterns)


_PATTERNS: dict[type, Lowering] = {
    cst.MatchValue: _value,
    cst.MatchSingleton: _singleton,
    cst.MatchList: _sequence,
    cst.MatchTuple: _sequence,
    cst.MatchMapping: _mapping,
    cst.MatchClass: _class,
    cst.MatchAs: _as,
    cst.MatchOr: _or,
}
