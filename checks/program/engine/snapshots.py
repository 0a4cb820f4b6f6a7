"""What a set of heap objects holds: taken before a call, compared after it and before it is replayed, put back if need be.

Comparison is by content, not by a mark that whoever changes an object has to leave: a change can not be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from checks.program.engine.abstraction import state_stand_in
from checks.program.engine.labels import NO_LABELS, Adapted, Label, Labels
from checks.program.engine.values import (
    Bound,
    Cell,
    ClassObject,
    Gradient,
    Heap,
    Instance,
    Mapping,
    Parameters,
    Partial,
    Range,
    Scope,
    Sequence,
    Value,
    Zipped,
)

_MOST = 3000  # objects; a call that can reach more is not worth a summary


class TooLarge(Exception):
    """The values reach too many objects."""


class Change(NamedTuple):
    """What an object holds at the end of a recording."""

    heap: Heap
    content: Any
    labels: Labels

    def values(self) -> list[Value]:
        """The values that it holds, and its labels as one."""
        return [*_values(self.content), Value(labels=self.labels)]

    def make(self, concrete: Callable[[Value], Value], labels: Labels) -> None:
        """Make the object hold that, by way of ``concrete``; ``labels`` are its real ones."""
        self.heap.labels = set(labels)
        _put_back(self.heap, _mapped(self.content, concrete))


class Snapshot:
    """The objects that some values reach, and what they hold.

    Adaptations that an object's state carries are replaced by stand-ins while a recording runs (``groups``: one stand-in
    for each distinct set of them), so that the recording holds whatever a module was trained on.
    """

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.entries: list[tuple[Heap, Any, Labels, int]] = []
        self.groups: list[Labels] = []
        self.names: dict[tuple[int, str], tuple[Scope, str, Value | None]] = {}
        self._seen: set[int] = set()
        self._state: list[tuple[set[Label], frozenset[Label]]] = []

    def add(self, values: Iterable[Value], arguments: bool = False) -> None:
        """Take in what values reach; of ``arguments`` not the tuples, which are abstracted.

        Raises ``TooLarge`` when that is too much.
        """
        stack: list[Heap] = []
        for value in values:
            stack.extend([r for r in value.refs if type(r) is not Sequence or r.mutable] if arguments else value.refs)
        while stack:
            heap = stack.pop()
            if heap.ident in self._seen:
                continue
            self._seen.add(heap.ident)
            if len(self.entries) >= _MOST:
                raise TooLarge
            self._entry(heap)
            for value in _children(heap):
                if value.refs:
                    stack.extend(value.refs)
            if type(heap) is Parameters or type(heap) is Gradient:
                stack.append(heap.owner)
            elif type(heap) is Instance and heap.cls is not None:
                stack.append(heap.cls)
            elif type(heap) is ClassObject:
                stack.extend(heap.bases)

    def _entry(self, heap: Heap) -> None:
        held = heap.labels
        if not held:
            self.entries.append((heap, _copied(_content(heap)), NO_LABELS, -1))
            self._state.append((held, NO_LABELS))
            return
        adapted: Labels = frozenset([x for x in held if type(x) is Adapted])
        group = -1
        if adapted:
            if adapted not in self.groups:
                self.groups.append(adapted)
            group = self.groups.index(adapted)
        self.entries.append((heap, _copied(_content(heap)), frozenset(held) - adapted, group))
        self._state.append((held, frozenset(held)))
        if group >= 0:
            heap.labels = {*(held - adapted), state_stand_in(self.serial, group)}

    def read(self, scope: Scope, name: str, value: Value | None) -> bool:
        """Take in a variable of a scope around the call, when it is first read; whether it is."""
        key = (id(scope), name)
        if key in self.names:
            return False
        self.names[key] = (scope, name, value)
        if value is not None:
            self.add((value,))
        return True

    def changes(self) -> list[Change]:
        """The objects that hold something else at the end of the recording, and what."""
        found = []
        for heap, content, plain, group in self.entries:
            expected = plain if group < 0 else plain | {state_stand_in(self.serial, group)}
            if heap.labels != expected or not _same(_content(heap), content):
                found.append(Change(heap, _copied(_content(heap)), frozenset(heap.labels)))
        return found

    def restore_state(self) -> None:
        """Take the stand-ins out of the objects' state, where nothing else was changed."""
        for (heap, _, _, group), (held, _) in zip(self.entries, self._state, strict=True):
            if group >= 0:
                heap.labels = held

    def restore(self) -> None:
        """Make the objects hold what they held."""
        for (heap, content, _, _), (_, labels) in zip(self.entries, self._state, strict=True):
            heap.labels = set(labels)
            _put_back(heap, content)

    def same_names(self) -> bool:
        """Whether the variables that were read hold the same values."""
        return all([scope.lookup(name) is value for scope, name, value in self.names.values()])

    def holds(self) -> list[Labels] | None:
        """Whether all is as it was up to the adaptations: what their stand-ins stand for now; None if not."""
        groups: list[Labels | None] = [None] * len(self.groups)
        for heap, content, plain, group in self.entries:
            if group < 0:
                if heap.labels != plain:
                    return None
            else:
                adapted = frozenset([x for x in heap.labels if type(x) is Adapted])
                if not adapted or len(heap.labels) - len(adapted) != len(plain) or not heap.labels >= plain:
                    return None
                if groups[group] is None:
                    groups[group] = adapted
                elif groups[group] != adapted:
                    return None
            if not _same(_content(heap), content):
                return None
        return [g for g in groups if g is not None]


def _children(heap: Heap) -> Iterable[Value]:
    kind = type(heap)
    if isinstance(heap, Instance):
        return heap.attrs.values()
    if isinstance(heap, Sequence):
        return heap.items
    if isinstance(heap, Mapping):
        return [*heap.items.values(), *([heap.rest] if heap.rest is not None else [])]
    if isinstance(heap, ClassObject):
        return heap.scope.vars.values()
    if kind is Bound and isinstance(heap, Bound):
        return (heap.owner,)
    if isinstance(heap, Partial):
        return (heap.callee, *heap.args, *heap.keywords.values())
    if isinstance(heap, Zipped):
        return heap.parts
    if isinstance(heap, Range):
        return (heap.start, heap.stop, heap.step)
    return ()


def _content(heap: Heap) -> Any:
    kind = type(heap)
    if kind is Instance:
        return heap.attrs  # type: ignore[attr-defined]
    if kind is Cell:
        return (heap.table, heap.owned)  # type: ignore[attr-defined]
    if kind is Sequence:
        return (heap.items, heap.exact)  # type: ignore[attr-defined]
    if kind is Mapping:
        return (heap.items, heap.rest, heap.keys_known)  # type: ignore[attr-defined]
    if kind is ClassObject:
        return heap.scope.vars  # type: ignore[attr-defined]
    return None


def _copied(content: Any) -> Any:
    if isinstance(content, tuple):
        return tuple([_copied(part) for part in content])
    return content.copy() if isinstance(content, (dict, list)) else content


def _put_back(heap: Heap, content: Any) -> None:
    if isinstance(heap, Instance):
        heap.attrs.clear()
        heap.attrs.update(content)
    elif isinstance(heap, Cell):
        heap.table, heap.owned = content
    elif isinstance(heap, Sequence):
        heap.items, heap.exact = list(content[0]), content[1]
    elif isinstance(heap, Mapping):
        heap.items, heap.rest, heap.keys_known = dict(content[0]), content[1], content[2]
    elif isinstance(heap, ClassObject):
        heap.scope.vars.clear()
        heap.scope.vars.update(content)


def _values(content: Any) -> list[Value]:
    if isinstance(content, Value):
        return [content]
    if isinstance(content, dict):
        content = content.values()
    return (
        [v for part in content for v in _values(part)]
        if isinstance(content, Iterable) and not isinstance(content, str)
        else []
    )


def _mapped(content: Any, function: Callable[[Value], Value]) -> Any:
    if isinstance(content, Value):
        return function(content)
    if isinstance(content, dict):
        return {k: _mapped(v, function) for k, v in content.items()}
    if isinstance(content, (list, tuple)):
        return type(content)([_mapped(v, function) for v in content])
    return content


def _same(a: Any, b: Any) -> bool:
    """Whether two contents are equal; values that were made anew may be equal too."""
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is Value:
        return bool(
            type(a.const) is type(b.const) and a.const == b.const and a.refs == b.refs and a.labels == b.labels
            and a.symbols == b.symbols and a.text == b.text and a.counter == b.counter and a.later == b.later
        )  # fmt: skip
    if a == b:
        return True
    if kind is dict:
        return a.keys() == b.keys() and all([_same(v, b[k]) for k, v in a.items()])
    if kind is list or kind is tuple:
        return len(a) == len(b) and all([_same(x, y) for x, y in zip(a, b, strict=True)])
    return False
