"""Operations on plain data, guarded against results that do not fit."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from checks.program.unpacking.values import MAX_VALUE_ITEMS, Path, Refused, Unknown, bounded, is_plain

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

#: Binary operators that are folded.
BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
    ast.BitXor: operator.xor,
}


def items(value: Any, machine: Machine) -> list[Any]:
    """The elements of a known iterable, counted against the budget; ``Refused`` otherwise."""
    if isinstance(value, Unknown):
        raise Refused(value.reason)
    if not isinstance(value, (str, bytes, bytearray, list, tuple, dict, set, frozenset, range)) and not hasattr(
        value, "__next__"
    ):
        raise Refused(f"a loop over a {type(value).__name__.lower()}")
    if isinstance(value, range):
        bounded_count(len(value))
    out = []
    for item in value:
        out.append(item)
        machine.tick()
    return out


def bounded_count(count: int) -> None:
    """Refuse to make more than ``MAX_VALUE_ITEMS`` elements."""
    if count > MAX_VALUE_ITEMS:
        raise Refused(f"a value of more than {MAX_VALUE_ITEMS:,} items")


def binary(kind: type, left: Any, right: Any) -> Any:
    """``left op right`` on plain data, guarded against results that do not fit."""
    for value in (left, right):
        if isinstance(value, Unknown):
            return value
    if isinstance(left, Path) and kind is ast.Div and isinstance(right, (str, Path)):
        return Path(left.pure / (right if isinstance(right, str) else right.pure))
    if not (is_plain(left) and is_plain(right)) and kind is not ast.Add and kind is not ast.BitOr:
        return Unknown("arithmetic on something that is not data")
    if kind is ast.Mult:
        for sequence, times in ((left, right), (right, left)):
            if isinstance(sequence, (str, bytes, bytearray, list, tuple)) and isinstance(times, int):
                bounded_count(len(sequence) * times)
        if isinstance(left, int) and isinstance(right, int) and left.bit_length() + right.bit_length() > 4_000_000:
            raise Refused("a number of more than 4 million bits")
    elif kind is ast.Pow and (
        not isinstance(right, (int, float)) or abs(right) > 100_000 or _bits(left) * abs(right) > 4_000_000
    ):
        raise Refused("a power that is too large")
    elif kind is ast.LShift and isinstance(right, int) and right > 4_000_000:
        raise Refused("a number of more than 4 million bits")
    elif kind is ast.Mod and isinstance(left, (str, bytes)):
        refuse_wide(left)
    return bounded(BINARY[kind](left, right))


def _bits(value: Any) -> int:
    return value.bit_length() if isinstance(value, int) else 64


def refuse_wide(template: str | bytes) -> None:
    """Refuse a format whose fields could be very wide."""
    run = 0
    for character in template if isinstance(template, str) else template.decode("latin-1"):
        run = run + 1 if character.isdigit() else 0
        if run > 5:
            raise Refused("a format with a very wide field")
    if len(template) > 1_000_000:
        raise Refused("a format of more than a million characters")
