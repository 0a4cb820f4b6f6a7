"""Loops: every body is interpreted for a first and a later iteration.

And once more where the first, whose index is known, leaves all state alone and the later one does not: what a cache holds
is read in the iteration after the one that fills it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from typing import Any

from checks.program.engine.branching import Branching
from checks.program.engine.extents import few_of
from checks.program.engine.flow import Flow
from checks.program.engine.labels import NO_LABELS, Data, Flag, Labels, Looked
from checks.program.engine.values import NOTHING, UNKNOWN, Scope, Value, Zipped, merge_labels
from checks.program.nodes import children, nodes


class Loops(Branching):
    """``for`` and ``while``."""

    def _for(self, node: ast.For | ast.AsyncFor, scope: Scope) -> Flow:
        if id(node) not in self.spelt_out:
            self.spelt_out[id(node)] = _spelt_out(node)
        nested = self.spelt_out[id(node)]
        if nested is not None:
            return self._for(nested, scope)
        iterable = self.eval(node.iter, scope)
        self.entered[id(node)] = len(self.calls)
        walked = self._walked_through(iterable)
        if any(isinstance(x, (Data, Looked)) for x in walked):
            self.walks[id(node)] = len(self.calls)
            if not any(isinstance(x, Data) for x in walked):
                self.contents.add(id(node))
        return self._loop(
            node, self.iterations(iterable, node), scope, lambda element: self.assign(node.target, element, scope)
        )

    def _walked_through(self, iterable: Value) -> Labels:
        """The labels of what a loop goes through item by item: the bytes of tokens, their numbers beside them or not."""
        parts = [iterable, *(part for r in iterable.refs if isinstance(r, Zipped) for part in r.parts)]
        grown = [p for p in parts if any(isinstance(x, Flag) and x.name == "bytearray" for x in p.labels)]
        return merge_labels(parts).union(*(self.full_labels(p) for p in grown))

    def _loop(
        self, node: Any, iterations: Iterable[tuple[Value, Any, bool]], scope: Scope, bind: Callable[[Value], None]
    ) -> Flow:
        frame = self.frames[-1]
        frame.breaks.append([])
        frame.skips.append(False)
        maybe = self.maybe
        flow = Flow.NEXT
        ended = False
        grown: list[bool] = []
        began, outer = self.cursors_of(node, scope), frame.cursors
        for k, (element, symbol, certain) in enumerate(_settling(iterations, grown)):
            known = len(self.trace.adapts)
            self.passes.append((id(node), k))
            exact = symbol is None
            if began and symbol is None:  # one by one, the pieces are still those of one iteration each
                symbol = (id(node), k)
            if symbol is not None:
                self.loops.append(symbol)
            if not certain and k > 0 and isinstance(element, Value):
                self._widen(node, scope, symbol)
            frame.cursors = {**outer, **self.place_cursors(began, scope, symbol, exact)}
            bind(element)
            frame.skips[-1] = False
            elsewhere = self.elsewhere
            flow = self.block(node.body, scope)
            self.elsewhere = elsewhere
            if flow is Flow.RAISE and frame.skips[-1]:
                flow = Flow.CONTINUE  # what no branch before took is an error, which ends no run that logs a score
            if symbol is not None:
                self.loops.pop()
            self.passes.pop()
            grown.append(len(self.trace.adapts) > known)
            if flow is Flow.BREAK:
                frame.breaks[-1].append(dict(scope.vars))
                ended = True
                break
            if flow in (Flow.RETURN, Flow.RAISE):
                ended = True
                break
        self.maybe = maybe
        frame.cursors = outer
        broken = frame.breaks.pop()
        frame.skips.pop()
        self.loop_exit(id(node), node.lineno)
        if flow in (Flow.RETURN, Flow.RAISE) and not broken:
            return flow
        ends = broken if ended and flow is not Flow.CONTINUE else [dict(scope.vars), *broken]
        if node.orelse and not ended:
            if not broken:
                return self.block(node.orelse, scope)
            flow = self._otherwise(node.orelse, scope)
            ends = [dict(scope.vars), *broken] if flow is Flow.NEXT else broken
        if ends:
            merged = self.join_variables(ends)
            scope.vars.clear()
            scope.vars.update(merged)
        return Flow.NEXT

    def _otherwise(self, body: list[ast.stmt], scope: Scope) -> Flow:
        """The ``else`` of a loop that may have been left by a break."""
        self.maybe += 1
        flow = self.block(body, scope)
        self.maybe -= 1
        if flow is Flow.BREAK and self.frames[-1].breaks:
            self.frames[-1].breaks[-1].append(dict(scope.vars))
        return flow

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
        loop = id(node)
        self.entered[loop] = len(self.calls)
        self.while_loops.append((loop, 0))
        test = self.eval(node.test, scope)
        self.while_loops.remove((loop, 0))
        truth = self.truth(test)
        if truth is False:
            return self.block(node.orelse, scope)
        few = few_of(test.labels) and few_of(self._upper(node.test, scope))
        self.note_while(loop, test, few)

        def iterations() -> Iterable[tuple[Value, Any, bool]]:
            known = [len(self.trace.adapts)]
            for k in (0, 1, 2):
                if k == 2 and not known[0] == known[1] < known[2]:
                    return
                symbol = (loop, k)
                self.while_loops.append(symbol)
                if k:
                    self._widen(node, scope, symbol)
                    self.eval(node.test, scope)
                yield NOTHING, symbol, k == 0
                known.append(len(self.trace.adapts))
                self.while_loops.remove(symbol)

        return self._loop(node, iterations(), scope, lambda _: None)

    def _upper(self, test: ast.expr, scope: Scope) -> Labels:
        bound = _upper_bound(test)
        return self.eval(bound, scope).labels if bound is not None else NO_LABELS


def _upper_bound(test: ast.expr) -> ast.expr | None:
    """``limit`` of ``while at < limit`` and of ``while limit > at and ...``."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        return next((bound for part in test.values if (bound := _upper_bound(part)) is not None), None)
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    bound = test.comparators[0] if isinstance(test.ops[0], (ast.Lt, ast.LtE, ast.NotEq)) else None
    bound = test.left if isinstance(test.ops[0], (ast.Gt, ast.GtE)) else bound
    return bound if bound is not None and not any(isinstance(n, ast.Call) for n in ast.walk(bound)) else None


def _spelt_out(node: ast.For | ast.AsyncFor) -> ast.For | None:
    """``for t in [e for a in A for b in B]`` as the loops that it stands for: what ``A`` repeats is seen to be repeated."""
    walk = node.iter
    if not isinstance(walk, (ast.ListComp, ast.GeneratorExp)) or len(walk.generators) < 2 or node.orelse:
        return None
    inside = [n for statement in node.body for n in nodes(statement)]
    bound = {n.id for g in walk.generators for n in nodes(g.target) if isinstance(n, ast.Name)}
    own = {n.id for n in nodes(node.target) if isinstance(n, ast.Name)}
    shadowed = any(isinstance(n, ast.Name) and n.id in bound - own for n in inside) or walk.generators[0].is_async
    if shadowed or any(isinstance(n, (ast.Break, ast.AsyncFor)) for n in inside):
        return None
    body: list[ast.stmt] = [ast.Assign([node.target], walk.elt), *node.body]
    for generator in reversed(walk.generators):
        for condition in reversed(generator.ifs):
            body = [ast.If(condition, body, [])]
        body = [ast.For(generator.target, generator.iter, body, [])]
    for new in ast.walk(body[0]):
        if not hasattr(new, "lineno"):
            ast.copy_location(new, walk)
    outer = body[0]
    assert isinstance(outer, ast.For)
    return outer


def _settling(iterations: Iterable[tuple[Value, Any, bool]], grown: list[bool]) -> Iterable[tuple[Value, Any, bool]]:
    """The iterations of a loop, and a third of a range whose second is the first that changed state."""
    last = None
    for last in iterations:
        yield last
    if last is not None and grown == [False, True]:
        element, symbol, certain = last
        at = element.counter
        if at is not None and symbol == (at.loop, 1) and not element.known:
            after = (at.loop, 2)
            symbols = (element.symbols - {symbol}) | {after}
            yield Value(UNKNOWN, symbols=symbols, counter=at, later=element.later), after, certain


def _carried(node: Any) -> tuple[str, ...]:
    names: set[str] = set()
    stack: list[ast.AST] = list(node.body)
    while stack:
        item = stack.pop()
        if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            continue
        if isinstance(item, ast.Name) and isinstance(item.ctx, ast.Store):
            names.add(item.id)
        stack.extend(children(item))
    return tuple(names)
