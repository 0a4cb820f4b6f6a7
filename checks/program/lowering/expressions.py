"""Expressions of a LibCST tree as the standard library's ``ast`` nodes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from checks.program.lowering import calls, strings
from checks.program.lowering.cursor import LOAD, Cursor, Lowering, around, expression, gap, placed, store, target

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst

#: Operators of expressions, by LibCST's classes.
BINARY: dict[type, ast.operator] = {
    cst.Add: ast.Add(),
    cst.Subtract: ast.Sub(),
    cst.Multiply: ast.Mult(),
    cst.Divide: ast.Div(),
    cst.FloorDivide: ast.FloorDiv(),
    cst.Modulo: ast.Mod(),
    cst.Power: ast.Pow(),
    cst.LeftShift: ast.LShift(),
    cst.RightShift: ast.RShift(),
    cst.BitOr: ast.BitOr(),
    cst.BitAnd: ast.BitAnd(),
    cst.BitXor: ast.BitXor(),
    cst.MatrixMultiply: ast.MatMult(),
}
_UNARY: dict[type, ast.unaryop] = {
    cst.Plus: ast.UAdd(),
    cst.Minus: ast.USub(),
    cst.BitInvert: ast.Invert(),
    cst.Not: ast.Not(),
}
_COMPARE: dict[type, ast.cmpop] = {
    cst.LessThan: ast.Lt(),
    cst.GreaterThan: ast.Gt(),
    cst.Equal: ast.Eq(),
    cst.LessThanEqual: ast.LtE(),
    cst.GreaterThanEqual: ast.GtE(),
    cst.NotEqual: ast.NotEq(),
    cst.In: ast.In(),
    cst.NotIn: ast.NotIn(),
    cst.Is: ast.Is(),
    cst.IsNot: ast.IsNot(),
}
_BOOLEAN: dict[type, ast.boolop] = {cst.And: ast.And(), cst.Or: ast.Or()}


def _name(node: cst.Name, at: Cursor) -> ast.expr:
    value = node.value
    if value == "None" or value == "True" or value == "False":
        return ast.Constant({"None": None, "True": True, "False": False}[value], None)
    return ast.Name(value, LOAD)


def _ellipsis(node: cst.Ellipsis, at: Cursor) -> ast.Constant:
    return ast.Constant(..., None)


def _integer(node: cst.Integer, at: Cursor) -> ast.Constant:
    return ast.Constant(int(node.value, 0), None)


def _float(node: cst.Float, at: Cursor) -> ast.Constant:
    return ast.Constant(float(node.value), None)


def _imaginary(node: cst.Imaginary, at: Cursor) -> ast.Constant:
    return ast.Constant(complex(0.0, float(node.value[:-1])), None)


def _binary(node: cst.BinaryOperation, at: Cursor) -> ast.BinOp:
    left = expression(node.left, at)
    operator: Any = node.operator
    gap(operator.whitespace_before, at)
    gap(operator.whitespace_after, at)
    return ast.BinOp(left, BINARY[operator.__class__], expression(node.right, at))


def _unary(node: cst.UnaryOperation, at: Cursor) -> ast.UnaryOp:
    gap(node.operator.whitespace_after, at)
    return ast.UnaryOp(_UNARY[node.operator.__class__], expression(node.expression, at))


def _boolean(node: cst.BooleanOperation, at: Cursor) -> ast.BoolOp:
    kind = node.operator.__class__
    chain: list[Any] = [node]
    left: Any = node.left
    while left.__class__ is cst.BooleanOperation and not left.lpar and left.operator.__class__ is kind:
        chain.append(left)
        left = left.left
    values = [expression(left, at)]
    for link in reversed(chain):
        around(link.operator, at)
        values.append(expression(link.right, at))
    return ast.BoolOp(_BOOLEAN[kind], values)


def _comparison(node: cst.Comparison, at: Cursor) -> ast.Compare:
    left = expression(node.left, at)
    operators: list[ast.cmpop] = []
    comparators: list[ast.expr] = []
    for link in node.comparisons:
        operator: Any = link.operator
        gap(operator.whitespace_before, at)
        if isinstance(operator, (cst.NotIn, cst.IsNot)):
            gap(operator.whitespace_between, at)
        gap(operator.whitespace_after, at)
        operators.append(_COMPARE[operator.__class__])
        comparators.append(expression(link.comparator, at))
    return ast.Compare(left, operators, comparators)


def _conditional(node: cst.IfExp, at: Cursor) -> ast.IfExp:
    body = expression(node.body, at)
    gap(node.whitespace_before_if, at)
    gap(node.whitespace_after_if, at)
    test = expression(node.test, at)
    gap(node.whitespace_before_else, at)
    gap(node.whitespace_after_else, at)
    return ast.IfExp(test, body, expression(node.orelse, at))


def _walrus(node: cst.NamedExpr, at: Cursor) -> ast.NamedExpr:
    name = target(node.target, at)
    gap(node.whitespace_before_walrus, at)
    gap(node.whitespace_after_walrus, at)
    return ast.NamedExpr(name, expression(node.value, at))


def _await(node: cst.Await, at: Cursor) -> ast.Await:
    gap(node.whitespace_after_await, at)
    return ast.Await(expression(node.expression, at))


def _yield(node: cst.Yield, at: Cursor) -> ast.expr:
    value = node.value
    if value is None:
        return ast.Yield(None)
    gap(node.whitespace_after_yield, at)
    if isinstance(value, cst.From):
        gap(value.whitespace_after_from, at)
        return ast.YieldFrom(expression(value.item, at))
    return ast.Yield(expression(value, at))


def _element(node: cst.BaseElement, at: Cursor) -> ast.expr:
    if isinstance(node, cst.StarredElement):
        return starred(node, at)
    out: ast.expr = expression(node.value, at)
    return out


def starred(node: cst.StarredElement, at: Cursor) -> ast.expr:
    """``*values`` among elements."""
    for paren in node.lpar:
        gap(paren.whitespace_after, at)
    start = at.line
    gap(node.whitespace_before_value, at)
    out: ast.expr = placed(ast.Starred(expression(node.value, at), LOAD), start, at.line)
    for closing in node.rpar:
        gap(closing.whitespace_before, at)
    return out


def _elements(node: Any, at: Cursor) -> list[ast.expr]:
    out = []
    for element in node.elements:
        out.append(_element(element, at))
        comma: Any = element.comma
        if comma.__class__ is cst.Comma:
            gap(comma.whitespace_before, at)
            gap(comma.whitespace_after, at)
    return out


def _tuple(node: cst.Tuple, at: Cursor) -> ast.Tuple:
    return ast.Tuple(_elements(node, at), LOAD)


def _list(node: cst.List, at: Cursor) -> ast.List:
    gap(node.lbracket.whitespace_after, at)
    out = ast.List(_elements(node, at), LOAD)
    gap(node.rbracket.whitespace_before, at)
    return out


def _set(node: cst.Set, at: Cursor) -> ast.Set:
    gap(node.lbrace.whitespace_after, at)
    out = ast.Set(_elements(node, at))
    gap(node.rbrace.whitespace_before, at)
    return out


def _dict(node: cst.Dict, at: Cursor) -> ast.Dict:
    gap(node.lbrace.whitespace_after, at)
    keys: list[ast.expr | None] = []
    values: list[ast.expr] = []
    element: Any
    for element in node.elements:
        if element.__class__ is cst.DictElement:
            keys.append(expression(element.key, at))
            gap(element.whitespace_before_colon, at)
            gap(element.whitespace_after_colon, at)
        else:
            keys.append(None)
            gap(element.whitespace_before_value, at)
        values.append(expression(element.value, at))
        around(element.comma, at)
    gap(node.rbrace.whitespace_before, at)
    return ast.Dict(keys, values)


def _generator(node: cst.GeneratorExp, at: Cursor) -> ast.GeneratorExp:
    return ast.GeneratorExp(*_comprehension(node, at))


def _list_comprehension(node: cst.ListComp, at: Cursor) -> ast.ListComp:
    gap(node.lbracket.whitespace_after, at)
    out = ast.ListComp(*_comprehension(node, at))
    gap(node.rbracket.whitespace_before, at)
    return out


def _set_comprehension(node: cst.SetComp, at: Cursor) -> ast.SetComp:
    gap(node.lbrace.whitespace_after, at)
    out = ast.SetComp(*_comprehension(node, at))
    gap(node.rbrace.whitespace_before, at)
    return out


def _dict_comprehension(node: cst.DictComp, at: Cursor) -> ast.DictComp:
    gap(node.lbrace.whitespace_after, at)
    key = expression(node.key, at)
    gap(node.whitespace_before_colon, at)
    gap(node.whitespace_after_colon, at)
    value = expression(node.value, at)
    out = ast.DictComp(key, value, _clauses(node.for_in, at))
    gap(node.rbrace.whitespace_before, at)
    return out


def _merging_comprehension(node: Any, at: Cursor) -> ast.DictComp:
    """``{**d for d in ds}`` (PEP 798): no host node, so the key is the constant None."""
    gap(node.lbrace.whitespace_after, at)
    start = at.line
    gap(node.whitespace_before_value, at)
    value = expression(node.value, at)
    out = ast.DictComp(placed(ast.Constant(None, None), start, start), value, _clauses(node.for_in, at))
    gap(node.rbrace.whitespace_before, at)
    return out


def _comprehension(node: Any, at: Cursor) -> tuple[ast.expr, list[ast.comprehension]]:
    element = node.elt
    value = starred(element, at) if isinstance(element, cst.StarredElement) else expression(element, at)
    return value, _clauses(node.for_in, at)


def _clauses(clause: cst.CompFor | None, at: Cursor) -> list[ast.comprehension]:
    out = []
    while clause is not None:
        gap(clause.whitespace_before, at)
        if clause.asynchronous is not None:
            gap(clause.asynchronous.whitespace_after, at)
        gap(clause.whitespace_after_for, at)
        variable = store(expression(clause.target, at))
        gap(clause.whitespace_before_in, at)
        gap(clause.whitespace_after_in, at)
        iterable = expression(clause.iter, at)
        tests = []
        for condition in clause.ifs:
            gap(condition.whitespace_before, at)
            gap(condition.whitespace_before_test, at)
            tests.append(expression(condition.test, at))
        out.append(ast.comprehension(variable, iterable, tests, int(clause.asynchronous is not None)))
        clause = clause.inner_for_in
    return out


EXPRESSIONS: dict[type, Lowering] = {
    cst.Name: _name,
    cst.Ellipsis: _ellipsis,
    cst.Integer: _integer,
    cst.Float: _float,
    cst.Imaginary: _imaginary,
    cst.SimpleString: strings.simple,
    cst.FormattedString: strings.formatted,
    cst.ConcatenatedString: strings.concatenated,
    cst.Attribute: calls.attribute,
    cst.Call: calls.call,
    cst.Subscript: calls.subscript,
    cst.BinaryOperation: _binary,
    cst.UnaryOperation: _unary,
    cst.BooleanOperation: _boolean,
    cst.Comparison: _comparison,
    cst.IfExp: _conditional,
    cst.NamedExpr: _walrus,
    cst.Await: _await,
    cst.Yield: _yield,
    cst.Lambda: calls.lambda_,
    cst.Tuple: _tuple,
    cst.List: _list,
    cst.Set: _set,
    cst.Dict: _dict,
    cst.GeneratorExp: _generator,
    cst.ListComp: _list_comprehension,
    cst.SetComp: _set_comprehension,
    cst.DictComp: _dict_comprehension,
}
for _newer, _lowering in (("TemplatedString", strings.formatted), ("StarredDictComp", _merging_comprehension)):
    EXPRESSIONS[getattr(cst, _newer)] = _lowering  # syntax that only newer LibCST reads
