"""How the walk over a wrapper treats each kind of statement."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable
from typing import Any

from checks.program.unpacking import library
from checks.program.unpacking.data import binary, items
from checks.program.unpacking.expressions import evaluate, subscript
from checks.program.unpacking.machine import Leave, Machine
from checks.program.unpacking.values import Ref, Refused, Scope, Unknown


def _assign(node: ast.Assign, scope: Scope, machine: Machine) -> None:
    value = evaluate(node.value, scope, machine)
    for target in node.targets:
        machine.assign(target, value, scope)


def _annotated(node: ast.AnnAssign, scope: Scope, machine: Machine) -> None:
    if node.value is not None:
        machine.assign(node.target, evaluate(node.value, scope, machine), scope)


def _augmented(node: ast.AugAssign, scope: Scope, machine: Machine) -> None:
    target = node.target
    if isinstance(target, ast.Name):
        old = evaluate(ast.Name(target.id, ast.Load(), lineno=node.lineno), scope, machine)
    elif isinstance(target, ast.Subscript):
        old = subscript(evaluate(target.value, scope, machine), evaluate(target.slice, scope, machine), machine)
    else:
        return
    machine.assign(target, binary(type(node.op), old, evaluate(node.value, scope, machine)), scope)


def _expression(node: ast.Expr, scope: Scope, machine: Machine) -> None:
    evaluate(node.value, scope, machine)


def _if(node: ast.If, scope: Scope, machine: Machine) -> None:
    test = evaluate(node.test, scope, machine)
    if isinstance(test, Unknown):
        for arm in (node.body, node.orelse):
            with contextlib.suppress(Leave):  # one of the two arms goes on
                machine.run(arm, scope)
    else:
        machine.run(node.body if test else node.orelse, scope)


def _for(node: ast.For, scope: Scope, machine: Machine) -> None:
    try:
        values = items(evaluate(node.iter, scope, machine), machine)
    except Refused as refused:
        values = [Unknown(str(refused))]
    for value in values:
        machine.assign(node.target, value, scope)
        if not _once(node.body, scope, machine):
            return
    machine.run(node.orelse, scope)


def _while(node: ast.While, scope: Scope, machine: Machine) -> None:
    while True:
        test = evaluate(node.test, scope, machine)
        if not isinstance(test, Unknown) and not test:
            break
        if not _once(node.body, scope, machine):
            return
        if isinstance(test, Unknown):
            break
    machine.run(node.orelse, scope)


def _once(body: list[ast.stmt], scope: Scope, machine: Machine) -> bool:
    """One turn of a loop; False when it was broken off."""
    try:
        machine.run(body, scope)
    except Leave as leave:
        if leave.kind == "break":
            return False
        if leave.kind != "continue":
            raise
    return True


def _with(node: ast.With, scope: Scope, machine: Machine) -> None:
    for item in node.items:
        value = evaluate(item.context_expr, scope, machine)
        if item.optional_vars is not None:
            machine.assign(item.optional_vars, value, scope)
    machine.run(node.body, scope)


def _try(node: ast.Try, scope: Scope, machine: Machine) -> None:
    before = len(machine.failures)
    machine.run(node.body, scope)
    machine.run(node.orelse, scope)
    if len(machine.failures) > before or not machine.executed:
        for handler in node.handlers:
            try:
                machine.run(handler.body, scope)
            except Leave as leave:
                if leave.kind != "exit":
                    raise
    machine.run(node.finalbody, scope)


def _def(node: ast.FunctionDef, scope: Scope, machine: Machine) -> None:
    function: Any = machine.function(node, scope)
    for decorator in reversed(node.decorator_list):
        wrapped = machine.call(evaluate(decorator, scope, machine), [function], {}, scope, node.lineno)
        function = function if isinstance(wrapped, Unknown) else wrapped
    scope.set(node.name, function)


def _class(node: ast.ClassDef, scope: Scope, machine: Machine) -> None:
    inner = Scope(outer=scope)
    if machine.followed is None:  # a wrapper: its class bodies may do the work
        machine.run(node.body, inner)
    scope.set(node.name, Unknown(f"class {node.name} of the script"))


def _import(node: ast.Import, scope: Scope, machine: Machine) -> None:
    for alias in node.names:
        top = alias.name.partition(".")[0]
        scope.set(alias.asname or top, machine.imported(alias.name if alias.asname else top))


def _import_from(node: ast.ImportFrom, scope: Scope, machine: Machine) -> None:
    for alias in node.names:
        if alias.name == "*":
            for name in library.exported(node.module or ""):
                scope.set(name, machine.reference(Ref(f"{node.module}.{name}")))
        else:
            scope.set(alias.asname or alias.name, machine.reference(Ref(f"{node.module}.{alias.name}")))


def _return(node: ast.Return, scope: Scope, machine: Machine) -> None:
    raise Leave("return", evaluate(node.value, scope, machine) if node.value is not None else None)


def _leave(kind: str) -> Callable[[Any, Scope, Machine], None]:
    def handler(node: Any, scope: Scope, machine: Machine) -> None:
        raise Leave(kind)

    return handler


def _shared(node: ast.Global | ast.Nonlocal, scope: Scope, machine: Machine) -> None:
    scope.shared.update(node.names)


#: How each kind of statement is walked; others (assertions, deletions, …) have no effect on what is unpacked.
STATEMENTS: dict[type, Callable[[Any, Scope, Machine], None]] = {
    ast.Assign: _assign,
    ast.AnnAssign: _annotated,
    ast.AugAssign: _augmented,
    ast.Expr: _expression,
    ast.If: _if,
    ast.For: _for,
    ast.While: _while,
    ast.With: _with,
    ast.Try: _try,
    ast.FunctionDef: _def,
    ast.ClassDef: _class,
    ast.Import: _import,
    ast.ImportFrom: _import_from,
    ast.Return: _return,
    ast.Break: _leave("break"),
    ast.Continue: _leave("continue"),
    ast.Raise: _leave("exit"),
    ast.Global: _shared,
    ast.Nonlocal: _shared,
}
