"""Where a function lays a row of positions out in groups: ``x.reshape(B, T // f, f, D)``, and back: ``x.reshape(B, n * f, D)``.

Only shapes are read, as the source writes them; what flows through them is followed by ``pooling``.
"""

from __future__ import annotations

import ast
from typing import NamedTuple

from checks.program import nodes

_RESHAPES = frozenset(["reshape", "view"])
_ATTENDS = frozenset(["scaled_dot_product_attention", "softmax", "flash_attn_func", "flash_attn_3_func"])
_CACHE = "_groups"
_CHANNELS_LAST = 3  # a pad of so many numbers names the side before the positions third


class Groups(NamedTuple):
    """The calls of one function that make groups, make one row of each group, or lay groups out as positions again.

    ``moves``: the function moves positions; its groups may be causal. ``attends``: its repeats may be of heads.
    """

    grouped: frozenset[ast.Call]
    joined: frozenset[ast.Call]
    spread: frozenset[ast.Call]
    moves: bool
    attends: bool


def groups_of(function: ast.AST) -> Groups:
    """The groups of a function, worked out once."""
    found: Groups | None = getattr(function, _CACHE, None)
    if found is None:
        found = _read(function)
        setattr(function, _CACHE, found)
    return found


def tail(function: ast.expr) -> str:
    """The last part of what is called."""
    return (
        function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""
    )


def pads_the_end(call: ast.Call) -> bool:
    """Whether a pad adds positions at the end of the row alone."""
    sides = call.args[1] if len(call.args) > 1 else next((k.value for k in call.keywords if k.arg == "pad"), None)
    if not isinstance(sides, (ast.Tuple, ast.List)) or len(sides.elts) < 2:
        return False
    before = sides.elts[2] if len(sides.elts) >= _CHANNELS_LAST else sides.elts[0]
    return isinstance(before, ast.Constant) and before.value == 0


def number(node: ast.expr | None) -> int | None:
    """A whole number as it is written, or None."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = number(node.operand)
        return None if inner is None else -inner
    return node.value if isinstance(node, ast.Constant) and type(node.value) is int else None


def axis_of(call: ast.Call, place: int) -> int | None:
    """The axis that a call names: by keyword, or at a place among its arguments."""
    named = next((k.value for k in call.keywords if k.arg in ("dim", "axis")), None)
    return number(named if named is not None else call.args[place] if len(call.args) > place else None)


def moves_on(index: ast.expr) -> bool:
    """Whether an index takes positions from a later one on, or leaves the last ones out, or picks them out."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index]
    features = any(isinstance(p, ast.Constant) and p.value is Ellipsis for p in parts[:-1])
    for place, part in enumerate(parts):
        if place == 0 or (features and place == len(parts) - 1):
            continue
        if isinstance(part, ast.Slice):
            if part.step is not None or part.lower is not None or (number(part.upper) or 0) < 0 or _negated(part.upper):
                return True
        elif not (isinstance(part, ast.Constant) and (part.value is None or part.value is Ellipsis)):
            return True
    return False


def _negated(node: ast.expr | None) -> bool:
    return isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)


def _read(function: ast.AST) -> Groups:
    calls = nodes.of(function, (ast.Call,))
    lengths, rows = _names(function)
    grouped, joined, spread = set(), set(), set()
    for call in calls:
        shape = _shape(call) if tail(call.func) in _RESHAPES else []
        if len(shape) < _CHANNELS_LAST:
            continue
        by = _divisor(shape[1], lengths, rows)
        if by and len(shape) > _CHANNELS_LAST and ast.unparse(shape[2]) == by:
            grouped.add(call)
        elif by and len(shape) == _CHANNELS_LAST and _holds(shape[2], by):
            joined.add(call)
        elif len(shape) == _CHANNELS_LAST and _times(shape[1], lengths | set(rows)):
            spread.add(call)
    if grouped or joined:
        divided = {name for name in lengths if any(_divides(n, name) for n in nodes.of(function, (ast.BinOp,)))}
        spread |= {c for c in calls if tail(c.func) in _RESHAPES and _is_length(_shape(c), divided)}
    attends = any(tail(call.func) in _ATTENDS for call in calls)
    if not attends:
        spread |= {c for c in calls if tail(c.func) in _RESHAPES and len(_shape(c)) == _CHANNELS_LAST and _repeated(c)}
    return Groups(frozenset(grouped), frozenset(joined), frozenset(spread), _moves(function, calls), attends)


def _names(function: ast.AST) -> tuple[set[str], dict[str, str]]:
    """Names of the number of positions, and of numbers of groups with what divides them."""
    lengths: set[str] = set()
    rows: dict[str, str] = {}
    for statement in nodes.of(function, (ast.Assign,)):
        target, value = statement.targets[0], statement.value
        sizes = (isinstance(value, ast.Attribute) and value.attr == "shape") or (
            isinstance(value, ast.Call) and tail(value.func) == "size" and not value.args
        )
        if isinstance(target, ast.Tuple) and sizes and len(target.elts) > 1 and isinstance(target.elts[1], ast.Name):
            lengths.add(target.elts[1].id)
        elif isinstance(target, ast.Name) and _is_size(value):
            lengths.add(target.id)
    for statement in nodes.of(function, (ast.Assign,)):
        target = statement.targets[0]
        if isinstance(target, ast.Name) and (by := _divisor(statement.value, lengths, {})):
            rows[target.id] = by
    return lengths, rows


def _is_size(node: ast.expr) -> bool:
    """``x.shape[1]`` or ``x.size(1)``."""
    if isinstance(node, ast.Subscript):
        return isinstance(node.value, ast.Attribute) and node.value.attr == "shape" and number(node.slice) == 1
    return isinstance(node, ast.Call) and tail(node.func) == "size" and [number(a) for a in node.args] == [1]


def _divisor(node: ast.expr, lengths: set[str], rows: dict[str, str]) -> str:
    """What a number of positions is divided by, as it is written; empty where it is not."""
    if isinstance(node, ast.Name):
        return rows.get(node.id, "")
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.FloorDiv):
        return ""
    known = _is_size(node.left) or (isinstance(node.left, ast.Name) and node.left.id in lengths)
    return ast.unparse(node.right) if known else ""


def _divides(node: ast.BinOp, name: str) -> bool:
    return isinstance(node.op, ast.FloorDiv) and isinstance(node.left, ast.Name) and node.left.id == name


def _times(node: ast.expr, sizes: set[str]) -> bool:
    """``n * f``."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Mult):
        return False
    return any((isinstance(side, ast.Name) and side.id in sizes) or _is_size(side) for side in (node.left, node.right))


def _repeated(call: ast.Call) -> bool:
    """``x[:, :, None].expand(…).reshape(…)``."""
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(owner, ast.Call) and tail(owner.func) in ("expand", "repeat")


def _holds(node: ast.expr, by: str) -> bool:
    """Whether the last size of a shape holds a whole group: ``f * D``, or what is left."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
        return by in (ast.unparse(node.left), ast.unparse(node.right))
    return number(node) == -1


def _is_length(shape: list[ast.expr], names: set[str]) -> bool:
    return len(shape) == _CHANNELS_LAST and isinstance(shape[1], ast.Name) and shape[1].id in names


def _shape(call: ast.Call) -> list[ast.expr]:
    only = call.args[0] if len(call.args) == 1 else None
    return only.elts if isinstance(only, (ast.Tuple, ast.List)) else call.args


def _moves(function: ast.AST, calls: list[ast.Call]) -> bool:
    names = {tail(call.func) for call in calls if tail(call.func) != "pad" or not pads_the_end(call)}
    items = nodes.of(function, (ast.Subscript,))
    cut = any(_negated(p.upper) for item in items for p in ast.walk(item.slice) if isinstance(p, ast.Slice))
    return cut or bool(names & {"pad", "roll", "cat", "concat", "concatenate"})
