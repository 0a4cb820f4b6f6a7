"""Abstract arithmetic and comparison: what happens to labels when values are combined."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from checks.program.engine.attention import unpaired
from checks.program.engine.calls import Calls
from checks.program.engine.extents import without_bounds
from checks.program.engine.folding import either, fold, is_none, mask, position, shift, shift_loop
from checks.program.engine.labels import NO_LABELS, NO_SYMBOLS, Data, Flag, Labels, Looked, Scored, Uses
from checks.program.engine.paths import names_files, without_paths
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    UNKNOWN,
    Absent,
    External,
    Mapping,
    Scope,
    Sequence,
    Value,
    merge_labels,
    merge_symbols,
)

_DATA_FILE = re.compile(
    r"fineweb_(train|val)|(?:^|[/_*])(train|val)(?:idation)?(?:_[\w{}*.]*|[\d{}*]*)\.(?:bin|npy|npz|parquet|u16|tokens)|"
    r"(?:^|/)(train|val)_?[\w{}]*\*|(docs_selected)"
)
_PERCENT = re.compile(r"%[-+ #0]*[\d*]*(?:\.\d+)?[a-zA-Z]")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip
_TYPES = frozenset(["bool", "bytes", "complex", "dict", "float", "int", "list", "set", "str", "tuple"])


def _builtin_type(value: Value) -> str:
    """The name of the builtin type that a value is; empty when it is none, or may be another."""
    only = value.refs[0] if len(value.refs) == 1 and not value.labels else None
    return only.name if isinstance(only, External) and only.name in _TYPES else ""


def _scale(op: type[ast.operator], constant: Value) -> str:
    """Name a scale: ``/log`` divides by a logarithm, to turn nats into another unit."""
    return "*" if op is ast.Mult else "/log" if constant.text == "log" else "/"


class Operators(Calls):
    """Combines values."""

    def string(self, text: str) -> Value:
        """A string constant; one that names a split's files carries that split's tokens."""
        if len(text) < 400 and ("train" in text or "val" in text or "docs_" in text):
            named = [g for match in _DATA_FILE.finditer(text) for g in match.groups() if g]
            if named:
                split = named[-1]  # of a path's folders and its file, the file decides
                split = "val" if split == "docs_selected" else split
                return Value(text, labels=frozenset({Data(split, NO_SYMBOLS, "path")}), text=text)
        return Value(text, text=text)

    def _text(self, text: str, known: bool, parts: list[Value]) -> Value:
        labels = merge_labels(parts)
        if "bpb" in text.lower() and any(isinstance(x, Scored) for x in labels):
            self.report(text, Value(labels=labels))
            labels = labels | {self.reported()}
        base = self.string(text)
        if base.labels:
            labels = without_paths(labels)
        return Value(text if known else UNKNOWN, labels=base.labels | labels, symbols=merge_symbols(parts), text=text)

    def _binop(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.eval(node.left, scope), self.eval(node.right, scope)
        if isinstance(node.op, ast.Div) and names_files(right.labels):
            left = Value(left.const, left.refs, without_paths(left.labels), left.symbols, left.text)
        self.line = node.lineno
        return self.binary(type(node.op), left, right)

    def binary(self, op: type[ast.operator], left: Value, right: Value) -> Value:
        """Combine two values with an arithmetic operator."""
        result = self._binary(op, left, right)
        if op is ast.MatMult:
            return self.matmul(left, right, result)
        result = self.form_binary(op, left, right, unpaired(op, left, right, result))
        if left.counter is not None or right.counter is not None:
            at = position(op, left, right)
            if at is not None:
                return Value(
                    result.const, result.refs, result.labels, result.symbols, result.text, at, result.later
                ).formed(result.form)
        return result

    def _binary(self, op: type[ast.operator], left: Value, right: Value) -> Value:
        if left.known and right.known:
            folded = fold(op, left.const, right.const)
            if folded is not UNKNOWN:
                if isinstance(folded, str):
                    return self._text(folded, True, [left, right])
                return Value(folded, symbols=left.symbols | right.symbols, text=shift(op, left, right))
        if op is ast.Mod and left.text and isinstance(left.const, str):
            filled = Value(labels=self.full_labels(right), symbols=right.symbols)
            return self._text(_PERCENT.sub("{}", left.text), False, [filled])
        if op is ast.Add and left.refs and right.refs and isinstance(left.refs[0], Sequence):
            joined = [r for v in (left, right) for r in v.refs if isinstance(r, Sequence)]
            items = [i for s in joined for i in s.items][:24]
            return Value(refs=(Sequence(items, all(s.exact for s in joined)),))
        if op is ast.Mult and left.refs and isinstance(left.refs[0], Sequence) and not left.labels:
            return Value(refs=(Sequence(list(left.refs[0].items), exact=False),))
        if (
            op is ast.Add
            and (left.text or right.text)
            and (isinstance(left.const, str) or isinstance(right.const, str))
        ):
            return self._text((left.text or "{}") + (right.text or "{}"), False, [left, right])
        if op is ast.Mult and is_none(left, right):
            return Value(0, symbols=left.symbols | right.symbols)
        shifted = shift_loop(op, left, right)
        if shifted is not None:
            return shifted
        result = self.combine([left, right], op, shift(op, left, right))
        shrunk = self.shrunk(op, left, right)
        labels = self.bounded(op, left, right, result.labels) | shrunk
        if labels == result.labels:
            return result
        return Value(result.const, result.refs, labels, result.symbols, result.text)

    def combine(self, values: list[Value], op: type[ast.operator] | None = None, text: str = "") -> Value:
        """Join the labels of operands; record blends of scores with tables and scaled scores."""
        labels = merge_labels(values)
        if not labels:  # nothing that what follows asks about
            return Value(labels=self._byte_count(op, values), symbols=merge_symbols(values), text=text)
        scored = any([self.is_score(v) for v in values])
        if scored:
            self.stored_match(values)
            blended = self.blend(values)
            if blended is not None:
                return blended
            if op in (ast.Add, ast.Sub):
                self._gated_sum(values)
        if op in (ast.Div, ast.FloorDiv, ast.Pow) and len(values) == 2:
            labels = labels | self._quotient(values[0], values[1])
        small = [v for v in values if isinstance(v.const, float) and 1e-6 < abs(v.const) < 0.5] if scored else []
        if small and op in (ast.Add, ast.Sub):
            labels = labels | {Flag("offset", self.line, self.file)}
        if op is ast.Mult or op is ast.Div:
            scaled = self._scaled(op, values, labels) if scored else None
            if scaled is not None:
                labels = labels | {scaled}
            names = [{x.name for x in v.labels if type(x) is Flag} for v in values] if op is ast.Mult else []
            if len(names) == 2 and any("prob" in a and "logprob" in b for a, b in (names, names[::-1])):
                dropped = {x for x in labels if isinstance(x, Flag) and x.name in ("prob", "logprob")}
                labels = (labels - dropped) | {Flag("entropy", self.line, self.file)}
        labels = without_bounds(self.keyed(values, op, labels)) | self._byte_count(op, values)
        return Value(labels=labels, symbols=merge_symbols(values), text=text)

    def _byte_count(self, op: type[ast.operator] | None, values: list[Value]) -> Labels:
        """Bytes that are not read from a table: a constant added for every token, or a constant number a token."""
        if len(values) != 2 or op not in (ast.Div, ast.Mult, ast.Add):
            return NO_LABELS
        if op is not ast.Div and values[0].known == values[1].known:
            return NO_LABELS
        if op is ast.Div:
            if not self.is_score(values[0]):
                return NO_LABELS
            scaled = {x for x in values[1].labels - values[0].labels if isinstance(x, Flag)}
            return frozenset(
                Flag("scaled", x.line, (x.detail[0], "/", *x.detail[2:]))
                for x in scaled
                if x.name == "times-constant" or (x.name == "scaled" and x.detail[1] == "*")
            )
        constants = [v.const for v in values if isinstance(v.const, (int, float)) and not isinstance(v.const, bool)]
        others = [v for v in values if not v.known]
        if len(constants) != 1 or len(others) != 1 or any([self.is_score(v) for v in values]):
            return NO_LABELS
        ratio = isinstance(constants[0], float) and 1.5 < constants[0] < 8 and constants[0] != int(constants[0])
        if op is ast.Mult and ratio and not any(isinstance(x, Uses) for x in others[0].labels):
            return frozenset({Flag("times-constant", self.line, (self.file, "/", constants[0], self.function))})
        if self.maybe:  # for some tokens, as the branch decides
            return NO_LABELS
        if op is ast.Add and isinstance(constants[0], int) and constants[0] > 0 and self.target_class(others[0].labels):
            plain = not any(isinstance(x, (Uses, Data)) for x in others[0].labels)
            return frozenset({Flag("plus-each", self.line, (self.file, constants[0]))}) if plain else NO_LABELS
        return NO_LABELS

    def _gated_sum(self, values: list[Value]) -> None:
        """Note scores that something chosen by the target's class is added to."""
        scores = [x.event for v in values for x in v.labels if isinstance(x, Scored)]
        plain = frozenset().union(*(self.target_class(v.labels) for v in values if not self.is_score(v)))
        if scores and plain:
            self.note_blend("target-class", scores, plain)

    def _quotient(self, left: Value, right: Value) -> frozenset[Flag]:
        """What a division makes: a normalised row of a table, or a score spread over the bytes of its token."""
        mine = {x.event for x in left.labels if isinstance(x, Looked)}
        below = frozenset(x.event for x in right.labels if isinstance(x, Looked))
        if self.is_score(left):
            counted = any(isinstance(x, Flag) and x.name == "target-bytes" for x in right.labels)
            repeated = {i for x in left.labels if isinstance(x, Flag) and x.name == "repeated" for i in x.detail or ()}
            return frozenset({Flag("bytes-spread", self.line, self.file)} if counted or repeated & below else ())
        if below and mine - below:
            ratio = {Flag("ratio", 0, (frozenset(mine), below))}
            return frozenset(ratio | self.own_share(mine, right.labels))
        if mine and mine == below:
            return frozenset({Flag("row", 0)})
        return frozenset()

    def row_total(self, row: Value, total: Value) -> Value:
        """``table[context].sum(1)``: marked with the look-ups that it is the total of."""
        looked = frozenset(x.event for x in merge_labels([row]) if isinstance(x, Looked))
        if not looked:
            return total
        return Value(total.const, total.refs, total.labels | {Flag("row-total", 0, looked)}, total.symbols, total.text)

    def own_share(self, entries: set[int], below: Labels) -> frozenset[Flag]:
        """``table[context, token] / table[context].sum(1)``: an entry over the total of its own row is a probability."""
        totals = {i for x in below if isinstance(x, Flag) and x.name == "row-total" for i in x.detail or ()}
        rows = [self.trace.lookups[i] for i in totals]
        shares = {
            ident
            for ident in entries
            for row in rows
            if (entry := self.trace.lookups[ident]).table_line == row.table_line
            and row.key < entry.key and not row.mixed and not entry.mixed
        }  # fmt: skip
        return frozenset({Flag("own-share", 0, frozenset(shares))} if shares else ())

    def _scaled(self, op: type[ast.operator], values: list[Value], labels: frozenset[Any]) -> Flag | None:
        scores = [v for v in values if any(isinstance(x, Scored) for x in v.labels)]
        consts = [v for v in values if v.known and isinstance(v.const, (int, float)) and not isinstance(v.const, bool)]
        if len(scores) == 1 and len(consts) == 1:
            return Flag("scaled", self.line, (self.file, _scale(op, consts[0]), float(consts[0].const), self.function))
        return None

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.eval(node.operand, scope)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            result = Value(UNKNOWN if truth is None else not truth, labels=mask(value.labels), symbols=value.symbols)
            return self.form_unary(node.op, value, result)
        if value.known and isinstance(value.const, (int, float)):
            if isinstance(node.op, ast.USub):
                return Value(-value.const, symbols=value.symbols)
            if isinstance(node.op, ast.UAdd):
                return value
        labels = merge_labels([value])
        if isinstance(node.op, ast.Invert) and any(isinstance(x, Flag) and x.name == "upper" for x in labels):
            labels = labels | {Flag("not-upper", node.lineno, self.file)}
        return self.form_unary(node.op, value, Value(labels=labels, symbols=value.symbols))

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Value:
        values: list[Value] = []
        decisive = isinstance(node.op, ast.Or)
        for item in node.values:
            value = self.eval(item, scope)
            truth = self.truth(value)
            if truth is decisive:
                if values and isinstance(value.const, bool):
                    return value
                return value if not values else either([*values, value], decisive)
            if truth is None or item is node.values[-1]:
                values.append(value)
        if not values:
            return Value(not decisive)
        return values[0] if len(values) == 1 else either(values, None)

    def _compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.eval(node.left, scope)
        operands = [left]
        result: Any = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.eval(comparator, scope)
            operands.append(right)
            if result is not UNKNOWN:
                outcome = self._compare_one(op, left, right)
                result = outcome if outcome is UNKNOWN or not outcome else result
            left = right
        if len(operands) == 2 and not any([o.labels or o.refs for o in operands]):
            compared = Value(result, symbols=merge_symbols(operands))
            return self.form_binary(type(node.ops[0]), operands[0], operands[1], compared)
        labels = mask(merge_labels(operands))
        if self._stored_match(node, operands):
            labels = labels | {Flag("stored-match", node.lineno, self.file)}
        if sum(any(isinstance(x, Scored) for x in o.labels) for o in operands) > 1:
            labels = labels | {Flag("compared-scores", node.lineno, self.file)}
        elif len(operands) == 2 and self.loops and any(self.is_score(o) for o in operands):
            kept, new = operands if self.is_score(operands[1]) else operands[::-1]
            if not kept.known or kept.const in (float("inf"), float("-inf")):
                labels = labels | {Flag("compared-best", node.lineno, (kept, self.scored(new)))}
        computed = frozenset(x for x in merge_labels(operands) if isinstance(x, (Uses, Data)))
        data = data_of(computed)
        if data and len(computed) > len(data):
            labels = labels | {
                Flag("decided-by", node.lineno, frozenset(Data(d.source, NO_SYMBOLS, d.role) for d in data))
            }
        if len(operands) != 2:
            return Value(result, labels=labels, symbols=merge_symbols(operands))
        if isinstance(node.ops[0], ast.Eq) and any(o.known for o in operands) and not computed - data:
            labels = labels | self.places_of(data)
        compared = Value(result, labels=labels, symbols=merge_symbols(operands))
        return self.form_binary(type(node.ops[0]), operands[0], operands[1], compared)

    def _stored_match(self, node: ast.Compare, operands: list[Value]) -> bool:
        """``stored == target``: data of a file that is no token file against validation targets."""
        if len(operands) != 2 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            return False
        target = [
            any(isinstance(x, Data) and x.source == "val" and x.role != "path" for x in o.labels) for o in operands
        ]
        filed = [
            any(isinstance(x, Flag) and x.name == "artifact" for x in o.labels)
            and not any(isinstance(x, (Data, Looked, Scored, Uses)) for x in o.labels)
            for o in operands
        ]
        return (target[0] and filed[1]) or (target[1] and filed[0])

    def _compare_one(self, op: ast.cmpop, left: Value, right: Value) -> Any:
        if left.known and right.known:
            if isinstance(op, (ast.In, ast.NotIn)):
                try:
                    return (left.const in right.const) is isinstance(op, ast.In)
                except TypeError:
                    return UNKNOWN
            try:
                return bool(_COMPARE[type(op)](left.const, right.const))
            except (KeyError, TypeError):
                return UNKNOWN
        if right.known and self.beyond(left, right.const):
            return {ast.Gt: True, ast.GtE: True, ast.Lt: False, ast.LtE: False, ast.Eq: False}.get(type(op), UNKNOWN)
        if isinstance(op, (ast.In, ast.NotIn)) and left.known:
            for ref in right.refs:
                if isinstance(ref, Sequence) and ref.exact and all(i.known for i in ref.items):
                    return any(i.const == left.const for i in ref.items) is isinstance(op, ast.In)
                if isinstance(ref, Mapping) and ref.keys_known and not self.maybe:
                    if left.const not in ref.items and (right.labels or len(right.refs) > 1):
                        return UNKNOWN  # it may be something else as well, e.g. what a file holds
                    return (left.const in ref.items) is isinstance(op, ast.In)
            return UNKNOWN
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            types = [_builtin_type(v) for v in (left, right)]
            if all(types):  # ``if kind is bool: …``
                return (types[0] == types[1]) is isinstance(op, (ast.Is, ast.Eq))
            for a, b in ((left, right), (right, left)):
                if a.known and a.const is None and not b.known and (b.refs or b.labels or b.text):
                    maybe = any(isinstance(r, Absent) for r in b.refs)
                    return UNKNOWN if maybe else isinstance(op, (ast.IsNot, ast.NotEq))
        if left.later and right.known and isinstance(right.const, (int, float)) and right.const <= 0:
            return {ast.Eq: False, ast.NotEq: True, ast.Gt: True, ast.LtE: False, ast.Lt: False}.get(type(op), UNKNOWN)
        return UNKNOWN
