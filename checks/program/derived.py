"""Settings under whose name a script prints another number: ``n = per_rank(args.n, world)``, then ``n:{n}``."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from checks.program import nodes
from checks.program.program import EnvConstant

_LABEL = re.compile(r"(\w+)\s*[:=]\s*$")


def with_derived(tree: ast.Module, environment: Iterable[EnvConstant]) -> tuple[EnvConstant, ...]:
    """Mark the settings of which the script's lines only tell what it computed from them."""
    environment = tuple(environment)
    local = {c.name.lower() for c in environment}
    local &= _assigned_by_work(tree) if local else set()
    shown = _shown(tree, local) if local else {}
    other = {name for name, values in shown.items() if all(isinstance(v, ast.Name) and v.id == name for v in values)}
    return tuple(replace(c, derived=True) if c.name.lower() in other else c for c in environment)


def _assigned_by_work(tree: ast.Module) -> set[str]:
    """Names that functions set, and only to what a function of the script or a division makes of a setting."""
    own = {f.name for f in nodes.of(tree, (ast.FunctionDef,)) if isinstance(f, ast.FunctionDef)}
    values: dict[str, list[ast.expr]] = {}
    for function in nodes.of(tree, (ast.FunctionDef,)):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                values.setdefault(node.targets[0].id, []).append(node.value)
    return {name for name, found in values.items() if all(_works(v, own) for v in found)}


def _works(value: ast.expr, own: set[str]) -> bool:
    if isinstance(value, ast.Call):
        return isinstance(value.func, ast.Name) and value.func.id in own
    return isinstance(value, ast.BinOp) and isinstance(value.op, (ast.FloorDiv, ast.Div))


def _shown(tree: ast.Module, names: set[str]) -> dict[str, list[ast.expr]]:
    """What the script's texts print after ``name:`` or ``name=``; no log holds what an error says."""
    found: dict[str, list[ast.expr]] = {}
    raised = {id(n) for r in nodes.of(tree, (ast.Raise, ast.Assert)) for n in ast.walk(r)}
    for text in nodes.of(tree, (ast.JoinedStr,)):
        parts = text.values if isinstance(text, ast.JoinedStr) and id(text) not in raised else []
        for before, value in pairwise(parts):
            if not isinstance(before, ast.Constant) or not isinstance(value, ast.FormattedValue):
                continue
            label = _LABEL.search(str(before.value)[-200:])
            if label and label[1].lower() in names:
                found.setdefault(label[1].lower(), []).append(value.value)
    return found
