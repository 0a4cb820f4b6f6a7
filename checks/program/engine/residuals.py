"""Gradients written by hand: a softmax less the one-hot target is the gradient of the loss, with no backward pass."""

from __future__ import annotations

import ast

from checks.program.engine.carried import Carried
from checks.program.engine.labels import Adapted, Data, Flag, Looked, Scored, Uses
from checks.program.engine.selections import data_of
from checks.program.engine.values import Value

_RESIDUAL = "residual"


class Residuals(Carried):
    """Marks ``probs - one_hot``, and what is moved along it."""

    def form_binary(self, op: type[ast.AST], left: Value, right: Value, result: Value) -> Value:
        """The result of an operator: a residual, or what a step along one gives."""
        result = super().form_binary(op, left, right, result)
        if op is ast.Sub and self._is_residual(left, right):
            flags = frozenset({Flag(_RESIDUAL, self.line, self.file), Flag("gradient", 0, ())})
            return Value(result.const, result.refs, result.labels | flags | self._targets(right), result.symbols)
        if op in (ast.Sub, ast.Add) and _has(right, _RESIDUAL) and not _has(left, _RESIDUAL) and not left.known:
            return self._moved(left, right)
        return result

    def _is_residual(self, probs: Value, target: Value) -> bool:
        """Whether one operand is a distribution of the model, and the other the tokens that it predicts."""
        if not _has(probs, "prob") or not any(isinstance(x, Uses) for x in probs.labels):
            return False
        labels = self.full_labels(target)
        return bool(self._targets(target)) and not any(isinstance(x, (Uses, Looked, Scored, Adapted)) for x in labels)

    def _targets(self, target: Value) -> frozenset[Data]:
        return frozenset(d for d in data_of(self.full_labels(target)) if d.source == "val" and d.role == "y")

    def _moved(self, state: Value, step: Value) -> Value:
        """``bias - lr * residual``: state that was fitted to the targets, outside of the model."""
        data = frozenset(d for d in data_of(step.labels) if d.source == "val" and d.role == "y")
        if not data:
            return state
        fitted = self.adapt("free-gradient", data, (), (f"line {self.line}",))
        return Value(refs=state.refs, labels=state.labels | {fitted}, symbols=state.symbols)


def _has(value: Value, name: str) -> bool:
    return bool(value.labels) and any([type(x) is Flag and x.name == name for x in value.labels])
