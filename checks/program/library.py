"""What the abstract machine knows of Python, numpy and torch: enough to follow data and state, by name.

Anything not named here returns a value that carries the labels of its arguments, and calls functions passed to it.
"""

from __future__ import annotations

import ast
import re

from checks.program.access import Access, data_of, opened
from checks.program.values import (
    NO_LABELS,
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
    Parameters,
    Partial,
    Range,
    Scope,
    Scored,
    Sequence,
    Uses,
    Value,
    Zipped,
    join,
    merge_labels,
    merge_symbols,
)

NETWORK = (
    "requests.get", "requests.post", "urllib.request.urlopen", "urllib.request.urlretrieve", "huggingface_hub.hf_hub_download",
    "huggingface_hub.snapshot_download", "datasets.load_dataset", "httpx.get", "socket.create_connection", "wget.download",
    "gdown.download", "boto3.client",
)  # fmt: skip
_IDENTITY = (
    "torch.compile", "DistributedDataParallel", "DDP", "torch.jit.script", "copy.copy", "torch.as_tensor", "numpy.asarray",
    "numpy.ascontiguousarray", "torch.from_numpy", "torch.nn.DataParallel", "functools.wraps", "numpy.array", "torch.tensor",
    "torch.nn.Parameter", "torch.jit.trace", "torch._dynamo.disable", "torch.compiler.disable", "torch.no_grad",
)  # fmt: skip
_FRESH = (
    "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "randn", "rand", "randint",
    "randn_like", "rand_like", "eye", "new_zeros", "new_empty", "new_full",
)  # fmt: skip
_TAILS_WITHOUT_DATA = frozenset(
    "isinstance hasattr id type callable perf_counter time monotonic device exists getsize is_available "
    "device_count synchronize barrier manual_seed set_device isfile isdir numel".split()
)
_SHELL = ("subprocess.", "os.system", "os.popen")
_FETCH = re.compile(r"\b(?:curl|wget|aria2c|aws s3|gsutil|huggingface-cli|rsync|scp)\b|https?://")
_HASHING = (ast.BitXor, ast.BitOr, ast.LShift, ast.Mod, ast.Mult)
_HEADER = 1024  # entries of a shard's header; reading it reads no tokens
_RESET = ("zero_", "fill_", "normal_", "uniform_", "zeros_", "ones_", "constant_", "orthogonal_", "kaiming_uniform_", "trunc_normal_", "eye_")


class Library(Access):
    """Models of functions outside the submission."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self.defaults: dict[int, tuple[list[Value], list[Value]]] = {}
        self.modules_active: list[Instance] = []
        self.arguments: list[str] = []

    # -- names -------------------------------------------------------------------------------------------------------

    def builtin(self, name: str) -> Value:
        """A name that no scope of the submission defines."""
        if name == "__name__":
            return Value("__main__", text="__main__")
        if name == "__file__":
            return Value(self.file, text=self.file)
        return Value(refs=(External(name),))

    def is_score(self, value: Value) -> bool:
        """Whether a value is a score (a loss or probability of the target)."""
        return any(isinstance(x, Scored) for x in value.labels)

    def module_state(self) -> Labels:
        """State of the modules whose methods are running: their outputs depend on it."""
        labels: Labels = NO_LABELS
        for module in self.modules_active:
            labels = labels | {x for x in self.state(module) if isinstance(x, (Adapted, Flag))} | {Uses(module.ident)}
        return labels

    def unknown_call(self, name: str, values: list[Value]) -> Value:
        """A function nobody knows: labels of its arguments flow through, functions among them are called."""
        for value in list(values[1:] if not name else values):
            for ref in value.refs:
                if isinstance(ref, Function) and ref.node not in self.stack_nodes():
                    values = [*values, self.call(Value(refs=(ref,)), [], {}, None)]
        blended = self.blend(values)
        if blended is not None:
            return blended
        symbols = merge_symbols(values)
        labels = merge_labels(values)
        if self.while_loops and not any(isinstance(x, (Data, Scored, Looked, Uses)) for x in labels):
            symbols = symbols | frozenset(self.while_loops)
        return Value(labels=labels, symbols=symbols)

    def stack_nodes(self) -> list[object]:
        """Nodes of the user functions that are running."""
        return list(getattr(self, "stack", ()))

    def keyed(self, values: list[Value], op: object, labels: Labels) -> Labels:
        """Mark arithmetic that mixes the target with its context: a hash key."""
        if op is None:
            return labels
        flags = {x.name for x in labels if isinstance(x, Flag)}
        selections = {data_of(v.labels) for v in values} - {NO_LABELS}
        if not selections or "mixed-key" in flags:
            return labels
        if len(selections) > 1 and (op in _HASHING or (op is ast.Add and "multiplied" in flags)):
            return labels | {Flag("mixed-key", self.line, self.file)}
        return labels | {Flag("multiplied", 0)} if op in (ast.Mult, ast.LShift) else labels

    def fetched(self, name: str, values: list[Value]) -> None:
        """Record a call that uses the network, with the constants that say what it fetches; shells only if they do."""
        given = [v for value in values for v in (value, *self.items(value)[0])]
        text = " ".join(v.const for v in given if isinstance(v.const, str))[:400]
        if name.endswith(NETWORK) or _FETCH.search(text):
            self.call_event("network", values, f"{name} {text}".strip())

    # -- functions ---------------------------------------------------------------------------------------------------

    def external(self, name: str, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a function outside the submission by dotted name."""
        tail = name.rsplit(".", 1)[-1]
        values = [*args, *keywords.values()]
        handler = getattr(self, f"_fn_{tail}", None)
        if handler is not None:
            result = handler(name, args, keywords)
            if result is not None:
                return result  # type: ignore[no-any-return]
        if name in ("file.write", "file.writelines"):
            return self._fn_save(name, [NOTHING, *args], keywords)
        if name.startswith("file."):
            return NOTHING
        if name.endswith(NETWORK) or name.startswith(_SHELL):
            self.fetched(name, values)
        if name.endswith(_IDENTITY):
            return self._identity(name, args, values)
        if tail in _FRESH and name.split(".")[0] in ("torch", "numpy", "np"):
            return Value(refs=(self.new_cell(),), labels=NO_LABELS)
        if tail in _TAILS_WITHOUT_DATA:
            return NOTHING
        if tail.endswith("_") and args and not tail.startswith("_"):
            return self.mutate(args[0], tail, args[1:])
        if tail in ("softmax", "log_softmax", "exp", "log", "sigmoid") and args:
            return self.distribution(tail, args[0])
        if "cross_entropy" in tail or tail in ("nll_loss", "NLLLoss", "CrossEntropyLoss"):
            loss = self._loss(args, keywords)
            if loss is not None:
                return loss
        if (name.startswith("torch.optim.") and "lr_scheduler" not in name) or tail in ("AdamW", "Adam", "SGD", "Muon", "LBFGS", "NAdam", "RMSprop"):
            instance = Instance(None, "optimizer", self.line)
            instance.attrs["__params__"] = args[0] if args else keywords.get("params", NOTHING)
            instance.attrs["param_groups"] = Value(refs=(self.groups(instance.attrs["__params__"]),))
            return Value(refs=(instance,))
        if name.startswith("torch.nn.") and tail[:1].isupper():
            instance = Instance(None, name, self.line)
            instance.attrs.update({k: keywords[k] for k in ("bidirectional", "padding", "kernel_size") if k in keywords})
            instance.labels |= merge_labels(values) - data_of(merge_labels(values))
            return Value(refs=(instance,))
        return self.unknown_call(name, values)

    def distribution(self, tail: str, value: Value) -> Value:
        """softmax, exp, log: remember what is a probability and what its logarithm."""
        labels = self.full_labels(value) if value.refs else value.labels
        names = {x.name for x in labels if isinstance(x, Flag)}
        name = ""
        if tail in ("softmax", "sigmoid") or (tail == "exp" and "logprob" in names):
            name = "prob"
        elif tail == "log_softmax" or (tail == "log" and "prob" in names):
            name = "logprob"
        dropped = ("prob", "logprob", "capped") if tail == "exp" else ("prob", "logprob")  # a capped perplexity is shown
        kept = {x for x in labels if not (isinstance(x, Flag) and x.name in dropped)}
        if name and not any(isinstance(x, Scored) for x in labels):
            kept.add(Flag(name, self.line, self.file))
        return Value(labels=frozenset(kept), symbols=value.symbols)

    def _identity(self, name: str, args: list[Value], values: list[Value]) -> Value:
        if not args:
            return NOTHING
        value = args[0]
        if name.endswith("Parameter") or (name.endswith(("torch.tensor", "numpy.array")) and not value.refs):
            parameter = name.endswith("Parameter")
            return Value(refs=(Cell(self.line, merge_labels([value]), parameter),), symbols=value.symbols)
        if value.refs and isinstance(value.refs[0], Sequence) and name.endswith(("array", "tensor", "asarray")):
            if value.refs[0].items and all(i.known for i in value.refs[0].items):
                return Value(refs=(Cell(self.line),))  # a table of constants
            return Value(labels=self.full_labels(value), symbols=merge_symbols(value.refs[0].items) | value.symbols)
        return value

    def groups(self, params: Value) -> Sequence:
        """``param_groups`` of an optimizer: one group that holds all its parameters."""
        items, _ = self.items(params)
        held: list[Value] = []
        for item in items:
            for ref in item.refs:
                if isinstance(ref, Mapping) and "params" in ref.items:
                    held.extend(self.items(ref.items["params"])[0])
            if not any(isinstance(r, Mapping) for r in item.refs):
                held.append(item)
        group = Mapping({"params": Value(refs=(Sequence(held[:24], False),)), "lr": NOTHING}, NOTHING)
        return Sequence([Value(refs=(group,))], True)

    def _loss(self, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        prediction = args[0] if args else keywords.get("input", NOTHING)
        target = args[1] if len(args) > 1 else keywords.get("target", NOTHING)
        scored = self.score_with_modules(target, prediction)
        if scored is None and len(args) > 2:
            for other in args[2:]:
                scored = scored or self.score_with_modules(other, Value(labels=merge_labels(args[:2])))
        return scored

    def score_with_modules(self, target: Value, prediction: Value) -> Value | None:
        """Record a loss; inside a module's method its state is part of the prediction."""
        used = self.full_labels(prediction) | self.module_state()
        return self.score(target, Value(labels=used))

    def external_instance(self, target: Instance, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call an object of an external class, e.g. ``nn.Linear`` or ``nn.CrossEntropyLoss``."""
        values = [*args, *keywords.values()]
        self.run_hooks(target, args, Value(labels=merge_labels(values)))
        if "Loss" in target.external:
            loss = self._loss(args, keywords)
            if loss is not None:
                return loss
        if target.external.endswith(("Sequential", "ModuleList")):
            current = args[0] if args else NOTHING
            for layer in self.items(target.attrs.get("__layers__", NOTHING))[0]:
                current = self.call(layer, [current], {}, None)
            return current
        labels = merge_labels(values) | self.state(target)
        if target.external.startswith("torch.nn."):
            labels = labels | {Uses(target.ident)}
        result = Value(labels=labels, symbols=merge_symbols(values))
        if target.external.endswith(("LSTM", "GRU", "RNN")):
            both = target.attrs.get("bidirectional", NOTHING).const is True
            return self._sees_later(result, [], "runs over the row in both directions", both)
        if target.external.endswith("Conv1d"):
            width, padding = (target.attrs.get(k, NOTHING).const for k in ("kernel_size", "padding"))
            both = isinstance(width, int) and isinstance(padding, int) and 0 < padding < width - 1
            return self._sees_later(result, [], "pads the row on both sides of the convolution", both)
        return result

    def run_hooks(self, target: Instance, args: list[Value], output: Value) -> None:
        """Call the forward hooks of a module."""
        hooks = target.attrs.get("__hooks__")
        if hooks is None:
            return
        given = Value(refs=(Sequence(list(args), True, False),))
        for hook in self.items(hooks)[0]:
            if not any(isinstance(r, Function) and r.node in self.stack_nodes() for r in hook.refs):
                self.call(hook, [Value(refs=(target,)), given, output], {}, None)

    # -- builtins with a meaning of their own ------------------------------------------------------------------------

    def _fn_range(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if name != "range" or not args:
            return None
        plain = [Value(a.const, symbols=a.symbols) for a in args]
        start = plain[0] if len(plain) > 1 else Value(0)
        stop = plain[1] if len(plain) > 1 else plain[0]
        return Value(refs=(Range(start, stop, plain[2] if len(plain) > 2 else Value(1)),))

    def _fn_enumerate(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if not args:
            return None
        start = args[1] if len(args) > 1 else keywords.get("start", Value(0))
        return Value(refs=(Zipped([Value(refs=(Range(start, NOTHING, Value(1)),)), args[0]]),))

    def _fn_zip(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        return Value(refs=(Zipped(args),)) if args else None

    def _fn_list(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not args:
            return Value(refs=(Sequence([], True, True, self.line),))
        items, exact = self.items(args[0])
        return Value(refs=(Sequence(list(items), exact, True, self.line),), labels=args[0].labels)

    def _fn_islice(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        items, _exact = self.items(args[0]) if args else ([], False)
        stop = args[1] if len(args) == 2 else args[2] if len(args) > 2 else NOTHING
        if isinstance(stop.const, int):
            cut = frozenset({Flag("partial", self.line, (self.file, f"the first {stop.const:,}"))})
            items = [Value(i.const, i.refs, i.labels | cut, i.symbols, i.text) if data_of(i.labels) else i for i in items]
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
        if len(data_of(labels)) > 1:
            labels = labels | {Flag("mixed-key", self.line, self.file)}
        return Value(labels=labels, symbols=args[0].symbols if args else frozenset())

    def _fn_b85decode(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """Decoding a literal: what comes out was stored in the script."""
        return Value(labels=merge_labels(args) | {Flag("artifact", self.line, self.file)})

    _fn_b64decode = _fn_a85decode = _fn_unhexlify = _fn_fromhex = _fn_b85decode
    _fn_tuple = _fn_deque = _fn_reversed = _fn_ModuleList = _fn_ParameterList = _fn_tqdm = _fn_list

    def _fn_set(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        items = self.items(args[0])[0] if args else []
        return Value(refs=(Sequence(list(items), False, True, self.line),))

    def _fn_Sequential(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        instance = Instance(None, name, self.line)
        instance.attrs["__layers__"] = Value(refs=(Sequence(args, True, False),))
        return Value(refs=(instance,))

    def _fn_dict(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        mapping = Mapping(dict(keywords), line=self.line)
        for arg in args:
            for ref in arg.refs:
                if isinstance(ref, Mapping):
                    mapping.items.update(ref.items)
                    mapping.rest = ref.rest
        return Value(refs=(mapping,), labels=merge_labels(args))

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
        return Value(labels=frozenset({Flag("target-bytes", 0)}) if target or looked else NO_LABELS)

    def _fn_int(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if name not in ("int", "float", "bool", "str") or not args:
            return None
        value = args[0]
        if value.known:
            try:
                const = {"int": int, "float": float, "bool": bool, "str": str}[name](value.const)
            except (TypeError, ValueError, OverflowError):
                return Value(labels=value.labels, symbols=value.symbols)
            return Value(const, labels=value.labels, symbols=value.symbols, text=const if name == "str" else value.text)
        if name == "bool":
            truth = self.truth(value)
            return Value(UNKNOWN if truth is None else truth, symbols=value.symbols)
        return Value(labels=self.full_labels(value), symbols=value.symbols, text=value.text, later=value.later)

    _fn_float = _fn_bool = _fn_str = _fn_int

    def _fn_get(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if name == "os.environ.get" and args:
            return self.environment_value(args[0], args[1] if len(args) > 1 else keywords.get("default", NONE))
        return None

    def _fn_getenv(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return self.environment_value(args[0], args[1] if len(args) > 1 else keywords.get("default", NONE)) if args else None

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

    def _fn_partial(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return Value(refs=(Partial(args[0], args[1:], keywords),)) if args else None

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
            new = memo[ref.ident] = Cell(ref.line)
        elif isinstance(ref, Sequence):
            new = memo[ref.ident] = Sequence([self.copied(i, memo) for i in ref.items], ref.exact, ref.mutable, ref.line)
        elif isinstance(ref, Mapping):
            rest = self.copied(ref.rest, memo) if ref.rest is not None else None
            new = memo[ref.ident] = Mapping({k: self.copied(v, memo) for k, v in ref.items.items()}, rest, ref.line)
        else:
            return ref
        new.labels |= ref.labels
        return new

    def _fn_min(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        operands = args if len(args) > 1 else self.items(args[0])[0] if args else []
        if "key" in keywords and operands:
            return self._chosen_by(keywords["key"], list(operands))
        if all(v.known and isinstance(v.const, (int, float)) for v in operands) and operands:
            chosen = (min if name.endswith(("min", "minimum")) else max)(v.const for v in operands)
            return Value(chosen, symbols=merge_symbols(operands))
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
        return Value(labels=merge_labels(operands), symbols=merge_symbols(operands), later=later and name == "max")

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
        return Value(labels=labels | self.target_class(test.labels), symbols=merge_symbols(args))

    def _fn_scaled_dot_product_attention(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        result = self.unknown_call(name, [*args, *keywords.values()])
        mask = keywords.get("attn_mask", args[3] if len(args) > 3 else NONE)
        causal = keywords.get("is_causal", args[5] if len(args) > 5 else Value(False))
        return self._sees_later(result, args, "attends to later positions", causal.const is False and mask.const is None)

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
        flag = frozenset({Flag("acausal", self.line, (self.file, what))})
        return Value(result.const, result.refs, result.labels | flag, result.symbols)

    def _fn_clamp(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """A cap on losses: the largest value that is let through, in nats."""
        if not args or not self.is_score(args[0]):
            return None
        upper = keywords.get("max") or (args[-1] if len(args) > 2 or (name.endswith("max") and len(args) > 1) else NOTHING)
        labels = merge_labels(args[:1])
        if upper.known and isinstance(upper.const, (int, float)) and upper.const > 1:  # a probability's bound is 1
            labels = labels | {Flag("capped", self.line, (self.file, float(upper.const)))}
        return Value(labels=labels, symbols=merge_symbols(args[:1]))

    _fn_clip = _fn_clamp

    def stored_match(self, values: list[Value]) -> None:
        """Note scores that change where a stored token equals the target."""
        scores = [x.event for v in values for x in v.labels if isinstance(x, Scored)]
        if scores and any(isinstance(x, Flag) and x.name == "stored-match" for v in values for x in v.labels):
            self.note_blend("stored-match", scores)

    def target_class(self, labels: Labels) -> frozenset[Flag]:
        """Flags for a property of validation targets that was read from a fixed table, at the line that read it."""
        found = set()
        for label in labels:
            if isinstance(label, Flag) and label.name == "target-class":
                found.add(label)
            elif isinstance(label, Looked):
                event = self.trace.lookups[label.event]
                if not event.state and not event.mixed and any(d.role == "y" and d.source == "val" for d in event.key):
                    found.add(Flag("target-class", event.place.line, event.place.file))
        return frozenset(found)

    def gate(self, test: Value, scores: list[int]) -> None:
        """Note a gate on scores that looks up a class of the target."""
        keys = {d for x in test.labels if isinstance(x, Looked) for d in self.trace.lookups[x.event].key}
        if any(d.role == "y" and d.source == "val" for d in keys):
            self.note_blend("gate", scores, test.labels)

    def _fn_gather(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        index = keywords.get("index") or (args[-1] if len(args) > 1 else None)
        return self.select(args[0], Value(labels=self.full_labels(index), symbols=index.symbols), None) if index else None

    _fn_take_along_axis = _fn_take_along_dim = _fn_index_select = _fn_take = _fn_gather

    def _fn_arange(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        text = args[0].text if args and args[0].text in ("+1", "-k") else ""
        return Value(symbols=merge_symbols(args), text=text)

    def _fn_at(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        if not name.endswith(("add.at", "maximum.at", "subtract.at", "put.at")) or len(args) < 2:
            return None
        index = Value(labels=self.full_labels(args[1]), symbols=args[1].symbols)
        self.store(args[0], index, args[2] if len(args) > 2 else NOTHING)
        return NONE

    def _fn_print(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        if len(args) > 1 and any("bpb" in a.text.lower() for a in args):
            labels = merge_labels(args)
            if any(isinstance(x, Scored) for x in labels):
                self.report(" ".join(a.text or "{}" for a in args), Value(labels=labels))
        return NONE

    def _fn_all_gather_object(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        if len(args) > 1:
            self.store(args[0], NOTHING, args[1])
        return NONE

    def _fn_all_reduce(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return NONE

    _fn_broadcast = _fn_all_gather = _fn_all_gather_into_tensor = _fn_reduce = _fn_barrier = _fn_all_reduce

    def _fn_grad(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        if not args:
            return None
        data, _, scores = self.loss_data(args[0])
        return Value(labels=data | {Flag("gradient", 0, scores)} if data else NO_LABELS)

    def _fn_bincount(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        data = data_of(merge_labels(args))
        return Value(labels=data | {Flag("counts", self.line, self.file)} if data else NO_LABELS)

    _fn_histc = _fn_histogram = _fn_unique = _fn_bincount

    def _fn_load(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        labels: Labels = opened(frozenset().union(*(self.full_labels(a) for a in args)))
        if args and isinstance(args[0].const, str):
            self.call_event("load-file", args[:1], args[0].const)
        kept = frozenset(x for x in labels if isinstance(x, (Data, Flag, Adapted)))
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
        """Write state to a file or buffer: what is read back depends on it."""
        state: set[Adapted | Flag] = set()
        for path in args:
            if isinstance(path.const, str):
                self.call_event("save-file", [Value(labels=self.full_labels(v)) for v in args], path.const)
        for value in [*args, *keywords.values()]:
            labels = self.full_labels(value)
            state |= {x for x in labels if isinstance(x, Adapted) or (isinstance(x, Flag) and x.name == "chosen-by-score")}
            data = data_of(labels)
            if data:
                computed = any(isinstance(x, Uses) for x in labels)
                state.add(self.adapt("calibration" if computed else "stored", data, (), (name,)))
        for arg in args[1:]:
            for ref in arg.refs:
                ref.labels |= state
                self.touch()
        self.artifact |= state
        self.trace.saved |= {x.event for x in state if isinstance(x, Adapted)}
        return NONE

    _fn_dump = _fn_savez = _fn_savez_compressed = _fn_save_file = _fn_save

    def _fn_BytesIO(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return Value(refs=(Cell(self.line, merge_labels(args)),), labels=merge_labels(args), symbols=merge_symbols(args))

    def _fn_fromfile(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        count = args[2] if len(args) > 2 else keywords.get("count", NOTHING)
        if isinstance(count.const, int) and 0 < count.const <= _HEADER:
            return NOTHING
        self.note_read(opened(merge_labels(args)))
        return Value(labels=opened(merge_labels(args)), symbols=merge_symbols(args))

    _fn_memmap = _fn_frombuffer = _fn_from_file = _fn_read_table = _fn_fromfile

    def _fn_ArgumentParser(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        instance = Instance(None, "argparse.ArgumentParser", self.line)
        instance.attrs["__space__"] = Value(refs=(Instance(None, "namespace", self.line),))
        return Value(refs=(instance,))

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

    def _fn_checkpoint(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        return self.call(args[0], args[1:], {}, None) if args else None

    _fn_submit = _fn_functional_call = _fn_checkpoint

    def _fn_Thread(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        target = keywords.get("target")
        if target is not None:
            given = self.items(keywords["args"])[0] if "args" in keywords else []
            self.call(target, list(given), {}, None)
        return NOTHING

    def _fn_shape(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        return NOTHING

    # -- methods -----------------------------------------------------------------------------------------------------

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call a method by name on a value of no user class (in ``methods``)."""
        raise NotImplementedError

    def mutate(self, owner: Value, name: str, args: list[Value]) -> Value:
        """An in-place method (in ``methods``)."""
        raise NotImplementedError

    def loss_data(self, loss: Value) -> tuple[frozenset[Data], frozenset[int], frozenset[int]]:
        """Data, modules and score events that a loss depends on (in ``methods``)."""
        raise NotImplementedError


__all__ = ["NONE", "Bound", "ClassObject", "Gradient", "Library", "Parameters"]
