"""Cursors of running loops: places that stand for the iteration's piece, until they move on to the next one's."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from checks.program.engine.counter import Counter
from checks.program.engine.cursors import Loop, cursors, moves
from checks.program.engine.definitions import Definitions
from checks.program.engine.folding import ahead
from checks.program.engine.labels import Flag, Symbol
from checks.program.engine.values import UNKNOWN, Scope, Value


class Moving(Definitions):
    """Follows the cursors of loops from piece to piece."""

    def cursors_of(self, node: Loop, scope: Scope) -> dict[str, Value]:
        """Where the cursors of a loop begin, each with the width of its pieces where that is known."""
        began: dict[str, Value] = {}
        for name, width in cursors(node).items():
            value = scope.vars.get(name)
            if value is None or name in scope.declared or not _is_place(value):
                continue
            step = self.eval(width, scope).const if width is not None else None
            known = type(step) is int and step > 0
            at = Counter(0, step if known and isinstance(step, int) else 0)
            symbols = ahead(value.symbols, value.counter)
            began[name] = Value(value.const, symbols=symbols, counter=at, later=value.later)
        return began

    def place_cursors(
        self, began: Mapping[str, Value], scope: Scope, symbol: Symbol | None, exact: bool
    ) -> dict[str, Value]:
        """Put the cursors where an iteration begins; returns them. ``exact``: every iteration is interpreted."""
        placed: dict[str, Value] = {}
        for name, start in began.items() if symbol is not None else ():
            value = scope.vars.get(name)
            if value is None or start.counter is None or symbol is None or not _is_place(value):
                continue
            loop, k = symbol
            symbols = frozenset(s for s in start.symbols if s[0] != loop) | {symbol}
            later = start.later or (k > 0 and type(start.const) is int and start.const >= 0)
            at = Counter(loop, start.counter.step)
            const = value.const if exact else start.const if k == 0 else UNKNOWN
            placed[name] = scope.vars[name] = Value(const, (), value.labels, symbols, counter=at, later=later)
        return placed

    def move_cursors(self, statement: ast.stmt, scope: Scope) -> None:
        """Note that a statement moved cursors on: to where the next iteration begins."""
        for name in moves(statement):
            start, value = self.frames[-1].cursors.get(name), scope.vars.get(name)
            if start is None or start.counter is None or value is None or not _is_place(value):
                continue
            loop, step, _ = start.counter
            later = start.later or (type(start.const) is int and start.const >= 0)
            at = Counter(loop, step, step or 1)
            scope.vars[name] = Value(value.const, (), value.labels, start.symbols, counter=at, later=later)


def _is_place(value: Value) -> bool:
    """Whether a value can be a place: a whole number, or unknown and made of nothing but numbers."""
    if value.known:
        return type(value.const) is int
    return not value.refs and all(isinstance(x, Flag) for x in value.labels)
