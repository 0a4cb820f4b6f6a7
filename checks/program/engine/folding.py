"""Constant folding, and what arithmetic says of an index: forwards, backwards, an iteration earlier."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from checks.program.engine.counter import Counter
from checks.program.engine.labels import NO_LABELS, Data, Flag, Looked, Scored, Symbol
from checks.program.engine.values import UNKNOWN, Value, join

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
    ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.Pow: operator.pow,
}  # fmt: skip
_FOLD_LIMIT = 1 << 62


def fold(op: type[ast.operator], left: Any, right: Any) -> Any:
    """Fold an operation on two constants; ``UNKNOWN`` where it is too large or makes no sense."""
    simple = (int, float, str, tuple)
    if not isinstance(left, simple) or not isinstance(right, simple):
        return UNKNOWN
    if isinstance(left, str) and not (op is ast.Add and isinstance(right, str)):
        return UNKNOWN
    if isinstance(left, tuple) or isinstance(right, tuple):
        return UNKNOWN
    if op in (ast.Pow, ast.LShift) and (not isinstance(right, (int, float)) or abs(right) > 64):
        return UNKNOWN
    if op is ast.Mult and isinstance(left, int) and isinstance(right, int) and abs(left) > _FOLD_LIMIT:
        return UNKNOWN
    try:
        result = _BINARY[op](left, right)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return UNKNOWN
    if isinstance(result, str) and len(result) > 4096:
        return UNKNOWN
    return result if not isinstance(result, complex) else UNKNOWN


def is_none(left: Value, right: Value) -> bool:
    """Whether a product of numbers is 0: the share of a size that lies before rank 0."""
    zero, other = (left, right) if left.known else (right, left)
    plain = not other.known and not other.refs and all(isinstance(x, Flag) for x in other.labels)
    return type(zero.const) is int and zero.const == 0 and plain


def shift(op: type[ast.operator], left: Value, right: Value) -> str:
    """Mark an index as shifted to the target ("+1") or back into the context ("-k")."""
    if op is ast.Add and right.known and isinstance(right.const, int) and right.const >= 1:
        return "+1"
    if op is ast.Sub and not (right.known and not right.const):
        return "-k" if isinstance(right.const, int) or right.symbols or not right.known else ""
    return left.text if left.text in ("+1", "-k") else ""


def position(op: type[ast.operator], left: Value, right: Value) -> Counter | None:
    """Follow a loop's counter through ``i + 1``, ``* n`` and ``+ offset``; None when the result is no position of its loop."""
    at, other = left.counter, right
    if right.counter is not None and op in (ast.Add, ast.Mult):
        if at is not None and (op is ast.Mult or at.loop == right.counter.loop):
            return None
        if at is None or (right.counter.ahead and not at.ahead):
            at, other = right.counter, left
    elif right.counter is not None:
        return None
    if at is None:
        return None
    by = other.const if isinstance(other.const, int) and other.counter is None else None
    if op is ast.Mult:
        if by is None or not at.step:
            return Counter(at.loop, 0, at.ahead)
        return Counter(at.loop, at.step * by, at.offset * by) if by > 0 else None
    if op is ast.Add:
        return Counter(at.loop, at.step, at.offset + by) if by is not None and at.step else at
    if op is ast.Sub and by is not None and at.step:
        return Counter(at.loop, at.step, at.offset - by)
    return None


def ahead(symbols: frozenset[Symbol], counter: Counter | None) -> frozenset[Symbol]:
    """Symbols of a selection that begins at a position: those of the next iteration where it lies there."""
    if counter is None or counter.ahead != 1:
        return symbols
    return frozenset((loop, k + 1) if loop == counter.loop else (loop, k) for loop, k in symbols)


def before(value: Value) -> Value:
    """Of the first of a list of places, what lies before it: an iteration earlier than every place of the list."""
    if value.text != "first":
        return value
    return Value(labels=value.labels, symbols=frozenset((loop, -1) for loop, _ in value.symbols))


def span(lower: Value, bounds: frozenset[Symbol]) -> frozenset[Symbol]:
    """Symbols of a slice: the iteration in which it begins selects it, and whatever else its bounds depend on."""
    begun = {loop for loop, _ in lower.symbols}
    return ahead(lower.symbols, lower.counter) | {s for s in bounds if s[0] not in begun}


def shift_loop(op: type[ast.operator], left: Value, right: Value) -> Value | None:
    """``i - 1`` of a loop counter selects the iteration before."""
    at = left.counter
    plain = at is not None and at.step == 1 and not at.offset
    if at is not None and plain and op is ast.Sub and isinstance(right.const, int) and 0 < right.const <= 8:
        moved = frozenset((loop, k - right.const) if loop == at.loop else (loop, k) for loop, k in left.symbols)
        return Value(symbols=moved, labels=left.labels, text="-k")
    return None


def mask(labels: frozenset[Any]) -> frozenset[Any]:
    """Labels of a truth value: that tokens were compared is kept as a flag, the tokens are not; it keys no table."""
    if not labels:
        return NO_LABELS
    kept = {
        Looked(x.event, "compared") if isinstance(x, Looked) else x
        for x in labels
        if not isinstance(x, (Data, Scored)) and not (isinstance(x, Flag) and x.name == "no-distribution")
    }  # fmt: skip
    roles = frozenset(x.role for x in labels if isinstance(x, Data) and x.source == "val")
    if roles:
        kept.add(Flag("mask", 0, roles))
    return frozenset(kept)


def either(values: list[Value], _: bool | None) -> Value:
    """The join of what an ``and`` or ``or`` may return."""
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result
