"""Weights of a numerical integral: the width of its interval over the number of the points that are summed."""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Iterator

from checks.program.nodes import nodes, of

_GRIDS = frozenset({"linspace", "rand", "uniform", "uniform_"})  # rand: scaled as low + (high - low) * rand(..)


def quadrature_weight(tree: ast.Module | None, line: int) -> bool:
    """Whether a line weighs a sum over K points of an interval by ``(high - low) / K``: no scale of the loss.

    The bound of a diffusion model is an integral over the masking rate: its factor belongs to the sum (#1106, #1699).
    The interval and the number of points must be those of the grid that the summing loop goes over.
    """
    if tree is None:
        return False
    functions = [f for f in of(tree, (ast.FunctionDef,)) if f.lineno <= line <= (f.end_lineno or 0)]
    scope = max(functions, key=lambda f: f.lineno, default=None)
    if scope is None:
        return False
    known = _once_assigned(scope)
    products = [n for n in of(scope, (ast.BinOp, ast.AugAssign)) if n.lineno <= line <= (n.end_lineno or 0)]
    return any(_weighs(scope, known, *_factors(product, known)) for product in products)


def _weighs(scope: ast.FunctionDef, known: dict[str, ast.expr], above: list[ast.expr], below: list[ast.expr]) -> bool:
    summed = {n.id for factor in above for n in nodes(factor) if isinstance(n, ast.Name)}
    counts = {_text(d, known) for d in below}
    for width in above:
        if not (isinstance(width, ast.BinOp) and isinstance(width.op, ast.Sub)):
            continue
        ends = (_text(width.right, known), _text(width.left, known))
        if any(_spans(loop, ends, counts, known) for loop in _summing(scope, summed)):
            return True
    return False


def _summing(scope: ast.FunctionDef, names: set[str]) -> Iterator[ast.For]:
    """Loops that add to one of the names."""
    for loop in of(scope, (ast.For,)):
        for node in nodes(loop):
            if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name) and node.target.id in names:
                yield loop
                break


def _spans(loop: ast.For, ends: tuple[str, str], counts: set[str], known: dict[str, ast.expr]) -> bool:
    """Whether a loop goes over K points of an interval: those of a grid, or one that is drawn in each of K turns."""
    turns = known.get(loop.iter.id, loop.iter) if isinstance(loop.iter, ast.Name) else loop.iter
    if not isinstance(turns, ast.Call):
        return False
    if _name(turns) == "linspace":
        steps = [*turns.args[2:3], *(k.value for k in turns.keywords if k.arg in ("steps", "num"))]
        return _ends(turns, known) == ends and any(_text(s, known) in counts for s in steps)
    if _name(turns) != "range" or len(turns.args) != 1 or _text(turns.args[0], known) not in counts:
        return False
    return any(_drawn(node, ends, known) for node in nodes(loop))


def _drawn(node: ast.AST, ends: tuple[str, str], known: dict[str, ast.expr]) -> bool:
    """``uniform(low, high)``, or ``low + (high - low) * rand(..)``."""
    if isinstance(node, ast.Call) and _name(node) in _GRIDS - {"rand"}:
        return _ends(node, known) == ends
    if not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add)):
        return False
    for low, part in ((node.left, node.right), (node.right, node.left)):
        above, _ = _factors(part, known)
        widths = [_ends_of(f, known) for f in above]
        calls = [f for f in above if isinstance(f, ast.Call) and _name(f) == "rand"]
        if calls and ends in widths and _text(low, known) == ends[0]:
            return True
    return False


def _ends_of(factor: ast.expr, known: dict[str, ast.expr]) -> tuple[str, str] | None:
    if isinstance(factor, ast.BinOp) and isinstance(factor.op, ast.Sub):
        return _text(factor.right, known), _text(factor.left, known)
    return None


def _ends(call: ast.Call, known: dict[str, ast.expr]) -> tuple[str, str] | None:
    """The first two arguments: of linspace and of uniform they are the ends of the interval."""
    return (_text(call.args[0], known), _text(call.args[1], known)) if len(call.args) >= 2 else None


def _factors(node: ast.AST, known: dict[str, ast.expr]) -> tuple[list[ast.expr], list[ast.expr]]:
    """What a product multiplies and divides by, with names of differences and quotients written out."""
    if isinstance(node, ast.AugAssign):
        above, below = _factors(node.value, known)
        if isinstance(node.op, ast.Div):
            above, below = below, above
        return [node.target, *above], below
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), ast.BinOp):
        node = known[node.id]
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
        above, below = _factors(node.left, known)
        over, under = _factors(node.right, known)
        return ([*above, *over], [*below, *under]) if isinstance(node.op, ast.Mult) else (above + under, below + over)
    return ([node], []) if isinstance(node, ast.expr) else ([], [])


def _once_assigned(scope: ast.FunctionDef) -> dict[str, ast.expr]:
    """What names of a function stand for that are assigned in one place only."""
    stored = [n.id for n in of(scope, (ast.Name,)) if isinstance(n.ctx, ast.Store)]
    values: dict[str, ast.expr] = {
        n.targets[0].id: n.value
        for n in of(scope, (ast.Assign,))
        if len(n.targets) == 1 and isinstance(n.targets[0], ast.Name)
    }
    return {name: value for name, value in values.items() if stored.count(name) == 1}


def _text(node: ast.expr, known: dict[str, ast.expr]) -> str:
    """An expression as text in which equal ones are equal: numbers by value, a name of a constant or attribute by it."""
    if isinstance(node, ast.Name) and isinstance(known.get(node.id), (ast.Constant, ast.Attribute, ast.Name)):
        node = known[node.id]
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        with contextlib.suppress(OverflowError):  # a literal that no float holds stays as it is written
            return f"{float(node.value):g}"
    return ast.unparse(node)


def _name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
