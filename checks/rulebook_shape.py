"""Checks that a rulebook file has everything that the rules read: the bundled file is the pattern for every other."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from checks.rulebook import Rulebook


def problems(given: Rulebook, pattern: Rulebook) -> Iterator[str]:
    """Yield what is missing, misspelt or of the wrong type in ``given``, each as "entry: what to write"."""
    yield from _entries("constants", given.constants, pattern.constants)
    for code in sorted(set(pattern.rules) - set(given.rules)):
        yield f"[rules.{code}] is missing: every rule has an entry, also those that --ignore leaves out"
    for code in sorted(set(given.rules) - set(pattern.rules)):
        yield f"[rules.{code}]: there is no rule of that code ('pgolf rules' lists them)"
    for code in sorted(set(given.rules) & set(pattern.rules)):
        yield from _entries(f"rules.{code}", given.rules[code].numbers, pattern.rules[code].numbers)
    for record in given.records:
        if not record.val_bpb > 0:
            yield f"[[records]] of {record.created:%Y-%m-%d}: val_bpb must be above 0, is {record.val_bpb!r}"


def _entries(table: str, given: Mapping[str, Any], pattern: Mapping[str, Any]) -> Iterator[str]:
    for name, example in pattern.items():
        if name not in given:
            yield f"[{table}] lacks {name!r}: {_kind(example)}, for example {_shown(example)}"
        elif _kind(given[name]) != _kind(example):
            yield f"[{table}] {name!r} must be {_kind(example)}, is {_shown(given[name])}"
    for name in given:
        if name not in pattern:
            yield f"[{table}] has an unknown key {name!r}"


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, (int, float)):
        return "a number"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dt.datetime):
        return "a date and time"
    if isinstance(value, dt.date):
        return "a date"
    return "an array" if isinstance(value, list) else "a table"


def _shown(value: Any) -> str:
    text = value.isoformat() if isinstance(value, dt.date) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
