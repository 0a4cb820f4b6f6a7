"""The reference's table of bytes per token: found in the code of a submission, with the names it has where it is used."""

from __future__ import annotations

import ast
from dataclasses import dataclass

from checks.program.nodes import nodes, of
from checks.program.program import Program

_MARK = "▁"


@dataclass(frozen=True)
class Table:
    """The names that the three results of a table's builder have where it is called, and its line that measures."""

    file: str
    line: int
    bytes: str
    space: str
    boundary: str


def reference_table(program: Program) -> Table | None:
    """The only table of the script that runs, where it is the reference's and nothing else is assigned to its names."""
    assert program.trace is not None
    built: list[tuple[str, ast.FunctionDef, tuple[str, str, str], int]] = []
    for path, tree in program.trees.items():
        if "id_to_piece" not in program.scripts[path].text:
            continue
        for node in nodes(tree):
            if not isinstance(node, ast.FunctionDef) or not calls(node, "id_to_piece"):
                continue
            if not any((path, n.lineno) in program.trace.executed for n in node.body):
                continue
            own = _made_like_it(node)
            if own is None:
                return None
            built.append((path, node, own[0], own[1]))
    if len(built) != 1:
        return None
    path, builder, order, line = built[0]
    names: set[tuple[str, ...]] = set()
    for tree in program.trees.values():
        for node in nodes(tree):
            if (
                isinstance(node, ast.Assign)
                and isinstance(node.value, ast.Call)
                and last(node.value.func) == builder.name
            ):
                target = node.targets[0]
                names.add(tuple(map(last, target.elts)) if isinstance(target, ast.Tuple) else ())
    if len(names) != 1 or len(got := names.pop()) != 3 or len(set(got)) != 3 or not all(got):
        return None
    role = dict(zip(order, got, strict=True))
    table = Table(path, line, role["bytes"], role["space"], role["boundary"])
    return None if _reassigned(program, table, builder) else table


def _reassigned(program: Program, table: Table, builder: ast.FunctionDef) -> bool:
    """Whether a name of the table is bound, changed or passed as another one outside its builder."""
    own = (table.bytes, table.space, table.boundary)
    inside = {id(n) for n in ast.walk(builder)}
    signatures = {
        n.name: [a.arg for a in (*n.args.posonlyargs, *n.args.args)]
        for tree in program.trees.values()
        for n in nodes(tree)
        if isinstance(n, ast.FunctionDef)
    }
    for tree in program.trees.values():
        for node in nodes(tree):
            if id(node) in inside:
                continue
            if isinstance(node, (ast.Assign, ast.AugAssign, ast.AnnAssign)):
                made = isinstance(node.value, ast.Call) and last(node.value.func) == builder.name
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
                    bound = any(last(p.value if isinstance(p, ast.Subscript) else p) in own for p in parts)
                    if (
                        bound
                        and not made
                        and (not last(target) or last(getattr(node, "value", target)) != last(target))
                    ):
                        return True
            elif isinstance(node, ast.Call):
                if (
                    isinstance(node.func, ast.Attribute)
                    and node.func.attr.endswith("_")
                    and last(node.func.value) in own
                ):
                    return True
                for given, name in zip(node.args, signatures.get(last(node.func), ()), strict=False):
                    if isinstance(given, ast.Starred):
                        break
                    if (name in own or last(given) in own) and name != last(given):
                        return True
                if any(
                    k.arg and (k.arg in own or last(k.value) in own) and k.arg != last(k.value) for k in node.keywords
                ):
                    return True
    return False


def _made_like_it(function: ast.FunctionDef) -> tuple[tuple[str, str, str], int] | None:
    """The order in which bytes, spaces and boundaries are returned, and the line that measures a piece."""
    if not (calls(function, "is_control") and calls(function, "is_unknown")):
        return None
    stores: dict[str, list[tuple[ast.expr, int]]] = {}
    sets: list[ast.Assign] = of(function, (ast.Assign,))
    if any(isinstance(n, ast.AugAssign) for n in nodes(function)):
        return None
    for node in sets:
        target = node.targets[0]
        if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
            stores.setdefault(target.value.id, []).append((node.value, node.lineno))
    role: dict[str, str] = {}
    line = 0
    for name, values in stores.items():
        texts = {ast.unparse(v) for v, _ in values}
        measured = {n for v, n in values if _measured(v)}
        if measured and len(texts) == 2 and "1" in texts:
            role[name], line = "bytes", min(measured)
        elif texts == {"True"}:
            role[name] = "space"
        elif texts == {"False"}:
            role[name] = "boundary"
    if sorted(role.values()) != ["boundary", "bytes", "space"] or len(stores) != 3:
        return None
    guards = of(function, (ast.If,))
    control = any(calls(g.test, "is_control") and isinstance(g.body[-1], ast.Continue) for g in guards)
    of_bytes = any(calls(g.test, "is_byte") and any(_stores(s, "1") for s in g.body) for g in guards)
    marked = any(_MARK in ast.unparse(g.test) and any(_cut(s) for s in g.body) for g in guards)
    ones = any(
        isinstance(n.value, ast.Call) and last(n.value.func) == "ones" and role.get(last(n.targets[0])) == "boundary"
        for n in sets
    )
    zeros = sum(
        isinstance(n.value, ast.Call) and last(n.value.func) == "zeros" and last(n.targets[0]) in role for n in sets
    )
    if not (control and of_bytes and marked and ones and zeros == 2):
        return None
    returned = [n.value for n in of(function, (ast.Return,))]
    if len(returned) != 1 or not isinstance(returned[0], ast.Tuple) or len(returned[0].elts) != 3:
        return None
    order = [role[n] for part in returned[0].elts for n in sorted(names_in(part) & set(role))]
    if len(set(order)) != 3 or any(isinstance(n, ast.BinOp) for n in ast.walk(returned[0])):
        return None
    return (order[0], order[1], order[2]), line


def _measured(node: ast.expr) -> bool:
    """``len(piece.encode("utf-8"))``."""
    return ast.unparse(node) in {f"len({p}.encode({a}))" for p in names_in(node) for a in ("", "'utf-8'", "'utf8'")}


def _stores(node: ast.stmt, text: str) -> bool:
    return (
        isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Subscript) and ast.unparse(node.value) == text
    )


def _cut(node: ast.stmt) -> bool:
    """``piece = piece[1:]``."""
    return isinstance(node, ast.Assign) and ast.unparse(node.value) == f"{ast.unparse(node.targets[0])}[1:]"


def calls(node: ast.AST, name: str) -> bool:
    """Whether a function or method of this name is called in a node."""
    return any(isinstance(n, ast.Call) and last(n.func) == name for n in ast.walk(node))


def last(node: ast.expr) -> str:
    """The name, or the attribute's name, that an expression ends with; empty for any other expression."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def names_in(node: ast.AST) -> set[str]:
    """The names that a node mentions."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
