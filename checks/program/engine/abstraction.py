"""The arguments of a call up to a renaming: what a summary of the call is kept under, and how it is made concrete again.

The engine looks at a label's kind, at the source and role of token data, and at which values carry it; not at which
module, adaptation, selection or loop iteration it names. So two calls whose arguments carry labels in the same pattern
take the same path. ``abstract`` replaces what is only named by stand-ins: all modules (``Uses``) that occur in exactly
the same arguments by one, adaptations, selections of one split and loop symbols likewise; ``Concrete`` puts back what
the stand-ins stand for. Scores, look-ups and flags keep their identity, because the engine looks into them.

The one place that compares selections (a key that mixes two of them) notes what it compared, see ``Recording.apart``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from checks.program.engine.forms import renewed
from checks.program.engine.labels import NO_LABELS, NO_SYMBOLS, Adapted, Data, Label, Labels, Symbol, Uses
from checks.program.engine.renaming import RENAMED, Renaming
from checks.program.engine.values import Bound, Cell, External, Heap, Instance, Mapping, Sequence, Value

_LOOPS, _WHILE, _SYMBOL, _ARGUMENT, _HEAP, _DATA = range(6)

_PLAIN = frozenset([bool, int, float, str])


class Beyond(Exception):
    """A value that no summary can speak of."""


def stand_in(serial: int, space: int, number: int) -> int:
    """A negative number that no other recording, and nothing real, uses."""
    return -((number << 40) | (serial << 3) | space) - (1 << 62)


@dataclass
class Form:
    """Abstracted arguments.

    ``key`` is equal for calls that differ only by renaming. ``modules``, ``adapted`` and ``symbols`` say what the
    stand-ins of each pattern stand for; a pattern is the set of arguments (a bit mask) in which a label occurs.
    """

    args: list[Value]
    keywords: dict[str, Value]
    key: object = None
    flat: list[Value] = field(default_factory=list)
    order: dict[int, int] = field(default_factory=dict)
    data: dict[tuple[str, str, int], set[Data]] = field(default_factory=dict)
    modules: dict[int, set[Label]] = field(default_factory=dict)
    adapted: dict[int, set[Label]] = field(default_factory=dict)
    symbols: dict[int, set[Symbol]] = field(default_factory=dict)
    patterns: dict[Symbol, int] = field(default_factory=dict)

    def selections(self, serial: int) -> dict[Symbol, tuple[str, set[Data]]]:
        """What the stand-ins of token data in one recording stand for, with the role that it has in the arguments."""
        groups = enumerate(sorted(self.data))
        return {(stand_in(serial, _DATA, i), 0): (key[1], self.data[key]) for i, key in groups}


def abstract(args: list[Value], keywords: dict[str, Value]) -> Form:
    """Find the pattern of labels and symbols in the arguments of a call.

    Raises ``Beyond`` for arguments that are looked into: loop counters, constants that cannot be compared.
    """
    form = Form(args, keywords)
    shape = [_flatten(v, form) for v in args]
    named = [(name, _flatten(v, form)) for name, v in keywords.items()]
    where: dict[Label, int] = {}
    symbols: dict[Symbol, int] = {}
    kept: list[Labels] = []
    for index, value in enumerate(form.flat):
        bit = 1 << index
        if value.labels:
            kept.append(_note(value.labels, bit, where))
        else:
            kept.append(NO_LABELS)
        for symbol in value.symbols:
            symbols[symbol] = symbols.get(symbol, 0) | bit
    for label, mask in where.items():
        kind = type(label)
        if kind is Uses:
            form.modules.setdefault(mask, set()).add(label)
        elif kind is Adapted:
            form.adapted.setdefault(mask, set()).add(label)
        elif kind is Data:
            form.data.setdefault((label.source, label.role, mask), set()).add(label)  # type: ignore[union-attr, arg-type]
    form.patterns = symbols
    for symbol, mask in symbols.items():
        form.symbols.setdefault(mask, set()).add(symbol)
    form.key = (
        tuple(shape), tuple(named), tuple(kept), frozenset(form.data),
        frozenset(form.modules), frozenset(form.adapted), frozenset(form.symbols),
    )  # fmt: skip
    return form


def _note(labels: Labels, bit: int, where: dict[Label, int]) -> Labels:
    """Note where the labels that are only named occur; return the others."""
    kept = []
    for label in labels:
        kind = type(label)
        if kind is Uses or kind is Data or kind is Adapted:
            where[label] = where.get(label, 0) | bit
        else:
            kept.append(label)
    return frozenset(kept) if kept else NO_LABELS


def _flatten(value: Value, form: Form) -> object:
    """What of a value has to be the same; its labels are left to the caller. Tuples are taken apart."""
    if value.counter is not None:
        raise Beyond
    form.flat.append(value)
    refs = tuple([_object(r, form) for r in value.refs])
    const = value.const
    if type(const) is tuple:
        const = (tuple, tuple([(type(c), c) for c in const]))
    try:
        hash(const)
    except TypeError:
        raise Beyond from None
    return (type(const), const, refs, value.text, value.later)


def _object(heap: Heap, form: Form) -> object:
    """What of an object has to be the same: which of the arguments' objects it is, and of which class."""
    kind = type(heap)
    if kind is Sequence and isinstance(heap, Sequence) and not heap.mutable:
        return _row(heap, form)
    if kind not in RENAMED:
        return heap.ident
    at = form.order.setdefault(heap.ident, len(form.order))
    if kind is Instance and isinstance(heap, Instance):
        held = [v.const if type(v.const) in _PLAIN else None for v in heap.attrs.values()]  # tells layers apart
        return (at, heap.external, heap.cls.ident if heap.cls is not None else 0, *held)
    if kind is External or kind is Bound:
        return (at, kind, heap.name)  # type: ignore[attr-defined]
    return (at, kind)


def _row(row: Sequence, form: Form) -> object:
    if row.labels:
        raise Beyond
    return (row.exact, tuple([_flatten(item, form) for item in row.items]))


class Abstracted:
    """The arguments with stand-ins, for one recording (``serial``)."""

    def __init__(self, form: Form, serial: int) -> None:
        self.form = form
        self.serial = serial
        self._rows: dict[int, Heap] = {}
        self._selections: dict[Data, Symbol] = {}
        for symbol, (_, group) in form.selections(serial).items():
            self._selections.update(dict.fromkeys(group, symbol))
        self.args = [self._value(v) for v in form.args]
        self.keywords = {name: self._value(v) for name, v in form.keywords.items()}

    def _value(self, value: Value) -> Value:
        refs = value.refs
        if any([type(r) is Sequence and not r.mutable for r in refs]):
            refs = tuple([self._row(r) if type(r) is Sequence and not r.mutable else r for r in refs])
        elif not value.labels and not value.symbols:
            return value
        return Value(
            value.const, refs, self._labels(value.labels), self._symbols(value.symbols), value.text, None, value.later
        )

    def _row(self, row: Sequence) -> Heap:
        known = self._rows.get(row.ident)
        if known is None:
            known = Sequence([self._value(item) for item in row.items], row.exact, False, row.line)
            self._rows[row.ident] = known
        return known

    def _symbols(self, symbols: frozenset[Symbol]) -> frozenset[Symbol]:
        patterns, serial = self.form.patterns, self.serial
        return frozenset([(stand_in(serial, _SYMBOL, patterns[s]), 0) for s in symbols]) if symbols else symbols

    def _labels(self, labels: Labels) -> Labels:
        if not labels:
            return labels
        form, serial = self.form, self.serial
        out: list[Label] = []
        for label in labels:
            kind = type(label)
            if kind is Data:
                symbol = self._selections[label]  # type: ignore[index]
                out.append(Data(label.source, frozenset([symbol]), label.role))  # type: ignore[union-attr]
            elif kind is not Uses and kind is not Adapted:
                out.append(label)
        out += [
            Uses(stand_in(serial, _ARGUMENT, m)) for m, group in form.modules.items() if not group.isdisjoint(labels)
        ]
        out += [
            Adapted(stand_in(serial, _ARGUMENT, m)) for m, group in form.adapted.items() if not group.isdisjoint(labels)
        ]
        return frozenset(out)


def loops_stand_in(serial: int) -> Symbol:
    """Stands for all running loops."""
    return (stand_in(serial, _LOOPS, 0), 0)


def while_stand_in(serial: int) -> Symbol:
    """Stands for all running ``while`` loops."""
    return (stand_in(serial, _WHILE, 0), 0)


def state_stand_in(serial: int, group: int) -> Adapted:
    """Stands for the adaptations that one group of objects carries."""
    return Adapted(stand_in(serial, _HEAP, group))


class Concrete:
    """Puts back, in what a recording returned, the labels and symbols of one call."""

    def __init__(
        self, form: Form, serial: int, groups: Iterable[Labels | None], loops: Iterable[Symbol],
        while_loops: Iterable[Symbol], renaming: Renaming | None = None,
    ) -> None:  # fmt: skip
        self._renamed: dict[int, Heap] = {}
        self._symbol: dict[Symbol, frozenset[Symbol]] = {
            (stand_in(serial, _SYMBOL, mask), 0): frozenset(group) for mask, group in form.symbols.items()
        }
        self._symbol[loops_stand_in(serial)] = frozenset(loops)
        self._symbol[while_stand_in(serial)] = frozenset(while_loops)
        if renaming is not None:
            self._renamed = {ident: heap for ident, heap in renaming.now.items() if heap.ident != ident}
            self._symbol.update({s: frozenset([now]) for s, now in renaming.symbols.items()})
        self._label: dict[Label, Iterable[Label]] = {}
        for mask, modules in form.modules.items():
            self._label[Uses(stand_in(serial, _ARGUMENT, mask))] = modules
        for mask, adapted in form.adapted.items():
            self._label[Adapted(stand_in(serial, _ARGUMENT, mask))] = adapted
        for index, group in enumerate(groups):
            self._label[state_stand_in(serial, index)] = group or NO_LABELS
        self._data = form.selections(serial)
        self._known: dict[Labels, Labels] = {}
        self._copies: dict[int, Heap] = {}

    def symbols(self, symbols: frozenset[Symbol]) -> frozenset[Symbol]:
        """The real symbols."""
        if not symbols:
            return symbols
        if len(symbols) == 1:
            (symbol,) = symbols
            return self._symbol.get(symbol, symbols)
        return frozenset().union(*[self._symbol.get(s, (s,)) for s in symbols])

    def labels(self, labels: Labels) -> Labels:
        """The real labels."""
        if not labels:
            return labels
        known = self._known.get(labels)
        if known is None:
            out: set[Label] = set()
            for label in labels:
                group = self._label.get(label)
                if group is None:
                    group = self._label[label] = self._renamed_label(label)
                out.update(group)
            known = self._known[labels] = frozenset(out)
        return known

    def heap(self, heap: Heap) -> Heap:
        """The object that stands in the place of a recorded one."""
        return self._renamed.get(heap.ident, heap)

    def _renamed_label(self, label: Label) -> Iterable[Label]:
        if type(label) is Data:
            return self._selections(label)
        if type(label) is Uses and label.ident in self._renamed:
            return (Uses(self._renamed[label.ident].ident),)
        return (label,)

    def _selections(self, data: Data) -> Iterable[Data]:
        for symbol in data.symbols:
            if symbol in self._data:
                (given, group), role = self._data[symbol], data.role
                more = self.symbols(data.symbols - {symbol}) if len(data.symbols) > 1 else NO_SYMBOLS
                if role == given:  # the arguments' own data, where it was not narrowed
                    return [x if more <= x.symbols else Data(x.source, more | x.symbols, role) for x in group]
                return [Data(x.source, more | x.symbols, role) for x in group]
        return (Data(data.source, self.symbols(data.symbols), data.role),)

    def value(self, value: Value, since: int, made: frozenset[Symbol], passes: frozenset[Symbol]) -> Value:
        """The real value; lists, dicts and tensors made after ``since`` are made anew.

        ``made`` are the passes that ran when the recording was made, ``passes`` those that run now.
        """
        refs, renamed = value.refs, self._renamed
        for ref in refs:
            if ref.ident > since or ref.ident in renamed:
                refs = tuple(
                    [self._copy(r, since, made, passes) if r.ident > since else renamed.get(r.ident, r) for r in refs]
                )
                break
        else:
            if not value.labels and not value.symbols:
                return value
        real = Value(
            value.const,
            refs,
            self.labels(value.labels),
            self.symbols(value.symbols),
            value.text,
            value.counter,
            value.later,
        )
        real.form, real.mask = renewed(value.form), value.mask
        return real

    def _copy(self, heap: Heap, since: int, made: frozenset[Symbol], passes: frozenset[Symbol]) -> Heap:
        known = self._copies.get(heap.ident)
        if known is not None:
            return known
        kind = type(heap)
        new: Heap
        if isinstance(heap, Sequence):
            new = self._copies[heap.ident] = Sequence([], heap.exact, heap.mutable, heap.line)
            new.items = [self.value(i, since, made, passes) for i in heap.items]
        elif isinstance(heap, Mapping):
            new = self._copies[heap.ident] = Mapping(None, None, heap.line)
            new.items = {k: self.value(v, since, made, passes) for k, v in heap.items.items()}
            new.rest = self.value(heap.rest, since, made, passes) if heap.rest is not None else None
            new.keys_known = heap.keys_known
        elif kind is Cell and isinstance(heap, Cell):
            new = self._copies[heap.ident] = Cell(heap.line, (), heap.parameter)
            new.table, new.owned, new.buffer = heap.table, heap.owned, heap.buffer
            new.made = (heap.made - made) | passes if heap.made else NO_SYMBOLS
        else:
            raise Beyond
        new.labels.update(self.labels(frozenset(heap.labels)))
        return new


def copyable(value: Value, since: int, until: int, seen: set[int]) -> bool:
    """Whether ``Concrete`` can make a value anew: what was made in between is lists, dicts and tensors only."""
    for loop, _ in value.symbols:
        if since < loop <= until:
            return False
    for label in value.labels:
        if type(label) is Uses and label.ident > since:
            return False
        if type(label) is Data and any([since < loop <= until for loop, _ in label.symbols]):
            return False
    for ref in value.refs:
        if ref.ident <= since or ref.ident in seen:
            continue
        seen.add(ref.ident)
        if isinstance(ref, Sequence):
            inner = ref.items
        elif isinstance(ref, Mapping):
            inner = [*ref.items.values(), *([ref.rest] if ref.rest is not None else [])]
        elif type(ref) is Cell:
            inner = []
        else:
            return False
        if not all([copyable(v, since, until, seen) for v in (*inner, Value(labels=frozenset(ref.labels)))]):
            return False
    return True
