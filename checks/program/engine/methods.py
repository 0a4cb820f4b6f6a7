"""Methods on values that are no objects of the submission: tensors, arrays, modules, optimizers, containers."""

from __future__ import annotations

from checks.program.engine.handed import Handed
from checks.program.engine.labels import ROUNDED, Flag, Scored, Uses
from checks.program.engine.library import _FRESH, PLOTS
from checks.program.engine.objects import SIZES
from checks.program.engine.paths import opened
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    NONE,
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
    Parameters,
    Partial,
    Sequence,
    Value,
    merge_labels,
    merge_symbols,
)

_VIEWS = frozenset(
    [
        "to",
        "cpu",
        "cuda",
        "view",
        "reshape",
        "flatten",
        "detach",
        "contiguous",
        "unsqueeze",
        "squeeze",
        "permute",
        "transpose",
        "expand",
        "t",
        "numpy",
        "float",
        "double",
        "half",
        "bfloat16",
        "long",
        "int",
        "type",
        "astype",
        "pin_memory",
        "requires_grad_",
        "ravel",
        "data_ptr",
        "expand_as",
        "view_as",
        "eval",
        "train",
        "tolist",
        "items",
    ]
)
_CASTS = frozenset(["to", "type", "astype"])
_NARROW = frozenset(["char"])
_REDUCTIONS = frozenset(["mean", "std", "var", "amax", "amin", "norm", "median", "logsumexp"])
_GROWS = frozenset(["append", "add", "appendleft", "insert", "put", "extend", "update"])
_COPIES = frozenset(["clone", "copy", "deepcopy"])


class Methods(Handed):
    """Method calls by name."""

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call ``owner.name(*args)`` where no class of the submission defines it."""
        lists = [r for r in owner.refs if isinstance(r, (Sequence, Mapping))]
        if len(lists) > 1 and name in _GROWS:  # it may be any of them
            self.maybe += 1
            for held in lists:
                self._heap_method(held, owner, name, args, keywords)
            self.maybe -= 1
            return NONE
        for ref in owner.refs:
            handled = self._heap_method(ref, owner, name, args, keywords)
            if handled is not None:
                return handled
        values = [owner, *args, *keywords.values()]
        if name in PLOTS:
            self.note_texts(self.trace.drawn, values[1:])
        if name == "data_as":
            return self.pointer(owner)
        if name == "tofile":
            self.spill(owner)
            return NONE
        written = self.through_pointers(name, args)
        if written is not None:
            return written
        strange = [x for x in owner.labels if type(x) is Flag and x.name == "foreign"]
        if strange and not self.is_score(owner) and any(self.is_score(v) for v in values):
            return self.unread(str(strange[0].detail[1]), "", values)
        if name == "sum" and (args or keywords):
            return self.row_total(owner, self.unknown_call(name, values))
        if name == "backward":
            return self._backward(owner)
        if name in SIZES:
            return self.size_of(owner, elements=name in ("numel", "nelement"))
        if name.endswith("_") and not name.startswith("_") and name != "requires_grad_":
            return self.mutate(owner, name, args)
        if name in ("softmax", "log_softmax", "exp", "log", "sigmoid", "log2", "exp_", "log_"):
            return self.distribution(name.rstrip("_2"), owner)
        if name in _REDUCTIONS and (args or keywords):
            axis = keywords.get("dim", keywords.get("axis", args[0] if args else NOTHING)).const
            kept = name == "mean" and keywords.get("keepdim", NOTHING).const is True and axis in (1, -2)
            batch = isinstance(axis, tuple) and len(axis) > 1 and 0 in axis and bool(self.modules_active)
            if (kept or batch) and any(isinstance(x, Uses) for x in owner.labels) and not self.is_score(owner):
                seen = {d.source for d in data_of(owner.labels)}
                what = "takes the mean over the row" if kept else "takes a statistic over the batch and its rows"
                return self._sees_later(self.unknown_call("", values), [], what, bool(seen) if kept else "val" in seen)
        if name == "triu" and not args and "diagonal" not in keywords:
            return Value(labels=merge_labels([owner]) | {Flag("upper", self.line, self.file)}, symbols=owner.symbols)
        if name == "masked_fill" and any(
            isinstance(x, Flag) and x.name == "not-upper" for v in args[:1] for x in v.labels
        ):
            return self._sees_later(
                self.unknown_call("", values), [], "masks the earlier positions, not the later ones", True
            )
        if name in ("clamp", "clamp_", "clamp_max", "clip") and self.is_score(owner):
            return self._fn_clamp(name, [owner, *args], keywords) or NOTHING
        if name in ("gather", "take_along_dim", "index_select", "take", "take_along_axis"):
            index = keywords.get("index") or (args[-1] if args else NOTHING)
            return self.select(owner, Value(labels=self.full_labels(index), symbols=index.symbols), None)
        if (
            name in ("max", "min", "amax", "amin")
            and not args
            and not any(isinstance(x, (Scored, Uses)) for x in owner.labels)
        ):
            return Value(text="size", labels=owner.labels - data_of(owner.labels))
        if name in ("minimum", "maximum", "fmin", "fmax") or (
            name in ("min", "max") and args and self.is_score(args[0])
        ):
            return self._fn_min(name, [owner, *args], keywords) or NOTHING
        if name in ("where", "masked_fill") and len(args) == 2:
            return self._fn_where(name, [args[0], owner, args[1]], {}) or NOTHING
        if name == "format" and owner.text:
            return self._text_method(owner.text, [*args, *keywords.values()])
        if name in ("append", "extend", "add", "update"):
            return NONE
        if name in ("write_bytes", "tofile", "write"):
            return self._fn_save(name, [NOTHING, owner, *args], keywords)
        if name in ("read_bytes", "open", "read_text") and opened(owner.labels) != owner.labels:
            return Value(labels=opened(owner.labels), symbols=owner.symbols)
        if name == "readinto" and args:
            for ref in args[0].refs:
                self.write(ref, Value(labels=opened(self.full_labels(owner)), symbols=owner.symbols))
            return NOTHING
        if name in ("read_bytes", "read", "getvalue", "getbuffer") and not data_of(owner.labels):
            labels = self.full_labels(owner) | self.artifact | {Flag("artifact", self.line, self.file)}
            return Value(labels=labels, symbols=owner.symbols)
        if name in _NARROW or (name in _CASTS and any(_is_narrow(v) for v in values[1:])):
            return Value(labels=self.full_labels(owner) | {ROUNDED}, symbols=owner.symbols)
        if name in _VIEWS:
            return Value(
                owner.const if name == "tolist" else UNKNOWN, owner.refs, owner.labels, owner.symbols, owner.text
            )
        if (
            name in ("submit", "map", "apply_async", "starmap")
            and args
            and any(isinstance(r, (Function, Bound, Partial)) for r in args[0].refs)
        ):
            return self.external(name if name != "starmap" else "map", args, keywords, None)
        if name == "result" and not any(isinstance(r, Instance) for r in owner.refs):
            return owner  # of a future: what the submitted call returned
        if name in _FRESH:
            return Value(refs=(self.new_cell(),))
        if name in ("add_argument",):
            return NONE
        if name in ("add", "sub", "mul", "div", "logaddexp", "lerp", "true_divide"):
            return self.combine_values([owner, *args])
        if name in (
            "split",
            "strip",
            "replace",
            "lower",
            "upper",
            "startswith",
            "endswith",
            "join",
            "rstrip",
            "lstrip",
        ):
            folded = _fold_string(owner, name, args)
            if folded is not None:
                return folded
            if name == "join":
                return Value(labels=self.full_labels(owner).union(*(self.full_labels(a) for a in args)))
        return self.unknown_call(name, values)

    def combine_values(self, values: list[Value]) -> Value:
        """Arithmetic by method name."""
        blended = self.blend(values)
        return blended or Value(labels=merge_labels(values), symbols=merge_symbols(values))

    def _text_method(self, text: str, parts: list[Value]) -> Value:
        labels = merge_labels(parts)
        if "bpb" in text.lower() and any(isinstance(x, Scored) for x in labels):
            self.report(text, Value(labels=labels))
            labels = labels | {self.reported()}
        return Value(labels=labels, text=text)

    # -- by kind of object -------------------------------------------------------------------------------------------

    def _heap_method(
        self, ref: Heap, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]
    ) -> Value | None:
        if isinstance(ref, Instance):
            return self._instance_method(ref, owner, name, args, keywords)
        if isinstance(ref, Sequence):
            return self._sequence_method(ref, name, args)
        if isinstance(ref, Mapping):
            return self._mapping_method(ref, name, args)
        if isinstance(ref, (Parameters, Cell, Gradient)) and name in _COPIES:
            state = ref.owner if isinstance(ref, (Parameters, Gradient)) else ref
            return Value(refs=(Cell(self.line, self.state(state)),), labels=owner.labels, symbols=owner.symbols)
        if isinstance(ref, ClassObject) and name == "__new__":
            return Value(refs=(Instance(ref, line=self.line),))
        if isinstance(ref, External) and ref.name == "super()":
            return self._super_method(name, args, keywords)
        return None

    def _super_method(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        return NOTHING if name == "__init__" else self.unknown_call(name, [*args, *keywords.values()])


def _is_narrow(value: Value) -> bool:
    """Whether a value names a type of eight bits, as quantised weights have."""
    return any(isinstance(r, External) and r.name.rpartition(".")[2] == "int8" for r in value.refs)


def _fold_string(owner: Value, name: str, args: list[Value]) -> Value | None:
    if not isinstance(owner.const, str) or not all(isinstance(a.const, (str, int)) for a in args):
        return None
    try:
        result = getattr(owner.const, name)(*[a.const for a in args])
    except (TypeError, ValueError):
        return None
    if isinstance(result, list):
        return Value(refs=(Sequence([Value(r, text=r) for r in result[:64]], len(result) <= 64),))
    if isinstance(result, str) and len(result) > 65536:
        return None
    return Value(result, labels=owner.labels, text=result if isinstance(result, str) else "")
