"""Groups of adjacent positions pooled into one, and that one spread back to every position of its group.

Position ``2i`` then sees token ``2i + 1``, its target, unless something in between moves the row a group on. Anything
that may move positions (a pad before the row, ``roll``, ``cat`` along it, an index) takes the marks off, and groups in
forwards that move positions, or in branches that may not be taken, get none: what was not followed accuses nobody.
"""

from __future__ import annotations

import ast

from checks.program.engine.groups import axis_of, groups_of, moves_on, pads_the_end, tail
from checks.program.engine.labels import Flag, Labels
from checks.program.engine.masks import Masks
from checks.program.engine.selections import data_of
from checks.program.engine.values import Mapping, Sequence, Value

_GROUPED, _POOLED, _SPREAD = "groups", "pooled", "pooled-back"
_MARKS = (_GROUPED, _POOLED, _SPREAD)
_RESHAPES = frozenset(["reshape", "view"])
_REDUCTIONS = frozenset(["sum", "mean", "amax", "max", "logsumexp", "median", "prod", "norm"])
_MOVES = frozenset(["roll", "gather", "index_select", "take_along_dim", "embedding", "pad"])
_JOINS = frozenset(["cat", "concat", "concatenate"])
_REPEATS = frozenset(["repeat_interleave", "interpolate"])
_ASKED = _RESHAPES | _REDUCTIONS | _MOVES | _JOINS | _REPEATS
_GROUP_AXES = (2, -2)  # of (batch, groups, places in the group, features)
_POSITIONS = (1, -2)
_FEATURES = (-1, 2)


class Pooling(Masks):
    """Follows groups of positions from the reshape that makes them to the sum of what was spread back and the row."""

    def form_call(self, node: ast.Call, args: list[Value], result: Value) -> Value:
        """The result of a call as it is written."""
        name = tail(node.func)
        if name not in _ASKED or not self.modules_active or not result.labels or not self.stack:
            return result
        if name in _RESHAPES:
            return self._grouped_by(node, result)
        marks = _marks(result.labels)
        if not marks:
            return result
        if name in _REDUCTIONS:
            place = 0 if isinstance(node.func, ast.Attribute) and len(args) < 2 else 1
            pooled = _has(result.labels, _GROUPED) and axis_of(node, place) in _GROUP_AXES
            return self._pool_mark(result, _POOLED, _GROUPED) if pooled else result
        if name in _REPEATS:
            along = name == "interpolate" or axis_of(node, 2 if len(args) > 2 else 1) in _POSITIONS
            back = along and _has(result.labels, _POOLED) and not groups_of(self.stack[-1]).attends
            return self._pool_mark(result, _SPREAD, _POOLED) if back else result
        if name in _JOINS and axis_of(node, 1) in _FEATURES:
            return self._joined_row(self.items(args[0])[0] if args else [], result)
        return result if name == "pad" and pads_the_end(node) else _labelled(result, result.labels - marks)

    def form_item(self, owner: Value, index: Value, shape: ast.expr | None, result: Value) -> Value:
        """An index: positions that are picked, or taken from a later one on, are no longer those of the groups."""
        result = super().form_item(owner, index, shape, result)
        if not self.modules_active or shape is None or not result.labels or not (marks := _marks(result.labels)):
            return result
        held = any(isinstance(r, (Sequence, Mapping)) for r in owner.refs)
        return result if held or not moves_on(shape) else _labelled(result, result.labels - marks)

    def form_binary(self, op: type[ast.AST], left: Value, right: Value, result: Value) -> Value:
        """A sum of what was spread back and of positions that are none of it."""
        result = super().form_binary(op, left, right, result)
        return self._joined_row([left, right], result) if op is ast.Add and self.modules_active else result

    def _grouped_by(self, node: ast.Call, result: Value) -> Value:
        found = groups_of(self.stack[-1])
        if node in found.grouped or node in found.joined:
            self.concrete()  # under another forward it is another call
            moved = any(groups_of(f).moves for f in self.stack if _is_method(f))
            if self.maybe or moved or not data_of(result.labels):
                return result
            return self._pool_mark(result, _GROUPED if node in found.grouped else _POOLED)
        if node in found.spread and _has(result.labels, _POOLED):
            return self._pool_mark(result, _SPREAD, _GROUPED, _POOLED)
        return result

    def _pool_mark(self, value: Value, name: str, *instead: str) -> Value:
        """A value with a mark in the place of others; what was spread back keeps the line that pooled it."""
        gone = _marks(value.labels, *instead) if instead else frozenset()
        pooled = sorted((x for x in gone if x.name == _POOLED), key=lambda x: x.line)
        made = Flag(name, pooled[0].line, pooled[0].detail) if pooled else Flag(name, self.line, self.file)
        return _labelled(value, (value.labels - gone) | {made})

    def _joined_row(self, values: list[Value], result: Value) -> Value:
        """Mark the later positions in what joins a row with what was pooled over groups of it."""
        spread = [v for v in values if _has(v.labels, _SPREAD)]
        own = [v for v in values if not _marks(v.labels) and data_of(v.labels)]
        if not spread or not own:
            return result
        flags = sorted((x for v in spread for x in _marks(v.labels, _SPREAD)), key=lambda x: x.line)
        what = "pools groups of positions, which is spread back to all positions of the group"
        return _labelled(result, result.labels | {Flag("acausal", flags[0].line, (flags[0].detail, what))})


def _marks(labels: Labels, *names: str) -> frozenset[Flag]:
    return frozenset([x for x in labels if type(x) is Flag and x.name in (names or _MARKS)])


def _has(labels: Labels, name: str) -> bool:
    return any([type(x) is Flag and x.name == name for x in labels])


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and bool(node.args.args) and node.args.args[0].arg == "self"


def _labelled(value: Value, labels: Labels) -> Value:
    made = Value(value.const, value.refs, labels, value.symbols, value.text, value.counter, value.later)
    made.form, made.mask = value.form, value.mask
    return made
