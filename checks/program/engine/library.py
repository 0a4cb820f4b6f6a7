"""What the abstract machine knows of Python, numpy and torch: enough to follow data and state, by name.

Anything not named here returns a value that carries the labels of its arguments, and calls functions passed to it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable

from checks.program.engine.binding import Binding
from checks.program.engine.labels import NO_LABELS, Adapted, Data, Flag, Labels, Looked, Scored, Uses
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    NOTHING,
    Cell,
    External,
    Function,
    Instance,
    Mapping,
    Scope,
    Sequence,
    Value,
    merge_labels,
    merge_symbols,
)

NETWORK = (
    "requests.get", "requests.post", "urllib.request.urlopen", "urllib.request.urlretrieve", "huggingface_hub.hf_hub_download",
    "huggingface_hub.snapshot_download", "datasets.load_dataset", "httpx.get", "socket.create_connection", "wget.download",
    "gdown.download", "boto3.client",
)  # fmt: skip
#: Calls of matplotlib whose texts a picture shows and no log.
PLOTS = frozenset(["annotate", "figtext", "legend", "plot", "set_title", "suptitle", "text", "title"])
_IDENTITY = (
    "torch.compile", "DistributedDataParallel", "DDP", "torch.jit.script", "copy.copy", "torch.as_tensor", "numpy.asarray",
    "numpy.ascontiguousarray", "torch.from_numpy", "torch.nn.DataParallel", "functools.wraps", "numpy.array", "torch.tensor",
    "torch.nn.Parameter", "torch.jit.trace", "torch._dynamo.disable", "torch.compiler.disable", "torch.no_grad",
    "mlx.core.compile", "jax.jit", "FullyShardedDataParallel", "FSDP", "peft.get_peft_model",
)  # fmt: skip
_FRESH = (
    "zeros", "ones", "empty", "full", "zeros_like", "ones_like", "empty_like", "full_like", "randn", "rand", "randint",
    "randn_like", "rand_like", "eye", "new_zeros", "new_empty", "new_full",
)  # fmt: skip
_TAILS_WITHOUT_DATA = frozenset(
    [
        "isinstance",
        "hasattr",
        "id",
        "type",
        "callable",
        "perf_counter",
        "time",
        "monotonic",
        "device",
        "exists",
        "getsize",
        "is_available",
        "device_count",
        "synchronize",
        "barrier",
        "manual_seed",
        "set_device",
        "isfile",
        "isdir",
        "numel",
    ]
)
_SHELL = ("subprocess.", "os.system", "os.popen")
_MODEL = "_fn_"  # before the last part of a function's name: the method that knows what it does
_Model = Callable[[str, list[Value], dict[str, Value]], Value | None]
_FETCH = re.compile(r"\b(?:curl|wget|aria2c|aws s3|gsutil|huggingface-cli|rsync|scp)\b|https?://")
_HASHING = (ast.BitXor, ast.BitOr, ast.LShift, ast.Mod, ast.Mult)
_HEADER = 1024  # entries of a shard's header; reading it reads no tokens
_RESET = (
    "zero_",
    "fill_",
    "normal_",
    "uniform_",
    "zeros_",
    "ones_",
    "constant_",
    "orthogonal_",
    "kaiming_uniform_",
    "trunc_normal_",
    "eye_",
)


class Library(Binding):
    """Models of functions outside the submission."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self.defaults: dict[int, tuple[list[Value], list[Value]]] = {}
        self.arguments: list[str] = []
        named = [name for name in dir(type(self)) if name.startswith(_MODEL)]
        self.models: dict[str, _Model] = {name.removeprefix(_MODEL): getattr(self, name) for name in named}
        self.strangers: set[str] = set()  # imported modules that are neither in the folder nor published

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
        return bool(value.labels) and any([type(x) is Scored for x in value.labels])

    def scored(self, value: Value) -> frozenset[int]:
        """The score events that a value is made of, in containers too."""
        return frozenset(x.event for x in self.full_labels(value) if isinstance(x, Scored))

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

    def unread(self, module: str, called: str, values: list[Value]) -> Value:
        """A call into code that is not at hand; what it makes of a score is not known."""
        result = self.unknown_call(called, values)
        name = "unread" if any(self.is_score(v) for v in values) else "foreign"
        flag = Flag(name, self.line, (self.file, module))
        return Value(result.const, result.refs, result.labels | {flag}, result.symbols, result.text)

    def stack_nodes(self) -> list[object]:
        """Nodes of the user functions that are running."""
        return list(getattr(self, "stack", ()))

    def keyed(self, values: list[Value], op: object, labels: Labels) -> Labels:
        """Mark arithmetic that mixes the target with its context: a hash key."""
        if op is not ast.Add and op not in _HASHING:
            return labels
        flags = {x.name for x in labels if type(x) is Flag}
        selections = {data_of(v.labels) for v in values} - {NO_LABELS}
        if not selections or "mixed-key" in flags:
            return labels
        if len(selections) > 1 and (op in _HASHING or (op is ast.Add and "multiplied" in flags)):
            for recording in self.recordings:
                recording.apart.add(frozenset(selections))
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
        if tail in PLOTS:
            self.note_texts(self.trace.drawn, values)
        handler = self.models.get(tail)
        if handler is not None:
            result = handler(name, args, keywords)
            if result is not None:
                return result
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
        if (name.startswith("torch.optim.") and "lr_scheduler" not in name) or tail in (
            "AdamW",
            "Adam",
            "SGD",
            "Muon",
            "LBFGS",
            "NAdam",
            "RMSprop",
        ):
            instance = Instance(None, "optimizer", self.line)
            instance.attrs["__params__"] = args[0] if args else keywords.get("params", NOTHING)
            instance.attrs["param_groups"] = Value(refs=(self.groups(instance.attrs["__params__"]),))
            return Value(refs=(instance,))
        if name.startswith("torch.nn.") and tail[:1].isupper():
            instance = Instance(None, name, self.line)
            instance.attrs.update(
                {k: keywords[k] for k in ("bidirectional", "padding", "kernel_size") if k in keywords}
            )
            instance.labels |= merge_labels(values) - data_of(merge_labels(values))
            return Value(refs=(instance,))
        root = name.partition(".")[0]
        return self.unread(root, name, values) if root in self.strangers else self.unknown_call(name, values)

    def distribution(self, tail: str, value: Value) -> Value:
        """softmax, exp, log: remember what is a probability and what its logarithm."""
        labels = self.full_labels(value) if value.refs else value.labels
        names = {x.name for x in labels if isinstance(x, Flag)}
        name = ""
        if tail in ("softmax", "sigmoid") or (tail == "exp" and "logprob" in names):
            name = "prob"
        elif tail == "log_softmax" or (tail == "log" and "prob" in names):
            name = "logprob"
        dropped = (
            ("prob", "logprob", "no-distribution", "capped")
            if tail == "exp"
            else ("prob", "logprob", "no-distribution")
        )  # a capped perplexity is shown
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

    def stored_match(self, values: list[Value]) -> None:
        """Note scores that change where a stored token equals the target."""
        scores = [x.event for v in values for x in v.labels if isinstance(x, Scored)]
        masks = [v for v in values if not any(isinstance(x, Scored) for x in v.labels)]
        if scores and any(isinstance(x, Flag) and x.name == "stored-match" for v in masks for x in v.labels):
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

    def row_total(self, row: Value, total: Value) -> Value:
        """The sum of a row of counts (in ``operators``)."""
        raise NotImplementedError

    def _fn_save(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Write state to a file (in ``tensors``)."""
        raise NotImplementedError

    def _sees_later(self, result: Value, args: list[Value], what: str, acausal: bool) -> Value:
        """Mark a value that depends on later tokens (in ``tensors``)."""
        raise NotImplementedError

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
