"""The content of an attention mask, on a small grid of positions by positions.

Where blocks are stored up to and from one bound ``M``, the first rows of the grid stand for those before ``M``.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any, NamedTuple

_ROWS = 7
_BEFORE = 3  # rows of the grid that stand for those before the bound of the blocks
_BLOCKED = -1e4  # added to a score, this leaves nothing of it
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Eq: operator.eq, ast.NotEq: operator.ne,
    ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt, ast.GtE: operator.ge, ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
}  # fmt: skip


class Mask(NamedTuple):
    """The grid of a mask, truth values or what is added to the scores; ``bound``: the source of the blocks' bound."""

    cells: tuple[tuple[float | bool, ...], ...]
    bound: str = ""

    @property
    def truth(self) -> bool:
        """Whether it holds truth values."""
        return isinstance(self.cells[0][0], bool)

    @property
    def uniform(self) -> bool:
        """Whether it holds the same everywhere."""
        return len({cell for row in self.cells for cell in row}) == 1

    def of(self, grid: list[list[float | bool]], bound: str = "") -> Mask:
        """A mask of other content."""
        return Mask(tuple(map(tuple, grid)), bound or self.bound)

    def late(self) -> bool:
        """Whether a row of tokens sees a later one by itself; rows before a bound may be no tokens."""
        return self._reaches(self._seen())

    def late_through(self) -> bool:
        """Whether a row sees a later one through the rows that it sees, in two layers of attention."""
        seen = self._seen()
        return self._reaches([[any(a and seen[k][j] for k, a in enumerate(row)) for j in range(_ROWS)] for row in seen])

    def _seen(self) -> list[list[bool]]:
        return [[cell if isinstance(cell, bool) else cell > _BLOCKED for cell in row] for row in self.cells]

    def _reaches(self, seen: list[list[bool]]) -> bool:
        first = _BEFORE if self.bound else 0
        return any(seen[i][j] for i in range(first, _ROWS) for j in range(i + 1, _ROWS))


def filled(cell: float | bool) -> Mask:
    """One number everywhere."""
    return Mask(((cell,) * _ROWS,) * _ROWS)


def triangle(mask: Mask, k: int, lower: bool) -> Mask | None:
    """``tril`` and ``triu`` with a diagonal at most one off; None for a wider band, or blocks."""
    if abs(k) > 1 or mask.bound:
        return None
    zero = False if mask.truth else 0.0
    rows = range(_ROWS)
    kept = [[mask.cells[i][j] if (j <= i + k if lower else j >= i + k) else zero for j in rows] for i in rows]
    return mask.of(kept)


def each(op: type[ast.AST], *operands: Mask | float | None) -> Mask | None:
    """An operator on two operands of which one is a mask."""
    function = _OPERATORS.get(op)
    return _zipped(function, operands) if function is not None else None


def select(test: Mask | float | None, chosen: Mask | float | None, other: Mask | float | None) -> Mask | None:
    """``where``."""
    return _zipped(lambda t, a, b: a if t else b, (test, chosen, other)) if isinstance(test, Mask) else None


def mapped(op: Callable[[Any], Any], mask: Mask) -> Mask | None:
    """A function of every entry; only truth values are turned round."""
    return _zipped(op, (mask,)) if op is not operator.not_ or mask.truth else None


def _zipped(op: Callable[..., Any], operands: tuple[Mask | float | None, ...]) -> Mask | None:
    masks = [v for v in operands if isinstance(v, Mask)]
    bounds = {m.bound for m in masks} - {""}
    if None in operands or len(bounds) > 1 or (bounds and not all(m.bound or m.uniform for m in masks)):
        return None
    grids = [v.cells if isinstance(v, Mask) else filled(v).cells for v in operands if v is not None]
    try:
        grid = [[op(*cells) for cells in zip(*rows, strict=True)] for rows in zip(*grids, strict=True)]
    except TypeError:
        return None
    if any(math.isnan(cell) for row in grid for cell in row):
        return None
    return Mask(tuple(map(tuple, grid)), *bounds)


def stored(mask: Mask, index: ast.expr, value: Mask | float | None) -> Mask | None:
    """The mask after a store into the block of two slices that end or begin at one bound."""
    parts = index.elts if isinstance(index, ast.Tuple) else [index, ast.Slice()]
    given = filled(value) if isinstance(value, (int, float)) else value
    if given is None or given.bound or len(parts) != 2:
        return None
    bounds, sides = {mask.bound} - {""}, []
    for part in parts:
        ends = [p for p in (part.lower, part.upper) if p is not None] if isinstance(part, ast.Slice) else []
        if not isinstance(part, ast.Slice) or part.step is not None or len(ends) > 1:
            return None
        if not all(isinstance(p, (ast.Name, ast.Attribute)) for p in ends):
            return None
        bounds |= {ast.unparse(p) for p in ends}
        sides.append(range(_BEFORE if part.lower is not None else 0, _BEFORE if part.upper is not None else _ROWS))
    if len(bounds) > 1 or not (given.uniform or sides[0] == sides[1]):  # a triangle belongs on the diagonal
        return None
    grid = [list(row) for row in mask.cells]
    for i in sides[0]:
        for j in sides[1]:
            grid[i][j] = bool(given.cells[i][j]) if mask.truth else float(given.cells[i][j])
    return mask.of(grid, *bounds)
