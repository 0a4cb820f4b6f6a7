"""Settings that constant lines of the logs prove: a text that one branch alone prints says which way its condition went.

The effective configuration holds what a log, a command or the script's default gives; where a default would have taken
the other branch, the run had another value.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from checks.program import branches, nodes
from checks.submission.model import Run, RunCommand, Setting

_MOST = 6
_ON = ("1", "true", "yes", "on")


def settings_said(
    tree: ast.Module, configuration: Mapping[str, Setting], runs: Sequence[Run], commands: Sequence[RunCommand] = ()
) -> dict[str, str]:
    """Settings, so far on their default, without which a line that every complete run shows could not be printed (#1499).

    A command of the author's that would have taken the branch gives the values, else the condition itself does.
    """
    ran = [run for run in runs if run.complete and run.source_matches is not False]
    if not ran:
        return {}
    shown = set.intersection(*(set(run.details.get("said", ())) for run in ran))
    any_shown = {line for run in runs for line in run.details.get("said", ())}
    alone = Counter(n.value.strip() for n in nodes.of(tree, (ast.Constant,)) if isinstance(n.value, str))
    values = {name: setting.value for name, setting in configuration.items()}
    free = {name for name, setting in configuration.items() if setting.from_.startswith("default")}
    free -= {n.attr.upper() for n in nodes.of(tree, (ast.Attribute,)) if _is_changed(n)}
    result: dict[str, str] = {}
    for node in nodes.of(tree, (ast.If,)) if shown else ():
        sides = [{t for t in _texts(side) if alone[t] == 1} for side in (node.body, node.orelse)]
        holds = bool(sides[0] & shown)
        if holds == bool(sides[1] & shown) or sides[holds] & any_shown:
            continue  # neither side, or both: a branch that goes now one way, now the other
        if _truth(node.test, {**values, **result}) is not (not holds):
            continue
        needed: dict[str, str] = {}
        branches.require(node.test, holds, free, needed)
        asked = {name for n in nodes.nodes(node.test) if (name := _read(n, free))}
        ways = [{n: c.environment[n] for n in sorted(asked & set(c.environment))} for c in commands]
        for way in (*ways, {n: v for n, v in needed.items() if n in asked}):
            if way and _truth(node.test, {**values, **result, **way}) is holds and len(result) < _MOST:
                result |= way
                break
    return result


def _truth(test: ast.expr, values: Mapping[str, str]) -> bool | None:
    """Whether a condition on settings and constants holds; None where something else decides."""
    if isinstance(test, ast.BoolOp):
        parts = [_truth(part, values) for part in test.values]
        decisive = isinstance(test.op, ast.Or)
        return decisive if decisive in parts else None if None in parts else not decisive
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _truth(test.operand, values)
        return None if inner is None else not inner
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        return _compared(test.ops[0], *(_number(side, values) for side in (test.left, test.comparators[0])))
    name = _read(test, values)
    if not name:
        return None
    number = _number(test, values)
    return number != 0 if number is not None else True if values[name].lower() in _ON else None


def _compared(op: ast.cmpop, left: float | None, right: float | None) -> bool | None:
    if left is None or right is None:
        return None
    ways = {
        ast.Eq: left == right, ast.NotEq: left != right, ast.Lt: left < right,
        ast.LtE: left <= right, ast.Gt: left > right, ast.GtE: left >= right,
    }  # fmt: skip
    return ways.get(type(op))


def _number(node: ast.expr, values: Mapping[str, str]) -> float | None:
    try:
        if isinstance(node, ast.Constant):
            return float(node.value) if isinstance(node.value, (int, float)) else None
        return float(values[_read(node, values)])
    except (KeyError, ValueError, OverflowError):
        return None


def _read(node: ast.AST, names: Iterable[str]) -> str:
    """The setting that an expression is: ``args.name`` or ``NAME``; a part's own attribute may be anything."""
    text = node.id if isinstance(node, ast.Name) else ""
    if isinstance(node, ast.Attribute) and not _of_self(node):
        text = node.attr.upper()
    return text if text in names else ""


def _is_changed(node: ast.Attribute) -> bool:
    """Whether an attribute of another object is written: a setting that the script itself changes proves nothing."""
    return isinstance(node.ctx, ast.Store) and not _of_self(node)


def _of_self(node: ast.Attribute) -> bool:
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def _texts(body: Sequence[ast.stmt]) -> set[str]:
    """The constant texts that a branch prints or logs."""
    calls = (n.value for statement in body for n in nodes.nodes(statement) if isinstance(n, ast.Expr))
    first = (c.args[0] for c in calls if isinstance(c, ast.Call) and c.args)
    return {a.value.strip() for a in first if isinstance(a, ast.Constant) and isinstance(a.value, str)} - {""}
