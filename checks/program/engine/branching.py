"""Branches: the one that the configuration decides is followed alone, else all are, and what they leave is joined."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

from checks.program.engine.flow import Flow
from checks.program.engine.labels import Adapted, Data, Flag, Scored
from checks.program.engine.statements import Statements
from checks.program.engine.values import NOTHING, UNKNOWN, ClassObject, Function, ModuleRef, Scope, Value

#: Gradients that wait for a step (``Machine.pending``), and whether a step has used them.
Waiting = tuple[list[tuple[frozenset[Data], frozenset[int], frozenset[int]]], bool]


class Branching(Statements):
    """``if``, ``try``, ``with`` and ``match``."""

    def _if(self, node: ast.If, scope: Scope) -> Flow:
        test = self.eval(node.test, scope)
        truth = self.truth(test)
        if truth and _stops(node.body):  # a guard; what is asked is what the script does when it runs
            return self.block(node.orelse, scope)
        if truth is False and node.orelse and _stops(node.orelse):  # "else: raise", of a configuration that never ran
            return self.block(node.body, scope)
        if truth is not None:
            return self.block(node.body if truth else node.orelse, scope)

        alone = isinstance(node.body[-1], (ast.Continue, ast.Return)) and not node.orelse

        def side(body: list[ast.stmt], holds: bool) -> Callable[[], Flow]:
            def follow() -> Flow:
                with self.told(node.test, holds, scope, after=alone):
                    return self.block(body, scope)

            return follow

        return self.either([side(node.body, True), side(node.orelse, False)], scope, test)

    def either(self, branches: list[Callable[[], Flow]], scope: Scope, test: Value | None = None) -> Flow:
        """Follow several branches of which one will run; join what they leave behind."""
        before, line = dict(scope.vars), self.line
        waiting = self.gradients()
        ends: list[dict[str, Value]] = []
        flows: list[Flow] = []
        left: list[Waiting] = []
        known, elsewhere, gone = len(self.trace.adapts), self.elsewhere, frozenset[int]()
        self.maybe += 1
        self.choosing.append((len(self.frames), self._choice(test, line) if test is not None else frozenset()))
        try:
            for branch in branches:
                scope.vars.clear()
                scope.vars.update(before)
                self.pending[:], self.stepped = waiting
                self.branch_adapts.append((self.maybe, set()))
                try:
                    flow = branch()
                finally:
                    adapted = self.branch_adapts.pop()[1]
                new = frozenset(x.event for x in adapted if isinstance(x, Adapted) and x.event >= known)
                self.elsewhere = self.elsewhere | new
                gone = gone | new if flow in _LEAVES else gone
                flows.append(flow)
                left.append(self.gradients())
                if flow is Flow.BREAK and self.frames[-1].breaks:
                    self.frames[-1].breaks[-1].append(dict(scope.vars))
                if flow is Flow.CONTINUE and self.frames[-1].skips:
                    self.frames[-1].skips[-1] = True
                if flow is Flow.NEXT:
                    ends.append(dict(scope.vars))
        finally:
            self.maybe -= 1
            self.choosing.pop()
            self.elsewhere = elsewhere | gone
        self.join_gradients([g for g, f in zip(left, flows, strict=True) if f is not Flow.RAISE])
        if not ends:
            return next((f for f in flows if f is not Flow.RAISE), Flow.RAISE)
        if test is not None:
            last, self.line = self.line, line  # a choice stands where it is made
            self._chosen(test, line, before, ends)
            self.line = last
        merged = self.join_variables(ends)
        scope.vars.clear()
        scope.vars.update(merged)
        return Flow.NEXT

    def _choice(self, test: Value, line: int) -> frozenset[Flag]:
        """The choice by scores that a branch is: of the test itself, or of what an earlier branch noted in a name."""
        made = frozenset(x for x in test.labels if isinstance(x, Flag) and x.name == "chosen-by-score")
        if any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels):
            made |= {Flag("chosen-by-score", line, (self.file, "weights", self.scored(test)))}
        return made

    def _chosen(self, test: Value, line: int, before: dict[str, Value], ends: list[dict[str, Value]]) -> None:
        decided = frozenset(x for x in test.labels if isinstance(x, Flag) and x.name == "decided-by")
        for end in ends if decided else []:
            for name, value in end.items():
                if before.get(name, value) is not value:
                    end[name] = Value(UNKNOWN, value.refs, value.labels | decided, value.symbols, value.text)
        best = [x.detail for x in test.labels if isinstance(x, Flag) and x.name == "compared-best"]
        if not any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels) and not any(
            end[name] is not value and value is kept and scores <= self.scored(end[name])
            for kept, scores in best for end in ends for name, value in before.items() if name in end
        ):  # fmt: skip
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

    def gradients(self) -> Waiting:
        """The gradients that wait for a step, and whether a step has used them."""
        return list(self.pending), self.stepped

    def join_gradients(self, ends: list[Waiting]) -> None:
        """Join the gradients at the ends of several paths: ``zero_grad`` on one path leaves those of the others."""
        if not ends:
            return
        unused = [pending for pending, stepped in ends if not stepped] or [pending for pending, _ in ends]
        self.pending[:] = dict.fromkeys(entry for pending in unused for entry in pending)
        self.stepped = any(stepped for _, stepped in ends)

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
                waiting = self.gradients()
                handled = self.block(handler.body, scope)
                self.join_gradients([waiting, self.gradients()])
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


_LEAVES = (Flow.CONTINUE, Flow.BREAK, Flow.RETURN)
_EXITS = frozenset(["exit", "quit", "_exit"])


def _stops(body: list[ast.stmt]) -> bool:
    """Whether a block ends the script: an error, or ``exit`` with a code that is one."""
    last = body[-1]
    if isinstance(last, ast.Raise):
        return True
    if not isinstance(last, ast.Expr) or not isinstance(last.value, ast.Call) or not last.value.args:
        return False
    function, code = last.value.func, last.value.args[0]
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name in _EXITS and not (isinstance(code, ast.Constant) and code.value in (0, None))
