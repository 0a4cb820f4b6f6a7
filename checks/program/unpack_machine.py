"""Runs the few statements of a wrapper on constants, in a made-up file system, until the real code shows up.

Nothing of a submission is executed: this walks its tree, knows a whitelist of pure functions (``unpack_library``) and
treats everything else as unknown. Both arms of a condition that is not known are walked.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from checks.program import unpack_library
from checks.program.unpack_decoders import DECODERS
from checks.program.unpack_expressions import binary, evaluate, items, subscript
from checks.program.unpack_values import (
    MAX_DEPTH,
    MAX_LAYER_BYTES,
    ROOT,
    Bound,
    Code,
    Function,
    Globals,
    Module,
    Path,
    Ref,
    Refused,
    Scope,
    Unknown,
)

#: What whitelisted functions raise when their input is not what they expect.
DATA_ERRORS = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, OSError, MemoryError, RecursionError,
    SyntaxError, *unpack_library.LIBRARY_ERRORS,
)  # fmt: skip
_MAX_CALLS = 40


@dataclass(frozen=True)
class Executed:
    """Code that the script runs: its text, where it went (``""`` is the main program, else a module's name) and how."""

    text: str
    line: int
    how: tuple[str, ...]
    module: str
    depth: int
    file: str = ""


class _Leave(Exception):
    """``return``, ``break``, ``continue`` or the end of the program while walking statements."""

    def __init__(self, kind: str, value: Any = None) -> None:
        super().__init__(kind)
        self.kind = kind
        self.value = value


class BudgetSpent(Exception):
    """The walk took more steps than any wrapper needs."""


@dataclass
class Machine:
    """State of one walk. ``files`` maps absolute made-up paths to content; ``script_path`` is that of the script."""

    files: dict[str, bytes]
    script_path: str
    budget: int
    second_layer: Callable[[str, int], ast.Module | None]
    environ: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, tuple[str, int]] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    executed: list[Executed] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    failures: list[tuple[int, str]] = field(default_factory=list)
    mentioned: set[tuple[str, int]] = field(default_factory=set)
    how: list[str] = field(default_factory=list)
    line: int = 0
    depth: int = 0
    calls: int = 0
    temporary: int = 0

    def step(self) -> None:
        """Count one expression or statement."""
        self.budget -= 1
        if self.budget < 0:
            raise BudgetSpent

    tick = step

    def mention(self, name: str, line: int) -> None:
        """Note that the walk came by an exec-like name, so that it is not reported as never reached."""
        self.mentioned.add((name, line))

    def reference(self, ref: Ref) -> Any:
        """A dotted name with what is known about it: constants of libraries, modules of the script."""
        return unpack_library.constant(ref, self)

    # -- names ---------------------------------------------------------------------------------------------------------

    def assign(self, target: ast.expr, value: Any, scope: Scope) -> None:
        """``target = value``."""
        if isinstance(target, ast.Name):
            scope.set(target.id, value)
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target.elts, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, scope)
        elif isinstance(target, ast.Subscript):
            self._store_item(evaluate(target.value, scope, self), evaluate(target.slice, scope, self), value)
        elif isinstance(target, ast.Attribute):
            owner = evaluate(target.value, scope, self)
            if isinstance(owner, Module):
                owner.scope.names[target.attr] = value

    def _unpack(self, targets: list[ast.expr], value: Any, scope: Scope) -> None:
        try:
            values = items(value, self)
        except Refused as refused:
            values = [Unknown(str(refused))] * len(targets)
        starred = next((i for i, target in enumerate(targets) if isinstance(target, ast.Starred)), None)
        if starred is not None:
            after = len(targets) - starred - 1
            end = len(values) - after
            values = [*values[:starred], values[starred:end], *values[end:]]
        for target, item in zip(targets, values, strict=False):
            self.assign(target, item, scope)

    def _store_item(self, owner: Any, index: Any, value: Any) -> None:
        if isinstance(owner, Globals):
            owner.scope.names[str(index)] = value
        elif isinstance(owner, Ref) and owner.name == "os.environ":
            self.set_environment(index, value)
        elif isinstance(owner, Ref) and owner.name == "sys.modules":
            self.modules[str(index)] = value
        elif isinstance(owner, (list, dict, bytearray)) and not isinstance(index, Unknown):
            owner[index] = value

    def set_environment(self, name: Any, value: Any) -> None:
        """``os.environ[name] = value``: configuration that the wrapper gives to the code inside."""
        if isinstance(name, str):
            self.environ[name] = value
            if isinstance(value, str):
                self.settings[name] = (value, self.line)

    # -- calls ---------------------------------------------------------------------------------------------------------

    def function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda, scope: Scope) -> Function:
        """A function of the script with its defaults."""
        defaults = [evaluate(default, scope, self) for default in node.args.defaults]
        keyword = [evaluate(default, scope, self) if default is not None else None for default in node.args.kw_defaults]
        return Function(node, scope, defaults, keyword)

    def call(self, function: Any, args: list[Any], keywords: dict[str, Any], scope: Scope, line: int) -> Any:
        """``function(*args, **keywords)``; an ``Unknown`` when that cannot be folded."""
        self.line = line
        try:
            if isinstance(function, Function):
                return self._call_function(function, args, keywords)
            if isinstance(function, Unknown):
                return function
            if isinstance(function, Ref):
                out = unpack_library.call(function.name, args, keywords, scope, self)
                if function.name in DECODERS and not isinstance(out, Unknown):
                    self.how.append(function.name)
                return out
            if isinstance(function, Bound):
                return unpack_library.method(function.value, function.method, args, keywords, scope, self)
            return Unknown(f"a call of a {type(function).__name__.lower()}")
        except Refused as refused:
            return Unknown(str(refused))
        except DATA_ERRORS as error:
            return Unknown(f"{_named(function)}: {type(error).__name__}")

    def _call_function(self, function: Function, args: list[Any], keywords: dict[str, Any]) -> Any:
        if self.calls >= _MAX_CALLS:
            return Unknown("functions calling each other too deeply")
        node = function.node
        scope = Scope(outer=function.scope)
        positional = [*node.args.posonlyargs, *node.args.args]
        for parameter, default in zip(reversed(positional), reversed(function.defaults), strict=False):
            scope.names[parameter.arg] = default
        for parameter, default in zip(node.args.kwonlyargs, function.keyword_defaults, strict=False):
            scope.names[parameter.arg] = default
        for parameter, value in zip(positional, args, strict=False):
            scope.names[parameter.arg] = value
        if node.args.vararg is not None:
            scope.names[node.args.vararg.arg] = tuple(args[len(positional) :])
        names = {parameter.arg for parameter in (*positional, *node.args.kwonlyargs)}
        scope.names.update({name: value for name, value in keywords.items() if name in names})
        if node.args.kwarg is not None:
            scope.names[node.args.kwarg.arg] = {name: keywords[name] for name in keywords if name not in names}
        for name in names - scope.names.keys():
            scope.names[name] = Unknown(f"argument {name} is not known")
        self.calls += 1
        try:
            if isinstance(node, ast.Lambda):
                return evaluate(node.body, scope, self)
            self.run(node.body, scope)
        except _Leave as leave:
            if leave.kind != "return":
                raise
            return leave.value
        finally:
            self.calls -= 1
        return None

    def execute(self, code: Any, into: Any, line: int, how: str, file: str = "") -> Any:
        """The script runs ``code`` (text, bytes or compiled) in ``into``: remember it and look into it."""
        if isinstance(code, Unknown):
            self.failures.append((line, code.reason))
            return code
        if isinstance(code, Code):
            code = code.source
        if isinstance(code, (bytes, bytearray)):
            code = unpack_library.decoded(bytes(code))
        if not isinstance(code, str):
            self.failures.append((line, f"{how} of something that is not source code"))
            return Unknown("code that is not source")
        if len(code) > MAX_LAYER_BYTES:
            self.failures.append((line, f"unpacks to more than {MAX_LAYER_BYTES:,} characters"))
            return Unknown("too much code")
        module = into.module if isinstance(into, Globals) else ""
        if isinstance(into, dict) and not {"__name__"} & into.keys():
            module = "<namespace>"
        self.executed.append(Executed(code, line, (*self.how, how), module, self.depth + 1, file))
        self.how = []
        if self.depth + 1 >= MAX_DEPTH:
            self.failures.append((line, f"more than {MAX_DEPTH} layers"))
            return None
        tree = self.second_layer(code, self.depth + 1)
        if tree is not None:
            self._descend(tree, into)
        return None

    def _descend(self, tree: ast.Module, into: Any) -> None:
        scope = into.scope if isinstance(into, Globals) else Scope(dict(self.globals))
        self.depth += 1
        before = self.line
        try:
            self.run(tree.body, scope)
        except _Leave:
            pass
        finally:
            self.depth -= 1
            self.line = before

    @property
    def globals(self) -> dict[str, Any]:
        """Names that every module starts with."""
        return {"__file__": self.script_path, "__name__": "__main__"}

    # -- files ---------------------------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """Content of a made-up file; ``Refused`` when the folder has no such file."""
        full = self.full_path(path)
        if full not in self.files:
            raise Refused(f"reads {_shown(full)}, which is not among the files of the folder")
        if full not in self.written:
            self.how.append(f"file {_shown(full)}")
        return self.files[full]

    def write(self, path: str, data: bytes, append: bool) -> None:
        """Write a made-up file."""
        full = self.full_path(path)
        self.files[full] = (self.files.get(full, b"") if append else b"") + data
        self.written.add(full)

    def full_path(self, path: str) -> str:
        """A path as the script sees it, made absolute in the made-up file system."""
        return posixpath.normpath(posixpath.join(posixpath.dirname(self.script_path), path))

    # -- statements ----------------------------------------------------------------------------------------------------

    def run(self, body: list[ast.stmt], scope: Scope) -> None:
        """Walk statements in order."""
        for statement in body:
            self.step()
            self.line = statement.lineno
            handler = _STATEMENTS.get(type(statement))
            if handler is not None:
                try:
                    handler(statement, scope, self)
                except Refused as refused:
                    self._blame(statement, scope, str(refused))
                except DATA_ERRORS as error:
                    self._blame(statement, scope, type(error).__name__)

    def _blame(self, statement: ast.stmt, scope: Scope, reason: str) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                scope.set(node.id, Unknown(reason))

    def run_program(self, body: list[ast.stmt], scope: Scope) -> None:
        """Walk a whole program."""
        try:
            self.run(body, scope)
        except _Leave:
            pass
        except BudgetSpent:
            self.failures.append((self.line, "takes more steps than the fold allows"))


def _named(function: Any) -> str:
    if isinstance(function, Ref):
        return function.name.removeprefix("builtins.")
    return str(function.method) if isinstance(function, Bound) else "a call"


def _shown(path: str) -> str:
    return path.removeprefix(ROOT + "/")


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
        machine.run(node.body, scope)
        machine.run(node.orelse, scope)
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
    except _Leave as leave:
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
            except _Leave as leave:
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
    scope.set(node.name, Unknown(f"class {node.name} of the script"))


def _import(node: ast.Import, scope: Scope, machine: Machine) -> None:
    for alias in node.names:
        top = alias.name.partition(".")[0]
        scope.set(alias.asname or top, machine.imported(alias.name if alias.asname else top))


def _import_from(node: ast.ImportFrom, scope: Scope, machine: Machine) -> None:
    for alias in node.names:
        if alias.name == "*":
            for name in unpack_library.exported(node.module or ""):
                scope.set(name, machine.reference(Ref(f"{node.module}.{name}")))
        else:
            scope.set(alias.asname or alias.name, machine.reference(Ref(f"{node.module}.{alias.name}")))


def _return(node: ast.Return, scope: Scope, machine: Machine) -> None:
    raise _Leave("return", evaluate(node.value, scope, machine) if node.value is not None else None)


def _leave(kind: str) -> Callable[[Any, Scope, Machine], None]:
    def handler(node: Any, scope: Scope, machine: Machine) -> None:
        raise _Leave(kind)

    return handler


def _shared(node: ast.Global | ast.Nonlocal, scope: Scope, machine: Machine) -> None:
    scope.shared.update(node.names)


_STATEMENTS: dict[type, Callable[[Any, Scope, Machine], None]] = {
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
