"""Whether the objects that a call can reach are those of a recorded call, up to a renaming.

Six layers of one class are six objects that hold the same: a call recorded with one of them is replayed for the others.
Instances, lists, dicts and tensors that the arguments reach may be other ones, as long as one stands for one: the same
attributes, constants and labels, and references that go the same ways. Functions, classes, modules and whatever a
variable around the call holds have to be the same objects. Which iteration of a loop made a layer may differ as well.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from checks.program.engine.labels import Adapted, Labels, Symbol
from checks.program.engine.values import (
    Bound,
    Cell,
    ClassObject,
    External,
    Gradient,
    Heap,
    Instance,
    Parameters,
    Sequence,
    Value,
)
from checks.program.engine.values import Mapping as MappingObject

RENAMED = frozenset([Instance, Cell, Sequence, MappingObject, Parameters, Gradient, Bound, External])


class Entry(NamedTuple):
    """An object and what it holds, its labels less the adaptations, and the group of objects that carry the same ones."""

    heap: Heap
    content: Any
    plain: Labels
    group: int


def content_of(heap: Heap) -> Any:
    """What of an object can change, its labels apart."""
    kind = type(heap)
    if kind is Instance:
        return heap.attrs  # type: ignore[attr-defined]
    if kind is Cell:
        return (heap.table, heap.owned)  # type: ignore[attr-defined]
    if kind is Sequence:
        return (heap.items, heap.exact)  # type: ignore[attr-defined]
    if kind is MappingObject:
        return (heap.items, heap.rest, heap.keys_known)  # type: ignore[attr-defined]
    if kind is ClassObject:
        return heap.scope.vars  # type: ignore[attr-defined]
    return None


class Renaming:
    """Finds, for recorded objects, those that stand in their place now: ``now``, by recorded ident.

    ``states``: the adaptations that each group of objects carries now, None for one that was not met. ``symbols``: what
    the iterations stand for now in which objects were made. ``moved``: an object was made at another line.
    """

    def __init__(
        self,
        entries: Mapping[int, Entry],
        fixed: Mapping[int, Entry],
        held: Callable[[], frozenset[Symbol]],
        groups: int,
    ) -> None:
        self.now: dict[int, Heap] = {}
        self.states: list[Labels | None] = [None] * groups
        self.symbols: dict[Symbol, Symbol] = {}
        self.moved = False
        self._entries = entries
        self._fixed = fixed
        self._held = held
        self._taken: set[int] = set()
        self._stack: list[tuple[Heap, Heap]] = []

    def matches(self, recorded: Iterable[tuple[Heap, ...]], values: Iterable[Value]) -> bool:
        """Whether what the values reach is what the recorded arguments' references reached."""
        stack, now, fixed = self._stack, self.now, self._fixed
        for refs, value in zip(recorded, values, strict=True):
            pairs = zip(refs, value.refs, strict=True)  # tuples are taken apart into values of their own
            stack += [p for p in pairs if type(p[0]) is not Sequence or p[0].mutable]
        while stack:
            was, heap = stack.pop()
            known = fixed[was.ident].heap if was.ident in fixed else now.get(was.ident)
            if known is None:
                if heap.ident in self._taken or heap.ident in fixed:
                    return False
                now[was.ident] = heap
                self._taken.add(heap.ident)
                if not self._alike(self._entries[was.ident], heap):
                    return False
            elif known is not heap:
                return False
        return len(set(self.symbols.values())) == len(self.symbols)

    def _alike(self, entry: Entry, heap: Heap) -> bool:
        was = entry.heap
        if type(was) is not type(heap) or not self.state(entry, heap):
            return False
        self.moved = self.moved or was.line != heap.line
        if isinstance(was, Instance) and isinstance(heap, Instance):
            if was.cls is not heap.cls or was.external != heap.external:
                return False
        elif isinstance(was, (Parameters, Gradient)) and isinstance(heap, (Parameters, Gradient)):
            self._stack.append((was.owner, heap.owner))
            return True
        elif isinstance(was, Cell) and isinstance(heap, Cell):
            return was.parameter == heap.parameter and bool(entry.content == content_of(heap))
        elif isinstance(was, Sequence) and isinstance(heap, Sequence):
            if was.mutable != heap.mutable:
                return False
        elif isinstance(was, Bound) and isinstance(heap, Bound):
            return was.function is heap.function and was.name == heap.name and self._same(was.owner, heap.owner)
        elif isinstance(was, External) and isinstance(heap, External):
            return was.name == heap.name
        return self._same(entry.content, content_of(heap))

    def state(self, entry: Entry, heap: Heap) -> bool:
        """Whether an object has the labels of a recorded one, up to the adaptations of its group."""
        if entry.group < 0:
            return heap.labels == entry.plain
        adapted = frozenset([x for x in heap.labels if type(x) is Adapted])
        if not adapted or len(heap.labels) - len(adapted) != len(entry.plain) or not heap.labels >= entry.plain:
            return False
        known = self.states[entry.group]
        if known is None:
            self.states[entry.group] = adapted
        return known is None or known == adapted

    def _same(self, was: Any, now: Any) -> bool:
        kind = type(was)
        if kind is not type(now):
            return False
        if kind is Value:
            if was is not now and not (
                type(was.const) is type(now.const) and was.const == now.const and was.labels == now.labels
                and was.text == now.text and was.counter == now.counter and was.later == now.later
                and len(was.refs) == len(now.refs) and _followed(was) == _followed(now)
            ):  # fmt: skip
                return False
            if was.refs:
                self._stack += zip(was.refs, now.refs, strict=True)
            return not (was.symbols or now.symbols) or self._renamed(was.symbols, now.symbols)
        if kind is dict:
            return was.keys() == now.keys() and all([self._same(v, now[k]) for k, v in was.items()])
        if kind is list or kind is tuple:
            return len(was) == len(now) and all([self._same(x, y) for x, y in zip(was, now, strict=True)])
        return bool(was == now)

    def _renamed(self, was: frozenset[Symbol], now: frozenset[Symbol]) -> bool:
        """Whether symbols stand for symbols; of each set, one that is not in the other stands for that one."""
        for symbol in was & now:
            if self.symbols.setdefault(symbol, symbol) != symbol:
                return False
        if was == now:
            return True
        if len(was - now) != 1 or len(now - was) != 1 or not self._held().isdisjoint(was - now):
            return False
        ((symbol,), (other,)) = was - now, now - was
        return self.symbols.setdefault(symbol, other) == other


def _followed(value: Value) -> bool:
    return value.form is not None and value.form.op != "leaf"
