"""Calls of the submission's own functions, methods and classes."""

from __future__ import annotations

import ast

from checks.program.engine.functions import FIELD
from checks.program.engine.labels import Uses
from checks.program.engine.machine import MOST_CALLS
from checks.program.engine.residuals import Residuals
from checks.program.engine.values import (
    NOTHING,
    Bound,
    ClassObject,
    External,
    Function,
    Heap,
    Instance,
    Mapping,
    Partial,
    Scope,
    Sequence,
    Value,
    join,
    merge_labels,
    merge_symbols,
)

_RECURSION = 2


class Calls(Residuals):
    """Dispatches calls; interprets bodies of user functions in their own scope."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)

    def run_body(self, body: list[ast.stmt], scope: Scope) -> Value:
        """Interpret a function body and return its value (in ``interpreter``)."""
        raise NotImplementedError

    def call(self, callee: Value, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call every target that the callee may be and join the results."""
        line = self.line
        if len(callee.refs) == 1 and isinstance(callee.refs[0], _CALLABLE):
            value = self._call_one(callee.refs[0], args, keywords, scope)
            self.line = line
            return value
        result: Value | None = None
        targets = [r for r in callee.refs if isinstance(r, _CALLABLE)][:4]
        if len(targets) > 1:
            self.maybe += 1
        for target in targets:
            self.line = line
            value = self._call_one(target, args, keywords, scope)
            result = value if result is None else join(result, value)
        if len(targets) > 1:
            self.maybe -= 1
        self.line = line
        if result is not None:
            return result
        return self.unknown_call("", [callee, *args, *keywords.values()])

    def _call_one(self, target: Heap, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        if isinstance(target, Bound):
            return self._call_bound(target, args, keywords)
        if isinstance(target, External):
            return self.external(target.name, args, keywords, scope)
        if isinstance(target, Function):
            return self.call_function(target, args, keywords, None)
        if isinstance(target, ClassObject):
            return self.instantiate(target, args, keywords)
        if isinstance(target, Partial):
            return self.call(target.callee, [*target.args, *args], {**target.keywords, **keywords}, scope)
        if isinstance(target, Instance):
            return self.call_instance(target, args, keywords)
        return NOTHING

    def call_instance(self, target: Instance, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call an object: ``__call__``, or ``forward`` of a module."""
        owner = Value(refs=(target,))
        if target.cls is not None:
            for name in ("__call__", "forward"):
                found = target.cls.find(name)
                if found is not None:
                    return self.call(self.attribute(owner, name), args, keywords, None)
        return self.external_instance(target, args, keywords)

    def _call_bound(self, target: Bound, args: list[Value], keywords: dict[str, Value]) -> Value:
        function = target.function
        if function is None:
            return self.method(target.owner, target.name, args, keywords)
        if "classmethod" in function.decorators:
            cls = target.owner.refs[0]
            owner = Value(refs=(cls.cls,)) if isinstance(cls, Instance) and cls.cls else target.owner
            return self.call_function(function, [owner, *args], keywords, None)
        instance = target.owner.refs[0] if target.owner.refs else None
        module = (
            isinstance(instance, Instance) and instance.cls is not None and instance.cls.derives("nn.Module", "Module")
        )
        if not module or not isinstance(instance, Instance) or function.name in ("__init__", "_init_weights", "reset"):
            return self.call_function(function, [target.owner, *args], keywords, None)
        if target.name.startswith(("forward", "__call__")) and not self.modules_active:
            self.call_event("model", [*args, *keywords.values()])
        self.modules_active.append(instance)
        try:
            result = self.call_function(function, [target.owner, *args], keywords, None)
        finally:
            self.modules_active.pop()
        if target.name in ("forward", "__call__"):
            self.run_hooks(instance, args, result)
        if target.name == "load_state_dict" and args:  # written by the user: it takes the state, however it copies
            self.maybe += 1
            self.set_state(instance, self.adapted_by(self.full_labels(args[0]), "inplace"))
            self.maybe -= 1
        return self.module_output(instance, result)

    def module_output(self, instance: Instance, result: Value) -> Value:
        """Mark what a module returned as depending on its state."""
        return self._mark(result, self.weights_of(instance) | {Uses(instance.ident)}, 0)

    def _mark(self, value: Value, extra: frozenset[object], depth: int) -> Value:
        if depth < 3 and value.refs and isinstance(value.refs[0], Sequence) and not value.refs[0].mutable:
            inner = value.refs[0]
            items = [self._mark(i, extra, depth + 1) for i in inner.items]
            return Value(value.const, (Sequence(items, inner.exact, False, inner.line),), value.labels, value.symbols)
        if value.known or self.is_score(value):
            return value
        labels: frozenset[object] = value.labels | extra
        marked = Value(value.const, value.refs, labels, value.symbols, value.text)  # type: ignore[arg-type]
        marked.mask = value.mask
        return marked.formed(value.form)

    def call_function(
        self, function: Function, args: list[Value], keywords: dict[str, Value], cls: ClassObject | None
    ) -> Value:
        """Interpret a user function on abstract arguments."""
        node = function.node
        if len(self.calls) >= MOST_CALLS or self.stack.count(node) >= _RECURSION:
            self.concrete()
            return Value(labels=merge_labels([*args, *keywords.values()]), symbols=merge_symbols(args))
        return self.summarised(function, args, keywords, lambda a, k: self._interpret(function, a, k))

    def _interpret(self, function: Function, args: list[Value], keywords: dict[str, Value]) -> Value:
        node = function.node
        local = Scope({}, function.scope, module=function.module)
        self._bind(node.args, args, keywords, local, function)
        saved = (self.file, self.function, self.line)
        self.calls.append((self.file, self.line))
        self.deepest = max(self.deepest, len(self.calls))
        for recording in self.recordings:
            recording.nodes.add(node)
        self.stack.append(node)
        self.file, self.function = function.module, _qualified(function)
        self.yielded.append([])
        try:
            lambda_ = isinstance(node, ast.Lambda)
            result = self.eval(node.body, local) if lambda_ else self.run_body(node.body, local)
        finally:
            produced = self.yielded.pop()
            self.file, self.function, self.line = saved
            self.stack.pop()
            self.calls.pop()
        if produced or function.generator:
            return Value(refs=(Sequence(produced[:24], False, True, function.line),))
        return result

    def _bind(
        self, spec: ast.arguments, args: list[Value], keywords: dict[str, Value], local: Scope, function: Function
    ) -> None:
        positional = [*spec.posonlyargs, *spec.args]
        rest = dict(keywords)
        values = local.vars
        defaults = self.defaults.get(id(function.node), ([], []))
        offset = len(positional) - len(defaults[0])
        for i, parameter in enumerate(positional):
            if i < len(args):
                values[parameter.arg] = args[i]
            elif parameter.arg in rest:
                values[parameter.arg] = rest.pop(parameter.arg)
            elif i >= offset:
                values[parameter.arg] = self._default(defaults[0][i - offset])
            else:
                values[parameter.arg] = NOTHING
        if spec.vararg is not None:
            values[spec.vararg.arg] = Value(refs=(Sequence(list(args[len(positional) :]), True, False),))
        for parameter, default in zip(spec.kwonlyargs, defaults[1], strict=False):
            given = rest.pop(parameter.arg, None)
            values[parameter.arg] = self._default(default) if given is None else given
        if spec.kwarg is not None:
            values[spec.kwarg.arg] = Value(refs=(Mapping(dict(rest)),))

    def _default(self, value: Value) -> Value:
        if any([isinstance(r, (Instance, Sequence, Mapping)) for r in value.refs]):
            self.concrete()  # shared by all calls
        return value

    def _of_field(self, default: Value) -> Value:
        """What ``dataclasses.field`` makes for one object: its default, or what its factory returns."""
        spec = next((r for r in default.refs if isinstance(r, Instance) and r.external == FIELD), None)
        if spec is None:
            return default
        factory = spec.attrs.get("default_factory")
        return self.call(factory, [], {}, None) if factory is not None else spec.attrs.get("default", NOTHING)

    def instantiate(self, cls: ClassObject, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Create an object of a user class."""
        instance = Instance(cls, line=self.line)
        if cls.derives("Optimizer", "optim.SGD", "optim.Adam", "optim.AdamW"):
            instance.external = "optimizer"
            instance.attrs["__params__"] = args[0] if args else keywords.get("params", NOTHING)
            instance.attrs["param_groups"] = Value(refs=(self.groups(instance.attrs["__params__"]),))
            return Value(refs=(instance,))
        if cls.derives("ArgumentParser"):
            instance.external = "argparse.ArgumentParser"
        owner = Value(refs=(instance,))
        init = cls.find("__init__")
        if init is not None and init.refs and isinstance(init.refs[0], Function):
            self.call_function(init.refs[0], [owner, *args], keywords, cls)
        elif cls.dataclass or cls.derives("NamedTuple"):
            for name, value in zip(cls.fields, args, strict=False):
                instance.attrs[name] = value
            instance.attrs.update(keywords)
            for name in cls.fields:
                default = instance.attrs.get(name) or cls.find(name)
                if default is not None:
                    instance.attrs[name] = self._of_field(default)
            post = cls.find("__post_init__")
            if post is not None and post.refs and isinstance(post.refs[0], Function):
                self.call_function(post.refs[0], [owner], {}, cls)
        else:
            instance.labels |= merge_labels([*args, *keywords.values()])
        return owner


_CALLABLE = (Function, Bound, External, ClassObject, Partial, Instance)


def _qualified(function: Function) -> str:
    return f"{function.cls.name}.{function.name}" if function.cls is not None else function.name
