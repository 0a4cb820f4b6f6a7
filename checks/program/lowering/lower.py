"""One walk from a LibCST tree to the standard library's ``ast`` tree, with line numbers.

The interpreter works on ``ast`` classes that every supported host has (3.10+), whatever parsed the file. What newer
grammar has and those classes have not is mapped so: type parameters (PEP 695) are dropped, ``type X = T`` is an
assignment, ``except*`` is an ordinary ``try`` on hosts without ``ast.TryStar``, template strings are f-strings, lazy
imports are imports. Columns are not tracked (0). Pieces of f-strings carry their true lines, as in 3.12.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from checks.program.lowering.calls import argument, lower_annotation, parameters
from checks.program.lowering.cursor import (
    Cursor,
    Lowering,
    around,
    comma_separated,
    empty_lines,
    end_of_line,
    expression,
    gap,
    placed,
    target,
)
from checks.program.lowering.expressions import EXPRESSIONS
from checks.program.lowering.patterns import pattern
from checks.program.lowering.statements import SMALL, type_parameters

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst


class LinesLost(ValueError):
    """The tree does not account for every line of the text."""


def lower(module: cst.Module, text: str) -> ast.Module:
    """Lower the tree that LibCST made of ``text`` (newlines ``\\n`` only).

    Raises ``LinesLost`` when LibCST dropped characters, so that no line number could be trusted,
    ``MalformedLiteral`` for a literal that no Python accepts, ``ValueError`` for an over-long number and
    ``RecursionError`` for expressions nested deeper than the interpreter's stack.
    """
    at = Cursor("\\\n" in text, EXPRESSIONS)
    empty_lines(module.header, at)
    body: list[ast.stmt] = []
    for statement in module.body:
        _statement(statement, body, at)
    empty_lines(module.footer, at)
    if at.continued and at.line - 1 - text.count("\n") not in (0, 1):  # a file may end without a newline
        raise LinesLost("libcst dropped a line continuation")
    return ast.Module(body, [])


def _statement(node: Any, body: list[ast.stmt], at: Cursor) -> None:
    empty_lines(node.leading_lines, at)
    if node.__class__ is cst.SimpleStatementLine:
        _simple(node.body, body, at)
        end_of_line(node.trailing_whitespace, at)
        return
    start = at.line
    out = _COMPOUND[node.__class__](node, at)
    if not hasattr(out, "lineno"):
        placed(out, start, 0)
    out.end_lineno = _last_line(out)
    body.append(out)


def _last_line(node: Any) -> int:
    for field in ("finalbody", "orelse", "handlers", "body", "cases"):
        children = getattr(node, field, None)
        if children:
            last = children[-1]
            return int(last.end_lineno if hasattr(last, "end_lineno") else last.body[-1].end_lineno)
    raise AssertionError(f"{type(node).__name__} without a body")


def _simple(statements: Any, body: list[ast.stmt], at: Cursor) -> None:
    for node in statements:
        start = at.line
        body.append(placed(SMALL[node.__class__](node, at), start, at.line))
        around(node.semicolon, at)


def _suite(node: Any, at: Cursor) -> list[ast.stmt]:
    body: list[ast.stmt] = []
    if node.__class__ is cst.IndentedBlock:
        end_of_line(node.header, at)
        for statement in node.body:
            _statement(statement, body, at)
        empty_lines(node.footer, at)
    else:
        gap(node.leading_whitespace, at)
        _simple(node.body, body, at)
        end_of_line(node.trailing_whitespace, at)
    return body


def _tail(node: Any, at: Cursor) -> list[ast.stmt]:
    """The body of ``else`` or ``finally``."""
    if node is None:
        return []
    empty_lines(node.leading_lines, at)
    gap(node.whitespace_before_colon, at)
    return _suite(node.body, at)


# -- compound statements ----------------------------------------------------------------------------------------------


def _if(node: cst.If, at: Cursor) -> ast.If:
    gap(node.whitespace_before_test, at)
    test = expression(node.test, at)
    gap(node.whitespace_after_test, at)
    body = _suite(node.body, at)
    if isinstance(node.orelse, cst.If):
        orelse: list[ast.stmt] = []
        _statement(node.orelse, orelse, at)
    else:
        orelse = _tail(node.orelse, at)
    return ast.If(test, body, orelse)


def _while(node: cst.While, at: Cursor) -> ast.While:
    gap(node.whitespace_after_while, at)
    test = expression(node.test, at)
    gap(node.whitespace_before_colon, at)
    body = _suite(node.body, at)
    return ast.While(test, body, _tail(node.orelse, at))


def _for(node: cst.For, at: Cursor) -> ast.For | ast.AsyncFor:
    _async(node.asynchronous, at)
    gap(node.whitespace_after_for, at)
    variable = target(node.target, at)
    gap(node.whitespace_before_in, at)
    gap(node.whitespace_after_in, at)
    iterable = expression(node.iter, at)
    gap(node.whitespace_before_colon, at)
    body = _suite(node.body, at)
    return (ast.AsyncFor if node.asynchronous else ast.For)(variable, iterable, body, _tail(node.orelse, at), None)


def _async(node: cst.Asynchronous | None, at: Cursor) -> None:
    if node is not None:
        gap(node.whitespace_after, at)


def _with(node: cst.With, at: Cursor) -> ast.With | ast.AsyncWith:
    _async(node.asynchronous, at)
    gap(node.whitespace_after_with, at)
    if isinstance(node.lpar, cst.LeftParen):
        gap(node.lpar.whitespace_after, at)
    items = comma_separated(node.items, _with_item, at)
    if isinstance(node.rpar, cst.RightParen):
        gap(node.rpar.whitespace_before, at)
    gap(node.whitespace_before_colon, at)
    return (ast.AsyncWith if node.asynchronous else ast.With)(items, _suite(node.body, at), None)


def _with_item(node: cst.WithItem, at: Cursor) -> ast.withitem:
    value = expression(node.item, at)
    return ast.withitem(value, _as_target(node.asname, at))


def _as_target(node: cst.AsName | None, at: Cursor) -> Any:
    if node is None:
        return None
    gap(node.whitespace_before_as, at)
    gap(node.whitespace_after_as, at)
    return target(node.name, at)


def _try(node: Any, at: Cursor) -> Any:
    gap(node.whitespace_before_colon, at)
    body = _suite(node.body, at)
    handlers = [_handler(handler, at) for handler in node.handlers]
    orelse = _tail(node.orelse, at)
    made: Any = ast.Try
    if node.__class__ is cst.TryStar:
        made = getattr(ast, "TryStar", ast.Try)
    return made(body, handlers, orelse, _tail(node.finalbody, at))


def _handler(node: Any, at: Cursor) -> ast.ExceptHandler:
    empty_lines(node.leading_lines, at)
    start = at.line
    gap(node.whitespace_after_except, at)
    if node.__class__ is cst.ExceptStarHandler:
        gap(node.whitespace_after_star, at)
    caught = expression(node.type, at) if node.type is not None else None
    name = _as_target(node.name, at)
    gap(node.whitespace_before_colon, at)
    out = ast.ExceptHandler(caught, name.id if name is not None else None, _suite(node.body, at))
    placed(out, start, 0)
    out.end_lineno = _last_line(out)
    return out


def _function(node: cst.FunctionDef, at: Cursor) -> Any:
    decorators = _decorators(node, at)
    start = at.line
    _async(node.asynchronous, at)
    gap(node.whitespace_after_def, at)
    gap(node.whitespace_after_name, at)
    type_parameters(node, at)
    gap(node.whitespace_before_params, at)
    signature = parameters(node.params, at)
    returns = lower_annotation(node.returns, at) if node.returns is not None else None
    gap(node.whitespace_before_colon, at)
    body = _suite(node.body, at)
    made = ast.AsyncFunctionDef if node.asynchronous else ast.FunctionDef
    out = made(node.name.value, signature, body, decorators, returns, None)
    return _without_type_parameters(placed(out, start, 0))


def _class(node: cst.ClassDef, at: Cursor) -> Any:
    decorators = _decorators(node, at)
    start = at.line
    gap(node.whitespace_after_class, at)
    gap(node.whitespace_after_name, at)
    type_parameters(node, at)
    if isinstance(node.lpar, cst.LeftParen):
        gap(node.lpar.whitespace_after, at)
    bases: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    for arg in (*node.bases, *node.keywords):
        argument(arg, bases, keywords, at)
    if isinstance(node.rpar, cst.RightParen):
        gap(node.rpar.whitespace_before, at)
    gap(node.whitespace_before_colon, at)
    out = ast.ClassDef(node.name.value, bases, keywords, _suite(node.body, at), decorators)
    return _without_type_parameters(placed(out, start, 0))


def _without_type_parameters(node: Any) -> Any:
    if "type_params" in node._fields:  # 3.12 and newer
        node.type_params = []
    return node


def _decorators(node: Any, at: Cursor) -> list[ast.expr]:
    out = []
    for decorator in node.decorators:
        empty_lines(decorator.leading_lines, at)
        gap(decorator.whitespace_after_at, at)
        out.append(expression(decorator.decorator, at))
        end_of_line(decorator.trailing_whitespace, at)
    empty_lines(node.lines_after_decorators, at)
    return out


def _match(node: cst.Match, at: Cursor) -> ast.Match:
    gap(node.whitespace_after_match, at)
    subject = expression(node.subject, at)
    gap(node.whitespace_before_colon, at)
    end_of_line(node.whitespace_after_colon, at)
    cases = []
    for case in node.cases:
        empty_lines(case.leading_lines, at)
        gap(case.whitespace_after_case, at)
        shape = pattern(case.pattern, at)
        guard = None
        if case.guard is not None:
            gap(case.whitespace_before_if, at)
            gap(case.whitespace_after_if, at)
            guard = expression(case.guard, at)
        gap(case.whitespace_before_colon, at)
        cases.append(ast.match_case(shape, guard, _suite(case.body, at)))
    empty_lines(node.footer, at)
    return ast.Match(subject, cases)


_COMPOUND: dict[type, Lowering] = {
    cst.If: _if,
    cst.While: _while,
    cst.For: _for,
    cst.With: _with,
    cst.Try: _try,
    cst.TryStar: _try,
    cst.FunctionDef: _function,
    cst.ClassDef: _class,
    cst.Match: _match,
}
