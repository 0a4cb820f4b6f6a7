"""Environment variables that a script reads, with the defaults it falls back to.

Knows ``os.environ.get``, ``os.getenv``, ``os.environ[...]``, ``setdefault`` and aliases of them, helper functions such
as ``def env_int(name, default)``, loops over tables of names, and dataclass fields read by their upper-cased names.
"""

from __future__ import annotations

import ast
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from checks.program.constants import Expressions, Unresolved, as_text, module_constants, resolve, single_assignments
from checks.program.nodes import children, of
from checks.program.program import EnvConstant

_MAX_ROWS = 500
_MAX_CONSTANTS = 5_000


@dataclass(frozen=True)
class _Access:
    """One place that reads a variable. ``order`` puts what sets it (0) before what reads it (1)."""

    name: ast.expr
    default: ast.expr | None
    line: int
    order: int = 1


@dataclass(frozen=True)
class _Helper:
    """A function that reads the variable named by its parameter."""

    parameters: tuple[str, ...]
    defaults: Mapping[str, ast.expr]
    access: _Access


@dataclass
class _Reader:
    """State of one walk over a script."""

    outer: Expressions
    environ: set[str]
    getters: set[str]
    marks: list[int]  # lines that may read a variable, sorted
    helpers: dict[str, _Helper] = field(default_factory=dict)
    found: list[tuple[int, EnvConstant]] = field(default_factory=list)
    by_field: bool = False

    def touches(self, node: ast.AST) -> bool:
        """Whether a variable may be read within the lines of ``node``."""
        line = getattr(node, "lineno", None)
        if line is None:
            return True
        index = bisect_left(self.marks, line)
        return index < len(self.marks) and self.marks[index] <= (getattr(node, "end_lineno", None) or line)


def environment(tree: ast.Module) -> tuple[EnvConstant, ...]:
    """Every environment variable of a script with its default as text and its line.

    What the script itself sets (``setdefault``, top-level assignment) comes first. ``known`` is False where there is no
    default, where it is computed from something else, or where two places disagree: the variable then has the value
    that the code around it gives. A default that is not constant is shown as source text.
    """
    environ, getters = _aliases(tree)
    marks = _lines_with(tree, environ | getters, {"environ", "environb", "getenv"})
    if not marks:
        return ()
    reader = _Reader(module_constants(tree), environ, getters, marks)
    for _ in range(3):  # helpers of helpers
        known = set(reader.helpers)
        _find_helpers(tree, reader)
        new = set(reader.helpers) - known
        if not new:
            break
        reader.marks = sorted({*reader.marks, *_lines_with(tree, new, new)})
    for statement in tree.body:
        _visit(statement, {}, reader, top=True)
    if reader.by_field:
        _dataclass_fields(tree, reader)
    ordered = [constant for _, constant in sorted(reader.found, key=lambda entry: (entry[0], entry[1].line))]
    return _agreed(list(dict.fromkeys(ordered)), {c.name for order, c in reader.found if order == 0})


def _agreed(constants: list[EnvConstant], settled: set[str]) -> tuple[EnvConstant, ...]:
    """Names whose places disagree about the default are not known (unless the script sets them itself)."""
    defaults: dict[str, set[str]] = {}
    for constant in constants:
        if constant.known or constant.default:  # reading without any default contradicts nothing
            defaults.setdefault(constant.name, set()).add(constant.default)
    torn = {name for name, values in defaults.items() if len(values) > 1} - settled
    return tuple(EnvConstant(c.name, c.default, c.line, False) if c.name in torn else c for c in constants)


def _lines_with(tree: ast.Module, names: set[str], attributes: set[str]) -> list[int]:
    lines = {node.lineno for node in of(tree, (ast.Name,)) if node.id in names}
    lines |= {node.lineno for node in of(tree, (ast.Attribute,)) if node.attr in attributes}
    return sorted(lines)


def _aliases(tree: ast.Module) -> tuple[set[str], set[str]]:
    """Names bound to ``os.environ`` and to a function that reads one variable, besides the dotted spellings."""
    environ: set[str] = set()
    getters: set[str] = set()
    for node in of(tree, (ast.ImportFrom, ast.Assign)):
        if isinstance(node, ast.ImportFrom) and node.module == "os":
            environ |= {alias.asname or alias.name for alias in node.names if alias.name == "environ"}
            getters |= {alias.asname or alias.name for alias in node.names if alias.name == "getenv"}
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Attribute):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if node.value.attr == "environ":
                environ |= names
            elif node.value.attr == "getenv" or (node.value.attr == "get" and _is_environ(node.value.value, environ)):
                getters |= names
    return environ, getters


def _is_environ(node: ast.expr, environ: set[str]) -> bool:
    if isinstance(node, ast.Name):
        return node.id in environ
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "copy":
        return _is_environ(node.func.value, environ)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict" and node.args:
        return _is_environ(node.args[0], environ)
    return (
        isinstance(node, ast.Attribute)
        and node.attr in ("environ", "environb")
        and isinstance(node.value, (ast.Name, ast.Call))
    )


def _access(node: Any, reader: _Reader) -> _Access | None:
    """The variable that this very node reads, if any."""
    if isinstance(node, ast.Call):
        return _call(node, reader)
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load) and _is_environ(node.value, reader.environ):
        return _Access(node.slice, None, node.lineno)
    tests = isinstance(node, ast.Compare) and len(node.ops) == 1 and isinstance(node.ops[0], (ast.In, ast.NotIn))
    if tests and _is_environ(node.comparators[0], reader.environ):
        return _Access(node.left, None, node.lineno)
    return None


def _call(node: ast.Call, reader: _Reader) -> _Access | None:
    function = node.func
    default = node.args[1] if len(node.args) > 1 else next((k.value for k in node.keywords if k.arg == "default"), None)
    name = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg in ("key", "varname")), None)
    if isinstance(function, ast.Attribute):
        if function.attr in ("get", "setdefault", "pop") and _is_environ(function.value, reader.environ) and name:
            return _Access(name, default, node.lineno, 0 if function.attr == "setdefault" else 1)
        if function.attr == "getenv" and name:
            return _Access(name, default, node.lineno)
        called = function.attr
    elif isinstance(function, ast.Name):
        if function.id in reader.getters and name:
            return _Access(name, default, node.lineno)
        called = function.id
    else:
        return None
    helper = reader.helpers.get(called)
    return _applied(helper, node) if helper is not None else None


def _applied(helper: _Helper, node: ast.Call) -> _Access:
    given = dict(helper.defaults)
    parameters = helper.parameters
    if isinstance(node.func, ast.Attribute) and parameters and parameters[0] in ("self", "cls"):
        parameters = parameters[1:]
    given.update(zip(parameters, node.args, strict=False))
    given.update({keyword.arg: keyword.value for keyword in node.keywords if keyword.arg})
    default = helper.access.default
    return _Access(
        _replaced(helper.access.name, given), _replaced(default, given) if default is not None else None, node.lineno
    )


def _replaced(node: ast.expr, given: Mapping[str, ast.expr]) -> ast.expr:
    """``node`` with names replaced by expressions (a new tree where needed)."""

    class Replace(ast.NodeTransformer):
        def visit_Name(self, name: ast.Name) -> ast.expr:
            return given.get(name.id, name)

    if not any(isinstance(inner, ast.Name) and inner.id in given for inner in ast.walk(node)):
        return node
    source = ast.unparse(node)
    replaced: ast.expr = Replace().visit(ast.parse(source, mode="eval").body)
    return replaced


def _find_helpers(tree: ast.Module, reader: _Reader) -> None:
    for node in of(tree, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Assign)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if reader.touches(node):
                _helper(node.name, node.args, node.body, reader)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Lambda) and reader.touches(node):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    _helper(target.id, node.value.args, [node.value.body], reader)


def _helper(name: str, args: ast.arguments, body: list[ast.stmt] | list[ast.expr], reader: _Reader) -> None:
    if name in reader.helpers:
        return
    positional = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    names = {*positional, *(arg.arg for arg in args.kwonlyargs)} - {"self", "cls"}
    if not names:
        return
    for part in body:
        for node in ast.walk(part) if reader.touches(part) else ():
            access = _access(node, reader)
            if access is None or not any(isinstance(n, ast.Name) and n.id in names for n in ast.walk(access.name)):
                continue
            defaults = dict(zip(reversed(positional), reversed(args.defaults), strict=False))
            defaults.update(
                {arg.arg: d for arg, d in zip(args.kwonlyargs, args.kw_defaults, strict=False) if d is not None}
            )
            default = access.default
            if default is None:
                default = _fallback(positional, access.name)
            reader.helpers[name] = _Helper(tuple(positional), defaults, _Access(access.name, default, access.line))
            return


def _fallback(positional: list[str], name: ast.expr) -> ast.expr | None:
    """The parameter that a helper returns when the variable is not set."""
    used = {node.id for node in ast.walk(name) if isinstance(node, ast.Name)}
    others = [parameter for parameter in positional if parameter not in used and parameter not in ("self", "cls")]
    chosen = next((p for p in others if p in ("default", "fallback", "d", "dflt")), others[0] if others else None)
    return ast.Name(chosen, ast.Load()) if chosen is not None else None


def _visit(
    node: ast.AST, bound: Expressions, reader: _Reader, top: bool = False, default: ast.expr | None = None
) -> None:
    """Record the accesses under ``node``; ``bound`` are the names of enclosing classes and table loops."""
    if len(reader.found) > _MAX_CONSTANTS or not reader.touches(node):
        return
    if isinstance(node, ast.ClassDef):
        bound = {**bound, **single_assignments(node.body)}
    elif isinstance(node, (ast.FunctionDef, ast.Lambda)) and bound:
        bound = {}
    elif isinstance(node, (ast.For, ast.DictComp, ast.ListComp, ast.GeneratorExp, ast.SetComp)) and _table(
        node, bound, reader
    ):
        return
    elif isinstance(node, ast.BoolOp) and isinstance(node.op, ast.Or):
        default = node.values[-1]
    elif isinstance(node, ast.IfExp):
        default = _other_arm(node, reader)
    elif top and isinstance(node, ast.Assign):
        _assigned(node, bound, reader)
    access = _access(node, reader)
    if access is not None:
        _record(access if access.default is not None else _Access(access.name, default, access.line), bound, reader)
    for child in children(node):
        _visit(child, bound, reader, False, default if not isinstance(child, ast.stmt) else None)


def _other_arm(node: ast.IfExp, reader: _Reader) -> ast.expr | None:
    access = _access(node.test, reader)
    if access is None or not isinstance(node.test, ast.Compare):
        return None
    return node.orelse if isinstance(node.test.ops[0], ast.In) else node.body


def _assigned(node: ast.Assign, bound: Expressions, reader: _Reader) -> None:
    for target in node.targets:
        if isinstance(target, ast.Subscript) and _is_environ(target.value, reader.environ):
            _record(_Access(target.slice, node.value, node.lineno, 0), bound, reader)


def _record(access: _Access, bound: Expressions, reader: _Reader) -> None:
    known = {**reader.outer, **bound}
    try:
        name = resolve(access.name, known)
    except Unresolved:
        reader.by_field |= any(
            isinstance(n, ast.Attribute) and n.attr in ("upper", "name") for n in ast.walk(access.name)
        )
        return
    if not isinstance(name, str) or not name.isascii() or not 0 < len(name) <= 100:
        return
    text, certain = _default(access.default, known)
    reader.found.append((access.order, EnvConstant(name, text, access.line, certain)))


def _default(default: ast.expr | None, known: Expressions) -> tuple[str, bool]:
    if default is None:
        return "", False
    try:
        return as_text(resolve(default, known))
    except Unresolved:
        return ast.unparse(default)[:200], False


def _table(
    node: ast.For | ast.DictComp | ast.ListComp | ast.GeneratorExp | ast.SetComp, bound: Expressions, reader: _Reader
) -> bool:
    """Read a loop over a literal table of names once for each row; False when it is no such loop."""
    clause = node if isinstance(node, ast.For) else node.generators[0]
    if not any(_access(inner, reader) for inner in ast.walk(node)):
        return False
    rows = list(_rows(clause.iter, {**reader.outer, **bound}))
    if not 0 < len(rows) <= _MAX_ROWS:
        return False
    body: list[ast.AST] = list(node.body) if isinstance(node, ast.For) else [
        *([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]), *node.generators[0].ifs
    ]  # fmt: skip
    for row in rows:
        inner = {**bound, **_bind(clause.target, row)}
        for part in body:
            _visit(part, inner, reader)
    return True


def _bind(target: ast.expr, value: ast.expr) -> dict[str, ast.expr]:
    if isinstance(target, ast.Name):
        return {target.id: value}
    if isinstance(target, (ast.Tuple, ast.List)) and isinstance(value, (ast.Tuple, ast.List)):
        out: dict[str, ast.expr] = {}
        for name, part in zip(target.elts, value.elts, strict=False):
            out.update(_bind(name, part))
        return out
    return {}


def _rows(node: ast.expr, known: Expressions) -> Iterator[ast.expr]:
    if isinstance(node, ast.Name) and node.id in known:
        node = known[node.id]
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        yield from node.elts
    elif isinstance(node, ast.Dict):
        yield from (key for key in node.keys if key is not None)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in ("items", "keys"):
        table = node.func.value
        if isinstance(table, ast.Name) and table.id in known:
            table = known[table.id]
        if isinstance(table, ast.Dict):
            for key, value in zip(table.keys, table.values, strict=True):
                if key is not None:
                    yield ast.Tuple([key, value], ast.Load()) if node.func.attr == "items" else key


def _dataclass_fields(tree: ast.Module, reader: _Reader) -> None:
    """``os.environ.get(field.name.upper(), field.default)``: every field of the script's dataclasses."""
    for node in of(tree, (ast.ClassDef,)):
        if not any("dataclass" in ast.unparse(d) for d in node.decorator_list):
            continue
        for statement in node.body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                text, certain = _default(statement.value, reader.outer)
                name = statement.target.id.upper()
                reader.found.append((1, EnvConstant(name, text, statement.lineno, certain)))
