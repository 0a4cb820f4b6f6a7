"""Evaluates expressions of a wrapper on constants; what cannot be known comes out as ``Unknown`` with its reason."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from checks.program.unpack_values import (
    Code,
    Decompressor,
    Bound,
    Function,
    Globals,
    Handle,
    Module,
    Path,
    Ref,
    Refused,
    Scope,
    Unknown,
    bounded,
    is_plain,
    MAX_VALUE_ITEMS,
)

if TYPE_CHECKING:
    from checks.program.unpack_machine import Machine

_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}
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
    "abs all any ascii bin bool bytearray bytes callable chr compile complex dict divmod enumerate eval exec filter float"
    " format frozenset getattr globals hasattr hash hex id int isinstance iter len list locals map max min next object oct"
    " open ord pow print range repr reversed round set setattr slice sorted str sum tuple type vars zip input memoryview"
    " __import__ __builtins__ Exception SystemExit ValueError ImportError".split()
)


def evaluate(node: ast.expr, scope: Scope, machine: Machine) -> Any:
    """The value of ``node``; never raises for what the script does."""
    machine.step()
    handler = _EXPRESSIONS.get(type(node))
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
        return Path(value.pure.parent) if name == "parent" else Bound(value, name)
    if isinstance(value, Handle) and name == "name":
        return value.path
    return Bound(value, name)


def _attribute(node: ast.Attribute, scope: Scope, machine: Machine) -> Any:
    return attribute(evaluate(node.value, scope, machine), node.attr, machine)


def _call(node: ast.Call, scope: Scope, machine: Machine) -> Any:
    function = evaluate(node.func, scope, machine)
    args: list[Any] = []
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            args += items(evaluate(arg.value, scope, machine), machine)
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


def items(value: Any, machine: Machine) -> list[Any]:
    """The elements of a known iterable, counted against the budget; ``Refused`` otherwise."""
    if isinstance(value, Unknown):
        raise Refused(value.reason)
    if not isinstance(value, (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)) and not hasattr(value, "__next__"):
        raise Refused(f"a loop over a {type(value).__name__.lower()}")
    if isinstance(value, range):
        bounded_count(len(value))
    out = []
    for item in value:
        out.append(item)
        machine.tick()
    return out


def bounded_count(count: int) -> None:
    """Refuse to make more than ``MAX_VALUE_ITEMS`` elements."""
    if count > MAX_VALUE_ITEMS:
        raise Refused(f"a value of more than {MAX_VALUE_ITEMS:,} items")


def binary(kind: type, left: Any, right: Any) -> Any:
    """``left op right`` on plain data, guarded against results that do not fit."""
    for value in (left, right):
        if isinstance(value, Unknown):
            return value
    if isinstance(left, Path) and kind is ast.Div and isinstance(right, (str, Path)):
        return Path(left.pure / (right if isinstance(right, str) else right.pure))
    if not (is_plain(left) and is_plain(right)) and kind is not ast.Add and kind is not ast.BitOr:
        return Unknown("arithmetic on something that is not data")
    if kind is ast.Mult:
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, (str, bytes, bytearray, list, tuple)) and isinstance(times, int):
                bounded_count(len(sequence) * times)
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4_000_000:
            raise Refused("a number of more than 4 million bits")
    elif kind is ast.Pow and (not isinstance(right, (int, float)) or abs(right) > 100_000 or _bits(left) * abs(right) > 4_000_000):
        raise Refused("a power that is too large")
    elif kind is ast.LShift and isinstance(right, int) and right > 4_000_000:
        raise Refused("a number of more than 4 million bits")
    elif kind is ast.Mod and isinstance(left, (str, bytes)):
        _refuse_wide(left)
    return bounded(_BINARY[kind](left, right))


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 64


def _refuse_wide(template: str | bytes) -> None:
    run = 0
    for character in template if isinstance(template, str) else template.decode("latin-1"):
        run = run + 1 if character.isdigit() else 0
        if run > 5:
            raise Refused("a format with a very wide field")
    if len(template) > 1_000_000:
        raise Refused("a format of more than a million characters")


def _binary(node: ast.BinOp, scope: Scope, machine: Machine) -> Any:
    if type(node.op) not in _BINARY:
        return Unknown("matrix products are not folded")
    return binary(type(node.op), evaluate(node.left, scope, machine), evaluate(node.right, scope, machine))


def _unary(node: ast.UnaryOp, scope: Scope, machine: Machine) -> Any:
    value = evaluate(node.operand, scope, machine)
    if isinstance(value, Unknown):
        return value
    return _UNARY[type(node.op)](value) if is_plain(value) else not value if isinstance(node.op, ast.Not) else Unknown("an operation on something that is not data")


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


def _slice(node: ast.Slice, scope: Scope, machine: Machine) -> Any:
    parts = [evaluate(part, scope, machine) if part is not None else None for part in (node.lower, node.upper, node.step)]
    unknown = next((part for part in parts if isinstance(part, Unknown)), None)
    return unknown or slice(*parts)


def _sequence(node: ast.List | ast.Tuple | ast.Set, scope: Scope, machine: Machine) -> Any:
    out: list[Any] = []
    for element in node.elts:
        if isinstance(element, ast.Starred):
            out += items(evaluate(element.value, scope, machine), machine)
        else:
            out.append(evaluate(element, scope, machine))
    return out if isinstance(node, ast.List) else tuple(out) if isinstance(node, ast.Tuple) else set(out)


def _dict(node: ast.Dict, scope: Scope, machine: Machine) -> Any:
    out: dict[Any, Any] = {}
    for key, value in zip(node.keys, node.values, strict=True):
        if key is not None:
            out[evaluate(key, scope, machine)] = evaluate(value, scope, machine)
            continue
        more = evaluate(value, scope, machine)
        if not isinstance(more, dict):
            return Unknown("a dictionary that is not known")
        out.update(more)
    return out


def _joined(node: ast.JoinedStr, scope: Scope, machine: Machine) -> Any:
    out = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            out.append(part.value)
            continue
        assert isinstance(part, ast.FormattedValue)
        value = evaluate(part.value, scope, machine)
        spec = _joined(part.format_spec, scope, machine) if isinstance(part.format_spec, ast.JoinedStr) else ""
        if isinstance(value, Unknown) or isinstance(spec, Unknown):
            return value if isinstance(value, Unknown) else spec
        if isinstance(value, Path):
            value = str(value.pure)
        if not is_plain(value):
            return Unknown("text made of something that is not data")
        _refuse_wide(spec)
        convert: Callable[[Any], Any] = {114: repr, 115: str, 97: ascii}.get(part.conversion, lambda same: same)
        out.append(format(convert(value), spec))
    return bounded("".join(out))


def _comprehension(node: ast.ListComp | ast.SetComp | ast.GeneratorExp, scope: Scope, machine: Machine) -> Any:
    out: list[Any] = []
    _loop(node.generators, 0, Scope(outer=scope), machine, lambda inner: out.append(evaluate(node.elt, inner, machine)))
    unknown = next((item for item in out if isinstance(item, Unknown)), None)
    if unknown is not None and isinstance(node, ast.SetComp):
        return unknown
    return set(out) if isinstance(node, ast.SetComp) else out


def _dict_comprehension(node: ast.DictComp, scope: Scope, machine: Machine) -> Any:
    out: dict[Any, Any] = {}

    def add(inner: Scope) -> None:
        out[evaluate(node.key, inner, machine)] = evaluate(node.value, inner, machine)

    _loop(node.generators, 0, Scope(outer=scope), machine, add)
    return out


def _loop(
    clauses: list[ast.comprehension], index: int, scope: Scope, machine: Machine, each: Callable[[Scope], None]
) -> None:
    if index == len(clauses):
        each(scope)
        return
    clause = clauses[index]
    for item in items(evaluate(clause.iter, scope, machine), machine):
        machine.assign(clause.target, item, scope)
        tests = [evaluate(test, scope, machine) for test in clause.ifs]
        if any(isinstance(test, Unknown) for test in tests):
            raise Refused("a filter that is not known")
        if all(tests):
            _loop(clauses, index + 1, scope, machine, each)


def _lambda(node: ast.Lambda, scope: Scope, machine: Machine) -> Any:
    return machine.function(node, scope)


def _walrus(node: ast.NamedExpr, scope: Scope, machine: Machine) -> Any:
    value = evaluate(node.value, scope, machine)
    machine.assign(node.target, value, scope)
    return value


_EXPRESSIONS: dict[type, Callable[[Any, Scope, Machine], Any]] = {
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
    ast.Slice: _slice,
    ast.List: _sequence,
    ast.Tuple: _sequence,
    ast.Set: _sequence,
    ast.Dict: _dict,
    ast.JoinedStr: _joined,
    ast.ListComp: _comprehension,
    ast.SetComp: _comprehension,
    ast.GeneratorExp: _comprehension,
    ast.DictComp: _dict_comprehension,
    ast.Lambda: _lambda,
    ast.NamedExpr: _walrus,
}
