"""Token data among labels, and how a selection narrows it without the labels growing at every loop."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from checks.program.engine.labels import Data, Labels, Symbol

_NONE: frozenset[Data] = frozenset()
_REMEMBERED = 4096  # sets of labels: the same ones are asked about all over an expression
_TOLD_APART = 64  # selections in one set of labels; with more, those that others cover are dropped


def refine(labels: Labels, symbols: frozenset[Symbol], role: str = "") -> Labels:
    """Narrow token data to a selection: its symbols are added, its role is set where it was open."""
    if not symbols and not role:
        return labels
    if len(labels) > _TOLD_APART:
        labels = _covering(labels)
    return frozenset([_refined(x, symbols, role) if type(x) is Data else x for x in labels])


def _refined(data: Data, symbols: frozenset[Symbol], role: str) -> Data:
    """Of training tokens the last selection is kept: to tell every sequence of them apart doubles the labels each time."""
    if data.source == "train" and data.role != "path":
        return Data(data.source, symbols or data.symbols, data.role or role)
    return Data(data.source, data.symbols | symbols, data.role or role)


@functools.lru_cache(_REMEMBERED)
def data_of(labels: Labels) -> frozenset[Data]:
    """The token data among labels (not the names of the files that hold it)."""
    return frozenset([x for x in labels if type(x) is Data and x.role != "path"]) if labels else _NONE


@functools.lru_cache(_REMEMBERED)
def _covering(labels: Labels) -> Labels:
    """The labels without token data whose every token other data among them may hold as well."""
    kept: dict[tuple[str, str], list[Mapping[int, set[int]]]] = {}
    result = {x for x in labels if type(x) is not Data}
    data = sorted(
        (x for x in labels if type(x) is Data), key=lambda x: (len({s[0] for s in x.symbols}), -len(x.symbols))
    )
    for item in data:
        chosen: dict[int, set[int]] = {}
        for loop, k in item.symbols:
            chosen.setdefault(loop, set()).add(k)
        wider = kept.setdefault((item.source, item.role), [])
        if not any(all(loop in chosen and chosen[loop] <= ks for loop, ks in other.items()) for other in wider):
            wider.append(chosen)
            result.add(item)
    return frozenset(result)
