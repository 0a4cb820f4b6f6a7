"""A recurrence over a row that starts from the state in which an earlier pass over the same row ended.

That state has read the last token, so every position of the later pass sees all of the row. A state that goes on to the
next piece of a text is none: a method must hand it from pass to pass itself, as ``row, state = f(row, state)`` in a loop that
is not over pieces; it must be a tensor and no store of states; and the row must be made of what the earlier pass gave.
"""

from __future__ import annotations

import ast

from checks.program import nodes
from checks.program.engine.groups import tail
from checks.program.engine.labels import Flag, Labels
from checks.program.engine.pooling import Pooling
from checks.program.engine.selections import data_of
from checks.program.engine.values import Instance, Mapping, Scope, Sequence, Value, merge_labels

_ROW, _END, _READ = "row-of-pass", "end-of-pass", "reads-end-of-pass"
_CUTS = frozenset(["split", "chunk", "unbind", "unfold", "narrow", "tensor_split", "cat", "concat", "stack"])
_STORES = (Sequence, Mapping, Instance)
_CACHE = "_hands_on"


class Carried(Pooling):
    """Marks what a pass gives with the number of the pass, and the state that it ends in with the same number."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self.row_passes = 0

    def external(self, name: str, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a function outside the submission; ``output_final_state=True`` asks for the state as well (FLA)."""
        result = super().external(name, args, keywords, scope)
        wanted = keywords.get("output_final_state")
        if wanted is None or wanted.const is not True or not self.modules_active or not data_of(result.labels):
            return result
        self.concrete()  # a pass over another row is another pass
        self.row_passes += 1
        state = keywords.get("initial_state")
        given = merge_labels([*args, *(v for k, v in keywords.items() if k != "initial_state")])
        ended = _numbers(state.labels, _END) & _numbers(given, _ROW) if state is not None else frozenset()
        read = {Flag(_READ, number, (self.line, self.file)) for number in ended}
        plain = result.labels - _marks(result.labels, _END)
        row = Value(labels=plain | read | {Flag(_ROW, self.row_passes)}, symbols=result.symbols)
        end = Value(labels=(plain - _marks(plain, _ROW)) | {Flag(_END, self.row_passes)}, symbols=result.symbols)
        return Value(refs=(Sequence([row, end], True, False, self.line),), symbols=result.symbols)

    def form_item(self, owner: Value, index: Value, shape: ast.expr | None, result: Value) -> Value:
        """An item: of a store of states it may be the state of any pass."""
        result = super().form_item(owner, index, shape, result)
        marks = _marks(result.labels, _END) if self.row_passes and result.labels else None
        return Value(labels=result.labels - marks, refs=result.refs, symbols=result.symbols) if marks else result

    def form_call(self, node: ast.Call, args: list[Value], result: Value) -> Value:
        """The result of a call as it is written: of one that hands a state on, what sees later positions is marked."""
        result = super().form_call(node, args, result)
        if not self.row_passes or not self.modules_active or not self.stack or node not in _hands_on(self.stack[-1]):
            return result
        handed = [v.labels for v in args if not any(isinstance(r, _STORES) for r in v.refs)]
        ends = frozenset(number for labels in handed for number in _numbers(labels, _END))
        read = sorted(x.detail for x in _marks(self.full_labels(result), _READ) if x.line in ends)
        if not read:
            return result
        line, file = read[0]
        return _marked(result, Flag("acausal", line, (file, "starts from the state that has read the whole row")))


def _marked(value: Value, flag: Flag) -> Value:
    """A result, or the items of the tuples that it may be, with a flag."""
    refs = tuple(
        Sequence([_marked(i, flag) for i in r.items], r.exact, False, r.line)
        if isinstance(r, Sequence) and not r.mutable
        else r
        for r in value.refs
    )
    return Value(value.const, refs, value.labels | {flag}, value.symbols, value.text)


def _numbers(labels: Labels, name: str) -> frozenset[int]:
    return frozenset(x.line for x in _marks(labels, name))


def _marks(labels: Labels, name: str) -> frozenset[Flag]:
    return frozenset([x for x in labels if type(x) is Flag and x.name == name])


def _hands_on(method: ast.AST) -> frozenset[ast.Call]:
    """The calls of a method that hand a state on: ``row, state = f(row, state)`` in a loop that is not over pieces."""
    known: frozenset[ast.Call] | None = getattr(method, _CACHE, None)
    if known is None:
        loops = nodes.of(method, (ast.For,)) if _is_method(method) and not _cuts(method) else []
        known = frozenset(call for loop in loops if _over_passes(loop) for call in _threads(loop))
        setattr(method, _CACHE, known)
    return known


def _is_method(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef) and bool(node.args.args) and node.args.args[0].arg == "self"


def _cuts(method: ast.AST) -> bool:
    """Whether rows may be cut into pieces: no slice, no item of a variable, no call that cuts or joins."""
    items = nodes.of(method, (ast.Subscript,))
    cut = any(isinstance(i.value, ast.Name) or any(isinstance(n, ast.Slice) for n in ast.walk(i.slice)) for i in items)
    return cut or any(tail(call.func) in _CUTS for call in nodes.of(method, (ast.Call,)))


def _over_passes(loop: ast.For) -> bool:
    """Whether a loop is over numbers or over what the module owns."""
    walk = loop.iter
    if isinstance(walk, ast.Call) and tail(walk.func) == "range":
        return True
    return all(n.id in ("self", "enumerate", "reversed") for n in nodes.of(walk, (ast.Name,)))


def _threads(loop: ast.For) -> list[ast.Call]:
    """The calls in a loop that take a row and a state and give both, where nothing else in the loop gives the state."""
    stored = [n.id for n in nodes.of(loop, (ast.Name,)) if isinstance(n.ctx, ast.Store)]
    found = []
    for statement in nodes.of(loop, (ast.Assign,)):
        target, call = statement.targets[0], statement.value
        if isinstance(target, ast.Tuple) and isinstance(call, ast.Call):
            taken = {v.id for v in call.args if isinstance(v, ast.Name)}
            both = [n.id for n in target.elts if isinstance(n, ast.Name) and n.id in taken]
            if len(both) > 1 and any(stored.count(name) == 1 for name in both):
                found.append(call)
    return found
