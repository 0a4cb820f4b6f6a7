"""Reading and writing attributes, items and variables, and what a loop iterates over."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from typing import Any

from checks.program.machine import Machine
from checks.program.values import (
    NO_LABELS,
    NO_SYMBOLS,
    NONE,
    NOTHING,
    UNKNOWN,
    Adapted,
    Bound,
    Cell,
    ClassObject,
    Data,
    External,
    Flag,
    Function,
    Gradient,
    Heap,
    Instance,
    Labels,
    Looked,
    Mapping,
    ModuleRef,
    Parameters,
    Range,
    Scope,
    Scored,
    Sequence,
    Symbol,
    Uses,
    Value,
    Zipped,
    join,
    merge_labels,
)

_NO_DATA = frozenset(
    "shape ndim dtype device itemsize is_cuda requires_grad nbytes strides training type layout".split()
)
_EXACT_ITERATIONS = 6
_KNOWN_COUNT = 64
_FEW = range(17)


def refine(labels: Labels, symbols: frozenset[Symbol], role: str = "") -> Labels:
    """Narrow token data to a selection: its symbols are added, its role is set where it was open."""
    if not symbols and not role:
        return labels
    return frozenset(
        Data(x.source, x.symbols | symbols, x.role or role) if isinstance(x, Data) else x for x in labels
    )


def data_of(labels: Labels) -> frozenset[Data]:
    """The token data among labels (not the names of the files that hold it)."""
    return frozenset(x for x in labels if isinstance(x, Data) and x.role != "path")


def opened(labels: Labels) -> Labels:
    """Labels of what a file holds, from the labels of its name."""
    return frozenset(Data(x.source, x.symbols, "") if isinstance(x, Data) and x.role == "path" else x for x in labels)


class Access(Machine):
    """Attribute, item and name access on abstract values."""

    def call(self, callee: Value, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a value (in ``calls``)."""
        raise NotImplementedError

    def eval(self, node: ast.expr | None, scope: Scope) -> Value:
        """Evaluate an expression (in ``expressions``)."""
        raise NotImplementedError

    def index(self, node: ast.expr, scope: Scope) -> Value:
        """Evaluate an index (in ``expressions``)."""
        raise NotImplementedError

    # -- truth and iteration -----------------------------------------------------------------------------------------

    def truth(self, value: Value) -> bool | None:
        """Whether a value is true, None when it cannot be known."""
        if value.known:
            try:
                return bool(value.const)
            except (TypeError, ValueError):
                return None
        if value.later:
            return True
        for ref in value.refs:
            if isinstance(ref, Sequence) and ref.exact and not self.maybe and len(value.refs) == 1:
                return bool(ref.items)
            if isinstance(ref, (Instance, Function, ClassObject, ModuleRef)) and len(value.refs) == 1 and not value.labels:
                return True
        return None

    def items(self, value: Value) -> tuple[list[Value], bool]:
        """The items of an iterable and whether these are all, in order."""
        for ref in value.refs:
            if isinstance(ref, Sequence):
                return ref.items, ref.exact
            if isinstance(ref, Mapping):
                keys = [Value(k, text=k if isinstance(k, str) else "") for k in ref.items]
                return keys + ([NOTHING] if ref.rest is not None else []), ref.rest is None
            if isinstance(ref, (Range, Zipped)):
                found = list(self.iterations(value, ref))
                return [v for v, _, _ in found], all(c for _, _, c in found)
        return [Value(refs=_views(value), labels=merge_labels([value]), symbols=value.symbols)], False

    def iterations(self, value: Value, node: object) -> Iterator[tuple[Value, Symbol | None, bool]]:
        """The iterations of a loop to interpret: element, loop symbol, and whether this is exactly what will run."""
        loop = id(node) if not isinstance(node, Heap) else node.ident
        ref = value.refs[0] if value.refs else None
        if isinstance(ref, Range):
            yield from _range(ref, loop)
        elif isinstance(ref, Zipped):
            columns = [list(self.iterations(part, node)) for part in ref.parts]
            for k in range(min((len(c) for c in columns), default=0)):
                row = [c[k] for c in columns]
                symbol = next((s for _, s, _ in row if s is not None), None)
                yield Value(refs=(Sequence([v for v, _, _ in row], mutable=False),)), symbol, all(c for _, _, c in row)
        elif isinstance(ref, Sequence) and (ref.exact or len(ref.items) <= 4):
            items = ref.items
            if len(items) > _EXACT_ITERATIONS:
                items = [*items[: _EXACT_ITERATIONS - 2], items[-1]]
            for k, item in enumerate(list(items)):
                if ref.exact:
                    yield (self.select_items(item, value.symbols) if value.symbols else item), None, True
                else:
                    symbol = (loop, k)
                    yield self.select_items(item, value.symbols | {symbol}), symbol, False
        elif isinstance(ref, Mapping) and ref.rest is None and len(ref.items) <= _EXACT_ITERATIONS:
            for key in list(ref.items):
                yield Value(key, text=key if isinstance(key, str) else ""), None, True
        elif isinstance(ref, Parameters):
            yield value, None, False
        else:
            items, _ = self.items(value)
            if isinstance(ref, Mapping):
                element = NOTHING
            else:
                element = items[0] if items else NOTHING
                for item in items[1:]:
                    element = join(element, item)
            for k in (0, 1):
                symbol = (loop, k)
                yield self.select_items(element, value.symbols | {symbol}), symbol, False

    def select_items(self, value: Value, symbols: frozenset[Symbol]) -> Value:
        """The value of one element chosen by loop symbols."""
        labels = refine(merge_labels([value]) if not value.refs else value.labels, symbols)
        refs = value.refs
        if any(isinstance(r, Sequence) and not r.mutable for r in refs):
            refs = tuple(
                Sequence([self.select_items(i, symbols) for i in r.items], r.exact, False)
                if isinstance(r, Sequence) and not r.mutable else r
                for r in refs
            )  # fmt: skip
            return Value(value.const, refs, labels, value.symbols | symbols, value.text)
        if value.known and not value.labels and not symbols:
            return value
        selected = Value(value.const, refs, labels, value.symbols | symbols, value.text)
        if symbols and any(isinstance(x, Scored) for x in labels):
            return self.narrow(selected, symbols)
        return selected

    # -- attributes --------------------------------------------------------------------------------------------------

    def attribute(self, owner: Value, name: str) -> Value:
        """Return ``owner.name``."""
        result: Value | None = None
        for ref in owner.refs[:4]:
            found = self._attribute_of(owner, ref, name)
            if found is not None:
                result = found if result is None else join(result, found)
        if result is not None:
            return result
        if name in _NO_DATA:
            return Value(text="size")
        if name in ("data", "T", "mT", "values", "real") and name != "values":
            return owner
        if name == "grad":
            return Value(labels=self.gradient_labels())
        return Value(refs=(Bound(owner, None, name),), labels=owner.labels, symbols=owner.symbols)

    def gradient_labels(self) -> Labels:
        """Data of the losses whose gradients are pending."""
        data: Labels = frozenset(d for data, _, _ in self.pending for d in data)
        scores = frozenset(i for _, _, losses in self.pending for i in losses)
        return data | {Flag("gradient", 0, scores)} if data else data

    def _attribute_of(self, owner: Value, ref: Heap, name: str) -> Value | None:
        if isinstance(ref, ModuleRef):
            if ref.scope is not None:
                return ref.scope.vars.get(name, NOTHING)
            return Value(refs=(External(f"{ref.name}.{name}"),))
        if isinstance(ref, External):
            return Value(refs=(External(f"{ref.name}.{name}"),))
        if isinstance(ref, ClassObject):
            if name == "__name__":
                return Value(ref.name, text=ref.name)
            found = ref.find(name)
            for candidate in found.refs if found is not None else ():
                if isinstance(candidate, Function) and "classmethod" in candidate.decorators:
                    return Value(refs=(Bound(Value(refs=(ref,)), candidate, name),))
            return found
        if isinstance(ref, Instance):
            return self._instance_attribute(ref, name)
        if isinstance(ref, (Cell, Parameters)):
            if name == "grad":
                return Value(refs=(Gradient(ref),), labels=self.gradient_labels())
            if name in ("data", "T", "mT"):
                return Value(refs=(ref,), labels=owner.labels, symbols=owner.symbols)
        if isinstance(ref, Gradient) and name == "data":
            return owner
        return None

    def _instance_attribute(self, ref: Instance, name: str) -> Value | None:
        if name in ref.attrs:
            return ref.attrs[name]
        if name == "__class__":
            return Value(refs=(ref.cls,)) if ref.cls else NOTHING
        if name == "__dict__":
            return Value(refs=(Mapping(dict(ref.attrs)),))
        found = ref.cls.find(name) if ref.cls else None
        if found is not None:
            for candidate in found.refs:
                if isinstance(candidate, Function):
                    if "staticmethod" in candidate.decorators:
                        return found
                    bound = Value(refs=(Bound(Value(refs=(ref,)), candidate, name),))
                    if any(d.endswith(("property", "cached_property")) for d in candidate.decorators):
                        return self.call(bound, [], {}, None)
                    return bound
            return found
        if ref.external.startswith("torch.nn.") and name in ("weight", "bias"):
            ref.attrs[name] = Value(refs=(Cell(ref.line),))
            return ref.attrs[name]
        if name in _NO_DATA:
            return Value(text="size")
        if ref.external == "namespace":
            return None
        return Value(refs=(Bound(Value(refs=(ref,)), None, name),))

    def set_attribute(self, owner: Value, name: str, value: Value) -> None:
        """Store ``owner.name = value``; weakly when it may not happen."""
        if name == "data":
            self.overwrite(owner, value)
            return
        for ref in owner.refs:
            if isinstance(ref, Instance):
                old = ref.attrs.get(name)
                strong = not self.maybe and len(owner.refs) == 1
                for cell in value.refs:
                    if isinstance(cell, Cell):
                        cell.owned = True
                ref.attrs[name] = value if strong or old is None else join(old, value)
                if old is None or old.labels != value.labels or value.refs != old.refs:
                    self.touch()
            elif isinstance(ref, ClassObject):
                ref.scope.vars[name] = value
            elif isinstance(ref, ModuleRef) and ref.scope is not None:
                ref.scope.vars[name] = value

    def overwrite(self, target: Value, value: Value) -> None:
        """``p.data = v`` / ``p.copy_(v)``: the state of the target becomes that of the value."""
        labels = self.full_labels(value)
        adapted = self.adapted_by(labels, "inplace")
        for ref in target.refs:
            self.set_state(ref, adapted)

    def set_state(self, ref: Heap, labels: Labels) -> None:
        """Replace the state of an object and all it owns (weakly when it may not happen)."""
        kept = {x for x in labels if not isinstance(x, (Data, Scored))}
        if not self.maybe:
            for item in self.owned(ref):
                if isinstance(item, (Cell, Instance)) and item.labels:
                    item.labels.clear()
        self.mark_state(ref, frozenset(kept))

    def mark_state(self, ref: Heap, labels: Labels) -> None:
        """Add labels to the state of an object and of the modules and tensors that it owns."""
        for item in self.owned(ref):
            if isinstance(item, Cell) or (
                isinstance(item, Instance)
                and (item.external.startswith("torch.nn") or (item.cls is not None and item.cls.derives("Module")))
            ):
                item.labels |= labels
        if not isinstance(ref, Parameters):
            ref.labels |= labels
        self.touch()

    def adapted_by(self, labels: Labels, kind: str) -> Labels:
        """Turn token data that flows into state into the label of an adapt event."""
        data = data_of(labels)
        scored = [x.event for x in labels if isinstance(x, Scored)]
        if kind == "inplace" and not data:
            return labels
        if not data and not scored:
            return labels
        return (labels - data) | {self.adapt(kind, data, scored, ())}

    # -- items -------------------------------------------------------------------------------------------------------

    def subscript(self, owner: Value, index: Value, node: ast.expr | None) -> Value:
        """Return ``owner[index]``: an item, a slice of tokens, a table lookup or a gathered score."""
        if isinstance(node, ast.Slice) and isinstance(node.upper, ast.Constant) and node.upper.value in _FEW:
            return Value(refs=owner.refs[:0])  # at most a few leading tokens: no data to speak of
        result: Value | None = None
        chosen = frozenset(x for x in owner.labels if isinstance(x, Flag) and x.name == "chosen-by-score")
        for ref in owner.refs:
            found: Value | None = None
            if isinstance(ref, Sequence):
                found = self._sequence_item(ref, index, owner)
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

    def string(self, text: str) -> Value:
        """A string constant (in ``expressions``)."""
        raise NotImplementedError

    def target_class(self, labels: Labels) -> frozenset[Flag]:
        """Flags for a property of the target read from a fixed table (in ``library``)."""
        raise NotImplementedError

    def select(self, owner: Value, index: Value, node: ast.expr | None) -> Value:
        """Select from a tensor, array or unknown object."""
        labels = self.full_labels(owner) if owner.refs else owner.labels
        data = data_of(labels)
        key = data_of(index.labels)
        through = self.key_of(index.labels)
        role = index.text[6:] if index.text.startswith("slice:") else ""
        predicted = any(isinstance(x, Uses) for x in labels)
        if key and predicted and any(d.role != "x" for d in key):
            scored = self.score(Value(labels=index.labels), Value(labels=labels))
            if scored is not None:
                return scored
        if data:
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
        for label in index:
            if isinstance(label, Flag) and label.name == "random":
                return frozenset({Flag("partial", label.line, (self.file, "random places"))})
            running = {loop for loop, _ in self.loops}
            whole = not any(loop in running for d in data for loop, _ in d.symbols)
            if isinstance(label, Flag) and label.name == "head" and whole:
                return frozenset({Flag("partial", self.line, (self.file, f"the first {label.detail:,}"))})
        return frozenset()

    def read_table(self, owner: Value, labels: Labels, index: Value) -> Value:
        """Read a table at a key made of tokens."""
        key = self.key_of(index.labels)
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
        if index.known and isinstance(index.const, int) and ref.exact and -len(ref.items) <= index.const < len(ref.items):
            return self.select_items(ref.items[index.const], owner.symbols) if owner.symbols else ref.items[index.const]
        chosen = index.symbols | owner.symbols
        if index.text.startswith("slice"):
            items = [self.select_items(i, chosen) for i in ref.items]
            return Value(refs=(Sequence(items, False, ref.mutable, ref.line),), labels=owner.labels, symbols=index.symbols)
        if not ref.items:
            if data_of(index.labels):
                return self.read_table(Value(), frozenset(ref.labels), index)
            return Value(labels=frozenset(ref.labels), symbols=index.symbols)
        value = ref.items[0]
        for item in ref.items[1:]:
            value = join(value, item)
        value = self.select_items(value, chosen)
        if data_of(index.labels) and not data_of(value.labels):
            return self.read_table(value, value.labels | frozenset(ref.labels), index)
        return value

    def _mapping_item(self, ref: Mapping, index: Value) -> Value:
        chosen = frozenset(x for x in index.labels if isinstance(x, Flag) and x.name == "chosen-by-score")
        if chosen:
            found = self._mapping_item(ref, Value(symbols=index.symbols))
            chosen = self.chosen_for(chosen, found)
            rows = tuple(
                Sequence([Value(i.const, i.refs, i.labels | chosen, i.symbols) for i in r.items], r.exact, False)
                if isinstance(r, Sequence) and not r.mutable else r
                for r in found.refs
            )  # fmt: skip
            return Value(found.const, rows, found.labels | chosen, found.symbols)
        if index.known and _hashable(index.const) and index.const in ref.items:
            found = ref.items[index.const]
            return found if ref.rest is None else join(found, ref.rest)
        value = ref.rest or NOTHING
        for item in ref.items.values():
            value = join(value, item)
        if self.key_of(index.labels):
            read = self.read_table(Value(refs=(ref, *value.refs)), value.labels | self.state(ref), index)
            return Value(refs=value.refs, labels=read.labels | value.labels, symbols=read.symbols)
        return Value(value.const if index.known else UNKNOWN, value.refs, value.labels, value.symbols | index.symbols)

    def key_of(self, labels: Labels) -> frozenset[Data]:
        """The tokens that a key is made of, directly or through a look-up (the bytes of a token)."""
        data = data_of(labels)
        for label in labels:
            if isinstance(label, Looked) and not self.trace.lookups[label.event].state:
                data = data | self.trace.lookups[label.event].key
        return data

    def store(self, owner: Value, index: Value, value: Value) -> None:
        """``owner[index] = value``: an item, a table update keyed by tokens, or data written into a buffer."""
        key = self.key_of(index.labels)
        for ref in owner.refs:
            if isinstance(ref, Mapping):
                if index.known and _hashable(index.const):
                    old = ref.items.get(index.const)
                    ref.items[index.const] = join(old, value) if old is not None and self.maybe else value
                else:
                    ref.rest = value if ref.rest is None else join(ref.rest, value)
                if key:
                    self.update_table(ref, key | data_of(value.labels), value)
                self.touch()
            elif isinstance(ref, Sequence):
                if index.known and isinstance(index.const, int) and ref.exact and -len(ref.items) <= index.const < len(ref.items):
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
        labels = merge_labels([value])
        if not self.maybe and self.loops:
            running = dict(self.loops)
            ref.labels -= {
                x for x in ref.labels
                if isinstance(x, Data) and any(loop in running and running[loop] != k for loop, k in x.symbols)
            }  # fmt: skip
        if labels - ref.labels:
            ref.labels |= labels
            self.touch()

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a target to a value."""
        if isinstance(target, ast.Name):
            home = scope.declared.get(target.id)
            if home is None:
                scope.vars[target.id] = value
            else:
                old = home.vars.get(target.id)
                home.vars[target.id] = join(old, value) if old is not None and self.maybe else value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.eval(target.value, scope)
            self.line = target.lineno
            self.set_attribute(owner, target.attr, value)
        elif isinstance(target, ast.Subscript):
            owner = self.eval(target.value, scope)
            index = self.index(target.slice, scope)
            self.line = target.lineno
            if owner.refs:
                self.store(owner, index, value)
            elif not self.store_nested(target.value, index, value, scope):
                self._store_plain(target.value, owner, value, scope)

    def store_nested(self, holder: ast.expr, index: Value, value: Value, scope: Scope) -> bool:
        """``table[context][token] = value``: the table changes at both keys."""
        while isinstance(holder, ast.Subscript):
            inner = self.index(holder.slice, scope)
            index = Value(labels=index.labels | inner.labels, symbols=index.symbols | inner.symbols, text="tuple")
            holder = holder.value
            owner = self.eval(holder, scope)
            if owner.refs:
                self.store(owner, index, value)
                return True
        return False

    def _store_plain(self, holder: ast.expr, owner: Value, value: Value, scope: Scope) -> None:
        """Store into an array that is known only by the name that holds it."""
        self.pseudo_expert(owner.labels, [value])
        labels = owner.labels | merge_labels([value])
        if labels != owner.labels and isinstance(holder, (ast.Name, ast.Attribute)):
            self.assign(holder, Value(UNKNOWN, (), labels, owner.symbols, owner.text), scope)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, scope: Scope) -> None:
        count = len(target.elts)
        rows = [r.items for r in value.refs if isinstance(r, Sequence) and r.exact and len(r.items) == count]
        if rows:
            for element, *column in zip(target.elts, *rows, strict=True):
                item = column[0]
                for other in column[1:]:
                    item = join(item, other)
                self.assign(element, item, scope)
            return
        items, _ = self.items(value)
        joined = items[0] if items else NOTHING
        for item in items[1:]:
            joined = join(joined, item)
        for element in target.elts:
            self.assign(element, Value(refs=joined.refs, labels=joined.labels, symbols=joined.symbols), scope)


def _range(ref: Range, loop: int) -> Iterator[tuple[Value, Symbol | None, bool]]:
    start, stop, step = ref.start.const, ref.stop.const, ref.step.const
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step:
        count = len(range(start, stop, step))
        last = range(start, stop, step)[-1] if count else 0
    else:
        count, last = -1, 0
    outer = ref.start.symbols | ref.stop.symbols
    if count != 0:
        yield Value(start, symbols=outer | {(loop, 0)}, loop=loop), (loop, 0), True
    if count > 1 or count < 0:
        const = last if 1 < count <= _KNOWN_COUNT else UNKNOWN
        later = isinstance(start, int) and start >= 0 and not (isinstance(step, int) and step < 0)
        yield Value(const, symbols=outer | {(loop, 1)}, loop=loop, later=later), (loop, 1), True


def _views(value: Value) -> tuple[Heap, ...]:
    return tuple(r for r in value.refs if isinstance(r, (Cell, Parameters, Instance)))


def _hashable(value: Any) -> bool:
    return isinstance(value, (str, int, float, bytes, bool, type(None)))


__all__ = ["NO_LABELS", "NO_SYMBOLS", "NONE", "Access", "data_of", "refine"]
