"""Gradients and in-place changes: what makes state depend on data."""

from __future__ import annotations

from checks.program.engine.access import is_gradient
from checks.program.engine.extents import content_of
from checks.program.engine.labels import Data, Flag, Labels, Looked, Scored, Uses
from checks.program.engine.library import _RESET
from checks.program.engine.selections import data_of
from checks.program.engine.tensors import Tensors
from checks.program.engine.values import (
    NONE,
    NOTHING,
    Cell,
    External,
    Gradient,
    Heap,
    Instance,
    Mapping,
    Parameters,
    Partial,
    Sequence,
    Value,
)

_KEYED = frozenset(
    ["scatter_add_", "index_add_", "index_put_", "scatter_", "scatter_reduce_", "index_copy_", "put_", "index_fill_"]
)


class Gradients(Tensors):
    """Backward passes, optimizer steps and in-place methods."""

    def loss_data(self, loss: Value) -> tuple[frozenset[Data], frozenset[int], frozenset[int]]:
        """Token data, modules and score events behind a loss."""
        labels = self.full_labels(loss)
        data = set(data_of(labels))
        modules = {x.ident for x in labels if isinstance(x, Uses)}
        scores = {x.event for x in labels if isinstance(x, Scored)}
        for ident in scores:
            event = self.trace.scores[ident]
            data |= event.targets
            modules |= {x.ident for x in event.used if isinstance(x, Uses)}
        for label in labels:
            if isinstance(label, Looked):
                data |= self.trace.lookups[label.event].key
        return frozenset(data), frozenset(modules), frozenset(scores)

    def _backward(self, loss: Value) -> Value:
        self.concrete()
        data, modules, scores = self.loss_data(loss)
        if self.stepped:  # gradients that a step has used are not used again
            self.pending.clear()
            self.stepped = False
        if data:
            self.pending.append((data, modules, scores))
            del self.pending[:-12]
        return NONE

    def _optimizer_method(self, ref: Instance, name: str, args: list[Value]) -> Value | None:
        if name == "zero_grad":
            self.concrete()
            self.pending.clear()
            return NONE
        if name == "step":
            for closure in args:
                self.call(closure, [], {}, None)
            self.optimizer_step(ref.attrs.get("__params__", NOTHING))
            return NONE
        if name in ("state_dict", "load_state_dict", "add_param_group"):
            return NOTHING
        if name == "apply_gradients":
            return Value(labels=frozenset().union(*(self.full_labels(a) for a in args)))
        if name == "update" and len(args) == 2:
            for module in args[0].refs:
                if isinstance(module, Instance):
                    self.update_module(module, args[1])
            return NONE
        return None

    def _fn_value_and_grad(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """A function that returns the loss and its gradients; of ``(module, loss function)`` or of the function alone."""
        return (
            Value(refs=(Partial(Value(refs=(External("mlx.loss_with_gradients"),)), args[-1:], {}),)) if args else None
        )

    def _fn_loss_with_gradients(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call a loss function and return its loss with the gradients."""
        loss = self.call(args[0], args[1:], keywords, None)
        data, _, scores = self.loss_data(self.items(loss)[0][0] if _is_pair(loss) else loss)
        gradients = Value(labels=data | {Flag("gradient", 0, scores)} if data else frozenset())
        return Value(refs=(Sequence([loss, gradients], True, False),))

    def update_module(self, ref: Instance, new: Value) -> None:
        """``model.update(parameters)``: the module's state becomes what was computed for it."""
        labels = self.full_labels(new)
        if not any(isinstance(x, Flag) and x.name == "gradient" for x in labels):
            self.set_state(ref, self.adapted_by(labels, "inplace"))
            return
        data = frozenset(d for d in data_of(labels))
        self.mark_state(ref, frozenset({self.adapt("gradient", data, self.gradient_scores(labels), ())}))

    def optimizer_step(self, params: Value) -> None:
        """Apply the pending gradients to the parameters that an optimizer holds."""
        self.concrete()
        self.stepped = True
        owners = self.stateful(params, 0)
        reached: set[int] = set()
        for owner in owners:
            reached |= {o.ident for o in self.owned(owner)}
        data: set[Data] = set()
        scores: set[int] = set()
        for pending, modules, losses in self.pending:
            if not modules or not reached or reached & modules or self._related(owners, modules):
                data |= pending
                scores |= losses
        if not data:
            return
        free = bool(owners) and all(isinstance(o, Cell) and not o.owned for o in owners)
        kind = "free-gradient" if free else "gradient"
        label = self.adapt(kind, data, scores, tuple(f"line {o.line}" for o in owners))
        for owner in owners:
            self.mark_state(owner, frozenset({label}))

    def _related(self, owners: list[Heap], modules: frozenset[int]) -> bool:
        for owner in owners:
            if isinstance(owner, Cell):
                return True
            if owner.ident in modules:
                return True
        return not owners

    def stateful(self, value: Value, depth: int) -> list[Heap]:
        """The objects whose state a parameter list stands for."""
        found: dict[int, Heap] = {}
        for ref in value.refs:
            if isinstance(ref, Parameters):
                found[ref.owner.ident] = ref.owner
            elif isinstance(ref, (Cell, Instance)):
                found[ref.ident] = ref
            elif depth < 5 and isinstance(ref, Sequence):
                for item in ref.items:
                    found.update({h.ident: h for h in self.stateful(item, depth + 1)})
            elif depth < 5 and isinstance(ref, Mapping):
                for item in [*ref.items.values(), *([ref.rest] if ref.rest is not None else [])]:
                    found.update({h.ident: h for h in self.stateful(item, depth + 1)})
        return list(found.values())

    def mutate(self, owner: Value, name: str, args: list[Value]) -> Value:
        """``x.add_(…)``, ``x.copy_(…)``, ``x.zero_()``, ``table.scatter_add_(dim, index, src)`` and the like."""
        if name in ("clip_grad_norm_", "clip_grad_value_", "requires_grad_", "share_memory_"):
            return NOTHING
        if name in _RESET or name == "copy_":
            source = args[0] if name == "copy_" and args else NOTHING
            for ref in owner.refs:
                if isinstance(ref, Gradient):
                    self.concrete()
                    if not self.maybe:
                        self.pending.clear()
                elif isinstance(ref, (Parameters, Cell)):
                    self._overwrite_one(ref, source)
            return owner
        labels: Labels = content_of(frozenset().union(*(self.full_labels(a) for a in args)))
        key = data_of(labels)
        for ref in owner.refs:
            if isinstance(ref, Gradient) or any(isinstance(x, Looked) for x in owner.labels):
                continue
            target = ref.owner if isinstance(ref, Parameters) else ref
            kind = self._change_kind(target, ref, name, labels) if key else ""
            if kind:
                scored = [x.event for x in labels if isinstance(x, Scored)] + self.gradient_scores(labels)
                if isinstance(target, Cell):
                    target.table = kind == "table"
                target.labels.add(self.adapt(kind, key, scored, (f"line {target.line}",)))
                self.touch()
            else:
                self.note_kept(labels)
                self.absorb(target, labels)
        blended = self.blend([owner, *args])
        if any(isinstance(r, Cell) and r.table for r in owner.refs):
            labels = frozenset(x for x in labels - key if not (isinstance(x, Flag) and x.name == "counts"))
        kept = labels - key if any(isinstance(r, (Parameters, Instance)) for r in owner.refs) else labels
        return blended or Value(refs=owner.refs, labels=owner.labels | kept, symbols=owner.symbols)

    def absorb(self, target: Heap, labels: Labels) -> None:
        """Add labels to what holds them; weights that moved along a gradient are no gradient themselves."""
        if isinstance(target, Instance) or (isinstance(target, Cell) and (target.parameter or target.owned)):
            labels = frozenset(x for x in labels if not is_gradient(x))
        if labels - target.labels:
            target.labels |= labels
            self.touch()

    def gradient_scores(self, labels: Labels) -> list[int]:
        """The losses that gradients among the labels come from."""
        return [i for x in labels if isinstance(x, Flag) and x.name == "gradient" for i in x.detail or ()]

    def _change_kind(self, target: Heap, ref: Heap, name: str, labels: Labels) -> str:
        """What an in-place change by token data is: of parameters, of a table, or (empty) data written into a buffer."""
        flags = {x.name for x in labels if isinstance(x, Flag)}
        descends = "gradient" in flags and not any(isinstance(x, Scored) for x in labels)  # a summed loss is no descent
        if isinstance(ref, Parameters) or isinstance(target, Instance) or descends:
            return "free-gradient" if isinstance(target, Cell) and not target.owned else "inplace"
        if isinstance(target, Cell) and target.parameter:
            return "inplace"
        if self.transient(target):
            return ""
        return "table" if name in _KEYED or "counts" in flags else ""

    def _overwrite_one(self, ref: Parameters | Cell, source: Value) -> None:
        labels = self.full_labels(source)
        if isinstance(ref, Cell):
            self.write_over(ref, labels)
        else:
            self.set_state(ref, self.adapted_by(labels, "inplace"))

    def write_over(self, ref: Cell, labels: frozenset[object]) -> None:
        """A buffer filled anew: its old content is gone unless this may not happen."""
        if not self.maybe:
            ref.labels.clear()
        ref.labels |= labels  # type: ignore[arg-type]
        self.touch()


def _is_pair(value: Value) -> bool:
    """Whether a loss function returns its loss with something beside it."""
    return bool(value.refs) and isinstance(value.refs[0], Sequence) and not value.refs[0].mutable
