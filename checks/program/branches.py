"""Which settings make a statement run that a log proves to have run."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from checks.program.order import words_of
from checks.program.program import EnvConstant

_MOST = 6


def settings_that_reach(
    tree: ast.Module, label: str, environment: Sequence[EnvConstant], settings: Mapping[str, str]
) -> dict[str, str]:
    """Settings under which the statement that prints ``label`` is reached, by the conditions around it."""
    wanted = words_of(label)
    if not wanted:
        return {}
    names = {c.name for c in environment} | set(settings)
    parents: dict[ast.AST, ast.AST] = {}
    found: ast.AST | None = None
    for node in ast.walk(tree):
        for child in ast.iter_child_nodes(node):
            parents[child] = node
        if isinstance(node, (ast.JoinedStr, ast.Constant)) and words_of(_template(node)).startswith(wanted):
            found = node
    result: dict[str, str] = {}
    while found is not None:
        parent = parents.get(found)
        if isinstance(parent, ast.If) and len(result) < _MOST:
            _require(parent.test, found not in parent.orelse, names, result)
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            call = _only_call(tree, parent.name)
            if call is not None and call not in _ancestors(call, parents, parent):
                found = call
                continue
        found = parent
    return result


def _ancestors(node: ast.AST, parents: Mapping[ast.AST, ast.AST], stop: ast.AST) -> list[ast.AST]:
    """``[node]`` when the node lies inside ``stop`` (following it would go round in circles)."""
    current: ast.AST | None = node
    while current is not None:
        if current is stop:
            return [node]
        current = parents.get(current)
    return []


def _only_call(tree: ast.Module, name: str) -> ast.Call | None:
    calls = [
        n for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == name
    ]
    return calls[0] if len(calls) == 1 else None


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "{" for p in node.values)


def _require(test: ast.expr, holds: bool, names: set[str], result: dict[str, str]) -> None:
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and holds:
        for part in test.values:
            _require(part, True, names, result)
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        _require(test.operand, not holds, names, result)
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.comparators[0], ast.Constant):
        name = _setting(test.left, names)
        value = test.comparators[0].value
        equal = (isinstance(test.ops[0], ast.Eq) and holds) or (isinstance(test.ops[0], ast.NotEq) and not holds)
        more = isinstance(test.ops[0], (ast.Gt, ast.GtE)) and holds
        if name and (equal or more):
            result[name] = str(
                value + 1 if more and isinstance(value, int) and not isinstance(test.ops[0], ast.GtE) else value
            )
    else:
        name = _setting(test, names)
        if name:
            result[name] = "1" if holds else "0"


def _setting(node: ast.expr, names: set[str]) -> str:
    text = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return text.upper() if text.upper() in names else ""
