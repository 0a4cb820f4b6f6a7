"""Methods on values that are no objects of the submission: tensors, arrays, modules, optimizers, containers."""

from __future__ import annotations

from checks.program.access import data_of, opened
from checks.program.gradients import Gradients
from checks.program.library import _FRESH
from checks.program.values import (
    NONE,
    NOTHING,
    UNKNOWN,
    Adapted,
    Cell,
    ClassObject,
    External,
    Flag,
    Function,
    Gradient,
    Heap,
    Instance,
    Mapping,
    Parameters,
    Scored,
    Sequence,
    Uses,
    Value,
    join,
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
_SIZES = frozenset(
    [
        "numel",
        "size",
        "dim",
        "element_size",
        "nelement",
        "ndimension",
        "exists",
        "stat",
        "is_file",
        "is_dir",
        "get_device",
        "untyped_storage",
    ]
)
_KEYED = frozenset(
    ["scatter_add_", "index_add_", "index_put_", "scatter_", "scatter_reduce_", "index_copy_", "put_", "index_fill_"]
)
_COPIES = frozenset(["clone", "copy", "deepcopy"])


class Methods(Gradients):
    """Method calls by name."""

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call ``owner.name(*args)`` where no class of the submission defines it."""
        for ref in owner.refs:
            handled = self._heap_method(ref, owner, name, args, keywords)
            if handled is not None:
                return handled
        values = [owner, *args, *keywords.values()]
        if name == "backward":
            return self._backward(owner)
        if name in _SIZES:
            return Value(text="size")
        if name.endswith("_") and not name.startswith("_") and name != "requires_grad_":
            return self.mutate(owner, name, args)
        if name in ("softmax", "log_softmax", "exp", "log", "sigmoid", "log2", "exp_", "log_"):
            return self.distribution(name.rstrip("_2"), owner)
        if name == "mean" and keywords.get("keepdim", NOTHING).const is True:
            axis = keywords.get("dim", args[0] if args else NOTHING)
            hidden = any(isinstance(x, Uses) for x in owner.labels) and not self.is_score(owner)
            whole = hidden and bool(data_of(owner.labels)) and axis.const in (1, -2)
            return self._sees_later(self.unknown_call("", values), [], "takes the mean over the row", whole)
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
        if name in ("read_bytes", "read", "getvalue", "getbuffer") and not data_of(owner.labels):
            labels = self.full_labels(owner) | self.artifact | {Flag("artifact", self.line, self.file)}
            return Value(labels=labels, symbols=owner.symbols)
        if name in _VIEWS:
            return Value(
                owner.const if name == "tolist" else UNKNOWN, owner.refs, owner.labels, owner.symbols, owner.text
            )
        if (
            name in ("submit", "map", "apply_async", "starmap")
            and args
            and any(isinstance(r, Function) for r in args[0].refs)
        ):
            return self.external(name if name != "starmap" else "map", args, keywords, None)
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
        return self.unknown_call(name, values)

    def combine_values(self, values: list[Value]) -> Value:
        """Arithmetic by method name."""
        blended = self.blend(values)
        return blended or Value(labels=merge_labels(values), symbols=merge_symbols(values))

    def _text_method(self, text: str, parts: list[Value]) -> Value:
        labels = merge_labels(parts)
        if "bpb" in text.lower() and any(isinstance(x, Scored) for x in labels):
            self.report(text, Value(labels=labels))
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

    def _instance_method(
        self, ref: Instance, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]
    ) -> Value | None:
        if ref.external == "optimizer":
            return self._optimizer_method(ref, name, args)
        if ref.external == "argparse.ArgumentParser":
            return self._parser_method(ref, name, args, keywords)
        if name in ("parameters", "buffers", "named_buffers", "named_parameters"):
            alias = Value(refs=(Parameters(ref),))
            if name.startswith("named"):
                pair = Value(refs=(Sequence([NOTHING, alias], True, False),))
                return Value(refs=(Sequence([pair], False),))
            return Value(refs=(Sequence([alias], False),))
        if name in ("modules", "children", "named_modules", "named_children"):
            owned = [Value(refs=(o,)) for o in self.owned(ref) if isinstance(o, Instance)][:12]
            if name.startswith("named"):
                owned = [Value(refs=(Sequence([NOTHING, o], True, False),)) for o in owned]
            return Value(refs=(Sequence(owned, True),))
        if name == "state_dict":
            labels = frozenset(x for x in self.state(ref) if isinstance(x, (Adapted, Flag)))
            return Value(refs=(Mapping({}, Value(labels=labels), self.line),), labels=labels)
        if name == "load_state_dict":
            self.overwrite_labels(ref, args[0] if args else NOTHING)
            return NONE
        if name in (
            "eval",
            "train",
            "to",
            "cuda",
            "cpu",
            "float",
            "half",
            "bfloat16",
            "requires_grad_",
            "double",
            "compile",
        ):
            return owner
        if name in ("register_forward_hook", "register_forward_pre_hook") and args:
            hooks = ref.attrs.setdefault("__hooks__", Value(refs=(Sequence([], True),)))
            for sequence in hooks.refs:
                if isinstance(sequence, Sequence) and len(sequence.items) < 4:
                    sequence.items.append(args[0])
            return NOTHING
        if name == "register_buffer" and len(args) > 1 and isinstance(args[0].const, str):
            self.set_attribute(owner, args[0].const, args[1])
            return NONE
        if name in ("append", "extend", "insert") and ref.external.endswith("ModuleList"):
            return NONE
        if name == "apply" and args:
            return owner
        if name in _SIZES:
            return NOTHING
        return None

    def overwrite_labels(self, ref: Instance, state: Value) -> None:
        """``load_state_dict``: the module's state becomes that of the dictionary."""
        labels = self.full_labels(state) | {Flag("loaded", self.line, self.file)}
        self.set_state(ref, self.adapted_by(labels, "inplace"))

    def _sequence_method(self, ref: Sequence, name: str, args: list[Value]) -> Value | None:
        if name in ("append", "add", "appendleft", "insert", "put"):
            item = args[-1] if args else NOTHING
            if self.maybe or self.loops:
                ref.exact = ref.exact and not self.maybe and len(ref.items) < 8
            if len(ref.items) < 16:
                ref.items = [*ref.items, item]
            else:
                ref.items[-1] = join(ref.items[-1], item)
                ref.exact = False
            if self.loops:
                ref.exact = False
            self.touch()
            return NONE
        if name in ("extend", "update"):
            for arg in args:
                items, exact = self.items(arg)
                ref.items = [*ref.items, *items][:24]
                ref.exact = ref.exact and exact and not self.maybe
            self.touch()
            return NONE
        if name in ("clear",) and not self.maybe:
            ref.items, ref.exact = [], True
            ref.labels.clear()
            return NONE
        if name in ("pop", "popleft", "get"):
            value = ref.items[0] if ref.items else NOTHING
            for item in ref.items[1:]:
                value = join(value, item)
            ref.exact = False
            return self.select_items(value, frozenset(self.loops))
        if name in ("sort", "reverse"):
            ref.exact = False
            return NONE
        if name == "copy":
            return Value(refs=(Sequence(list(ref.items), ref.exact, ref.mutable, self.line),))
        return None

    def _mapping_method(self, ref: Mapping, name: str, args: list[Value]) -> Value | None:
        if name in ("get", "pop", "setdefault") and args:
            read = self.subscript(Value(refs=(ref,)), args[0], None)
            if name == "setdefault" and len(args) > 1:
                self.store(Value(refs=(ref,)), args[0], join(read, args[1]) if read is not NOTHING else args[1])
                return join(read, args[1])
            if len(args) > 1 and not (args[0].known and args[0].const in ref.items):
                return join(read, args[1])
            return read
        if name == "items":
            pairs = [Value(refs=(Sequence([Value(k), v], True, False),)) for k, v in ref.items.items()]
            if ref.rest is not None:
                pairs.append(Value(refs=(Sequence([NOTHING, ref.rest], True, False),)))
            return Value(refs=(Sequence(pairs, ref.rest is None),), labels=frozenset(ref.labels))
        if name == "values":
            values = [*ref.items.values(), *([ref.rest] if ref.rest is not None else [])]
            return Value(refs=(Sequence(values, ref.rest is None),), labels=frozenset(ref.labels))
        if name == "keys":
            return Value(refs=(Sequence([Value(k) for k in ref.items], ref.rest is None),))
        if name == "update":
            for arg in args:
                for other in arg.refs:
                    if isinstance(other, Mapping):
                        ref.items.update(other.items)
                        if other.rest is not None:
                            ref.rest = other.rest if ref.rest is None else join(ref.rest, other.rest)
                data = data_of(merge_labels([arg]))
                if data:
                    self.update_table(ref, data, arg)
            self.touch()
            return NONE
        if name == "clear":
            if not self.maybe:
                ref.items, ref.rest = {}, None
                ref.labels.clear()
            return NONE
        if name == "copy":
            new = Mapping(dict(ref.items), ref.rest, self.line)
            new.labels |= ref.labels
            return Value(refs=(new,))
        return None

    def _parser_method(self, ref: Instance, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        space = ref.attrs.get("__space__")
        if space is None:
            ref.attrs["__space__"] = space = Value(refs=(Instance(None, "namespace", self.line),))
        if name == "add_argument":
            names = [a.const for a in args if isinstance(a.const, str)]
            if names:
                dest = keywords["dest"].const if "dest" in keywords else names[-1].lstrip("-").replace("-", "_")
                action = keywords.get("action")
                default = keywords.get("default")
                if default is None:
                    default = Value(False) if action is not None and action.const == "store_true" else NONE
                kind = keywords.get("type")
                if kind is not None and default.known and default.const is not None:
                    default = self.call(kind, [default], {}, None)
                for target in space.refs:
                    if isinstance(target, Instance) and isinstance(dest, str):
                        target.attrs[dest] = default
            return NOTHING
        if name == "parse_args":
            return space
        if name == "parse_known_args":
            return Value(refs=(Sequence([space, NOTHING], True, False),))
        if name in ("add_argument_group", "add_mutually_exclusive_group"):
            return Value(refs=(ref,))
        return None

    # -- gradients ---------------------------------------------------------------------------------------------------

    # -- in-place changes --------------------------------------------------------------------------------------------


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
