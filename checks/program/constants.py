"""Constant expressions of a script: literals, names that are assigned once, and plain arithmetic on them."""

from __future__ import annotations

import ast
import operator
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from checks.program.nodes import of

#: Names with the one expression that they are assigned.
Expressions = Mapping[str, ast.expr]

_MAX_DEPTH = 40
_MAX_LENGTH = 10_000
_OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
}
_TEXT_METHODS = frozenset({"lower", "upper", "strip", "rstrip", "lstrip"})


class Unresolved(Exception):
    """The expression is not a constant."""


def module_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Names that a module assigns exactly once, at its top, and no function rebinds."""
    shared = [name for node in of(tree, (ast.Global,)) for name in node.names]
    return single_assignments(tree.body, shared)


def single_assignments(body: Sequence[ast.stmt], shared: Sequence[str] = ()) -> dict[str, ast.expr]:
    """Names that the statements of one block assign exactly once, and nothing else in it assigns (``shared`` are)."""
    out: dict[str, ast.expr] = {}
    counts: Counter[str] = Counter({name: 2 for name in shared})
    for statement in body:
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    counts[target.id] += 1
                    out[target.id] = statement.value
        elif (
            isinstance(statement, ast.AnnAssign)
            and isinstance(statement.target, ast.Name)
            and statement.value is not None
        ):
            counts[statement.target.id] += 1
            out[statement.target.id] = statement.value
        elif not isinstance(statement, (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Expr)):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    counts[node.id] += 2
    return {name: value for name, value in out.items() if counts[name] == 1}


def resolve(node: ast.expr, known: Expressions, depth: int = 0) -> Any:
    """The value of a constant expression; ``Unresolved`` otherwise."""
    if depth > _MAX_DEPTH:
        raise Unresolved
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name) and node.id in known:
        return resolve(known[node.id], {name: value for name, value in known.items() if name != node.id}, depth + 1)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _number(resolve(node.operand, known, depth + 1))
        return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _operate(node, known, depth)
    if isinstance(node, ast.JoinedStr):
        return _joined(node, known, depth)
    if isinstance(node, ast.Call):
        return _call(node, known, depth)
    if isinstance(node, ast.Subscript):
        return _item(node, known, depth)
    raise Unresolved


def as_text(value: Any) -> tuple[str, bool]:
    """A default as the text that the variable would have; False when no text means the same (``None``, ``True``)."""
    if isinstance(value, str):
        return value, True
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value), False
    return str(value), True


def _number(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise Unresolved


def _operate(node: ast.BinOp, known: Expressions, depth: int) -> Any:
    left, right = resolve(node.left, known, depth + 1), resolve(node.right, known, depth + 1)
    if isinstance(left, str) and isinstance(right, str) and isinstance(node.op, ast.Add):
        if len(left) + len(right) > _MAX_LENGTH:
            raise Unresolved
        return left + right
    left, right = _number(left), _number(right)
    if isinstance(node.op, (ast.Pow, ast.LShift)) and (abs(right) > 200 or abs(left) > 1e9):
        raise Unresolved
    if isinstance(node.op, ast.Mult) and max(abs(left), abs(right)) > 1e30:
        raise Unresolved
    try:
        return _OPERATORS[type(node.op)](left, right)
    except (ArithmeticError, ValueError, TypeError):
        raise Unresolved from None


def _joined(node: ast.JoinedStr, known: Expressions, depth: int) -> str:
    out = ""
    for part in node.values:
        if isinstance(part, ast.Constant):
            out += str(part.value)
        elif isinstance(part, ast.FormattedValue) and part.format_spec is None and part.conversion == -1:
            out += str(resolve(part.value, known, depth + 1))
        else:
            raise Unresolved
        if len(out) > _MAX_LENGTH:
            raise Unresolved
    return out


def _call(node: ast.Call, known: Expressions, depth: int) -> Any:
    if isinstance(node.func, ast.Attribute) and node.func.attr in _TEXT_METHODS and not node.args:
        value = resolve(node.func.value, known, depth + 1)
        if isinstance(value, str):
            return getattr(value, node.func.attr)()
    if isinstance(node.func, ast.Name) and node.func.id in ("str", "int", "float") and len(node.args) == 1:
        value = resolve(node.args[0], known, depth + 1)
        made: Callable[[Any], Any] = {"str": str, "int": int, "float": float}[node.func.id]
        try:
            return made(value)
        except (ValueError, TypeError, OverflowError):
            raise Unresolved from None
    raise Unresolved


def _item(node: ast.Subscript, known: Expressions, depth: int) -> Any:
    table: ast.expr | None = node.value
    if isinstance(table, ast.Name):
        table = known.get(table.id)
    index = resolve(node.slice, known, depth + 1)
    if isinstance(table, ast.Dict):
        for key, value in zip(table.keys, table.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == index:
                return resolve(value, known, depth + 1)
    if (
        isinstance(table, (ast.Tuple, ast.List))
        and isinstance(index, int)
        and -len(table.elts) <= index < len(table.elts)
    ):
        return resolve(table.elts[index], known, depth + 1)
    raise Unresolved
