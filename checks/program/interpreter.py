"""Abstract interpretation of statements: the path that the effective configuration takes.

Branches whose condition the configuration decides are followed alone; others are followed both ways on one state, where
changes only add. Every loop body runs for a first and a later iteration. Nothing of the submission is executed.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from checks.program.definitions import Definitions
from checks.program.flow import Flow, Frame
from checks.program.machine import Exhausted
from checks.program.values import (
    NONE,
    NOTHING,
    UNKNOWN,
    Cell,
    ClassObject,
    Flag,
    Function,
    Looked,
    ModuleRef,
    Parameters,
    Scope,
    Scored,
    Sequence,
    Value,
    join,
    merge_labels,
)
from checks.program.values import (
    Mapping as MappingObject,
)


class Interpreter(Definitions):
    """Interprets modules, functions and statements."""

    def __init__(
        self,
        environment: dict[str, str],
        modules: Mapping[str, ast.Module],
        steps: int = 900_000,
        seconds: float = 12.0,
    ) -> None:
        super().__init__(environment, modules, steps, seconds)
        self.frames: list[Frame] = [Frame()]

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
        try:
            self.block(body, scope)
        finally:
            self.frames.pop()
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

    # -- simple statements -------------------------------------------------------------------------------------------

    def _expression(self, node: ast.Expr, scope: Scope) -> Flow:
        self.eval(node.value, scope)
        return Flow.NEXT

    def _assign(self, node: ast.Assign, scope: Scope) -> Flow:
        value = self.eval(node.value, scope)
        for target in node.targets:
            self.assign(target, value, scope)
        return Flow.NEXT

    def _annotated(self, node: ast.AnnAssign, scope: Scope) -> Flow:
        if node.value is not None:
            self.assign(node.target, self.eval(node.value, scope), scope)
        return Flow.NEXT

    def _augmented(self, node: ast.AugAssign, scope: Scope) -> Flow:
        value = self.eval(node.value, scope)
        target = node.target
        if isinstance(target, ast.Subscript):
            owner = self.eval(target.value, scope)
            index = self.index(target.slice, scope)
            self.line = node.lineno
            old = self.subscript(owner, index, target.slice) if not merge_labels([index]) else NOTHING
            held = any(isinstance(r, (Sequence, MappingObject)) for r in owner.refs)
            if held and any(isinstance(r, Cell) for r in old.refs):
                self.mutate(old, "add_", [value])
                return Flow.NEXT
            slot = index.known and any(isinstance(r, Cell) for r in owner.refs)  # sums[0] += a; sums[1] += b: apart
            new = value if slot else self.binary(type(node.op), old, value) if old is not NOTHING else value
            if owner.refs:
                self.store(owner, index, new)
            elif not self.store_nested(target.value, index, new, scope):
                self._store_plain(target.value, owner, new, scope)
            return Flow.NEXT
        old = self.eval(target, scope)
        self.line = node.lineno
        for label in value.labels:
            if isinstance(label, Scored):
                self.trace.accumulated.setdefault(label.event, self.place(node.lineno))
        read = any(isinstance(x, Looked) for x in old.labels)  # indexing by an array copies: the table stays as it is
        if not read and any(isinstance(r, (Cell, Parameters)) for r in old.refs):
            result = self.mutate(old, "add_", [value])
            if not isinstance(node.op, (ast.Add, ast.Sub)):
                result = Value(labels=self.keyed([old, value], node.op, result.labels | merge_labels([old, value])))
            labels = old.labels | result.labels
            self.assign(target, Value(refs=old.refs, labels=labels, symbols=old.symbols | value.symbols), scope)
            return Flow.NEXT
        result = self.binary(type(node.op), old, value)
        if self.loops and not result.labels and (old.known or not result.known):
            result = Value(result.const, result.refs, result.labels, result.symbols | self.loop_symbols, result.text)
        self.assign(target, result, scope)
        return Flow.NEXT

    def _return(self, node: ast.Return, scope: Scope) -> Flow:
        value = self.eval(node.value, scope)
        frame = self.frames[-1]
        frame.result = value if frame.result is None else self.join_deep(frame.result, value)
        return Flow.RETURN

    def join_deep(self, a: Value, b: Value) -> Value:
        """Join two values; tuples of the same length are joined item by item."""
        if len(a.refs) == 1 and len(b.refs) == 1:
            left, right = a.refs[0], b.refs[0]
            if (
                isinstance(left, Sequence) and isinstance(right, Sequence) and not left.mutable and not right.mutable
                and left.exact and right.exact and len(left.items) == len(right.items)
            ):  # fmt: skip
                items = [self.join_deep(x, y) for x, y in zip(left.items, right.items, strict=True)]
                return Value(refs=(Sequence(items, True, False, left.line),))
        return join(a, b)

    # -- definitions -------------------------------------------------------------------------------------------------

    # -- branches ----------------------------------------------------------------------------------------------------

    def _if(self, node: ast.If, scope: Scope) -> Flow:
        test = self.eval(node.test, scope)
        truth = self.truth(test)
        if truth is not None:
            if not truth and node.body:
                self.trace.skipped.append((self.place(node.lineno), "condition is false under this configuration"))
            return self.block(node.body if truth else node.orelse, scope)
        return self.either([lambda: self.block(node.body, scope), lambda: self.block(node.orelse, scope)], scope, test)

    def either(self, branches: list[Callable[[], Flow]], scope: Scope, test: Value | None = None) -> Flow:
        """Follow several branches of which one will run; join what they leave behind."""
        before, line = dict(scope.vars), self.line
        ends: list[dict[str, Value]] = []
        flows: list[Flow] = []
        self.maybe += 1
        try:
            for branch in branches:
                scope.vars.clear()
                scope.vars.update(before)
                flow = branch()
                flows.append(flow)
                if flow is Flow.BREAK and self.frames[-1].breaks:
                    self.frames[-1].breaks[-1].append(dict(scope.vars))
                if flow is Flow.NEXT:
                    ends.append(dict(scope.vars))
        finally:
            self.maybe -= 1
        if not ends:
            return next((f for f in flows if f is not Flow.RAISE), Flow.RAISE)
        if test is not None:
            self._chosen(test, line, before, ends)
        merged = self.join_variables(ends)
        scope.vars.clear()
        scope.vars.update(merged)
        return Flow.NEXT

    def _chosen(self, test: Value, line: int, before: dict[str, Value], ends: list[dict[str, Value]]) -> None:
        if not any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels):
            return
        for end in ends:
            changed = {name: value for name, value in end.items() if before.get(name) is not value}
            labels = frozenset(x for v in changed.values() for x in self.full_labels(v))
            scores = frozenset(x.event for x in labels if isinstance(x, Scored))
            for name, value in changed.items():
                if self.is_score(value):
                    old = before.get(name)
                    end[name] = (self.choose([old, value], "select", name) if old is not None else None) or value
                elif scores:
                    chosen = Flag("chosen-by-score", line, (self.file, name, scores))
                    end[name] = Value(UNKNOWN, value.refs, value.labels | {chosen}, value.symbols, value.text)

    def join_variables(self, ends: list[dict[str, Value]]) -> dict[str, Value]:
        """Join the variables at the ends of several paths."""
        merged = ends[0]
        for other in ends[1:]:
            result = dict(merged)
            for name, value in other.items():
                mine = merged.get(name)
                if mine is None:
                    result[name] = value
                elif mine is not value:
                    result[name] = self.join_deep(mine, value)
            merged = result
        return merged

    def _try(self, node: Any, scope: Scope) -> Flow:
        flow = self.block(node.body, scope)
        if flow is Flow.NEXT and node.orelse:
            flow = self.block(node.orelse, scope)
        if node.handlers:
            before = dict(scope.vars)
            self.maybe += 1
            for handler in node.handlers:
                if handler.name:
                    scope.vars[handler.name] = NOTHING
                handled = self.block(handler.body, scope)
                if flow is Flow.RAISE:
                    flow = handled
            self.maybe -= 1
            if flow is Flow.NEXT:
                merged = self.join_variables([before, dict(scope.vars)])
                if before:
                    merged.update(
                        {
                            k: v
                            for k, v in before.items()
                            if v.refs and any(isinstance(r, (Function, ModuleRef, ClassObject)) for r in v.refs)
                        }
                    )
                scope.vars.update(merged)
        if node.finalbody:
            final = self.block(node.finalbody, scope)
            flow = final if final is not Flow.NEXT else flow
        return flow

    def _with(self, node: ast.With | ast.AsyncWith, scope: Scope) -> Flow:
        for item in node.items:
            value = self.eval(item.context_expr, scope)
            if item.optional_vars is not None:
                self.assign(item.optional_vars, value, scope)
        return self.block(node.body, scope)

    def _match(self, node: ast.Match, scope: Scope) -> Flow:
        subject = self.eval(node.subject, scope)

        def case(arm: ast.match_case) -> Callable[[], Flow]:
            def follow() -> Flow:
                for name in (
                    n.name for n in ast.walk(arm.pattern) if isinstance(n, (ast.MatchAs, ast.MatchStar)) and n.name
                ):
                    scope.vars[name] = Value(labels=subject.labels, refs=subject.refs, symbols=subject.symbols)
                return self.block(arm.body, scope)

            return follow

        for arm in node.cases:
            pattern = arm.pattern
            if isinstance(pattern, ast.MatchValue) and subject.known:
                value = self.eval(pattern.value, scope)
                if value.known and value.const == subject.const and arm.guard is None:
                    return self.block(arm.body, scope)
        return self.either([*(case(arm) for arm in node.cases), lambda: Flow.NEXT], scope)

    # -- loops -------------------------------------------------------------------------------------------------------

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> Flow:
        iterable = self.eval(node.iter, scope)
        return self._loop(
            node, self.iterations(iterable, node), scope, lambda element: self.assign(node.target, element, scope)
        )

    def _loop(
        self, node: Any, iterations: Iterable[tuple[Value, Any, bool]], scope: Scope, bind: Callable[[Value], None]
    ) -> Flow:
        frame = self.frames[-1]
        frame.breaks.append([])
        maybe = self.maybe
        flow = Flow.NEXT
        ended = False
        for k, (element, symbol, certain) in enumerate(iterations):
            self.passes.append((id(node), k))
            if symbol is not None:
                self.loops.append(symbol)
            if not certain and k > 0 and isinstance(element, Value):
                self._widen(node, scope, symbol)
            bind(element)
            flow = self.block(node.body, scope)
            if symbol is not None:
                self.loops.pop()
            self.passes.pop()
            if flow is Flow.BREAK:
                frame.breaks[-1].append(dict(scope.vars))
                ended = True
                break
            if flow in (Flow.RETURN, Flow.RAISE):
                ended = True
                break
        self.maybe = maybe
        broken = frame.breaks.pop()
        self.trace.loop_exits[id(node)] = self.steps
        self.trace.loop_places[id(node)] = self.place(node.lineno)
        if flow in (Flow.RETURN, Flow.RAISE) and not broken:
            return flow
        ends = broken if ended and flow is not Flow.CONTINUE else [dict(scope.vars), *broken]
        if ends:
            merged = self.join_variables(ends)
            scope.vars.clear()
            scope.vars.update(merged)
        if node.orelse and not ended:
            return self.block(node.orelse, scope)
        return Flow.NEXT

    def _widen(self, node: Any, scope: Scope, symbol: Any) -> None:
        """Forget the numbers that a loop carries from one iteration to the next."""
        for name in _carried(node):
            value = scope.vars.get(name)
            if (
                value is not None
                and value.known
                and isinstance(value.const, (int, float))
                and not isinstance(value.const, bool)
            ):
                symbols = value.symbols | ({symbol} if symbol is not None else set())
                scope.vars[name] = Value(symbols=symbols, labels=value.labels)

    def _while(self, node: ast.While, scope: Scope) -> Flow:
        test = self.eval(node.test, scope)
        truth = self.truth(test)
        if truth is False:
            return self.block(node.orelse, scope)
        loop = id(node)

        def iterations() -> Iterable[tuple[Value, Any, bool]]:
            for k in (0, 1):
                symbol = (loop, k)
                self.while_loops.append(symbol)
                if k == 1:
                    self._widen(node, scope, symbol)
                    self.eval(node.test, scope)
                yield NOTHING, symbol, k == 0
                self.while_loops.remove(symbol)

        return self._loop(node, iterations(), scope, lambda _: None)


_CANONICAL = {"np": "numpy", "F": "torch.nn.functional", "th": "torch"}
_CANONICAL_MODULES = frozenset(
    [
        "torch.nn",
        "torch.nn.functional",
        "torch.distributed",
        "torch.optim",
        "numpy.random",
        "os.path",
        "torch.cuda",
        "torch.utils",
        "torch.nn.init",
    ]
)


def _carried(node: Any) -> tuple[str, ...]:
    names: set[str] = set()
    stack: list[ast.AST] = list(node.body)
    while stack:
        item = stack.pop()
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            names.add(item.id)
        stack.extend(ast.iter_child_nodes(item))
    return tuple(names)


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
