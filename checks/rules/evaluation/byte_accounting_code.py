"""The half of bpb-accounting in the code: scaled losses, fixed ratios, byte tables, sums of some ranks only."""

from __future__ import annotations

import ast
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from checks.program.engine.labels import Flag
from checks.program.nodes import children, nodes, of
from checks.program.program import Program
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.quadrature import quadrature_weight
from checks.verdict import Evidence, Finding

_MARK = "▁"
_CLEARS = (
    "Count the bytes of the original text: sum over targets of the reference byte table; leave the losses as they are."
)
_PIECE = ("id_to_piece", "IdToPiece", "id_to_token")
_TELLING = frozenset([*_PIECE, "all_reduce"])
_STRIPS = ("removeprefix", "lstrip", "replace", "strip")
_LN2 = math.log(2.0)
_UNITS = (1.0, _LN2, 1 / _LN2)
_NEAR_LN2 = 0.3  # a logarithm that is meant for that of two


@dataclass(frozen=True)
class Miscount:
    """One place in the code that miscounts. ``certain``: it fails, else it is a warning."""

    file: str
    line: int
    what: str
    certain: bool = True


def by_code(case: Case, say: Verdicts) -> Finding | None:
    """The miscounts of the code that runs on the way to the headline; None where there are none."""
    program = case.program
    if program.trace is None or not program.reports:
        return None
    found = [*_scaled(program)]
    looped = _space_in_loop(program)
    for path, tree in program.trees.items():
        if not any(word in program.scripts[path].text for word in (*_PIECE, "all_reduce")):
            continue
        for scope in _scopes(tree):
            nodes = list(_own(scope))
            found += _tables(program, path, nodes, looped)
            found += _half_reduced(program, path, nodes)
    certain = [m for m in found if m.certain]
    chosen = certain or found
    if not chosen:
        return None
    rows: list[Evidence] = [program.at(m.file, m.line, m.what, "score") for m in chosen[:6]]
    rows += [ordering.report_row(program, r) for r in program.reports]
    return (say.fail if certain else say.warn)(f"The code {chosen[0].what}.", ordering.unique(rows), _CLEARS)


def _scopes(tree: ast.Module) -> Iterator[ast.Module | ast.FunctionDef]:
    """The scopes that may say how many bytes a piece has, or that sum over the ranks."""
    calls = [n for n in of(tree, (ast.Call,)) if isinstance(n.func, ast.Attribute) and n.func.attr in _TELLING]
    if calls:
        yield tree
    for function in of(tree, (ast.FunctionDef,)):
        if any(function.lineno <= call.lineno <= (function.end_lineno or 0) for call in calls):
            yield function


def _own(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope without those of functions and classes inside it."""
    stack = children(scope)
    while stack:
        node = stack.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            stack.extend(children(node))


def _runs(program: Program, path: str, node: ast.AST) -> bool:
    line = getattr(node, "lineno", 0)
    return program.trace is not None and any((path, n) in program.trace.executed for n in (line, line - 1, line - 2))


# -- the loss --------------------------------------------------------------------------------------------------------


def _scaled(program: Program) -> Iterator[Miscount]:
    """Scores of the headline that a constant multiplies or divides, or that are capped."""
    lookups = program.trace.lookups.values() if program.trace is not None else ()
    learned = {(e.place.file, e.place.line) for e in lookups if e.state or e.mixed}
    for report in program.reports:
        flags = [x for x in report.labels if isinstance(x, Flag) and x.name in ("scaled", "capped", "plus-each")]
        flags.sort(key=lambda x: (x.line, x.name, str(x.detail)))
        numbers = {(x.line, x.detail[:2], x.detail[2]) for x in flags if x.name == "scaled"}
        varied = Counter((line, how) for line, how, _ in numbers)
        for flag in flags:
            if flag.name == "scaled" and varied[flag.line, flag.detail[:2]] > 1:
                continue  # another number in every iteration: no constant
            if flag.name == "plus-each":
                file, number = flag.detail
                if (file, flag.line) in learned:  # a count that grows on the way: smoothing, not bytes
                    continue
                yield Miscount(file, flag.line, f"counts {number} more for every token than its table of bytes says")
                continue
            if flag.name == "capped":
                file, limit = flag.detail
                yield Miscount(file, flag.line, f"caps the losses at {limit:g} before they are summed")
                continue
            file, op, constant, _function = flag.detail
            if any(abs(constant / unit - 1) < 1e-6 for unit in _UNITS) or _weight(program.trees.get(file), flag.line):
                continue
            if op == "/log":
                if abs(constant / _LN2 - 1) < _NEAR_LN2:
                    yield Miscount(file, flag.line, f"divides nats by {constant:.4f}, where ln 2 is {_LN2:.4f}")
                continue
            if 0.9 <= constant <= 1.1:
                if quadrature_weight(program.trees.get(file), flag.line):
                    continue
                word = "multiplies" if op == "*" else "divides"
                yield Miscount(file, flag.line, f"{word} the loss by {constant:g} before it is reported")
            elif op == "/" and 1.5 < constant < 8 and constant != int(constant):
                if _sum_of_weights(program.trees.get(file), flag.line):
                    continue
                yield Miscount(
                    file, flag.line, f"divides by {constant:g} bytes per token, a constant, instead of bytes"
                )


def _weight(tree: ast.Module | None, line: int) -> bool:
    """Whether the product of a line is a term of a sum: a weight of a mixture, not a scale."""
    if tree is None:
        return False
    for node in nodes(tree):
        if (
            isinstance(node, ast.BinOp)
            and isinstance(node.op, (ast.Add, ast.Sub))
            and node.lineno <= line <= (node.end_lineno or 0)
        ):
            sides = [s for s in (node.left, node.right) if not isinstance(s, ast.Constant)]
            if len(sides) == 2 and any(
                isinstance(s, ast.BinOp) and isinstance(s.op, (ast.Mult, ast.Div)) for s in sides
            ):
                return True
    return False


def _sum_of_weights(tree: ast.Module | None, line: int) -> bool:
    """Whether a line divides by a name that only grows by what it also weighs: the mean of weighted losses."""
    divided = {
        n.right.id
        for n in (nodes(tree) if tree is not None else ())
        if isinstance(n, ast.BinOp) and isinstance(n.op, ast.Div) and n.lineno == line and isinstance(n.right, ast.Name)
    }
    grows = [
        n
        for n in (nodes(tree) if tree is not None and divided else ())
        if isinstance(n, ast.AugAssign) and isinstance(n.op, ast.Add) and isinstance(n.target, ast.Name)
    ]
    return any(n.target.id in divided for n in grows if isinstance(n.target, ast.Name))


# -- the byte table --------------------------------------------------------------------------------------------------


def _tables(program: Program, path: str, nodes: list[ast.AST], looped: bool) -> Iterator[Miscount]:
    """A byte table made from a SentencePiece vocabulary: the space, the word mark, the fallback bytes."""
    called = {n.func.attr for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute)}
    if not called & set(_PIECE):
        return
    sizes = [n for n in nodes if isinstance(n, ast.Call) and _encoded(n) is not None and _runs(program, path, n)]
    if not sizes:
        return
    texts = {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    bytes_known = bool(called & {"is_byte", "IsByte"}) or any("<0x" in t for t in texts)
    plus_one = [n for n in nodes if _plus_one(n) and _runs(program, path, n)]
    spaced = [n for n in sizes if _replaced_by_space(_encoded(n))]
    for node in (*plus_one, *spaced):
        line = getattr(node, "lineno", 0)
        if looped:
            yield Miscount(
                path, line, "counts the leading space in the byte table and once more in the evaluation loop"
            )
        else:
            yield Miscount(path, line, "counts the space in the byte table only: one byte too many after BOS", False)
    strips = bool(called & set(_STRIPS)) or any(isinstance(n, ast.Slice) and _is_one(n.lower) for n in nodes)
    if not strips and not spaced and not bytes_known:
        yield Miscount(
            path, sizes[0].lineno, "counts the word mark of a piece as text, and fallback bytes by their name"
        )
    elif not bytes_known and _MARK in "".join(texts):
        yield Miscount(path, sizes[0].lineno, "measures fallback bytes by the name of their piece, not as one byte")


def _encoded(node: ast.AST) -> ast.expr | None:
    """X of ``len(X.encode(...))``."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "len" and node.args:
        inner = node.args[0]
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute) and inner.func.attr == "encode":
            return inner.func.value
    return None


def _plus_one(node: ast.AST) -> bool:
    """``len(piece.encode()) + 1``."""
    if not isinstance(node, ast.BinOp) or not isinstance(node.op, ast.Add):
        return False
    return (_encoded(node.left) is not None and _is_one(node.right)) or (
        _encoded(node.right) is not None and _is_one(node.left)
    )


def _replaced_by_space(node: ast.expr | None) -> bool:
    """``piece.replace("▁", " ")``: the space is then counted as text."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "replace"):
        return False
    values = [a.value for a in node.args if isinstance(a, ast.Constant)]
    return values == [_MARK, " "]


def _is_one(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value == 1


def _space_in_loop(program: Program) -> bool:
    """Whether a line that runs adds a space unless the token before is a boundary."""
    if program.trace is None:
        return False
    for file, line in program.trace.executed:
        script = program.scripts.get(file)
        text = script.excerpt(line) if script is not None else ""
        if "&" in text and "~" in text and "[" in text and "space" in text.lower():
            return True
    return False


# -- the sums --------------------------------------------------------------------------------------------------------


def _half_reduced(program: Program, path: str, nodes: list[ast.AST]) -> Iterator[Miscount]:
    """A quotient of two running sums of which only one was reduced over the ranks."""
    reduced: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "all_reduce":
            if not node.args or not isinstance(node.args[0], ast.Name) or not _runs(program, path, node):
                return
            reduced.add(node.args[0].id)
    sums = {n.target.id for n in nodes if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name)}
    if not reduced or not reduced <= sums:
        return
    for node in nodes:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and _runs(program, path, node):
            above, below = _names(node.left) & sums, _names(node.right) & sums
            if above and below and bool(above & reduced) != bool(below & reduced) and below & reduced:
                what = f"divides {min(above)} of one rank by {min(below)} summed over all ranks"
                yield Miscount(path, node.lineno, what)


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
