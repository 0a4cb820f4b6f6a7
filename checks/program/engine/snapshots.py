"""What a set of heap objects holds: taken before a call, compared after it and before it is replayed, put back if need be.

Comparison is by content, not by a mark that whoever changes an object has to leave: a change can not be overlooked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from checks.program.engine.abstraction import state_stand_in
from checks.program.engine.labels import NO_LABELS, Adapted, Label, Labels, Symbol
from checks.program.engine.renaming import RENAMED, Entry, Renaming, content_of
from checks.program.engine.values import (
    Bound,
    Cell,
    ClassObject,
    Function,
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
    merge_symbols,
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

    def make(self, heap: Heap, concrete: Callable[[Value], Value], labels: Labels) -> None:
        """Make the object that stands in its place hold that, by way of ``concrete``; ``labels`` are its real ones."""
        heap.labels = set(labels)
        _put_back(heap, _mapped(self.content, concrete))


class Snapshot:
    """The objects that some values reach, and what they hold.

    Adaptations that an object's state carries are replaced by stand-ins while a recording runs (``groups``: one stand-in
    for each distinct set of them), so that the recording holds whatever a module was trained on.
    """

    def __init__(self, serial: int) -> None:
        self.serial = serial
        self.entries: dict[int, Entry] = {}
        self.roots: list[tuple[Heap, ...]] = []
        self.groups: list[Labels] = []
        self.names: dict[tuple[int, str], tuple[Scope, str, Value | None]] = {}
        self._fixed: dict[int, Entry] | None = None
        self._state: list[tuple[set[Label], frozenset[Label]]] = []

    def add(self, values: Iterable[Value], arguments: bool = False) -> None:
        """Take in what values reach; of ``arguments`` not the tuples, which are abstracted.

        Raises ``TooLarge`` when that is too much.
        """
        stack: list[Heap] = []
        for value in values:
            if arguments:
                self.roots.append(value.refs)
            stack.extend([r for r in value.refs if type(r) is not Sequence or r.mutable] if arguments else value.refs)
        while stack:
            heap = stack.pop()
            if heap.ident in self.entries:
                continue
            if len(self.entries) >= _MOST:
                raise TooLarge
            content = content_of(heap)
            self._entry(heap, content)
            stack += _reached(heap, content)

    def _entry(self, heap: Heap, content: Any) -> None:
        held = heap.labels
        if not held:
            self.entries[heap.ident] = Entry(heap, _copied(content), NO_LABELS, -1)
            self._state.append((held, NO_LABELS))
            return
        adapted: Labels = frozenset([x for x in held if type(x) is Adapted])
        group = -1
        if adapted:
            if adapted not in self.groups:
                self.groups.append(adapted)
            group = self.groups.index(adapted)
        self.entries[heap.ident] = Entry(heap, _copied(content), frozenset(held) - adapted, group)
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
        for heap, content, plain, group in self.entries.values():
            expected = plain if group < 0 else plain | {state_stand_in(self.serial, group)}
            if heap.labels != expected or not _same(content_of(heap), content):
                found.append(Change(heap, _copied(content_of(heap)), frozenset(heap.labels)))
        return found

    def restore_state(self) -> None:
        """Take the stand-ins out of the objects' state, where nothing else was changed."""
        for (heap, _, _, group), (held, _) in zip(self.entries.values(), self._state, strict=True):
            if group >= 0:
                heap.labels = held

    def restore(self) -> None:
        """Make the objects hold what they held."""
        for (heap, content, _, _), (_, labels) in zip(self.entries.values(), self._state, strict=True):
            heap.labels = set(labels)
            _put_back(heap, content)

    def same_names(self) -> bool:
        """Whether the variables that were read hold the same values."""
        return all([scope.lookup(name) is value for scope, name, value in self.names.values()])

    def holds(self, values: Iterable[Value]) -> Renaming | None:
        """Whether all that the arguments ``values`` and the variables reach is as it was, up to a renaming."""
        if self._fixed is None:
            self._fixed = self._not_renamed()
        values = list(values)
        renaming = Renaming(self.entries, self._fixed, self._held, len(self.groups))
        if not _unchanged(self._fixed.values(), renaming):
            return None
        if all([v.refs == refs for v, refs in zip(values, self.roots, strict=True)]):
            same = Renaming(self.entries, self._fixed, self._held, len(self.groups))
            if _unchanged(self.entries.values(), same):
                return same
        return renaming if renaming.matches(self.roots, values) else None

    def _held(self) -> frozenset[Symbol]:
        """The iterations in which what variables hold was made."""
        held = [v for e in (self._fixed or {}).values() for v in _values(e.content)]
        return merge_symbols([*held, *[v for _, _, v in self.names.values() if v is not None]])

    def _not_renamed(self) -> dict[int, Entry]:
        """The objects that no other can stand for: what variables hold, code, and all that these reach."""
        stack = [r for _, _, value in self.names.values() if value is not None for r in value.refs]
        stack += [e.heap for e in self.entries.values() if type(e.heap) not in RENAMED]
        fixed: dict[int, Entry] = {}
        while stack:
            heap = stack.pop()
            if heap.ident not in fixed:
                entry = fixed[heap.ident] = self.entries[heap.ident]
                stack += _reached(heap, entry.content)
        return fixed


def _unchanged(entries: Iterable[Entry], renaming: Renaming) -> bool:
    """Whether objects hold what they held, up to the adaptations."""
    for entry in entries:
        heap, content, plain, group = entry
        if heap.labels != plain if group < 0 else not renaming.state(entry, heap):
            return False
        if type(heap) is Cell:  # most of them
            if content != (heap.table, heap.owned):
                return False
        elif content is not None and not _same(content_of(heap), content):
            return False
    return True


def _reached(heap: Heap, content: Any) -> list[Heap]:
    """The objects that an object which holds ``content`` refers to."""
    found: list[Heap] = []
    if type(heap) is Cell or type(heap) is Function:
        return found
    if isinstance(heap, (Parameters, Gradient)):
        return [heap.owner]
    if isinstance(heap, (Instance, ClassObject)):
        values: Iterable[Value] = content.values()
        found += heap.bases if isinstance(heap, ClassObject) else [heap.cls] if heap.cls is not None else []
    elif isinstance(heap, Sequence):
        values = content[0]
    elif isinstance(heap, Mapping):
        values = [*content[0].values(), *([content[1]] if content[1] is not None else [])]
    elif isinstance(heap, Bound):
        values = (heap.owner,)
    elif isinstance(heap, Partial):
        values = (heap.callee, *heap.args, *heap.keywords.values())
    elif isinstance(heap, Zipped):
        values = heap.parts
    elif isinstance(heap, Range):
        values = (heap.start, heap.stop, heap.step)
    else:
        return found
    for value in values:
        if value.refs:
            found += value.refs
    return found


def _copied(content: Any) -> Any:
    kind = type(content)
    if kind is dict or kind is list:
        return content.copy()
    return tuple([_copied(part) for part in content]) if kind is tuple else content


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
