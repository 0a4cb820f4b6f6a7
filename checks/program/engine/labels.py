"""Labels of abstract values: which tokens, scores, adaptations, lookups and modules a value comes from.

- ``Data``   tokens of a split (val, train), narrowed to the loop iterations that select them, with their role: input or target;
- ``Scored`` a number computed from a loss on tokens (a ``ScoreEvent``);
- ``Adapted`` state that an ``AdaptEvent`` changed;
- ``Looked`` a table read at a key made of tokens (a ``LookupEvent``);
- ``Uses``   output of a module or tensor; ``Flag`` anything else a rule asks for (entropy, artifact, …).

Which loop iteration selects a slice is a *symbol* ``(loop, iteration)``. Every loop body is interpreted for a first and a
later iteration, so two slices that depend on the same loop in different iterations are disjoint, and the same chunk scored
twice is recognised as the same chunk.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Symbol = tuple[int, int]
NO_SYMBOLS: frozenset[Symbol] = frozenset()


class Data(NamedTuple):
    """Tokens (or bytes) of a split. ``role``: "x" input, "y" target, "" not known, "path" the files that hold them."""

    source: str
    symbols: frozenset[Symbol]
    role: str


class Scored(NamedTuple):
    """Derived from score event ``event``."""

    event: int
    kind: str = "scored"  # named tuples of one shape are equal: the kind keeps labels apart


class Adapted(NamedTuple):
    """Depends on state that adapt event ``event`` changed."""

    event: int
    kind: str = "adapted"


class Looked(NamedTuple):
    """Read from a table in lookup event ``event``; ``compared``: a truth value of what was read, which keys no table."""

    event: int
    kind: str = "looked"


class Uses(NamedTuple):
    """Computed with the parameters of heap object ``ident``."""

    ident: int
    kind: str = "uses"


class Flag(NamedTuple):
    """A property named ``name`` that arose at ``line``, e.g. entropy, artifact, mixture."""

    name: str
    line: int
    detail: Any = None


Label = Data | Scored | Adapted | Looked | Uses | Flag
Labels = frozenset[Label]
NO_LABELS: Labels = frozenset()
ROUNDED = Flag("rounded", 0)  # of numbers cast to eight bits: quantised weights, until they are loaded into a module


def regions_overlap(a: frozenset[Symbol], b: frozenset[Symbol]) -> bool:
    """Whether two selections can hold the same token: no common loop in different iterations only."""
    if not a or not b:
        return True
    iterations_a: dict[int, set[int]] = {}
    for loop, k in a:
        iterations_a.setdefault(loop, set()).add(k)
    iterations_b: dict[int, set[int]] = {}
    for loop, k in b:
        iterations_b.setdefault(loop, set()).add(k)
    return all(
        not (iterations_a[loop].isdisjoint(iterations_b[loop])) for loop in iterations_a.keys() & iterations_b.keys()
    )
