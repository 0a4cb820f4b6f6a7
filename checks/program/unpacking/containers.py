"""Evaluates containers, comprehensions and f-strings of a wrapper on constants."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from checks.program.unpacking.data import items, refuse_wide
from checks.program.unpacking.expressions import Evaluation, evaluate, starred
from checks.program.unpacking.values import Path, Refused, Scope, Unknown, bounded, is_plain

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

_CONVERSIONS: dict[int, Callable[[Any], str]] = {114: repr, 115: str, 97: ascii}


def _slice(node: ast.Slice, scope: Scope, machine: Machine) -> Any:
    parts = [
        evaluate(part, scope, machine) if part is not None else None for part in (node.lower, node.upper, node.step)
    ]
    unknown = next((part for part in parts if isinstance(part, Unknown)), None)
    return unknown or slice(*parts)


def _sequence(node: ast.List | ast.Tuple | ast.Set, scope: Scope, machine: Machine) -> Any:
    out: list[Any] = []
    for element in node.elts:
        if isinstance(element, ast.Starred):
            out += starred(evaluate(element.value, scope, machine), machine)
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
    out: list[str] = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            out.append(str(part.value))
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
        refuse_wide(spec)
        convert = _CONVERSIONS.get(part.conversion)
        out.append(format(convert(value) if convert is not None else value, spec))
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


#: How containers, comprehensions and f-strings are evaluated.
EXPRESSIONS: dict[type, Evaluation] = {
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
}
