"""Follows what attention masks let each position see: filled, triangular, stored block by block.

Anything that is not understood leaves the content unknown, and nothing is said about it.
"""

from __future__ import annotations

import ast
import operator
from typing import Any

from checks.program.engine import grid
from checks.program.engine.attention import Attention
from checks.program.engine.grid import Mask
from checks.program.engine.labels import Flag
from checks.program.engine.values import UNKNOWN, Scope, Sequence, Value

_FILLS = {"ones": 1.0, "zeros": 0.0, "ones_like": 1.0, "zeros_like": 0.0}
_KEPT = frozenset(["to", "contiguous", "unsqueeze", "expand", "clone", "detach", "cuda", "type_as"])
_MAPS: dict[str, Any] = {"bool": bool, "logical_not": operator.not_, "float": float, "half": float}


class Masks(Attention):
    """Follows the content of masks to the attention that takes them."""

    def external(self, name: str, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a function outside the submission; the content of a mask that it makes is followed."""
        result = super().external(name, args, keywords, scope)
        return _with(result, _called(name.rpartition(".")[2], args, keywords))

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call a method; one in place leaves the content unknown."""
        known = owner.mask
        result = super().method(owner, name, args, keywords)
        if known is None:
            return result
        if name.endswith("_"):
            owner.mask = None
            return _with(result, None)
        return _with(result, _called(name, [owner, *args], keywords))

    def form_binary(self, op: type[ast.AST], left: Value, right: Value, result: Value) -> Value:
        """The result of an operator, with the content of the mask that it makes."""
        result = super().form_binary(op, left, right, result)
        return _with(result, grid.each(op, _operand(left), _operand(right))) if left.mask or right.mask else result

    def form_unary(self, op: ast.unaryop, operand: Value, result: Value) -> Value:
        """The result of a sign, or of a mask turned round."""
        result = super().form_unary(op, operand, result)
        if operand.mask is None:
            return result
        turn = operator.neg if isinstance(op, ast.USub) else operator.not_
        return _with(result, grid.mapped(turn, operand.mask))

    def form_item(self, owner: Value, index: Value, shape: ast.expr | None, result: Value) -> Value:
        """An index that adds axes, or takes the first positions of both, leaves the content what it is."""
        result = super().form_item(owner, index, shape, result)
        if owner.mask is None:
            return result
        parts = shape.elts if isinstance(shape, ast.Tuple) else [shape] if shape is not None else []
        uppers = [p for p in parts if isinstance(p, ast.Slice) and p.upper is not None]
        same = len({ast.unparse(p.upper) for p in uppers if p.upper is not None}) <= 1 and len(uppers) in (0, 2)
        plain = all((isinstance(p, ast.Slice) and p.lower is None and p.step is None) or _adds(p) for p in parts)
        whole = same and plain and not (uppers and owner.mask.bound)
        return _with(result, owner.mask if whole else None)

    def store(self, owner: Value, index: Value, value: Value) -> None:
        """Store entries: the content is unknown, unless ``_store_block`` knows it."""
        owner.mask = None
        super().store(owner, index, value)

    def _store_plain(self, holder: ast.expr, owner: Value, value: Value, scope: Scope) -> None:
        owner.mask = None
        super()._store_plain(holder, owner, value, scope)

    def mutate(self, owner: Value, name: str, args: list[Value]) -> Value:
        """Change a tensor in place: its content is unknown."""
        owner.mask = None
        return super().mutate(owner, name, args)

    def _store_block(self, target: ast.Subscript, known: Mask, value: Value, scope: Scope) -> None:
        """``mask[:M, M:] = 0.0``: a block of known content, under the name that holds the mask and no other."""
        held = scope.vars.get(target.value.id) if isinstance(target.value, ast.Name) else None
        if held is not None:
            self.assign(target.value, _with(held, grid.stored(known, target.slice, _operand(value))), scope)

    def attend_masked(self, result: Value, args: list[Value], mask: Value) -> Value:
        """Mark what attention under a mask of known content lets see later positions, at once or by way of other rows."""
        if mask.mask is None:
            return result
        self.concrete()  # a layer with another mask is another call
        if mask.mask.late():
            return self._sees_later(result, args, "attends to later positions, which the mask lets through", True)
        if not mask.mask.late_through():
            return result
        if any(isinstance(x, Flag) and x.name == "relayed" for v in args[:2] for x in v.labels):
            what = "attends to later positions through rows that see all, as the mask lets them"
            return self._sees_later(result, args, what, True)
        flag = frozenset({Flag("relayed", self.line, self.file)})
        return Value(result.const, result.refs, result.labels | flag, result.symbols)


def _called(name: str, args: list[Value], keywords: dict[str, Value]) -> Mask | None:
    first = args[0].mask if args else None
    if (name in _FILLS or name == "full") and _is_square(name, args):
        return _filled(_FILLS.get(name, keywords.get("fill_value", args[-1]).const), keywords, False)
    if name == "where" and len(args) == 3:
        return grid.select(*map(_operand, args))
    if first is None:
        return None
    if name in _FILLS:
        return _filled(_FILLS[name], keywords, first.truth)
    if name in ("tril", "triu"):
        k = keywords.get("diagonal", keywords.get("k", args[1] if len(args) > 1 else Value(0))).const
        return grid.triangle(first, k, name == "tril") if isinstance(k, int) else None
    if name == "masked_fill" and len(args) == 3:
        return grid.select(_operand(args[1]), _operand(args[2]), first)
    if name in _MAPS:
        return grid.mapped(_MAPS[name], first)
    if name == "to" and any(_type(v) == "bool" for v in (*args[1:], *keywords.values())):
        return grid.mapped(bool, first)
    return first if name in _KEPT and not (name == "to" and first.truth and len(args) > 1) else None


def _is_square(name: str, args: list[Value]) -> bool:
    """Whether a shape ends in the same size twice, after ones."""
    sizes = args[:1] if name == "full" else args
    if len(sizes) == 1:
        shapes = [r.items for r in sizes[0].refs if isinstance(r, Sequence) and r.exact]
        sizes = shapes[0] if shapes else []
    if len(sizes) < 2 or any(v.const != 1 for v in sizes[:-2]):
        return False
    rows, columns = sizes[-2:]
    return rows is columns or (rows.known and rows.const == columns.const)


def _filled(value: Any, keywords: dict[str, Value], truth: bool) -> Mask | None:
    """A filled mask; a type that is not known is that of a tensor it goes with, and no truth value."""
    if not isinstance(value, (int, float)):
        return None
    truth = _type(keywords["dtype"]) == "bool" if "dtype" in keywords else truth or isinstance(value, bool)
    return grid.filled(bool(value) if truth else float(value))


def _type(value: Value) -> str:
    names = [str(getattr(r, "name", "")).rpartition(".")[2].rstrip("_") for r in value.refs]
    return names[0] if names else ""


def _operand(value: Value) -> Mask | float | None:
    return value.mask or (value.const if isinstance(value.const, (int, float)) else None)


def _adds(part: ast.expr) -> bool:
    """Whether a part of an index adds an axis or stands for the axes in between."""
    return isinstance(part, ast.Constant) and (part.value is None or part.value is Ellipsis)


def _with(value: Value, mask: Mask | None) -> Value:
    if value.mask == mask:
        return value
    const = UNKNOWN if mask is not None else value.const
    made = Value(const, value.refs, value.labels, value.symbols, value.text, value.counter, value.later)
    made.form, made.mask = value.form, mask
    return made
