"""Simple statements: assignments, augmented assignments, returns."""

from __future__ import annotations

import ast

from checks.program.engine.extents import bounds
from checks.program.engine.flow import Flow
from checks.program.engine.labels import Looked, Scored
from checks.program.engine.moving import Moving
from checks.program.engine.values import (
    NOTHING,
    Absent,
    Cell,
    Mapping,
    Parameters,
    Scope,
    Sequence,
    Value,
    join,
    merge_labels,
)

_NAMES = 8  # names that one comprehension is unpacked to


class Statements(Moving):
    """Statements that bind values and return them."""

    def _expression(self, node: ast.Expr, scope: Scope) -> Flow:
        self.eval(node.value, scope)
        return Flow.NEXT

    def _assign(self, node: ast.Assign, scope: Scope) -> Flow:
        value = self.eval(node.value, scope)
        for target in node.targets:
            self.assign(target, self._apart(target, node.value, value, scope), scope)
        self.move_cursors(node, scope)
        return Flow.NEXT

    def _apart(self, target: ast.expr, made: ast.expr, value: Value, scope: Scope) -> Value:
        """``a, b, c = (make() for _ in range(3))``: an object for each name, where only the first and the last were made."""
        if not isinstance(made, (ast.ListComp, ast.GeneratorExp)):
            return value
        names = target.elts if isinstance(target, (ast.Tuple, ast.List)) else []
        ref = value.refs[0] if len(value.refs) == 1 else None
        if not isinstance(ref, Sequence) or not ref.exact:
            return value
        if not 2 == len(ref.items) < len(names) <= _NAMES or any(isinstance(e, ast.Starred) for e in names):
            return value
        again = [self.eval(made, scope).refs[0] for _ in names[2:]]
        more = [r.items[-1] for r in again if isinstance(r, Sequence)]
        return Value(refs=(Sequence([ref.items[0], *more, ref.items[-1]], line=ref.line),), labels=value.labels)

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
            self.note_told(index.labels)
            old = (
                self.subscript(owner, index, target.slice)
                if not merge_labels([index]) - bounds(index.labels)
                else NOTHING
            )
            held = any(isinstance(r, (Sequence, Mapping)) for r in owner.refs)
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
        if isinstance(node.op, (ast.Add, ast.Sub)):
            value = self.judged(value, value)
        for label in value.labels:
            if isinstance(label, Scored):
                self.concrete()
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
        self.move_cursors(node, scope)
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
                return Value(refs=(Sequence(items, True, False, left.line),), labels=a.labels | b.labels)
        joined = join(a, b)
        for none, other in ((a, b), (b, a)):  # a message of one path only: whether it is None is not known
            if none.known and none.const is None and other.text and not other.known and not other.refs:
                joined.refs = (Absent(),)
        return joined
