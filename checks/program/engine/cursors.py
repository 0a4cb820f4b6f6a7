"""Cursors: numbers that every iteration of a loop moves on to where the piece that it took ends.

``while pos < n: … val[pos : pos + k] …; pos += k`` walks disjoint pieces as ``for pos in range(0, n, k)`` does, whatever
``k`` is in an iteration. Whether a name is a cursor is read from the loop's source: on every path to the next iteration
it moves on, nothing in the loop sets it back, and something reads it as a place.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from enum import Enum

from checks.program.nodes import children, nodes, of

Loop = ast.For | ast.AsyncFor | ast.While
_CURSORS, _MOVES = "_cursors", "_moves"
_NESTED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CHOICES = ("min", "max")
_READERS = (ast.Subscript, ast.While, ast.BinOp, ast.Call, ast.Tuple, ast.List)  # what may read a name as a place


class _End(Enum):
    """How a block ends for a cursor: moved on, out of the loop, unmoved, or at the loop's head again and unmoved."""

    MOVED = 0
    LEFT = 1
    OPEN = 2
    STAYED = 3


def cursors(loop: Loop) -> dict[str, ast.expr | None]:
    """The cursors of a loop, with the width that each moves on by where one expression that stays as it is says so."""
    known: dict[str, ast.expr | None] | None = loop.__dict__.get(_CURSORS)
    if known is None:
        known = dict(_find(loop))
        setattr(loop, _CURSORS, known)
    return known


def moves(statement: ast.stmt) -> tuple[str, ...]:
    """The cursors of loops looked at before that a statement moves on."""
    known: tuple[str, ...] = statement.__dict__.get(_MOVES, ())
    return known


def _find(loop: Loop) -> Iterator[tuple[str, ast.expr | None]]:
    bound: dict[str, list[tuple[ast.stmt, ast.expr | None]]] = {}
    for statement in _inside(loop.body):
        for name, value in _bindings(statement):
            bound.setdefault(name, []).append((statement, value))
    stored = [n.id for n in of(loop, (ast.Name,)) if isinstance(n.ctx, ast.Store)]
    for name, found in bound.items():
        statements = [s for s, _ in found]
        if stored.count(name) != len(found) or not all(_moves_on(name, v, loop, bound) for _, v in found):
            continue
        if _block(loop.body, statements) is not _End.MOVED or not _is_place(name, loop, statements):
            continue
        for statement in statements:
            setattr(statement, _MOVES, tuple(dict.fromkeys((*moves(statement), name))))
        width = _width(name, found[0][1]) if len(found) == 1 else None
        fixed = width is not None and not any(isinstance(n, ast.Name) and n.id in stored for n in nodes(width))
        yield name, width if fixed else None


def _inside(body: Iterable[ast.AST]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, _NESTED):
            continue
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.expr):
            yield from _inside(children(node))


def _bindings(statement: ast.stmt) -> Iterator[tuple[str, ast.expr | None]]:
    """Names that a statement binds, with what it binds them to (None where that is not written beside them)."""
    if isinstance(statement, ast.AugAssign):
        if isinstance(statement.target, ast.Name):
            old = ast.Name(statement.target.id, ast.Load())
            yield statement.target.id, ast.BinOp(old, statement.op, statement.value)
        return
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    value: ast.expr | None = getattr(statement, "value", None)
    for target in targets:
        if isinstance(target, ast.Name) and value is not None:
            yield target.id, value
        elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            yield from ((t.id, v) for t, v in zip(target.elts, value.elts, strict=True) if isinstance(t, ast.Name))


def _moves_on(
    name: str, value: ast.expr | None, loop: Loop, bound: dict[str, list[tuple[ast.stmt, ast.expr | None]]]
) -> bool:
    """Whether a new value lies behind the old one: ``pos + k``, or ``end`` where the loop takes what lies between them."""
    if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Add):
        sides = (value.left, value.right), (value.right, value.left)
        return any(
            _forward(by) and ((isinstance(at, ast.Name) and at.id == name) or _moves_on(name, at, loop, bound))
            for at, by in sides
        )
    if isinstance(value, ast.IfExp):
        return _moves_on(name, value.body, loop, bound) and _moves_on(name, value.orelse, loop, bound)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id in _CHOICES:
        return any(_moves_on(name, x, loop, bound) for x in value.args)
    if not isinstance(value, ast.Name) or value.id == name:
        return False
    if value.id in bound:
        rest = {k: v for k, v in bound.items() if k != value.id}
        if all(_moves_on(name, v, loop, rest) for _, v in bound[value.id]):
            return True
    elif isinstance(loop, ast.While) or value.id not in {n.id for n in nodes(loop.target) if isinstance(n, ast.Name)}:
        return False
    return any(_takes(n, name, value.id) for n in of(loop, (ast.Slice, ast.BinOp, ast.Call)))


def _takes(node: ast.AST, begin: str, end: str) -> bool:
    """``[begin:end]``, ``range(begin, end)``, ``pieces(val, begin, end)`` or ``end - begin``: what lies between is taken."""
    if isinstance(node, ast.Slice):
        return _begins(node.lower, begin) and _begins(node.upper, end)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Sub) and _is(node.left, end) and _is(node.right, begin)
    if isinstance(node, ast.Call) and not (isinstance(node.func, ast.Name) and node.func.id in _CHOICES):
        return any(_begins(a, begin) and _begins(b, end) for a, b in zip(node.args, node.args[1:], strict=False))
    return False


def _forward(width: ast.expr) -> bool:
    """Whether a width can be positive only, as far as its form tells."""
    if isinstance(width, ast.Constant):
        return isinstance(width.value, int) and width.value > 0
    if isinstance(width, ast.IfExp):
        return _forward(width.body) and _forward(width.orelse)
    return not isinstance(width, (ast.UnaryOp, ast.Compare, ast.BoolOp))


def _is(node: ast.expr | None, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _begins(node: ast.expr | None, name: str) -> bool:
    """``name`` or ``name + 1``."""
    plus = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant)
    return _is(node.left, name) if plus and isinstance(node, ast.BinOp) else _is(node, name)


def _width(name: str, value: ast.expr | None) -> ast.expr | None:
    """``k`` of ``name + k``."""
    if not isinstance(value, ast.BinOp) or not isinstance(value.op, ast.Add):
        return None
    return value.right if _is(value.left, name) else value.left if _is(value.right, name) else None


def _is_place(name: str, loop: Loop, own: list[ast.stmt]) -> bool:
    """Whether something but the moves themselves reads a name as a place: an index, a bound, an argument."""
    skip = {id(n) for s in own for n in nodes(s)} if not any(isinstance(s, ast.Assign) for s in own) else set()
    for node in of(loop, _READERS):
        if id(node) in skip:
            continue
        read: Iterable[ast.AST | None] = ()
        if isinstance(node, ast.Subscript):
            read = nodes(node.slice)
        elif isinstance(node, ast.While) and node is loop:
            read = nodes(node.test)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub)):
            read = (node.left, node.right)
        elif isinstance(node, ast.Call):
            read = node.args
        elif isinstance(node, (ast.Tuple, ast.List)):
            read = node.elts
        if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Load) for n in read):
            return True
    return False


def _block(body: list[ast.stmt], moving: list[ast.stmt]) -> _End:
    """How a block ends where some statements move a cursor on."""
    for statement in body:
        end = _End.MOVED if statement in moving else _statement(statement, moving)
        if end is not _End.OPEN:
            return end
    return _End.OPEN


def _statement(statement: ast.stmt, moving: list[ast.stmt]) -> _End:
    if isinstance(statement, (ast.Break, ast.Return, ast.Raise)):
        return _End.LEFT
    if isinstance(statement, ast.Continue):
        return _End.STAYED
    if isinstance(statement, ast.If):
        return _either([_block(statement.body, moving), _block(statement.orelse, moving)])
    if isinstance(statement, (ast.With, ast.AsyncWith)):
        return _block(statement.body, moving)
    if isinstance(statement, ast.Try):
        last = _block(statement.finalbody, moving)
        if last is not _End.OPEN:
            return last
        ends = [_block([*statement.body, *statement.orelse], moving)]
        return _either(ends + [_block(h.body, moving) for h in statement.handlers])
    if isinstance(statement, ast.Match):
        return _either([_End.OPEN, *(_block(c.body, moving) for c in statement.cases)])
    if isinstance(statement, (ast.For, ast.AsyncFor, ast.While)):  # where it does not run, nothing was taken
        return _End.MOVED if _block(statement.body, moving) is _End.MOVED else _End.OPEN
    return _End.OPEN


def _either(ends: list[_End]) -> _End:
    if _End.STAYED in ends or _End.OPEN in ends:
        return _End.STAYED if _End.STAYED in ends else _End.OPEN
    return _End.MOVED if _End.MOVED in ends else _End.LEFT
