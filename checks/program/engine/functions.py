"""Python's builtins and standard library: containers, arguments, environment, callables."""

from __future__ import annotations

import math
import posixpath

from checks.program.engine.extents import bounds
from checks.program.engine.folding import before
from checks.program.engine.items import marked
from checks.program.engine.labels import NO_LABELS, Data, Flag, Labels, Looked, Scored
from checks.program.engine.library import Library
from checks.program.engine.paths import folder_of, joined
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    NONE,
    NOTHING,
    UNKNOWN,
    Cell,
    External,
    Heap,
    Instance,
    Mapping,
    Partial,
    Range,
    Sequence,
    Value,
    Zipped,
    hashable,
    join,
    merge_labels,
    merge_symbols,
)

FIELD = "dataclasses.field"


class Functions(Library):
    """Models of Python functions, by the last part of their name."""

    def _fn_log(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """``math.log`` of a constant: the unit of a loss."""
        constant = args[0].const if name in ("math.log", "numpy.log", "np.log") and len(args) == 1 else None
        if isinstance(constant, (int, float)) and constant > 0:
            return Value(math.log(constant), text="log")
        return None

    def _fn_range(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if name != "range" or not args:
            return None
        if len(args) == 1 or args[0].const == 0:
            args = [before(a) for a in args]
        plain = [Value(a.const, labels=bounds(a.labels), symbols=a.symbols, counter=a.counter) for a in args]
        start = plain[0] if len(plain) > 1 else Value(0)
        stop = plain[1] if len(plain) > 1 else plain[0]
        return Value(refs=(Range(start, stop, plain[2] if len(plain) > 2 else Value(1)),))

    def _fn_enumerate(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if not args:
            return None
        start = args[1] if len(args) > 1 else keywords.get("start", Value(0))
        return Value(refs=(Zipped([Value(refs=(Range(start, NOTHING, Value(1)),)), args[0]]),))

    def _fn_product(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if "itertools" not in name or not 1 <= len(args) <= 3:
            return None
        rows: list[list[Value]] = [[]]
        for arg in args:
            rows = [[*row, item] for row in rows for item in self.items(arg)[0][:3]]
        return Value(refs=(Sequence([Value(refs=(Sequence(row, True, False),)) for row in rows[:12]], True),))

    def _fn_zip(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        return Value(refs=(Zipped(args),)) if args else None

    def _fn_list(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not args:
            return Value(refs=(Sequence([], True, True, self.line),))
        items, exact = self.items(args[0])
        return Value(refs=(Sequence(list(items), exact, True, self.line),), labels=args[0].labels)

    def _fn_Queue(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """What is put into a queue is what is got from it, whichever thread does so; how full it is is not known."""
        return Value(refs=(Sequence([], False, True, self.line),))

    _fn_SimpleQueue = _fn_LifoQueue = _fn_PriorityQueue = _fn_JoinableQueue = _fn_Queue

    def _fn_bytearray(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """An empty one grows like a list, and what is put in keeps where it came from."""
        if args or keywords:
            return None
        return Value(refs=(Sequence([], True, True, self.line),), labels=frozenset({Flag("bytearray", 0)}))

    def _fn_islice(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        items, _exact = self.items(args[0]) if args else ([], False)
        stop = args[1] if len(args) == 2 else args[2] if len(args) > 2 else NOTHING
        few = self.few_items(items, stop.const)
        items = [marked(i, few) for i in items] if few else items
        return Value(refs=(Sequence(list(items), False, True, self.line),))

    def _fn_randint(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        return Value(labels=frozenset({Flag("random", self.line, self.file)}))

    _fn_integers = _fn_randrange = _fn_randint

    _fn_iter = _fn_chain = _fn_from_iterable = _fn_batched = _fn_shuffle = _fn_list

    def _fn_sorted(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        result = self._fn_list(name, args, keywords)
        items = self.items(args[0])[0] if args and "key" not in keywords else []
        scored = [i for i in items if self.is_score(i)]
        chosen = self.choose(scored, "minimum", name) if len(scored) > 1 else None
        return Value(refs=(Sequence([chosen], False, True, self.line),)) if chosen is not None else result

    def _fn_hash(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        labels = self.full_labels(args[0]) if args else NO_LABELS
        self.concrete()  # counts selections
        if len(data_of(labels)) > 1:
            labels = labels | {Flag("mixed-key", self.line, self.file)}
        return Value(labels=labels, symbols=args[0].symbols if args else frozenset())

    _fn_tuple = _fn_deque = _fn_reversed = _fn_ModuleList = _fn_ParameterList = _fn_list

    def _fn_tqdm(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """What a bar of progress goes through, in a loop's header or in a variable: a range stays one."""
        walked = [*args[:1], *([keywords["iterable"]] if "iterable" in keywords else [])]
        lazy = bool(walked) and any(isinstance(r, (Range, Zipped)) for r in walked[0].refs)
        return walked[0] if lazy else self._fn_list(name, walked, keywords)

    def _fn_trange(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return self._fn_range("range", args, keywords)

    def _fn_bytes(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return Value(labels=frozenset().union(*(self.full_labels(a) for a in args[:1])), symbols=merge_symbols(args))

    def _fn_set(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        items = self.items(args[0])[0] if args else []
        return Value(refs=(Sequence(list(items), False, True, self.line),))

    def _fn_dict(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        mapping = Mapping(dict(keywords), line=self.line)
        for arg in args:
            held = [ref for ref in arg.refs if isinstance(ref, Mapping)]
            for ref in held:
                mapping.items.update(ref.items)
                mapping.rest = ref.rest
            if not held:
                self.add_pairs(mapping, arg)
        mapping.keys_known = mapping.rest is None
        return Value(refs=(mapping,), labels=merge_labels(args))

    _fn_OrderedDict = _fn_dict

    def add_pairs(self, mapping: Mapping, pairs: Value) -> None:
        """Enter (key, value) pairs; what is not known as pairs may stand under any key."""
        for item in self.items(pairs)[0]:
            pair = [r.items for r in item.refs if isinstance(r, Sequence) and r.exact and len(r.items) == 2]
            key, value = pair[0] if pair else (NOTHING, Value(labels=self.full_labels(item), symbols=item.symbols))
            if key.known and hashable(key.const):
                mapping.items[key.const] = value
            else:
                mapping.rest = value if mapping.rest is None else join(mapping.rest, value)

    def _fn_tree_flatten(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        """Trees of arrays, however nested: what any leaf depends on."""
        labels = frozenset(x for a in args for x in self.full_labels(a))
        return Value(labels=labels, symbols=merge_symbols(args))

    _fn_tree_unflatten = _fn_tree_flatten

    def _fn_defaultdict(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        made = self.call(args[0], [], {}, None) if args and args[0].refs else NOTHING
        return Value(refs=(Mapping({}, made, line=self.line),))

    def _fn_Counter(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        mapping = Mapping({}, NOTHING, line=self.line)
        data = data_of(merge_labels(args))
        if data:
            self.update_table(mapping, data, NOTHING)
        return Value(refs=(mapping,))

    def _fn_len(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if name != "len" or not args:
            return None
        for ref in args[0].refs:
            if isinstance(ref, Sequence) and ref.exact and not self.maybe and len(args[0].refs) == 1:
                return Value(len(ref.items))
        target = any(isinstance(x, Data) and x.source == "val" and x.role in ("", "y") for x in args[0].labels)
        looked = any(isinstance(x, Looked) for x in args[0].labels)
        lists = [ref for ref in args[0].refs if isinstance(ref, Sequence)]
        size = self.length_of(lists[0]) if lists else self.size_of(args[0]).labels
        return Value(labels=size | {Flag("target-bytes", 0)} if target or looked else size)

    def _fn_int(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if name not in ("int", "float", "bool", "str") or not args:
            return None
        value = args[0]
        if value.known:
            try:
                const = {"int": int, "float": float, "bool": bool, "str": str}[name](value.const)
            except (TypeError, ValueError, OverflowError):
                return Value(labels=value.labels, symbols=value.symbols)
            text = const if name == "str" else value.text
            return Value(const, labels=value.labels, symbols=value.symbols, text=text, counter=value.counter)
        if name == "bool":
            truth = self.truth(value)
            return Value(UNKNOWN if truth is None else truth, symbols=value.symbols)
        return Value(
            labels=self.full_labels(value),
            symbols=value.symbols,
            text=value.text,
            counter=value.counter,
            later=value.later,
        )

    _fn_float = _fn_bool = _fn_str = _fn_int

    def _fn_get(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if name == "os.environ.get" and args:
            return self.environment_value(args[0], args[1] if len(args) > 1 else keywords.get("default", NONE))
        return None

    def _fn_getenv(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return (
            self.environment_value(args[0], args[1] if len(args) > 1 else keywords.get("default", NONE))
            if args
            else None
        )

    def _fn_getattr(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if len(args) < 2 or not isinstance(args[1].const, str):
            return None
        for ref in args[0].refs:
            if isinstance(ref, Instance) and args[1].const not in ref.attrs:
                known = ref.cls is not None and ref.cls.find(args[1].const) is not None
                if not known and len(args) > 2 and not ref.external:
                    return args[2]
        return self.attribute(args[0], args[1].const)

    def _fn_setattr(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if len(args) == 3 and isinstance(args[1].const, str):
            self.set_attribute(args[0], args[1].const, args[2])
        return NONE

    def _fn_super(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return Value(refs=(External("super()"),))

    def _fn_join(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not name.endswith("path.join") or len(args) < 2:
            return None
        known = all(isinstance(a.const, str) for a in args)
        text = "/".join(str(a.const) if known else a.text or "{}" for a in args)
        return Value(
            text if known else UNKNOWN, labels=frozenset().union(*joined(args)), symbols=merge_symbols(args), text=text
        )

    def _fn_partial(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return Value(refs=(Partial(args[0], args[1:], keywords),)) if args else None

    def _fn_itemgetter(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        return Value(refs=(Partial(Value(refs=(External("operator.items_of"),)), args, {}),)) if args else None

    def _fn_items_of(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        """What ``itemgetter(*keys)`` returns for an owner: one item, or a tuple of them."""
        *keys, owner = args
        found = [self.subscript(owner, key, None) for key in keys]
        return found[0] if len(found) == 1 else Value(refs=(Sequence(found, True, False),))

    def _fn_deepcopy(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        return self.copied(args[0], {}) if args else None

    def copied(self, value: Value, memo: dict[int, Heap]) -> Value:
        """A deep copy: the same state, a new identity."""
        refs = tuple(self._copied_ref(r, memo) for r in value.refs)
        return Value(value.const, refs, value.labels, value.symbols, value.text)

    def _copied_ref(self, ref: Heap, memo: dict[int, Heap]) -> Heap:
        if ref.ident in memo:
            return memo[ref.ident]
        new: Heap
        if isinstance(ref, Instance):
            new = memo[ref.ident] = Instance(ref.cls, ref.external, ref.line)
            new.attrs = {k: self.copied(v, memo) for k, v in ref.attrs.items()}
        elif isinstance(ref, Cell):
            new = memo[ref.ident] = Cell(ref.line, parameter=ref.parameter)
            new.buffer = ref.buffer
        elif isinstance(ref, Sequence):
            new = memo[ref.ident] = Sequence(
                [self.copied(i, memo) for i in ref.items], ref.exact, ref.mutable, ref.line
            )
        elif isinstance(ref, Mapping):
            rest = self.copied(ref.rest, memo) if ref.rest is not None else None
            new = memo[ref.ident] = Mapping({k: self.copied(v, memo) for k, v in ref.items.items()}, rest, ref.line)
        else:
            return ref
        new.labels |= ref.labels
        return new

    def _fn_print(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        if len(args) > 1 and any("bpb" in a.text.lower() for a in args):
            labels: Labels = frozenset().union(*(self.full_labels(a) for a in args))
            if any(isinstance(x, Scored) for x in labels):
                self.report(" ".join(a.text or "{}" for a in args), Value(labels=labels))
        self.note_texts(self.trace.printed, args)
        return NONE

    def _fn_ArgumentParser(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        instance = Instance(None, "argparse.ArgumentParser", self.line)
        instance.attrs["__space__"] = Value(refs=(Instance(None, "namespace", self.line),))
        return Value(refs=(instance,))

    def _fn_field(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """``dataclasses.field``: kept as it is until an object is made."""
        if name != FIELD:
            return None
        spec = Instance(None, FIELD, self.line)
        spec.attrs.update(keywords)
        return Value(refs=(spec,))

    def _fn_SimpleNamespace(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        instance = Instance(None, "namespace", self.line)
        instance.attrs.update(keywords)
        return Value(refs=(instance,))

    _fn_Namespace = _fn_SimpleNamespace

    def _fn_map(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if len(args) < 2:
            return None
        results = []
        for element, symbol, _certain in self.iterations(args[1], args[1].refs[0] if args[1].refs else args[1]):
            if symbol:
                self.loops.append(symbol)
            results.append(self.call(args[0], [element], {}, None))
            if symbol:
                self.loops.pop()
        return Value(refs=(Sequence(results, False),))

    def _fn_next(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not args:
            return None
        items, _exact = self.items(args[0])
        if not items:
            return args[1] if len(args) > 1 else NOTHING
        value = items[0]
        for item in items[1:]:
            value = join(value, item)
        return self.select_items(value, frozenset(self.loops))

    def _fn_checkpoint(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return self.call(args[0], args[1:], {}, None) if args else None

    _fn_submit = _fn_functional_call = _fn_checkpoint

    def _fn_Thread(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        target = keywords.get("target")
        if target is not None:
            given = self.items(keywords["args"])[0] if "args" in keywords else []
            self.call(target, list(given), {}, None)
        return NOTHING

    def _fn_dirname(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if args and isinstance(args[0].const, str):
            return self.string(posixpath.dirname(args[0].const))
        return folder_of(args[0]) if args and not args[0].known else None

    def _fn_shape(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return NOTHING
