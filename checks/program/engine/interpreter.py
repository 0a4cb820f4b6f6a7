"""Abstract interpretation of statements: the path that the effective configuration takes.

Branches whose condition the configuration decides are followed alone; others are followed both ways on one state, where
changes only add. Every loop body runs for a first and a later iteration. Nothing of the submission is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any

from checks.program.engine.flow import Flow, Frame
from checks.program.engine.loops import Loops
from checks.program.engine.machine import Exhausted
from checks.program.engine.values import NONE, Scope, Value


class Interpreter(Loops):
    """Interprets modules, functions and statements."""

    def __init__(
        self,
        environment: dict[str, str],
        modules: Mapping[str, ast.Module],
        steps: int = 900_000,
        seconds: float = 12.0,
    ) -> None:
        super().__init__(environment, modules, steps, seconds)

    def run(self, path: str) -> None:
        """Interpret a file as the main program; what the budget does not reach is named in the trace."""
        try:
            self.run_module(path)
        except Exhausted:
            self.trace.exhausted = f"analysis stopped after {self.steps} steps in {self.file}:{self.line}"
        except RecursionError:
            self.trace.exhausted = f"analysis nested too deeply in {self.file}:{self.line}"

    def run_module(self, path: str) -> Scope:
        """Interpret a file of the submission once and return its scope."""
        if path in self.scopes:
            return self.scopes[path]
        self.concrete()
        scope = Scope({}, None, module=path)
        self.scopes[path] = scope
        saved = (self.file, self.function)
        self.file, self.function = path, "<module>"
        if len(self.scopes) > 1:
            scope.vars["__name__"] = Value(path.rsplit("/", 1)[-1].removesuffix(".py"))
        self.frames.append(Frame())
        self.block(self.modules[path].body, scope)
        self.frames.pop()
        self.file, self.function = saved
        return scope

    def run_body(self, body: list[ast.stmt], scope: Scope) -> Value:
        """Interpret a function body; the join of its returns."""
        frame = Frame()
        self.frames.append(frame)
        saved_loops, saved_while, saved_passes = len(self.loops), len(self.while_loops), len(self.passes)
        elsewhere = self.elsewhere
        try:
            self.block(body, scope)
        finally:
            self.frames.pop()
            self.elsewhere = elsewhere
            del self.passes[saved_passes:]
            del self.loops[saved_loops:]
            del self.while_loops[saved_while:]
        return frame.result if frame.result is not None else NONE

    def block(self, body: list[ast.stmt], scope: Scope) -> Flow:
        """Interpret statements in order until one leaves the block."""
        for statement in body:
            self.tick(statement.lineno)
            self.trace.executed.add((self.file, statement.lineno))
            handler = _STATEMENTS.get(type(statement))
            if handler is not None:
                flow = handler(self, statement, scope)
                if flow is not Flow.NEXT:
                    return flow
        return Flow.NEXT


_STATEMENTS: dict[type[ast.stmt], Callable[[Any, Any, Scope], Flow]] = {
    ast.Expr: Interpreter._expression,
    ast.Assign: Interpreter._assign,
    ast.AnnAssign: Interpreter._annotated,
    ast.AugAssign: Interpreter._augmented,
    ast.Return: Interpreter._return,
    ast.Delete: Interpreter._delete,
    ast.Global: Interpreter._global,
    ast.Nonlocal: Interpreter._nonlocal,
    ast.Import: Interpreter._import,
    ast.ImportFrom: Interpreter._import_from,
    ast.FunctionDef: Interpreter._function,
    ast.AsyncFunctionDef: Interpreter._function,
    ast.ClassDef: Interpreter._class,
    ast.If: Interpreter._if,
    ast.Try: Interpreter._try,
    ast.With: Interpreter._with,
    ast.AsyncWith: Interpreter._with,
    ast.Match: Interpreter._match,
    ast.For: Interpreter._for,
    ast.AsyncFor: Interpreter._for,
    ast.While: Interpreter._while,
    ast.Raise: lambda *_: Flow.RAISE,
    ast.Break: lambda *_: Flow.BREAK,
    ast.Continue: lambda *_: Flow.CONTINUE,
}
