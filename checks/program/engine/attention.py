"""Hand-written attention: products of queries and keys that go into a softmax with no mask, or with one that masks nothing."""

from __future__ import annotations

import ast

from checks.program.engine import forms
from checks.program.engine.distributions import Distributions
from checks.program.engine.forms import Form
from checks.program.engine.labels import Flag, Labels, Uses
from checks.program.engine.selections import data_of
from checks.program.engine.values import Scope, Value

_TURNS = ((-1, -2), (-2, -1), (2, 3), (3, 2))
_HEADS = ((1, 2), (2, 1), (-3, -2), (-2, -3))
_MASKS = frozenset(["masked_fill", "where", "tril", "triu", "masked_fill_", "tril_", "triu_", "add", "add_", "baddbmm"])


class Attention(Distributions):
    """Marks of heads brought before positions, of turned keys, and of the products of all pairs of positions."""

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call a method; masks take the mark of the products off, a softmax makes it count."""
        return self._paired(name, [owner, *args], super().method(owner, name, args, keywords))

    def external(self, name: str, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a function outside the submission."""
        result = super().external(name, args, keywords, scope)
        return self._paired(name.rsplit(".", 1)[-1], args, result)

    def mutate(self, owner: Value, name: str, args: list[Value]) -> Value:
        """Change a tensor in place: what was known of its entries no longer holds."""
        owner.form = None
        owner.labels = _without(owner.labels, "pairs")
        return super().mutate(owner, name, args)

    def store(self, owner: Value, index: Value, value: Value) -> None:
        """Store entries: what was known of them no longer holds."""
        owner.form = None
        owner.labels = _without(owner.labels, "pairs")
        super().store(owner, index, value)

    def _store_plain(self, holder: ast.expr, owner: Value, value: Value, scope: Scope) -> None:
        owner.labels = _without(owner.labels, "pairs")
        super()._store_plain(holder, owner, value, scope)

    def matmul(self, left: Value, right: Value, result: Value) -> Value:
        """``q @ k.transpose(-1, -2)`` of one sequence with the heads before the positions: all pairs of positions."""
        same = data_of(left.labels) and data_of(left.labels) == data_of(right.labels)
        pairs = same and _has(left, "heads-first") and _has(right, "turned") and _model(left) and _model(right)
        labels = _without(result.labels, "heads-first", "turned", "pairs")
        if pairs:
            labels = labels | {Flag("pairs", self.line, self.file)}
        return Value(result.const, result.refs, labels, result.symbols, result.text)

    def _paired(self, name: str, args: list[Value], result: Value) -> Value:
        if name in ("transpose", "swapaxes") and len(args) == 3:
            axes = (args[1].const, args[2].const)
            mark = "heads-first" if axes in _HEADS else "turned" if axes in _TURNS else ""
            if mark and data_of(args[0].labels) and _model(args[0]):
                flag = frozenset({Flag(mark, 0)})
                return Value(result.const, result.refs, result.labels | flag, result.symbols, result.text).formed(
                    result.form
                )
        elif _has(result, "pairs"):
            if name in _MASKS and not any(map(_masks_nothing, args)):
                return _bare(result)
            if name == "softmax":
                return self._sees_later(_bare(result), [], "attends to later positions, with no mask", True)
        return result


def unpaired(op: type[ast.operator], left: Value, right: Value, result: Value) -> Value:
    """Arithmetic with anything but a constant may mask the products of positions."""
    scale = left.known or right.known or op is ast.Div
    if scale or not _has(result, "pairs"):
        return result
    return _bare(result)


def _bare(value: Value) -> Value:
    labels = _without(value.labels, "pairs")
    return Value(value.const, value.refs, labels, value.symbols, value.text).formed(value.form)


def _masks_nothing(value: Value) -> bool:
    """Whether a mask is made of ones alone and masks no entry."""
    form = value.form
    if form is None or not any(n.op == "leaf" for n in forms.walk(form)):
        return False
    if any(n.op == "leaf" and n.detail[1] != "ones" for n in forms.walk(form)):
        return False
    try:
        return not _of_ones(form)
    except (KeyError, ArithmeticError, ValueError):
        return False


def _of_ones(form: Form) -> bool | float:
    if form.op == "leaf":
        return True
    if form.op == "num":
        return float(form.detail)
    parts = [_of_ones(p) for p in form.parts]
    if form.op == "each":
        return parts[0]
    if form.op == "fn":
        return forms.FUNCTIONS[form.detail[0]](parts[0])
    if form.op == "cmp":
        return forms.COMPARISONS[form.detail](parts[0], parts[1])
    raise KeyError(form.op)


def _has(value: Value, name: str) -> bool:
    return bool(value.labels) and any([type(x) is Flag and x.name == name for x in value.labels])


def _model(value: Value) -> bool:
    return any(isinstance(x, Uses) for x in value.labels)


def _without(labels: Labels, *names: str) -> Labels:
    found = [x for x in labels if isinstance(x, Flag) and x.name in names]
    return labels - frozenset(found) if found else labels
