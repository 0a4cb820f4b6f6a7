"""numpy, torch and files: choices, gathers, statistics, gradients, saved state."""

from __future__ import annotations

from checks.program.engine.counter import Counter
from checks.program.engine.extents import bounds, few_of
from checks.program.engine.folding import before
from checks.program.engine.functions import Functions
from checks.program.engine.labels import NO_LABELS, NO_SYMBOLS, Adapted, Data, Flag, Labels, Looked, Scored, Uses
from checks.program.engine.paths import opened
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    MARKS,
    NONE,
    NOTHING,
    UNKNOWN,
    Absent,
    Cell,
    External,
    Heap,
    Instance,
    Mapping,
    Sequence,
    Value,
    join,
    merge_labels,
    merge_symbols,
)

_HEADER = 1024  # entries of a shard's header; reading it reads no tokens


class Tensors(Functions):
    """Models of tensor and file functions, by the last part of their name."""

    def _fn_b85decode(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """Decoding a literal: what comes out was stored in the script."""
        return Value(labels=merge_labels(args) | {Flag("artifact", self.line, self.file)})

    _fn_b64decode = _fn_a85decode = _fn_unhexlify = _fn_fromhex = _fn_b85decode

    def _fn_Sequential(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        instance = Instance(None, name, self.line)
        instance.attrs["__layers__"] = Value(refs=(Sequence(args, True, False),))
        return Value(refs=(instance,))

    def _fn_min(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        operands = args if len(args) > 1 else self.items(args[0])[0] if args else []
        if name == "min":
            operands = [before(v) for v in operands]
        if "key" in keywords and operands:
            return self._chosen_by(keywords["key"], list(operands))
        if all(v.known and isinstance(v.const, (int, float)) for v in operands) and operands:
            chosen = (min if name.endswith(("min", "minimum")) else max)(v.const for v in operands)
            return Value(chosen, symbols=merge_symbols(operands), counter=_bounded(operands))
        sets = [frozenset(x.event for x in v.labels if isinstance(x, Scored)) for v in operands]
        if len([s for s in sets if s]) > 1:
            chosen = self.choose(operands, "minimum", name)
            if chosen is not None:
                return chosen
        blended = self.blend(list(operands), "minimum") if len(operands) > 1 else None
        if blended is not None:
            return blended
        if operands and all(v.refs for v in operands):
            inner = frozenset(x.event for v in operands for x in self.full_labels(v) if isinstance(x, Scored))
            if len(inner) > 1:
                self.note_blend("minimum", inner, detail=name)
            result = operands[0]
            for other in operands[1:]:
                result = join(result, other)
            return result
        later = any(v.later for v in operands)
        limit = self.limited(operands) if name.endswith(("min", "minimum")) else NO_LABELS
        labels, symbols = merge_labels(operands) | limit, merge_symbols(operands)
        if name.endswith(("max", "maximum")):
            labels = labels - few_of(labels)
        return Value(labels=labels, symbols=symbols, counter=_bounded(operands), later=later and name == "max")

    def _chosen_by(self, key: Value, operands: list[Value]) -> Value:
        """``min(choices, key=score)``: which one is chosen depends on the scores."""
        scores: set[int] = set()
        result = operands[0]
        for operand in operands:
            measured = self.call(key, [operand], {}, None)
            scores |= {x.event for x in self.full_labels(measured) if isinstance(x, Scored)}
            result = join(result, operand)
        if not scores:
            return result
        chosen = Flag("chosen-by-score", self.line, (self.file, "min", frozenset(scores)))
        return Value(UNKNOWN, result.refs, result.labels | {chosen}, result.symbols)

    _fn_max = _fn_minimum = _fn_maximum = _fn_fmin = _fn_fmax = _fn_min

    def _fn_where(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if len(args) != 3:
            return None
        test, a, b = args
        scores = [x.event for v in (a, b) for x in v.labels if isinstance(x, Scored)]
        if scores and any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels):
            chosen = self.choose([a, b], "select")
            if chosen is not None:
                return chosen
        if scores:
            self.gate(test, scores)
            self.stored_match(args)
        compared = any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels)
        blended = self.blend([a, b], "select" if compared else "blend")
        labels = merge_labels([a, b]) if blended is None else blended.labels
        labels = labels | {x for x in test.labels if isinstance(x, Flag) and x.name == "decided-by"}
        return Value(labels=labels | self.target_class(test.labels), symbols=merge_symbols(args))

    def _fn_scaled_dot_product_attention(
        self, name: str, args: list[Value], keywords: dict[str, Value]
    ) -> Value | None:
        result = self.unknown_call(name, [*args, *keywords.values()])
        mask = keywords.get("mask")  # MLX: "causal" or an array
        if mask is None:
            mask = keywords.get("attn_mask", args[3] if len(args) > 3 else NONE)
        causal = keywords.get("is_causal", args[5] if len(args) > 5 else Value(False))
        if causal.const is False and mask.const is None:
            return self._sees_later(result, args, "attends to later positions", True)
        return self.attend_masked(result, args, mask) if causal.const is False else result

    def attend_masked(self, result: Value, args: list[Value], mask: Value) -> Value:
        """Attention under a mask that is no constant (in ``masks``)."""
        raise NotImplementedError

    def _fn_flash_attn_func(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        result = self.unknown_call(name, [*args, *keywords.values()])
        causal = keywords.get("causal", args[5] if len(args) > 5 else Value(False))
        window = keywords.get("window_size")
        return self._sees_later(result, args, "attends to later positions", causal.const is False and window is None)

    _fn_flash_attn_3_func = _fn_flash_attn_func

    def _sees_later(self, result: Value, args: list[Value], what: str, acausal: bool) -> Value:
        """Mark a value of a position that depends on tokens after it; keys that hold no tokens are none."""
        if not acausal or not (len(args) < 2 or data_of(merge_labels(args[1:2]))):
            return result
        name = "acausal-memory" if len(args) > 1 and self._from_elsewhere(args[0], args[1]) else "acausal"
        flag = frozenset({Flag(name, self.line, (self.file, what))})
        return Value(result.const, result.refs, result.labels | flag, result.symbols)

    def _from_elsewhere(self, queries: Value, keys: Value) -> bool:
        """Whether modules that are no part of the running one made the queries or the keys, but not both."""
        apart = {x.ident for x in queries.labels ^ keys.labels if isinstance(x, Uses)}
        if not apart or not self.modules_active:
            return False
        own: set[int] = set()
        stack: list[Heap] = [self.modules_active[-1]]
        while stack:
            heap = stack.pop()
            if heap.ident in own:
                continue
            own.add(heap.ident)
            held: list[Value] = []
            if isinstance(heap, Instance):
                held += heap.attrs.values()
            elif isinstance(heap, Sequence):
                held += heap.items
            elif isinstance(heap, Mapping):
                held += heap.items.values()
            stack.extend(r for value in held for r in value.refs)
        return not apart <= own

    def _fn_clamp(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """A cap on losses: the largest value that is let through, in nats."""
        if not args or not self.is_score(args[0]):
            return None
        upper = keywords.get("max") or (
            args[-1] if len(args) > 2 or (name.endswith("max") and len(args) > 1) else NOTHING
        )
        labels = merge_labels(args[:1])
        if upper.known and isinstance(upper.const, (int, float)) and upper.const > 1:  # a probability's bound is 1
            labels = labels | {Flag("capped", self.line, (self.file, float(upper.const)))}
        return Value(labels=labels, symbols=merge_symbols(args[:1]))

    _fn_clip = _fn_clamp

    def _fn_gather(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if "dist" in name or "gather_list" in keywords:
            return self._fn_gather_object(name, args, keywords)
        index = keywords.get("index") or (args[-1] if len(args) > 1 else None)
        return (
            self.select(args[0], Value(labels=self.full_labels(index), symbols=index.symbols), None) if index else None
        )

    def _fn_repeat(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """Scores repeated as often as a table says of their targets: once for each byte, say."""
        times = args[1] if len(args) > 1 else keywords.get("repeats", NOTHING)
        looked = frozenset(x.event for x in times.labels if isinstance(x, Looked))
        if not args or not self.is_score(args[0]) or not looked:
            return None
        return Value(labels=args[0].labels | {Flag("repeated", self.line, looked)}, symbols=args[0].symbols)

    _fn_repeat_interleave = _fn_repeat

    _fn_take_along_axis = _fn_take_along_dim = _fn_index_select = _fn_take = _fn_gather

    def _fn_arange(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        text = args[0].text if args and args[0].text in ("+1", "-k") else ""
        return Value(labels=bounds(merge_labels(args)), symbols=merge_symbols(args), text=text)

    def _fn_at(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not name.endswith(("add.at", "maximum.at", "subtract.at", "put.at")) or len(args) < 2:
            return None
        index = Value(labels=self.full_labels(args[1]), symbols=args[1].symbols)
        self.store(args[0], index, args[2] if len(args) > 2 else NOTHING)
        return NONE

    def _fn_all_gather(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Every rank's tensor or object, into a list or a tensor."""
        into = args[0] if args else keywords.get("tensor_list", keywords.get("output_tensor", NOTHING))
        sent = args[1] if len(args) > 1 else keywords.get("tensor", keywords.get("input_tensor", NOTHING))
        self.store(into, NOTHING, sent)
        return NONE

    def _fn_get_world_size(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return Value(labels=frozenset({Flag("ranks", 0)}))

    _fn_all_gather_object = _fn_all_gather_into_tensor = _fn_all_gather

    def _fn_gather_object(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        into = args[1] if len(args) > 1 else keywords.get("object_gather_list", keywords.get("gather_list", NOTHING))
        return self._fn_all_gather(name, [into, *args[:1]], keywords)

    def _fn_all_reduce(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return NONE

    _fn_broadcast = _fn_reduce = _fn_barrier = _fn_all_reduce

    def _fn_grad(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if not args:
            return None
        data, _, scores = self.loss_data(args[0])
        return Value(labels=data | {Flag("gradient", 0, scores)} if data else NO_LABELS)

    def _fn_bincount(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        data = data_of(merge_labels(args))
        splits = frozenset(d.source for d in data)
        return Value(labels=data | {Flag("counts", self.line, (self.file, splits))} if data else NO_LABELS)

    _fn_histc = _fn_histogram = _fn_unique = _fn_bincount

    def _fn_load(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        labels: Labels = opened(frozenset().union(*(self.full_labels(a) for a in args)))
        if args and isinstance(args[0].const, str):
            self.call_event("load-file", args[:1], args[0].const)
        kept: Labels = frozenset(x for x in labels if isinstance(x, (Data, Flag, Adapted)))
        if not data_of(kept):
            kept = kept | self.artifact
        return Value(labels=kept | {Flag("artifact", self.line, self.file)}, symbols=merge_symbols(args))

    _fn_loads = _fn_load

    def _fn_open(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        mode = args[1] if len(args) > 1 else keywords.get("mode", NOTHING)
        writes = isinstance(mode.const, str) and any(m in mode.const for m in "wa")
        if writes:
            self.call_event("open-write", args[:1], args[0].text if args else "")
            return Value(refs=(External("file"),))
        labels = opened(merge_labels(args[:1]))
        if not data_of(labels):
            labels = labels | self.artifact
        return Value(labels=labels | {Flag("artifact", self.line, self.file)}, symbols=merge_symbols(args))

    def _fn_save(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Write state to a file or buffer: what is read back depends on it. A line of text that a log gets is none."""
        self.concrete()
        if name in ("write", "file.write") and args[-1].text not in MARKS:
            return NONE
        state: set[Adapted | Flag] = set()
        for path in args:
            if isinstance(path.const, str):
                self.call_event("save-file", [Value(labels=self.full_labels(v)) for v in args], path.const)
        for value in [*args, *keywords.values()]:
            labels = self._without_metrics(value)
            state |= {
                x for x in labels if isinstance(x, Adapted) or (isinstance(x, Flag) and x.name == "chosen-by-score")
            }
            decided = {d for x in labels if isinstance(x, Flag) and x.name == "decided-by" for d in x.detail}
            order = {d for x in labels if isinstance(x, Looked) for d in self.trace.lookups[x.event].key}
            decided |= order  # columns in the order of their activations are no look-up of tokens, but depend on them
            data = data_of(labels) | decided
            if data:
                computed = bool(decided) or any(isinstance(x, Uses) for x in labels)
                state.add(self.adapt("calibration" if computed else "stored", data, (), (name,)))
        for arg in args[1:]:
            for ref in arg.refs:
                ref.labels |= state
                self.touch()
        self.artifact |= state
        self.trace.saved |= {x.event for x in state if isinstance(x, Adapted)}
        return NONE

    def _without_metrics(self, value: Value, depth: int = 3) -> Labels:
        """Labels of what is saved, but for the scores noted in a dict, or beside its weights: they change no weight."""
        labels = value.labels
        for ref in value.refs:
            if isinstance(ref, Mapping) and depth:
                kept = [v for v in (*ref.items.values(), *([ref.rest] if ref.rest else [])) if not _is_metric(v)]
                labels = labels.union(ref.labels, *(self._without_metrics(v, depth - 1) for v in kept))
            else:
                labels = labels | self.state(ref)
        return labels

    def _fn_dumps(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if not name.startswith("json.") or not args:
            return None
        return Value(labels=self.full_labels(args[0]), symbols=args[0].symbols, text="{}")

    _fn_dump = _fn_savez = _fn_savez_compressed = _fn_save_file = _fn_save

    def _fn_load_dataset(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """Documents of a hub's training split."""
        split = keywords.get("split", NOTHING).const
        if not isinstance(split, str) or not split.startswith("train"):
            return None
        self.fetched(name, [*args, *keywords.values()])
        return Value(labels=frozenset({Data("train", NO_SYMBOLS, "")}))

    def _fn_BytesIO(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return Value(
            refs=(Cell(self.line, merge_labels(args)),), labels=merge_labels(args), symbols=merge_symbols(args)
        )

    def _fn_fromfile(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        count = args[2] if len(args) > 2 else keywords.get("count", NOTHING)
        if isinstance(count.const, int) and 0 < count.const <= _HEADER:
            return self.header_of(merge_labels(args))
        self.note_read(opened(merge_labels(args)))
        return Value(labels=opened(merge_labels(args)), symbols=merge_symbols(args))

    _fn_memmap = _fn_frombuffer = _fn_from_file = _fn_read_table = _fn_fromfile

    def _fn_sum(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not args:
            return None
        items, _exact = self.items(args[0])
        return Value(labels=merge_labels([args[0], *items]), symbols=merge_symbols([args[0], *items]))

    _fn_mean = _fn_average = _fn_median = _fn_nanmean = _fn_sum

    def _fn_stack(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not args:
            return None
        items, _exact = self.items(args[0])
        self.note_read(merge_labels(items))
        self.pseudo_expert(merge_labels(items), list(items))
        blended = self.blend(list(items))
        return blended or Value(labels=merge_labels([args[0], *items]), symbols=merge_symbols([args[0], *items]))

    _fn_cat = _fn_concatenate = _fn_vstack = _fn_hstack = _fn_stack


def _is_metric(value: Value) -> bool:
    """Whether a value is a score by itself, be it the best so far: no state, nothing that a model or an adaptation gave."""
    kinds = {type(x) for x in value.labels}
    held = [ref for ref in value.refs if not isinstance(ref, Absent)]
    return Scored in kinds and not held and not kinds & {Data, Uses, Adapted}


def _bounded(operands: list[Value]) -> Counter | None:
    """``min((i + 1) * n, total)``: still the position, where only one operand is one."""
    positions = [v.counter for v in operands if v.counter is not None]
    return positions[0] if len(positions) == 1 else None
