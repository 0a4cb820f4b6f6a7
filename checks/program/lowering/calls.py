"""Calls, attributes, subscripts and parameter lists of a LibCST tree as ``ast`` nodes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from checks.program.lowering.cursor import LOAD, Cursor, around, expression, gap, placed

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst


def attribute(node: cst.Attribute, at: Cursor) -> ast.Attribute:
    """``value.name``."""
    value = expression(node.value, at)
    around(node.dot, at)
    return ast.Attribute(value, node.attr.value, LOAD)


def call(node: cst.Call, at: Cursor) -> ast.Call:
    """A call; a lone generator takes the parentheses of the call for its own."""
    func = expression(node.func, at)
    gap(node.whitespace_after_func, at)
    opened = at.line
    gap(node.whitespace_before_args, at)
    positional: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    for arg in node.args:
        argument(arg, positional, keywords, at)
    if len(node.args) == 1 and isinstance(positional[0] if positional else None, ast.GeneratorExp):
        bare = node.args[0].value
        if not bare.lpar:  # the call's parentheses are the generator's
            placed(positional[0], opened, at.line)
    return ast.Call(func, positional, keywords)


def argument(arg: cst.Arg, positional: list[ast.expr], keywords: list[ast.keyword], at: Cursor) -> None:
    """One argument of a call or one base of a class, put where ``ast`` keeps it."""
    start = at.line
    star = arg.star
    if star:
        gap(arg.whitespace_after_star, at)
    name = arg.keyword
    if name is not None:
        around(arg.equal, at)
    value = expression(arg.value, at)
    if name is not None or star == "**":
        keywords.append(placed(ast.keyword(name.value if name else None, value), start, at.line))
    elif star:
        positional.append(placed(ast.Starred(value, LOAD), start, at.line))
    else:
        positional.append(value)
    comma: Any = arg.comma
    if comma.__class__ is cst.Comma:
        gap(comma.whitespace_before, at)
        gap(comma.whitespace_after, at)
    gap(arg.whitespace_after_arg, at)


def subscript(node: cst.Subscript, at: Cursor) -> ast.Subscript:
    """``value[...]``; several indices (or a trailing comma) make a tuple."""
    value = expression(node.value, at)
    gap(node.whitespace_after_value, at)
    gap(node.lbracket.whitespace_after, at)
    start = end = at.line
    parts = []
    for element in node.slice:
        part = _index(element.slice, at)
        parts.append(part)
        end = part.end_lineno or end
        comma: Any = element.comma
        if comma.__class__ is cst.Comma:
            gap(comma.whitespace_before, at)
            end = at.line
            gap(comma.whitespace_after, at)
    gap(node.rbracket.whitespace_before, at)
    single = len(parts) == 1 and node.slice[0].comma.__class__ is not cst.Comma
    if single and parts[0].__class__ is not ast.Starred:
        return ast.Subscript(value, parts[0], LOAD)
    return ast.Subscript(value, placed(ast.Tuple(parts, LOAD), start, end), LOAD)


def _index(node: cst.BaseSlice, at: Cursor) -> ast.expr:
    start = at.line
    if isinstance(node, cst.Index):
        if not node.star:
            value: ast.expr = expression(node.value, at)
            return value
        gap(node.whitespace_after_star, at)
        starred: ast.expr = placed(ast.Starred(expression(node.value, at), LOAD), start, at.line)
        return starred
    assert isinstance(node, cst.Slice)
    lower = upper = step = None
    end = start
    if node.lower:
        lower = expression(node.lower, at)
    end = _colon(node.first_colon, at, end)
    if node.upper:
        upper = expression(node.upper, at)
        end = at.line
    end = _colon(node.second_colon, at, end)
    if node.step:
        step = expression(node.step, at)
        end = at.line
    out: ast.expr = placed(ast.Slice(lower, upper, step), start, end)
    return out


def _colon(token: Any, at: Cursor, end: int) -> int:
    """Pass one colon of a slice; returns the line where the slice ends if nothing follows."""
    if token.__class__ is not cst.Colon:
        return end
    gap(token.whitespace_before, at)
    end = at.line
    gap(token.whitespace_after, at)
    return end


def lambda_(node: cst.Lambda, at: Cursor) -> ast.Lambda:
    """A lambda."""
    gap(node.whitespace_after_lambda, at)
    signature = parameters(node.params, at)
    around(node.colon, at)
    return ast.Lambda(signature, expression(node.body, at))


def parameters(node: cst.Parameters, at: Cursor) -> ast.arguments:
    """The parameters of a function or lambda."""
    defaults: list[ast.expr] = []
    keyword_defaults: list[ast.expr | None] = []
    positional_only = []
    for param in node.posonly_params:
        positional_only.append(_parameter(param, at, defaults))
    slash = node.posonly_ind
    if isinstance(slash, cst.ParamSlash):
        around(slash.comma, at)
        gap(slash.whitespace_after, at)
    positional = [_parameter(param, at, defaults) for param in node.params]
    star = node.star_arg
    variadic = None
    if isinstance(star, cst.Param):
        variadic = _parameter(star, at, defaults)
    elif isinstance(star, cst.ParamStar):
        around(star.comma, at)
    keyword_only = []
    for param in node.kwonly_params:
        keyword_only.append(_parameter(param, at, keyword_defaults))
        if param.default is None:
            keyword_defaults.append(None)
    rest = _parameter(node.star_kwarg, at, defaults) if node.star_kwarg else None
    return ast.arguments(positional_only, positional, variadic, keyword_only, keyword_defaults, rest, defaults)


def _parameter(param: cst.Param, at: Cursor, defaults: list[Any]) -> ast.arg:
    gap(param.whitespace_after_star, at)
    start = end = at.line
    annotation = None
    if param.annotation is not None:
        annotation = lower_annotation(param.annotation, at)
        end = at.line
    if param.default is not None:
        around(param.equal, at)
        defaults.append(expression(param.default, at))
    around(param.comma, at)
    gap(param.whitespace_after_param, at)
    out: ast.arg = placed(ast.arg(param.name.value, annotation, None), start, end)
    return out


def lower_annotation(node: cst.Annotation, at: Cursor) -> ast.expr:
    """The type of ``name: type`` or ``-> type``."""
    gap(node.whitespace_before_indicator, at)
    gap(node.whitespace_after_indicator, at)
    out: ast.expr = expression(node.annotation, at)
    return out
