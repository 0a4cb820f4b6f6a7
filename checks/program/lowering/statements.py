"""Statements of one line as ``ast`` nodes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any

from checks.program.lowering.calls import lower_annotation
from checks.program.lowering.cursor import DEL, STORE, Cursor, Lowering, around, expression, gap, placed, store, target
from checks.program.lowering.expressions import BINARY
from checks.program.lowering.nodes import code

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst

_AUGMENTED: dict[type, ast.operator] = {
    getattr(cst, name + "Assign"): BINARY[getattr(cst, name)]
    for name in (
        "Add", "Subtract", "Multiply", "Divide", "FloorDivide", "Modulo", "Power", "LeftShift", "RightShift", "BitOr",
        "BitAnd", "BitXor", "MatrixMultiply",
    )
}  # fmt: skip


def _expr(node: cst.Expr, at: Cursor) -> ast.Expr:
    return ast.Expr(expression(node.value, at))


def _assign(node: cst.Assign, at: Cursor) -> ast.Assign:
    targets = []
    for link in node.targets:
        targets.append(target(link.target, at))
        gap(link.whitespace_before_equal, at)
        gap(link.whitespace_after_equal, at)
    return ast.Assign(targets, expression(node.value, at), None)


def _annotated(node: cst.AnnAssign, at: Cursor) -> ast.AnnAssign:
    name = target(node.target, at)
    annotation = lower_annotation(node.annotation, at)
    value = None
    if node.value is not None:
        around(node.equal, at)
        value = expression(node.value, at)
    simple = int(isinstance(node.target, cst.Name) and not node.target.lpar)
    return ast.AnnAssign(name, annotation, value, simple)


def _augmented(node: cst.AugAssign, at: Cursor) -> ast.AugAssign:
    name = target(node.target, at)
    around(node.operator, at)
    return ast.AugAssign(name, _AUGMENTED[node.operator.__class__], expression(node.value, at))


def _return(node: cst.Return, at: Cursor) -> ast.Return:
    if node.value is None:
        return ast.Return(None)
    gap(node.whitespace_after_return, at)
    return ast.Return(expression(node.value, at))


def _del(node: cst.Del, at: Cursor) -> ast.Delete:
    gap(node.whitespace_after_del, at)
    value = store(expression(node.target, at), DEL)
    if isinstance(node.target, cst.Tuple) and not node.target.lpar:
        return ast.Delete(value.elts)
    return ast.Delete([value])


def _pass(node: cst.Pass, at: Cursor) -> ast.Pass:
    return ast.Pass()


def _break(node: cst.Break, at: Cursor) -> ast.Break:
    return ast.Break()


def _continue(node: cst.Continue, at: Cursor) -> ast.Continue:
    return ast.Continue()


def _raise(node: cst.Raise, at: Cursor) -> ast.Raise:
    if node.exc is None:
        return ast.Raise(None, None)
    gap(node.whitespace_after_raise, at)
    exception = expression(node.exc, at)
    cause = None
    if node.cause is not None:
        gap(node.cause.whitespace_before_from, at)
        gap(node.cause.whitespace_after_from, at)
        cause = expression(node.cause.item, at)
    return ast.Raise(exception, cause)


def _assert(node: cst.Assert, at: Cursor) -> ast.Assert:
    gap(node.whitespace_after_assert, at)
    test = expression(node.test, at)
    message = None
    if node.msg is not None:
        around(node.comma, at)
        message = expression(node.msg, at)
    return ast.Assert(test, message)


def _names(node: Any, at: Cursor) -> list[str]:
    out = []
    for item in node.names:
        out.append(item.name.value)
        around(item.comma, at)
    return out


def _global(node: cst.Global, at: Cursor) -> ast.Global:
    gap(node.whitespace_after_global, at)
    return ast.Global(_names(node, at))


def _nonlocal(node: cst.Nonlocal, at: Cursor) -> ast.Nonlocal:
    gap(node.whitespace_after_nonlocal, at)
    return ast.Nonlocal(_names(node, at))


def _import(node: Any, at: Cursor) -> ast.Import:
    gap(getattr(node, "whitespace_after_lazy", None), at)
    gap(node.whitespace_after_import, at)
    return ast.Import(_aliases(node.names, at))


def _import_from(node: Any, at: Cursor) -> ast.ImportFrom:
    gap(getattr(node, "whitespace_after_lazy", None), at)
    gap(node.whitespace_after_from, at)
    for dot in node.relative:
        around(dot, at)
    module = _dotted(node.module, at) if node.module is not None else None
    gap(node.whitespace_before_import, at)
    gap(node.whitespace_after_import, at)
    if isinstance(node.names, cst.ImportStar):
        names = [placed(ast.alias("*", None), at.line, at.line)]
    else:
        if node.lpar is not None:
            gap(node.lpar.whitespace_after, at)
        names = _aliases(node.names, at)
        if node.rpar is not None:
            gap(node.rpar.whitespace_before, at)
    return ast.ImportFrom(module, names, len(node.relative))


def _aliases(nodes: Any, at: Cursor) -> list[ast.alias]:
    out = []
    for node in nodes:
        start = at.line
        name = _dotted(node.name, at)
        renamed = None
        if node.asname is not None:
            gap(node.asname.whitespace_before_as, at)
            gap(node.asname.whitespace_after_as, at)
            renamed = node.asname.name.value
        out.append(placed(ast.alias(name, renamed), start, at.line))
        around(node.comma, at)
    return out


def _dotted(node: Any, at: Cursor) -> str:
    if isinstance(node, cst.Name):
        return node.value
    head = _dotted(node.value, at)
    around(node.dot, at)
    return f"{head}.{node.attr.value}"


def _type_alias(node: Any, at: Cursor) -> ast.Assign:
    gap(node.whitespace_after_type, at)
    name = placed(ast.Name(node.name.value, STORE), at.line, at.line)
    gap(node.whitespace_after_name, at)
    type_parameters(node, at)
    gap(node.whitespace_after_equals, at)
    return ast.Assign([name], expression(node.value, at), None)


def type_parameters(node: Any, at: Cursor) -> None:
    """Pass ``[T]`` of a generic function, class or alias; nothing is kept but its line breaks."""
    if node.type_parameters is not None:
        at.line += code(node.type_parameters).count("\n")
        gap(node.whitespace_after_type_parameters, at)


#: Lowering of each one-line statement of LibCST.
SMALL: dict[type, Lowering] = {
    cst.Expr: _expr,
    cst.Assign: _assign,
    cst.AnnAssign: _annotated,
    cst.AugAssign: _augmented,
    cst.Return: _return,
    cst.Del: _del,
    cst.Pass: _pass,
    cst.Break: _break,
    cst.Continue: _continue,
    cst.Raise: _raise,
    cst.Assert: _assert,
    cst.Global: _global,
    cst.Nonlocal: _nonlocal,
    cst.Import: _import,
    cst.ImportFrom: _import_from,
    cst.TypeAlias: _type_alias,
}
for _newer, _lowering in (("LazyImport", _import), ("LazyImportFrom", _import_from)):
    SMALL[getattr(cst, _newer)] = _lowering  # syntax that only newer LibCST reads (PEP 810)
