"""The formula of a score, as far as it can be followed, and its value over a toy vocabulary.

A form says how a number is computed from the model's rows: ``soft`` (a softmax of something), ``leaf`` (anything that is
not followed further), the target (``tok``), an entry of a row (``gather``), sums over a row, arithmetic.
"""

from __future__ import annotations

import functools
import itertools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

VOCABULARY = 7
_MAX_SIZE = 160
_NUMBERS = itertools.count(1)


class Form(NamedTuple):
    """One node. ``op``: num, leaf, tok, soft, gather, sum, amax, argmax, lse, stack, elem, each, fn, bin, cmp, where."""

    op: str
    parts: tuple[Form, ...] = ()
    detail: Any = None
    place: tuple[str, int] = ("", 0)
    size: int = 1


class Unreadable(Exception):
    """The form cannot be evaluated: nothing is said about it."""


def node(op: str, *parts: Form, detail: Any = None, place: tuple[str, int] = ("", 0)) -> Form | None:
    """A node over parts; None when it grows too large."""
    size = 1 + sum(p.size for p in parts)
    return Form(op, parts, detail, place, size) if size <= _MAX_SIZE else None


def number(value: float) -> Form:
    """A constant."""
    return Form("num", detail=float(value))


def leaf(kind: str) -> Form:
    """A new part that is not followed further."""
    return Form("leaf", detail=(next(_NUMBERS), kind))


def renewed(form: Form | None) -> Form | None:
    """The form of what a call returned, for another call of the same function: a softmax of other numbers."""
    if form is None or (form.op == "fn" and form.detail != ("log",)):
        return None
    inner = form.parts[0] if form.op == "fn" else form
    if inner.op != "soft":
        return None
    fresh = Form("soft", (leaf("row"),), size=2)
    return node("fn", fresh, detail=("log",)) if form.op == "fn" else fresh


def walk(form: Form) -> Iterator[Form]:
    """The node and all below it."""
    stack = [form]
    while stack:
        item = stack.pop()
        yield item
        stack.extend(item.parts)


def closed(form: Form) -> bool:
    """Whether the form is one number a token: it has no row that was not summed, nor an entry taken of it."""
    if form.op in ("soft",) or (form.op == "leaf" and form.detail[1] == "row"):
        return False
    if form.op in ("gather", "sum", "amax", "argmax", "lse", "each", "elem"):
        return True
    return all(closed(p) for p in form.parts)


class Evaluation:
    """The value of a form for one target; ``at``: the entry of a row that is looked at, None outside of rows."""

    def __init__(self, reading: dict[Any, str], given: dict[Any, float], target: int) -> None:
        self.reading = reading
        self.given = given
        self.target = target

    def value(self, form: Form, at: int | None, count: int) -> float:
        """Evaluate a node.

        Raises:
            Unreadable: a row stands where a number must.
        """
        if form.op == "num":
            return float(self.given.get(("num", form.detail), form.detail))
        if form.op == "tok":
            return float(self.target)
        if form.op == "leaf":
            return self._leaf(form.detail, at, count)
        if form.op == "soft":
            if at is None:
                raise Unreadable
            return _row(("soft", form.parts[0]), count)[at]
        return float(getattr(self, f"_{form.op}")(form, at, count))

    def _leaf(self, leaf: Any, at: int | None, count: int) -> float:
        known = self.given.get(("leaf", leaf))
        meaning = self.reading[leaf]
        if known is not None:
            return known if meaning == "scalar" or at is None else known * _row(leaf, count)[at]
        if meaning in ("index", "same index"):  # two names may stand for one token
            return float(random.Random(repr(leaf) if meaning == "index" else meaning).randrange(VOCABULARY))
        if meaning == "class":
            return float(random.Random(f"{leaf!r} {self.target}").randint(1, 4))
        if meaning == "scalar":
            return 0.1 + 0.8 * random.Random(repr(leaf)).random()
        if at is None:
            raise Unreadable
        row = _row(leaf, count)
        if meaning == "counts":
            return 10.0 * row[at]
        if meaning == "log-row":
            return math.log(row[at])
        return row[at] if meaning == "row" else 3.0 * math.log(row[at]) + 1.0

    def _gather(self, form: Form, at: int | None, count: int) -> float:
        return self.value(form.parts[0], round(self.value(form.parts[1], at, count)) % VOCABULARY, VOCABULARY)

    def _entries(self, form: Form) -> list[float]:
        inner = form.parts[0]
        if inner.op == "stack":
            return [self.value(p, None, VOCABULARY) for p in inner.parts]
        return [self.value(inner, k, VOCABULARY) for k in range(VOCABULARY)]

    def _sum(self, form: Form, at: int | None, count: int) -> float:
        return sum(self._entries(form))

    def _amax(self, form: Form, at: int | None, count: int) -> float:
        return max(self._entries(form))

    def _argmax(self, form: Form, at: int | None, count: int) -> float:
        entries = self._entries(form)
        return float(entries.index(max(entries)))

    def _lse(self, form: Form, at: int | None, count: int) -> float:
        return math.log(sum(math.exp(v) for v in self._entries(form)))

    def _elem(self, form: Form, at: int | None, count: int) -> float:
        return self.value(form.parts[0], *form.detail)

    def _each(self, form: Form, at: int | None, count: int) -> float:
        return self.value(form.parts[0], None, VOCABULARY)

    def _stack(self, form: Form, at: int | None, count: int) -> float:
        raise Unreadable

    def _fn(self, form: Form, at: int | None, count: int) -> float:
        name, *limits = form.detail
        inner = self.value(form.parts[0], at, count)
        if name == "clamp":
            low, high = limits
            return max(min(inner, high if high is not None else inner), low if low is not None else inner)
        return FUNCTIONS[name](inner)

    def _bin(self, form: Form, at: int | None, count: int) -> float:
        a, b = (self.value(p, at, count) for p in form.parts)
        result = OPERATORS[form.detail](a, b)
        if isinstance(result, complex):
            raise ValueError
        return float(result)

    def _cmp(self, form: Form, at: int | None, count: int) -> float:
        a, b = (self.value(p, at, count) for p in form.parts)
        return float(COMPARISONS[form.detail](a, b))

    def _where(self, form: Form, at: int | None, count: int) -> float:
        return self.value(form.parts[1 if self.value(form.parts[0], at, count) > 0.5 else 2], at, count)


@functools.lru_cache(4096)
def _row(key: Any, count: int) -> tuple[float, ...]:
    """A distribution of so many entries, the same for the same key."""
    draw = random.Random(f"{key!r} {count}")
    entries = [0.05 + draw.random() ** 2 for _ in range(count)]
    total = sum(entries)
    return tuple(e / total for e in entries)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "neg": lambda v: -v,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log1p": math.log1p,
    "expm1": math.expm1,
    "sqrt": math.sqrt,
    "abs": abs,
    "sigmoid": lambda v: 1.0 / (1.0 + math.exp(-v)),
    "tanh": math.tanh,
    "square": lambda v: v * v,
    "reciprocal": lambda v: 1.0 / v,
    "not": lambda v: float(v <= 0.5),
}
OPERATORS: dict[str, Callable[[float, float], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "**": lambda a, b: a**b,
    "max": max,
    "min": min,
    "logaddexp": lambda a, b: math.log(math.exp(a) + math.exp(b)),
    "&": lambda a, b: float(a > 0.5 and b > 0.5),
    "|": lambda a, b: float(a > 0.5 or b > 0.5),
}
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}
