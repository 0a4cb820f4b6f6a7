"""Reading and writing items: list entries, slices of tokens, tables keyed by tokens, scores."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from checks.program.engine.access import Access
from checks.program.engine.counter import Counter
from checks.program.engine.extents import FEWEST, content_of
from checks.program.engine.folding import ahead
from checks.program.engine.labels import NO_LABELS, Adapted, Data, Flag, Labels, Looked, Scored, Symbol, Uses
from checks.program.engine.selections import data_of, refine
from checks.program.engine.values import (
    NOTHING,
    UNKNOWN,
    Cell,
    External,
    Heap,
    Instance,
    Mapping,
    Parameters,
    Sequence,
    Value,
    hashable,
    join,
    merge_labels,
)

_FEW = range(17)


class Items(Access):
    """Item access and assignment on abstract values."""

    def subscript(self, owner: Value, index: Value, node: ast.expr | None) -> Value:
        """Return ``owner[index]``: an item, a slice of tokens, a table lookup or a gathered score."""
        return self.file_cut(self._item_of(owner, index, node), index)

    def _item_of(self, owner: Value, index: Value, node: ast.expr | None) -> Value:
        few = isinstance(node, ast.Slice) and isinstance(node.upper, ast.Constant) and node.upper.value in _FEW
        if few and not any(isinstance(r, Sequence) for r in owner.refs):
            return Value(refs=owner.refs[:0])  # at most a few leading tokens: no data to speak of
        result: Value | None = None
        chosen = frozenset(x for x in owner.labels if isinstance(x, Flag) and x.name == "chosen-by-score")
        for ref in owner.refs:
            found: Value | None = None
            if isinstance(ref, Sequence):
                found = _piece(ref, node) or self._sequence_item(ref, index, owner)
                mine = self.chosen_for(chosen, found) if chosen else chosen
                if mine:
                    found = Value(UNKNOWN, found.refs, found.labels | mine, found.symbols)
            elif isinstance(ref, Mapping):
                found = self._mapping_item(ref, index)
            if found is not None:
                result = found if result is None else join(result, found)
        if result is not None:
            return result
        for ref in owner.refs:
            if isinstance(ref, External):
                if ref.name == "os.environ":
                    return self.environment_value(index, None)
                return owner
            if isinstance(ref, Instance) and ref.cls is not None:
                found = ref.cls.find("__getitem__")
                if found is not None:
                    return self.call(self.attribute(Value(refs=(ref,)), "__getitem__"), [index], {}, None)
                if ref.external == "namespace" and index.known and index.const in ref.attrs:
                    return ref.attrs[index.const]
        return self.select(owner, index, node)

    def environment_value(self, name: Value, default: Value | None) -> Value:
        """``os.environ[name]`` under the effective configuration."""
        if name.known and isinstance(name.const, str):
            configured = self.environment.get(name.const)
            if configured is not None:
                return self.string(configured)
        return default if default is not None else NOTHING

    def select(self, owner: Value, index: Value, node: ast.expr | None) -> Value:
        """Select from a tensor, array or unknown object."""
        labels = self.full_labels(owner) if owner.refs else owner.labels
        data = data_of(labels)
        key = data_of(index.labels)
        through = self.key_of(index)
        role = index.text[6:] if index.text.startswith("slice:") else ""
        predicted = any(isinstance(x, Uses) for x in labels)
        if key and predicted and any(d.role != "x" for d in key):
            scored = self.score(Value(labels=index.labels), Value(labels=labels))
            if scored is not None:
                return scored
        if data:
            self.walks_by(index)
            self.note_read(labels)
            shift = {"+1": "y", "-k": "x"}.get(index.text, "")
            refined = refine(labels, index.symbols, role or shift) | self._part_of(data, index.labels)
            if predicted and role == "x":  # hidden states of the positions before
                refined = refined | {Flag("shifted", self.line, self.file)}
            return Value(labels=refined, symbols=owner.symbols | index.symbols)
        if key or (through and any(isinstance(x, Adapted) for x in labels)):
            return self.read_table(owner, labels, index)
        cells = tuple(r for r in owner.refs if isinstance(r, (Cell, Parameters)))
        text = owner.text if owner.text in ("+1", "-k") else ""
        if cells and not any(isinstance(r, Cell) and r.table for r in cells):
            labels = labels | self.target_class(index.labels)
        result = Value(refs=cells, labels=labels, symbols=owner.symbols | index.symbols, text=text)
        if index.symbols and any(isinstance(x, Scored) for x in labels):
            return self.narrow(result, index.symbols)
        return result

    def _part_of(self, data: frozenset[Data], index: Labels) -> frozenset[Flag]:
        """Flags for a selection that leaves tokens of a split out: the first so many of all, or random ones."""
        if not any(d.source == "val" for d in data):
            return frozenset()
        random = [x.line for x in index if isinstance(x, Flag) and x.name == "random"]
        if random:
            return frozenset({Flag("partial", min(random), (self.file, "random places"))})
        given = frozenset(x for x in index if isinstance(x, Flag) and x.name in ("partial", "places"))
        if given:
            return given  # the places themselves are of a part
        heads = [x.detail for x in index if isinstance(x, Flag) and x.name == "head" and x.detail < FEWEST]
        few = [x for x in index if isinstance(x, Flag) and x.name == "few-head"]
        names = {x.name for x in index if isinstance(x, Flag)}
        if heads or "cut" in names:
            self.concrete()  # which loops run
        elif "cut-columns" not in names or self.recordings:
            return frozenset()
        running = {loop for loop, _ in self.loops}
        if any(loop in running for d in data for loop, _ in d.symbols):
            return frozenset()
        if heads:
            return frozenset({Flag("partial", self.line, (self.file, f"the first {min(heads):,}"))})
        if few:
            return frozenset(Flag("partial", x.line, x.detail) for x in few)
        return frozenset({Flag("cut", self.line, self.file)}) if any(d.source == "val" for d in data) else frozenset()

    def read_table(self, owner: Value, labels: Labels, index: Value) -> Value:
        """Read a table at a key made of tokens."""
        key = self.key_of(index)
        mixed = any(isinstance(x, Flag) and x.name == "mixed-key" for x in index.labels)
        earlier = [x for x in labels if isinstance(x, Looked)]
        for label in earlier:
            key = key | self.trace.lookups[label.event].key
        line = next((r.line for r in owner.refs if r.line), 0)
        looked = self.lookup(labels, line, key, mixed)
        names = {x.name for x in labels if isinstance(x, Flag)}
        if earlier and names & {"row", "prob", "logprob"}:
            looked = self.lookup(labels, line, key, mixed, row=True)
        kept = frozenset(x for x in labels if isinstance(x, (Flag, Uses)))
        nested = tuple(r for r in owner.refs if isinstance(r, Mapping))
        return Value(refs=nested, labels=kept | {looked}, symbols=owner.symbols | index.symbols)

    def _sequence_item(self, ref: Sequence, index: Value, owner: Value) -> Value:
        if (
            index.known
            and isinstance(index.const, int)
            and ref.exact
            and -len(ref.items) <= index.const < len(ref.items)
        ):
            return self.select_items(ref.items[index.const], owner.symbols) if owner.symbols else ref.items[index.const]
        chosen = index.symbols | owner.symbols
        if index.text.startswith("slice"):
            items = [self.select_items(i, chosen) for i in ref.items]
            heads = [x.detail for x in index.labels if isinstance(x, Flag) and x.name == "head"]
            few = self.few_items(items, min(heads)) if heads else NO_LABELS
            if few:
                items = [marked(i, few) for i in items]
            if index.later and not ref.exact:
                items = [Value(UNKNOWN, i.refs, i.labels, i.symbols, i.text, i.counter) for i in items]
            return Value(
                refs=(Sequence(items, False, ref.mutable, ref.line),), labels=owner.labels, symbols=index.symbols
            )
        if index.const == 0 and not owner.symbols and _begins(ref.items):
            return ref.items[0]
        if not ref.items:
            if data_of(index.labels):
                return self.read_table(Value(), frozenset(ref.labels), index)
            return Value(labels=frozenset(ref.labels), symbols=index.symbols)
        if index.counter is not None and any(self.key_of(i) for i in ref.items):
            self.walks_by(index)
        later = index.counter is not None and index.counter.ahead == 1
        value = ref.items[-1 if later else 0]
        for item in [] if later else ref.items[1:]:
            value = join(value, item)
        value = self._from_position(value, index, chosen)
        if index.known and index.const == 0 and value.symbols and not value.refs and not value.labels:
            value = Value(value.const, symbols=value.symbols, text="first")
        if data_of(index.labels) and not data_of(value.labels):
            return self.read_table(value, value.labels | frozenset(ref.labels), index)
        return value

    def _from_position(self, value: Value, index: Value, chosen: frozenset[Symbol]) -> Value:
        """One entry of a list: ``rows[i + 1]`` is that of the next iteration, ``starts[i + 1]`` where the next one begins."""
        at = index.counter
        if at is None or at.ahead != 1:
            return self.select_items(value, chosen)
        if any(isinstance(r, Sequence) for r in value.refs) and data_of(self.full_labels(value)):
            return self.select_items(value, ahead(chosen, at))
        found = self.select_items(value, chosen)
        return Value(found.const, found.refs, found.labels, found.symbols, found.text, Counter(at.loop, 0, 1))

    def _mapping_item(self, ref: Mapping, index: Value) -> Value:
        chosen: Labels = frozenset(x for x in index.labels if isinstance(x, Flag) and x.name == "chosen-by-score")
        if chosen:
            found = self._mapping_item(ref, Value(symbols=index.symbols))
            chosen = self.chosen_for(chosen, found)
            rows = tuple(
                Sequence([Value(i.const, i.refs, i.labels | chosen, i.symbols) for i in r.items], r.exact, False)
                if isinstance(r, Sequence) and not r.mutable else r
                for r in found.refs
            )  # fmt: skip
            return Value(found.const, rows, found.labels | chosen, found.symbols)
        if index.known and hashable(index.const) and index.const in ref.items:
            found = ref.items[index.const]
            return found if ref.rest is None else join(found, ref.rest)
        value = ref.rest or NOTHING
        for item in ref.items.values():
            value = join(value, item)
        if self.key_of(index):
            read = self.read_table(Value(refs=(ref, *value.refs)), value.labels | self.state(ref), index)
            return Value(refs=value.refs, labels=read.labels | value.labels, symbols=read.symbols)
        labels = _of_file(value.labels, index.labels)
        found = Value(value.const if index.known else UNKNOWN, value.refs, labels, value.symbols | index.symbols)
        found.mask = value.mask
        return found

    def key_of(self, index: Value) -> frozenset[Data]:
        """The tokens that a key is made of, directly or through a look-up (the bytes of a token)."""
        data = data_of(index.labels)
        walked = frozenset(s for s in index.symbols if s[0] in self.counted)
        for label in index.labels:
            if isinstance(label, Looked) and label.kind == "looked" and not self.trace.lookups[label.event].state:
                data = data | data_of(refine(self.trace.lookups[label.event].key, walked))
        return data

    def store(self, owner: Value, index: Value, value: Value) -> None:
        """``owner[index] = value``: an item, a table update keyed by tokens, or data written into a buffer."""
        key = self.key_of(index)
        self.note_kept(self.full_labels(value))
        if self.loops and index.symbols and value.labels:
            value = self.settled(value)
        for ref in owner.refs:
            if key and isinstance(ref, (Mapping, Sequence)):
                value = self._counted_on(ref, value)
            if isinstance(ref, Mapping):
                if index.known and hashable(index.const):
                    old = ref.items.get(index.const)
                    ref.items[index.const] = join(old, value) if old is not None and self.maybe else value
                else:
                    ref.rest = value if ref.rest is None else join(ref.rest, value)
                if key:
                    self.update_table(ref, key | data_of(value.labels), value)
                self.touch()
            elif isinstance(ref, Sequence):
                if (
                    index.known
                    and isinstance(index.const, int)
                    and ref.exact
                    and -len(ref.items) <= index.const < len(ref.items)
                ):
                    ref.items[index.const] = value if not self.maybe else join(ref.items[index.const], value)
                elif ref.items:
                    ref.items = [join(i, value) for i in ref.items]
                else:
                    ref.items, ref.exact = [value], False
                if key:
                    self.update_table(ref, key, value)
                self.touch()
            elif isinstance(ref, Instance):
                setter = ref.cls.find("__setitem__") if ref.cls else None
                if setter is not None:
                    self.call(self.attribute(Value(refs=(ref,)), "__setitem__"), [index, value], {}, None)
            else:
                target = ref.owner if isinstance(ref, Parameters) else ref
                if key and not self.transient(target):
                    self.update_table(target, key | data_of(value.labels), value)
                else:
                    self.pseudo_expert(target.labels, [value])
                    self.write(target, value)

    def _counted_on(self, ref: Heap, value: Value) -> Value:
        """What a table takes in: a count read from it to be raised tells nothing that its updates do not."""
        labels = frozenset(
            x
            for x in value.labels
            if not (isinstance(x, Looked) and self.trace.lookups[x.event].table_line == ref.line)
        )
        if len(labels) == len(value.labels):
            return value
        return Value(value.const, value.refs, labels, value.symbols, value.text)

    def update_table(self, ref: Heap, data: frozenset[Data], value: Value) -> None:
        """A table changed at keys made of tokens."""
        scored = [x.event for x in value.labels if isinstance(x, Scored)]
        if isinstance(ref, Cell):
            ref.table = True
        ref.labels.add(self.adapt("table", data, scored, (f"table of line {ref.line}",)))
        self.touch()

    def pseudo_expert(self, held: Iterable[object], values: list[Value]) -> None:
        """Note a quantity that is the same for every token put beside scores as if it were one (an entropy)."""
        for value in values:
            names = {x.name for x in value.labels if isinstance(x, Flag)}
            if "entropy" in names and not any(isinstance(x, Scored) for x in value.labels):
                scores = {x.event for x in held if isinstance(x, Scored)}
                if scores:
                    self.note_blend("pseudo-expert", scores, value.labels)

    def write(self, ref: Heap, value: Value) -> None:
        """Write data into a buffer; what an earlier iteration of a running loop left there is overwritten."""
        labels = content_of(merge_labels([value]))
        if not self.maybe and self.loops:
            running = dict(self.loops)
            held = [x for x in ref.labels if type(x) is Data and x.symbols]
            if held:
                self.concrete()
                ref.labels -= {x for x in held if any(loop in running and running[loop] != k for loop, k in x.symbols)}
        if labels - ref.labels:
            ref.labels |= labels
            self.touch()


def marked(value: Value, marks: Labels) -> Value:
    """A value, and what a tuple holds, with more labels."""
    refs = tuple(
        Sequence([marked(i, marks) for i in r.items], r.exact, False)
        if isinstance(r, Sequence) and not r.mutable
        else r
        for r in value.refs
    )
    return Value(value.const, refs, value.labels | marks, value.symbols, value.text)


def _begins(items: list[Value]) -> bool:
    """Whether a list of positions that a loop filled begins at the first of a stream, as that of rank 0 does."""
    return bool(items) and items[0].const == 0 and any(k == 0 for _, k in items[0].symbols) and not items[0].labels


def _piece(ref: Sequence, node: ast.expr | None) -> Value | None:
    """``row[:2]`` of a tuple or list whose items are known one by one."""
    if not isinstance(node, ast.Slice) or not ref.exact:
        return None
    bounds = [None if b is None else b.value if isinstance(b, ast.Constant) else b for b in (node.lower, node.upper)]
    if node.step is not None or not all(b is None or isinstance(b, int) for b in bounds):
        return None
    lower, upper = (b if isinstance(b, int) else None for b in bounds)
    return Value(refs=(Sequence(ref.items[lower:upper], True, ref.mutable, ref.line),))


def _of_file(labels: Labels, key: Labels) -> Labels:
    """What a cache holds under the name of a file is of that file: of the same split."""
    named = {x.source for x in key if isinstance(x, Data) and x.role == "path"}
    if len(named) != 1:
        return labels
    return frozenset(x for x in labels if not (isinstance(x, Data) and x.source not in named))
