"""Runs the few statements of a wrapper on constants, in a made-up file system, until the real code shows up.

Nothing of a submission is executed: this walks its tree, knows a whitelist of pure functions (``library``) and
treats everything else as unknown. Both arms of a condition that is not known are walked.
"""

from __future__ import annotations

import ast
import posixpath
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from checks.program.unpacking import ROOT, library
from checks.program.unpacking.data import items
from checks.program.unpacking.decoders import DECODERS
from checks.program.unpacking.expressions import evaluate
from checks.program.unpacking.values import (
    MAX_DEPTH,
    MAX_LAYER_BYTES,
    Bound,
    Code,
    Function,
    Globals,
    Module,
    Ref,
    Refused,
    Scope,
    Unknown,
    is_plain,
)

#: What whitelisted functions raise when their input is not what they expect.
DATA_ERRORS: tuple[type[Exception], ...] = (
    ValueError, TypeError, LookupError, AttributeError, ArithmeticError, EOFError, OSError, MemoryError, RecursionError,
    SyntaxError, *library.LIBRARY_ERRORS,
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


class Leave(Exception):
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
    second_layer: Callable[[str], ast.Module | None]
    expressions: Mapping[type, Callable[[Any, Scope, Machine], Any]]
    statements: Mapping[type, Callable[[Any, Scope, Machine], None]]
    #: Functions that are walked when called; None for all. Others are, when all their arguments are constants.
    followed: frozenset[str] | None = None
    environ: dict[str, Any] = field(default_factory=dict)
    settings: dict[str, tuple[str, int]] = field(default_factory=dict)
    modules: dict[str, Any] = field(default_factory=dict)
    executed: list[Executed] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    #: Line, reason and depth (0 is the script itself) of every piece of code that is run and not known.
    failures: list[tuple[int, str, int]] = field(default_factory=list)
    mentioned: set[tuple[str, int]] = field(default_factory=set)
    how: list[str] = field(default_factory=list)
    line: int = 0
    depth: int = 0
    calls: int = 0
    temporary: int = 0

    def __post_init__(self) -> None:
        self.main = Scope(dict(self.globals))

    def step(self) -> None:
        """Count one expression or statement."""
        self.budget -= 1
        if self.budget < 0:
            raise BudgetSpent

    tick = step

    def fail(self, line: int, reason: str) -> None:
        """Note code that is run and not known."""
        self.failures.append((line, reason, self.depth))

    def mention(self, name: str, line: int) -> None:
        """Note that the walk came by an exec-like name, so that it is not reported as never reached."""
        self.mentioned.add((name, line))

    def reference(self, ref: Ref) -> Any:
        """A dotted name with what is known about it: constants of libraries, modules of the script."""
        return library.constant(ref, self)

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
            if isinstance(function, Code):
                return self.execute(function, Globals(scope.module), line, "call of compiled code")
            if isinstance(function, Ref):
                out = library.call(function.name, args, keywords, scope, self)
                if function.name in DECODERS and not isinstance(out, Unknown):
                    self.how.append(function.name)
                return out
            if isinstance(function, Bound):
                return library.method(function.value, function.method, args, keywords, scope, self)
            return Unknown(f"a call of a {type(function).__name__.lower()}")
        except Refused as refused:
            return Unknown(str(refused))
        except DATA_ERRORS as error:
            return Unknown(f"{_named(function)}: {type(error).__name__}")

    def _call_function(self, function: Function, args: list[Any], keywords: dict[str, Any]) -> Any:
        if self.calls >= _MAX_CALLS:
            return Unknown("functions calling each other too deeply")
        node = function.node
        if self.followed is not None and isinstance(node, ast.FunctionDef) and node.name not in self.followed:
            given = [*args, *keywords.values()]
            if not given or not all(is_plain(value) for value in given):
                return Unknown(f"{node.name}() of the script")
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
        except Leave as leave:
            if leave.kind != "return":
                raise
            return leave.value
        finally:
            self.calls -= 1
        return None

    def execute(self, code: Any, into: Any, line: int, how: str, file: str = "") -> Any:
        """The script runs ``code`` (text, bytes or compiled) in ``into``: remember it and look into it."""
        if isinstance(code, Unknown):
            self.fail(line, code.reason)
            return code
        if isinstance(code, Code):
            code = code.source
        if isinstance(code, (bytes, bytearray)):
            code = library.decoded(bytes(code))
        if not isinstance(code, str):
            self.fail(line, f"{how} of something that is not source code")
            return Unknown("code that is not source")
        if len(code) > MAX_LAYER_BYTES:
            self.fail(line, f"unpacks to more than {MAX_LAYER_BYTES:,} characters")
            return Unknown("too much code")
        module = into.module if isinstance(into, Globals) else ""
        if isinstance(into, dict) and not {"__name__"} & into.keys():
            module = "<namespace>"
        self.executed.append(Executed(code, line, (*self.how, how), module, self.depth + 1, file))
        self.how = []
        if self.depth + 1 >= MAX_DEPTH:
            if self.second_layer(code) is not None:
                self.failures.append((line, f"more than {MAX_DEPTH} layers", self.depth + 1))
            return None
        tree = self.second_layer(code)
        if tree is not None:
            self._descend(tree, into)
        return None

    def _descend(self, tree: ast.Module, into: Any) -> None:
        scope = into.scope if isinstance(into, Globals) else Scope(dict(self.globals))
        self.depth += 1
        before = self.line
        try:
            self.run(tree.body, scope)
        except Leave:
            pass
        finally:
            self.depth -= 1
            self.line = before

    @property
    def globals(self) -> dict[str, Any]:
        """Names that every module starts with."""
        return {"__file__": self.script_path, "__name__": "__main__"}

    # -- modules -------------------------------------------------------------------------------------------------------

    def imported(self, name: str) -> Any:
        """``import name``: a module that the script made or wrote, else a name of the library."""
        if name in self.modules:
            return self.modules[name]
        path = self.module_file(name)
        if path is None or path not in self.written:
            return Ref(name)
        module = Module(name, Scope(dict(self.globals) | {"__name__": name}), path)
        self.modules[name] = module
        self.execute(self.files[path], Globals(module.scope, name), self.line, "import", path)
        return module

    def module_file(self, name: str) -> str | None:
        """The file of the made-up file system that ``import name`` finds."""
        tail = f"/{name.replace('.', '/')}.py"
        here = posixpath.dirname(self.script_path) + tail
        if here in self.files:
            return here
        return next((path for path in self.written if path.endswith(tail)), None)

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
            handler = self.statements.get(type(statement))
            if handler is not None:
                try:
                    handler(statement, scope, self)
                except Refused as refused:
                    self._blame(statement, scope, str(refused))
                except DATA_ERRORS as error:
                    self._blame(statement, scope, type(error).__name__)

    def _blame(self, statement: ast.stmt, scope: Scope, reason: str) -> None:
        for node in ast.walk(statement):
            if isinstance(node, ast.Name) and node.id in ("exec", "eval"):
                self.fail(node.lineno, reason)
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                scope.set(node.id, Unknown(reason))

    def run_program(self, body: list[ast.stmt], scope: Scope) -> None:
        """Walk a whole program."""
        try:
            self.run(body, scope)
        except Leave:
            pass
        except BudgetSpent:
            if self.followed is None:
                self.fail(self.line, "takes more steps than the fold allows")


def _named(function: Any) -> str:
    if isinstance(function, Ref):
        return function.name.removeprefix("builtins.")
    return str(function.method) if isinstance(function, Bound) else "a call"


def _shown(path: str) -> str:
    return path.removeprefix(ROOT + "/")
