"""Methods of the objects that the machine models itself: modules, optimizers, parsers, lists and dicts."""

from __future__ import annotations

from checks.program.engine.access import HOOK_HANDLE
from checks.program.engine.gradients import Gradients
from checks.program.engine.labels import ROUNDED, Flag
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    NONE,
    NOTHING,
    Absent,
    Cell,
    Instance,
    Mapping,
    Parameters,
    Sequence,
    Value,
    join,
    merge_labels,
)

SIZES = frozenset(
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


class Objects(Gradients):
    """Method calls on instances, sequences and mappings."""

    def _instance_method(
        self, ref: Instance, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]
    ) -> Value | None:
        if ref.external == "optimizer":
            return self._optimizer_method(ref, name, args)
        if ref.external == "argparse.ArgumentParser":
            return self._parser_method(ref, name, args, keywords)
        if ref.external == HOOK_HANDLE and name == "remove":
            return _remove_hooks(owner)
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
            labels = self.weights_of(ref)
            entry = Value(refs=(Cell(self.line, labels),), labels=labels)
            return Value(refs=(Mapping({}, entry, self.line),), labels=labels)
        if name == "load_state_dict":
            self.overwrite_labels(ref, args[0] if args else NOTHING)
            return NONE
        if name == "update" and args and ref.cls is not None and ref.cls.derives("nn.Module", "Module"):
            self.update_module(ref, args[0])
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
            handle = Instance(None, HOOK_HANDLE, self.line)
            handle.attrs.update({"__hooks__": hooks, "__hook__": args[0]})
            return Value(refs=(handle,))
        if name == "register_buffer" and len(args) > 1 and isinstance(args[0].const, str):
            for cell in args[1].refs:
                if isinstance(cell, Cell) and not cell.parameter:
                    cell.buffer = True
            self.set_attribute(owner, args[0].const, args[1])
            return NONE
        if name in ("append", "extend", "insert") and ref.external.endswith("ModuleList"):
            return NONE
        if name == "apply" and args:
            return owner
        if name in SIZES:
            return NOTHING
        return None

    def overwrite_labels(self, ref: Instance, state: Value) -> None:
        """``load_state_dict``: the module's state becomes that of the dictionary."""
        labels = self.full_labels(state)
        if any(isinstance(x, Flag) and x.name == "artifact" for x in labels):
            labels = labels | {Flag("restored", self.line, self.file)}
        name = "dequantised" if ROUNDED in labels else "loaded"
        labels = (labels - {ROUNDED}) | {Flag("loaded", self.line, self.file), Flag(name, self.line, self.file)}
        labels |= frozenset(x for depth, choice in self.choosing if depth == len(self.frames) for x in choice)
        self.set_state(ref, self.adapted_by(labels, "inplace"))

    def _sequence_method(self, ref: Sequence, name: str, args: list[Value]) -> Value | None:
        if name in ("append", "add", "appendleft", "insert", "put", "put_nowait"):
            item = self.settled(args[-1]) if args else NOTHING
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
        if name in ("pop", "popleft", "get", "get_nowait"):
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
            if args[0].known and args[0].const in ref.items:
                return read
            return join(read, args[1] if len(args) > 1 else Value(refs=(Absent(),)))
        if name == "items":
            pairs = [Value(refs=(Sequence([Value(k), v], True, False),)) for k, v in ref.items.items()]
            if ref.rest is not None:
                pairs.append(Value(refs=(Sequence([NOTHING, ref.rest], True, False),)))
            return Value(refs=(Sequence(pairs, ref.rest is None),), labels=frozenset(ref.labels))
        if name == "values":
            values = [*ref.items.values(), *([ref.rest] if ref.rest is not None else [])]
            return Value(refs=(Sequence(values, ref.rest is None),), labels=frozenset(ref.labels))
        if name == "keys":
            keys = [*map(Value, ref.items), *([NOTHING] if ref.rest is not None else [])]
            return Value(refs=(Sequence(keys, ref.rest is None),))
        if name == "update":
            for arg in args:
                for other in arg.refs:
                    if isinstance(other, Mapping):
                        ref.items.update(other.items)
                        if other.rest is not None:
                            ref.rest = other.rest if ref.rest is None else join(ref.rest, other.rest)
                labels = merge_labels([arg])
                if any(isinstance(x, Flag) and x.name == "gradient" for x in labels):  # new weights, by name
                    self.add_pairs(ref, arg)
                elif data_of(labels):
                    self.update_table(ref, data_of(labels), arg)
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
                switch = {"store_true": True, "store_false": False}.get(str(action.const) if action is not None else "")
                if default is None:
                    default = Value(not switch) if switch is not None else NONE
                kind = keywords.get("type")
                given = next((self.environment[n] for n in names if n in self.environment and n.startswith("-")), None)
                if given is not None:
                    default = Value(switch) if switch is not None else self.string(given)
                if kind is not None and default.known and default.const is not None:
                    default = self.call(kind, [default], {}, None)
                for target in space.refs:
                    if isinstance(target, Instance) and isinstance(dest, str):
                        first = (
                            given is None and dest in target.attrs
                        )  # of two options with one name, the first decides
                        target.attrs[dest] = target.attrs[dest] if first else default
            return NOTHING
        if name == "parse_args":
            return space
        if name == "parse_known_args":
            return Value(refs=(Sequence([space, NOTHING], True, False),))
        if name in ("add_argument_group", "add_mutually_exclusive_group"):
            return Value(refs=(ref,))
        return None


def _remove_hooks(handles: Value) -> Value:
    """``handle.remove()``: the hook is not called any more."""
    for handle in handles.refs:
        if isinstance(handle, Instance) and handle.external == HOOK_HANDLE:
            for sequence in handle.attrs["__hooks__"].refs:
                if isinstance(sequence, Sequence):
                    sequence.items = [hook for hook in sequence.items if hook is not handle.attrs["__hook__"]]
    return NONE
