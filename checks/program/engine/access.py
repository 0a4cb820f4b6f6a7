"""Reading and writing attributes, items and variables, and what a loop iterates over."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checks.program.engine.counter import Counter
from checks.program.engine.extents import Extents
from checks.program.engine.folding import span
from checks.program.engine.labels import NO_SYMBOLS, Adapted, Data, Flag, Label, Labels, Scored, Symbol
from checks.program.engine.paths import folder_of, names_files
from checks.program.engine.selections import data_of, refine
from checks.program.engine.values import (
    NOTHING,
    UNKNOWN,
    Bound,
    Cell,
    ClassObject,
    External,
    Function,
    Gradient,
    Heap,
    Instance,
    Mapping,
    ModuleRef,
    Parameters,
    Range,
    Scope,
    Sequence,
    Value,
    Zipped,
    join,
    merge_labels,
)

_NO_DATA = frozenset((
    "shape", "ndim", "dtype", "device", "itemsize", "is_cuda", "requires_grad", "nbytes", "strides", "training", "type",
    "layout",
))  # fmt: skip
_CONTAINERS = ("Module", "ModuleList", "ModuleDict", "Sequential", "ParameterList", "ParameterDict")
_WRAPPED = ("module", "_orig_mod")  # what DDP and torch.compile wrap: the machine keeps the module itself for both
HOOK_HANDLE = "torch.utils.hooks.RemovableHandle"
_EXACT_ITERATIONS = 6
_EXACT_KEYS = 24  # of a dict that sums what ranks counted, entry by entry
_KNOWN_COUNT = 64
_FEW = range(17)


def is_gradient(label: Label) -> bool:
    """Whether a label marks a gradient: of a direction, not of the state that moved along it."""
    return isinstance(label, Flag) and label.name == "gradient"


def is_torch(cls: ClassObject | None, layer: bool = False) -> bool:
    """Whether a class is a torch module; with ``layer``, one with a weight of its own, as what derives ``nn.Linear``."""
    if cls is None:
        return False
    names = [e for e in cls.external_bases if e.startswith("torch.nn.") or e.endswith("Module")]
    return any(not (layer and e.endswith(_CONTAINERS)) for e in names) or any(is_torch(b, layer) for b in cls.bases)


class Access(Extents):
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
            if isinstance(ref, Sequence) and len(value.refs) == 1 and any(names_files(i.labels) for i in ref.items):
                return True  # the run had its data
            if (
                isinstance(ref, (Instance, Function, ClassObject, ModuleRef))
                and len(value.refs) == 1
                and not value.labels
            ):
                return True
        return None

    def items(self, value: Value) -> tuple[list[Value], bool]:
        """The items of an iterable and whether these are all, in order."""
        for ref in fullest(value):
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
        self.note_reach(loop, value, node)
        yield from self._iterate(value, node, loop)

    def _iterate(self, value: Value, node: object, loop: int) -> Iterator[tuple[Value, Symbol | None, bool]]:
        ref = next(iter(fullest(value)), None)
        if isinstance(ref, Range):
            yield from _range(ref, loop, self.of_now(ref.stop.symbols))
        elif isinstance(ref, Zipped):
            columns = [list(self._iterate(part, node, loop)) for part in ref.parts]
            for k in range(min((len(c) for c in columns), default=0)):
                row = [c[k] for c in columns]
                symbol = next((s for _, s, _ in row if s is not None), None)
                one = frozenset({symbol}) if symbol is not None else NO_SYMBOLS
                values = [self.select_items(v, one) if s is None and one else v for v, s, _ in row]
                yield Value(refs=(Sequence(values, mutable=False),)), symbol, all(c for _, _, c in row)
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
        elif isinstance(ref, Mapping) and ref.rest is None and len(ref.items) <= _EXACT_KEYS:
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
        refs = owner.refs
        if len(refs) == 1 and type(refs[0]) is Instance and not refs[0].external:
            held = refs[0].attrs.get(name)
            if held is not None:
                return held
        result: Value | None = None
        for ref in refs[:4]:
            found = self._attribute_of(owner, ref, name)
            if found is not None:
                result = found if result is None else join(result, found)
        if result is not None:
            return result
        if name == "shape":
            return self.size_of(owner)
        if name in ("parent", "parents"):
            return folder_of(owner)
        if name == "size":
            return Value(refs=(Bound(owner, None, name),), labels=self.size_of(owner).labels, symbols=owner.symbols)
        if name in _NO_DATA:
            return Value(text="size")
        if name in ("data", "T", "mT", "values", "real") and name != "values":
            return owner
        if name == "grad":
            return Value(labels=self.gradient_labels())
        return Value(refs=(Bound(owner, None, name),), labels=owner.labels, symbols=owner.symbols)

    def gradient_labels(self) -> Labels:
        """Data of the losses whose gradients are pending."""
        self.concrete()
        data: Labels = frozenset(d for data, _, _ in self.pending for d in data)
        scores = frozenset(i for _, _, losses in self.pending for i in losses)
        return data | {Flag("gradient", 0, scores)} if data else data

    def _attribute_of(self, owner: Value, ref: Heap, name: str) -> Value | None:
        if isinstance(ref, Instance):
            if ref.external == HOOK_HANDLE:
                return Value(refs=(Bound(owner, None, name),))
            return self._instance_attribute(ref, name)
        if isinstance(ref, ModuleRef):
            if ref.scope is not None:
                if name == "__dict__":
                    return self.namespace(ref.scope)
                found = ref.scope.vars.get(name)
                self.free_name(ref.scope, name, found)
                if found is not None or ref.scope.module:
                    return NOTHING if found is None else found
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
        if isinstance(ref, (Cell, Parameters)):
            if name == "grad":
                return Value(refs=(Gradient(ref),), labels=self.gradient_labels())
            if name in ("data", "T", "mT"):
                return Value(refs=(ref,), labels=owner.labels, symbols=owner.symbols)
        if isinstance(ref, Gradient) and name == "data":
            return owner
        return None

    def namespace(self, scope: Scope) -> Value:
        """The variables of a module as a dict: what is stored in it is stored in the module."""
        self.concrete()
        return Value(refs=(Mapping(scope.vars),))

    def _instance_attribute(self, ref: Instance, name: str) -> Value | None:
        if ref.external == "optimizer" and name in ("step", "zero_grad"):  # however it computes its update
            return Value(refs=(Bound(Value(refs=(ref,)), None, name),))
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
        layer = ref.external.startswith("torch.nn.") or is_torch(ref.cls, layer=True)
        if layer and name in ("weight", "bias"):
            weight = Cell(ref.line, parameter=True)
            weight.owned = True
            ref.attrs[name] = Value(refs=(weight,))
            return ref.attrs[name]
        if name in _NO_DATA:
            return Value(text="size")
        if ref.external == "namespace":
            return None
        if name in _WRAPPED and is_torch(ref.cls):
            return Value(refs=(ref,))
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
                computes = ref.cls is None or any(ref.cls.find(n) is not None for n in ("forward", "__call__"))
                for cell in value.refs if computes else ():  # a holder that computes nothing only keeps free tensors
                    if isinstance(cell, Cell):
                        cell.owned = True  # a plain tensor is none of the module's parameters()
                        cell.buffer = cell.buffer or (not cell.parameter and ref.cls is not None and is_torch(ref.cls))
                ref.attrs[name] = value if strong or old is None else join(old, value)
                if old is None or old.labels != value.labels or value.refs != old.refs:
                    self.touch()
            elif isinstance(ref, (ClassObject, ModuleRef)) and ref.scope is not None:
                self.concrete()
                ref.scope.vars[name] = value

    def overwrite(self, target: Value, value: Value) -> None:
        """``p.data = v`` / ``p.copy_(v)``: the state of the target becomes that of the value."""
        labels = self.full_labels(value)
        adapted = self.adapted_by(labels, "inplace")
        for ref in target.refs:
            self.set_state(ref, adapted)

    def set_state(self, ref: Heap, labels: Labels) -> None:
        """Replace the state of an object and all it owns (weakly when it may not happen)."""
        kept = {x for x in labels if not isinstance(x, (Data, Scored)) and not is_gradient(x)}
        depth, undone = self.branch_adapts[-1] if self.branch_adapts else (0, set())
        for item in self.owned(ref) if self.maybe in (0, depth) else ():
            if (
                isinstance(item, (Cell, Instance)) and item.labels
            ):  # a branch that may run undoes what it changed itself
                item.labels.intersection_update(item.labels - undone if self.maybe else ())
        self.mark_state(ref, frozenset(kept))

    def mark_state(self, ref: Heap, labels: Labels) -> None:
        """Add labels to the state of an object and of the modules and tensors that it owns."""
        fixed = frozenset(x for x in labels if not (isinstance(x, Adapted) and self.trace.moved(x.event)))
        for item in self.owned(ref):
            if isinstance(item, Cell):
                item.labels |= fixed if item.buffer and item is not ref else labels
            elif isinstance(item, Instance) and (item.external.startswith("torch.nn") or is_torch(item.cls)):
                item.labels |= labels
        if not isinstance(ref, Parameters):
            ref.labels |= labels
        self.touch()

    def adapted_by(self, labels: Labels, kind: str) -> Labels:
        """Turn token data that flows into state into the label of an adapt event."""
        data = data_of(labels)
        scored = [x.event for x in labels if isinstance(x, Scored)]
        for x in labels:
            scored += x.detail or () if isinstance(x, Flag) and x.name == "gradient" else ()
        if kind == "inplace" and not data:
            return labels
        if not data and not scored:
            return labels
        return (labels - data) | {self.adapt(kind, data, scored, ())}

    # -- items -------------------------------------------------------------------------------------------------------

    def string(self, text: str) -> Value:
        """A string constant (in ``expressions``)."""
        raise NotImplementedError

    def target_class(self, labels: Labels) -> frozenset[Flag]:
        """Flags for a property of the target read from a fixed table (in ``library``)."""
        raise NotImplementedError


def _range(ref: Range, loop: int, end: frozenset[Symbol]) -> Iterator[tuple[Value, Symbol | None, bool]]:
    start, stop, step = ref.start.const, ref.stop.const, ref.step.const
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step:
        count = len(range(start, stop, step))
        last = range(start, stop, step)[-1] if count else 0
    else:
        count, last = -1, 0
    until = {stop_loop for stop_loop, _ in end}  # from where the last iteration ended up to here
    outer = end | {s for s in ref.start.symbols if s[0] not in until}
    if ref.start.counter is not None and ref.start.counter.ahead == 1:
        outer = span(ref.start, end)
    counter = Counter(loop, step if isinstance(step, int) and step > 0 else 0)
    if count != 0:
        yield Value(start, symbols=outer | {(loop, 0)}, counter=counter), (loop, 0), True
    if count > 1 or count < 0:
        const = last if 1 < count <= _KNOWN_COUNT else UNKNOWN
        later = isinstance(start, int) and start >= 0 and not (isinstance(step, int) and step < 0)
        yield Value(const, symbols=outer | {(loop, 1)}, counter=counter, later=later), (loop, 1), True


def fullest(value: Value) -> tuple[Heap, ...]:
    """What a value may stand for; of several lists (``return []`` in a guard) the one with the most items first."""
    if len(value.refs) > 1 and isinstance(value.refs[0], Sequence):
        return tuple(sorted(value.refs, key=lambda r: -len(r.items) if isinstance(r, Sequence) else 0))
    return tuple(value.refs)


def _views(value: Value) -> tuple[Heap, ...]:
    return tuple(r for r in value.refs if isinstance(r, (Cell, Parameters, Instance)))
