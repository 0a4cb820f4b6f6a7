"""Whether a score is a probability distribution over the vocabulary, whatever the parts mean that were not followed.

Its form is evaluated for every token of a toy vocabulary: the probabilities of all tokens that could have come must not
sum to more than one (less than one only wastes code length). Leaves are given every meaning that they may have (a
distribution, its logarithm, counts, a weight); a form breaks the rule only where no meaning makes it a distribution.
"""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from checks.program.engine.forms import VOCABULARY, Evaluation, Form, Unreadable, walk

_MAX_READINGS = 96
_MAX_PATHS = 8
_NEAR = 1e-3
#: Values at which an unknown weight, and a constant that may hang on the size of the vocabulary, are tried.
_GRID = (0.01, 0.05, 0.2, 0.5, 0.8, 1.0, 1.5, 3.0, 10.0)
_SIZES = (0.01, 0.1, 1.0, 10.0, 100.0, 10000.0)


class Broken(NamedTuple):
    """A form that is no distribution: the place of the operation that makes it so, and what it is.

    ``kind``: selection (decided by comparing probabilities of the realised token), class (decided by something that a fixed
    table says of it), mixture (anything else).
    """

    place: tuple[str, int]
    kind: str


def breaks(form: Form) -> Broken | None:
    """What makes a per-token score no distribution; None where it is one, or may be one."""
    targets = {n.detail for n in walk(form) if n.op == "tok"}
    rows = any(n.op == "soft" or (n.op == "leaf" and n.detail[1] in ("row", "model")) for n in walk(form))
    form = _stripped(form)
    if len(targets) != 1 or not rows or not _mixes(form):
        return None
    try:
        wrong = [p for p in _paths(form) if not _may_be_distribution(p)]
    except Unreadable:
        return None
    if not wrong:
        return None
    if any(map(_selects, walk(form))):
        return Broken(_place(wrong[0]), "selection")
    return Broken(_place(wrong[0]), "mixture" if _only_scales(form) else "class")


# -- shape of a form -------------------------------------------------------------------------------------------------


def _stripped(form: Form) -> Form:
    """Without what only scales or masks the score: factors and terms that hold no row and no target."""
    while True:
        if form.op == "fn" and form.detail == ("neg",):
            form = form.parts[0]
        elif form.op == "bin" and form.detail in ("*", "/"):
            loose = [p for p in form.parts if any(n.op in ("gather", "soft") for n in walk(p))]
            if len(loose) != 1 or (form.detail == "/" and loose[0] is not form.parts[0]):
                return form
            form = loose[0]
        elif form.op == "where" and sum(any(n.op == "tok" for n in walk(p)) for p in form.parts[1:]) == 1:
            form = next(p for p in form.parts[1:] if any(n.op == "tok" for n in walk(p)))
        else:
            return form


def _mixes(form: Form) -> bool:
    """Whether anything is done to the entry of a row beyond logarithms: else it is a distribution by its making."""
    return any(n.op in ("bin", "where", "stack") or (n.op == "fn" and n.detail[0] == "clamp") for n in walk(form))


def _selects(item: Form) -> bool:
    """A choice that compares two values of the realised token."""
    if item.op == "where":
        test = item.parts[0]
        return any(n.op == "cmp" and sum(_realised(p) for p in n.parts) == 2 for n in walk(test))
    return item.op == "bin" and item.detail in ("max", "min") and sum(_realised(p) for p in item.parts) == 2


def _only_scales(form: Form, scale: bool = False) -> bool:
    """Whether what a table says of the target (its length in bytes) is at most an exponent or a divisor."""
    if form.op == "leaf":
        return form.detail[1] != "class" or scale
    parts = form.parts
    if form.op == "bin" and form.detail in ("**", "/"):
        return _only_scales(parts[0], scale) and _only_scales(parts[1], True)
    return all(_only_scales(p, scale and form.op in ("fn", "bin", "each")) for p in parts)


def _realised(form: Form) -> bool:
    return any(n.op == "gather" and any(m.op == "tok" for m in walk(n.parts[1])) for n in walk(form))


def _place(form: Form) -> tuple[str, int]:
    """The outermost operation that mixes."""
    level = [form]
    while level:
        for item in level:
            if item.op in ("bin", "where", "lse") and item.place[1]:
                return item.place
        level = [p for item in level for p in item.parts]
    return ("", 0)


def _paths(form: Form) -> list[Form]:
    """The form under each outcome of the choices that are made without the target; those that score nothing left out."""
    found: list[Form] = []
    queue = [form]
    while queue:
        if len(found) + len(queue) > _MAX_PATHS:
            raise Unreadable
        item = queue.pop()
        split = next((n for n in walk(item) if n.op == "where" and not _holds_target(n.parts[0])), None)
        if split is None:
            found.append(item)
            continue
        queue += [_replaced(item, split, branch) for branch in split.parts[1:]]
    return [f for f in map(_stripped, found) if _holds_target(f)]


def _replaced(form: Form, old: Form, new: Form) -> Form:
    if form == old:
        return new
    return form._replace(parts=tuple(_replaced(p, old, new) for p in form.parts)) if form.parts else form


def _holds_target(form: Form) -> bool:
    return any(n.op == "tok" for n in walk(form))


# -- evaluation ------------------------------------------------------------------------------------------------------


def _may_be_distribution(form: Form) -> bool:
    """Whether some reading of the leaves makes the probabilities of all tokens sum to one."""
    leaves = sorted({n.detail for n in walk(form) if n.op == "leaf"}, key=str)
    indices = {m.detail for n in walk(form) for m in _indices(n)}
    linear = set(_linear(form))
    shares = {n.detail for n in _under_sigmoid(form)}  # each a share of one, whatever its argument: no normaliser
    scalars = {leaf for leaf in leaves if _scalar_only(form, leaf) or (leaf in shares and leaf[1] != "row")}
    choices = [_meanings(leaf, leaf in indices, leaf in scalars, leaf in linear) for leaf in leaves]
    if math.prod(map(len, choices)) > _MAX_READINGS:
        raise Unreadable
    solvable = [leaf for leaf in leaves if leaf not in indices and leaf not in shares]
    for chosen in itertools.product(*choices):
        reading = dict(zip(leaves, chosen, strict=True))
        if _total(form, reading, {}) < 1.0 + _NEAR:
            return True
        for leaf in solvable:
            if reading[leaf] in ("scalar", "row", "counts"):  # a row may hold its weight already
                signed = [v * s for v in _GRID for s in ((1.0, -1.0) if leaf[1] == "model" else (1.0,))]
                if any(_total(form, reading, {("leaf", leaf): v}) < 1.0 - _NEAR for v in signed):
                    return True
        for constant in _divisors(form):
            if any(_total(form, reading, {("num", constant): v}) < 1.0 - _NEAR for v in _SIZES):
                return True
    return False


def _meanings(leaf: tuple[int, str], index: bool, scalar: bool, linear: bool) -> tuple[str, ...]:
    if index:
        return ("index", "same index")
    if leaf[1] == "class":
        return ("class",)
    if scalar:
        return ("scalar",)
    rows = ("row", "counts") if linear else ("row", "counts", "log-row", "logits")
    return rows if leaf[1] == "row" else ("scalar", *rows)


def _linear(form: Form, inside: bool = False) -> Iterator[Any]:
    """Leaves whose logarithm is taken: they are no logarithms themselves."""
    if form.op == "leaf" and inside:
        yield form.detail
    if form.op == "fn":
        name = form.detail[0]
        inside = name in ("log", "log2") or (inside and name not in ("exp", "expm1", "sigmoid"))
    elif form.op in ("lse", "soft"):
        inside = False
    for part in form.parts:
        yield from _linear(part, inside)


def _indices(item: Form) -> Iterator[Form]:
    """Leaves that are token numbers: they index a row or are compared with the target."""
    held: list[Form] = []
    if item.op == "gather":
        held = [item.parts[1]]
    elif item.op == "cmp" and any(n.op == "tok" for p in item.parts for n in walk(p)):
        held = list(item.parts)
    for part in held:
        if not any(n.op in ("gather", "soft", "sum", "argmax") for n in walk(part)):
            yield from (n for n in walk(part) if n.op == "leaf")


def _scalar_only(form: Form, leaf: tuple[int, str], row: bool = False) -> bool:
    """Whether a leaf stands outside of every row: it can only be one number a token."""
    if form.op == "leaf":
        return form.detail != leaf or not row
    if form.op in ("gather", "sum", "amax", "argmax", "lse", "soft", "elem"):
        return _scalar_only(form.parts[0], leaf, True) and all(_scalar_only(p, leaf) for p in form.parts[1:])
    return all(_scalar_only(p, leaf, row and form.op != "each") for p in form.parts)


def _under_sigmoid(form: Form) -> set[Form]:
    """Leaves that stand only within a sigmoid."""
    inside = {n for s in walk(form) if s.op == "fn" and s.detail[0] == "sigmoid" for n in walk(s) if n.op == "leaf"}
    outside: set[Form] = set()
    queue = [form]
    while queue:
        item = queue.pop()
        outside |= {item} if item.op == "leaf" else set()
        queue += () if item.op == "fn" and item.detail[0] == "sigmoid" else item.parts
    return inside - outside


def _divisors(form: Form) -> set[float]:
    """Constants below a fraction bar beside a sum: with another vocabulary size they have another value."""
    found = set()
    for item in walk(form):
        if item.op == "bin" and item.detail == "/":
            below = list(walk(item.parts[1]))
            if any(n.op == "sum" for n in below):
                found |= {n.detail for n in below if n.op == "num" and n.detail > 0}
    return found


_UNITS: dict[str, Callable[[float], float]] = {
    "probability": lambda v: v if v >= 0.0 else math.inf,
    "loss": lambda v: math.exp(-v),
    "log": math.exp,
    "bits": lambda v: 2.0**-v,
    "log2": lambda v: 2.0**v,
}
_OPPOSITE = {"loss": "log", "log": "loss", "bits": "log2", "log2": "bits"}


def _unit(form: Form) -> str:
    """What a score is, by the operations that made it: a probability, a loss or its negative; empty if they do not say."""
    if form.op in ("gather", "each", "elem", "amax", "sum"):
        return _unit(form.parts[0])
    if form.op in ("soft", "lse"):
        return "probability" if form.op == "soft" else "log"
    if form.op == "where":
        return _unit(form.parts[1]) or _unit(form.parts[2])
    if form.op == "fn":
        name = form.detail[0]
        if name in ("log", "log2", "log1p"):
            return "log2" if name == "log2" else "log"
        inner = _unit(form.parts[0])
        return "probability" if name == "exp" else _OPPOSITE.get(inner, "") if name == "neg" else inner
    if form.op == "bin":
        left, right = (_unit(p) if any(n.op in ("gather", "soft") for n in walk(p)) else "" for p in form.parts)
        if form.detail == "-" and right and not left:
            return _OPPOSITE.get(right, "")
        return left or right
    return ""


def _total(form: Form, reading: dict[Any, str], given: dict[Any, float]) -> float:
    """The sum of the probabilities of all tokens; infinite where it has no value, the smallest if the unit is open."""
    unit = _unit(form)
    try:
        values = [Evaluation(reading, given, y).value(form, None, VOCABULARY) for y in range(VOCABULARY)]
    except (ArithmeticError, ValueError):
        return math.inf
    totals = []
    for convert in [_UNITS[unit]] if unit else _UNITS.values():
        with contextlib.suppress(OverflowError):
            totals.append(sum(map(convert, values)))
    return min(totals, default=math.inf)
