"""Evaluates expressions of a wrapper on constants; what cannot be known comes out as ``Unknown`` with its reason."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from checks.program.unpacking.data import BINARY, binary, items
from checks.program.unpacking.values import (
    Bound,
    Globals,
    Handle,
    Module,
    Path,
    Ref,
    Scope,
    Unknown,
    is_plain,
)

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

#: Evaluates one kind of expression.
Evaluation = Callable[[Any, Scope, "Machine"], Any]

_UNARY: dict[type, Callable[[Any], Any]] = {
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
    ast.Invert: operator.invert,
    ast.Not: operator.not_,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.Gt: operator.gt,
    ast.LtE: operator.le,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda left, right: left in right,
    ast.NotIn: lambda left, right: left not in right,
}
#: Modules that a wrapper needs no import for.
BUILTIN_NAMES = frozenset(
    [
        "abs",
        "all",
        "any",
        "ascii",
        "bin",
        "bool",
        "bytearray",
        "bytes",
        "callable",
        "chr",
        "compile",
        "complex",
        "dict",
        "divmod",
        "enumerate",
        "eval",
        "exec",
        "filter",
        "float",
        "format",
        "frozenset",
        "getattr",
        "globals",
        "hasattr",
        "hash",
        "hex",
        "id",
        "int",
        "isinstance",
        "iter",
        "len",
        "list",
        "locals",
        "map",
        "max",
        "min",
        "next",
        "object",
        "oct",
        "open",
        "ord",
        "pow",
        "print",
        "range",
        "repr",
        "reversed",
        "round",
        "set",
        "setattr",
        "slice",
        "sorted",
        "str",
        "sum",
        "tuple",
        "type",
        "vars",
        "zip",
        "input",
        "memoryview",
        "__import__",
        "__builtins__",
        "Exception",
        "SystemExit",
        "ValueError",
        "ImportError",
    ]
)


def evaluate(node: ast.expr, scope: Scope, machine: Machine) -> Any:
    """The value of ``node``; never raises for what the script does."""
    machine.step()
    handler = machine.expressions.get(type(node))
    if handler is None:
        return Unknown(f"{type(node).__name__} expressions are not folded")
    return handler(node, scope, machine)


def _name(node: ast.Name, scope: Scope, machine: Machine) -> Any:
    holder: Scope | None = scope
    while holder is not None:
        if node.id in holder.names:
            return holder.names[node.id]
        holder = holder.outer
    if node.id == "__builtins__":
        return Ref("builtins")
    if node.id in BUILTIN_NAMES:
        machine.mention(node.id, node.lineno)
        return Ref(f"builtins.{node.id}")
    return Unknown(f"the value of {node.id} is not known")


def attribute(value: Any, name: str, machine: Machine) -> Any:
    """``value.name``."""
    if isinstance(value, Unknown):
        return value
    if isinstance(value, Ref):
        if value.name == "builtins" and name != "__dict__":
            machine.mention(name, machine.line)
        return machine.reference(value if name == "__dict__" else Ref(f"{value.name}.{name}"))
    if isinstance(value, Module):
        if name == "__dict__":
            return Globals(value.scope, value.name)
        if name == "loader":
            return value
        return value.scope.names.get(name, Bound(value, name))
    if isinstance(value, Path):
        plain = {"name": value.pure.name, "stem": value.pure.stem, "suffix": value.pure.suffix}
        if name in plain:
            return plain[name]
        if name == "parents":
            return [Path(parent) for parent in value.pure.parents]
        return Path(value.pure.parent) if name == "parent" else Bound(value, name)
    if isinstance(value, Handle) and name == "name":
        return value.path
    return Bound(value, name)


def _attribute(node: ast.Attribute, scope: Scope, machine: Machine) -> Any:
    return attribute(evaluate(node.value, scope, machine), node.attr, machine)


def starred(value: Any, machine: Machine) -> list[Any]:
    """The elements of ``*value``; one unknown element when they are not known."""
    return [value] if isinstance(value, Unknown) else items(value, machine)


def _call(node: ast.Call, scope: Scope, machine: Machine) -> Any:
    function = evaluate(node.func, scope, machine)
    args: list[Any] = []
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            args += starred(evaluate(arg.value, scope, machine), machine)
        else:
            args.append(evaluate(arg, scope, machine))
    keywords: dict[str, Any] = {}
    for keyword in node.keywords:
        value = evaluate(keyword.value, scope, machine)
        if keyword.arg is not None:
            keywords[keyword.arg] = value
        elif isinstance(value, dict):
            keywords.update({str(key): item for key, item in value.items()})
        else:
            return Unknown("keyword arguments that are not known")
    return machine.call(function, args, keywords, scope, node.lineno)


def _binary(node: ast.BinOp, scope: Scope, machine: Machine) -> Any:
    if type(node.op) not in BINARY:
        return Unknown("matrix products are not folded")
    return binary(type(node.op), evaluate(node.left, scope, machine), evaluate(node.right, scope, machine))


def _unary(node: ast.UnaryOp, scope: Scope, machine: Machine) -> Any:
    value = evaluate(node.operand, scope, machine)
    if isinstance(value, Unknown):
        return value
    return (
        _UNARY[type(node.op)](value)
        if is_plain(value)
        else not value
        if isinstance(node.op, ast.Not)
        else Unknown("an operation on something that is not data")
    )


def _boolean(node: ast.BoolOp, scope: Scope, machine: Machine) -> Any:
    value: Any = None
    for part in node.values:
        value = evaluate(part, scope, machine)
        if isinstance(value, Unknown):
            return value
        if bool(value) is isinstance(node.op, ast.Or):
            return value
    return value


def _compare(node: ast.Compare, scope: Scope, machine: Machine) -> Any:
    left = evaluate(node.left, scope, machine)
    for kind, comparator in zip(node.ops, node.comparators, strict=True):
        right = evaluate(comparator, scope, machine)
        if isinstance(left, Unknown) or isinstance(right, Unknown):
            return left if isinstance(left, Unknown) else right
        if not (is_plain(left) and is_plain(right)) and not isinstance(kind, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            return Unknown("a comparison of something that is not data")
        if not _COMPARE[type(kind)](left, right):
            return False
        left = right
    return True


def _conditional(node: ast.IfExp, scope: Scope, machine: Machine) -> Any:
    test = evaluate(node.test, scope, machine)
    if isinstance(test, Unknown):
        return test
    return evaluate(node.body if test else node.orelse, scope, machine)


def subscript(value: Any, index: Any, machine: Machine) -> Any:
    """``value[index]``."""
    if isinstance(value, Unknown) or isinstance(index, Unknown):
        return value if isinstance(value, Unknown) else index
    if isinstance(value, Globals):
        if index in value.scope.names:
            return value.scope.names[index]
        return _name(ast.Name(str(index), ast.Load(), lineno=machine.line), Scope(), machine)
    if isinstance(value, Ref):
        if value.name == "os.environ":
            return machine.environ.get(index, Unknown(f"environment variable {index} is not known"))
        if value.name == "sys.modules":
            return Ref(str(index)) if str(index) not in machine.modules else machine.modules[str(index)]
        if value.name == "sys.argv":
            return machine.script_path if index == 0 else Unknown("command line arguments are not known")
        return attribute(value, str(index), machine)
    if isinstance(value, (str, bytes, bytearray, list, tuple, dict, range)):
        return value[index]
    return Unknown(f"a part of a {type(value).__name__.lower()}")


def _subscript(node: ast.Subscript, scope: Scope, machine: Machine) -> Any:
    return subscript(evaluate(node.value, scope, machine), evaluate(node.slice, scope, machine), machine)


def _lambda(node: ast.Lambda, scope: Scope, machine: Machine) -> Any:
    return machine.function(node, scope)


def _walrus(node: ast.NamedExpr, scope: Scope, machine: Machine) -> Any:
    value = evaluate(node.value, scope, machine)
    machine.assign(node.target, value, scope)
    return value


#: How names, calls and operators are evaluated.
EXPRESSIONS: dict[type, Evaluation] = {
    ast.Constant: lambda node, scope, machine: node.value,
    ast.Name: _name,
    ast.Attribute: _attribute,
    ast.Call: _call,
    ast.BinOp: _binary,
    ast.UnaryOp: _unary,
    ast.BoolOp: _boolean,
    ast.Compare: _compare,
    ast.IfExp: _conditional,
    ast.Subscript: _subscript,
    ast.Lambda: _lambda,
    ast.NamedExpr: _walrus,
}
