"""Where no log counts the validation tokens: whether the code proves that all of them are loaded and scored."""

from __future__ import annotations

import ast
from collections.abc import Collection, Iterator

from checks.program.engine.labels import Flag
from checks.program.nodes import of
from checks.program.program import Program
from checks.program.trace import Reach, ScoreEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.byte_accounting_proof import printed
from checks.rules.evaluation.coverage_code import gathers, scoring_loops
from checks.verdict import Finding


def proved(case: Case, say: Verdicts) -> Finding | None:
    """A pass where every score of the headline is of tokens that loops over the whole split select; else None.

    The proof asks that no part was taken of the files or of the tokens, that every loop that selects tokens is bounded
    by their number alone, that it steps by what its body uses, that nothing ends it or skips an iteration under a
    condition that is open, that the ranks' sums are gathered, and that the script prints the logs' scores.
    """
    program = case.program
    trace = program.trace
    if trace is None or trace.exhausted or not program.reports or program.not_understood or not printed(case):
        return None
    scores = [s for s in ordering.headline_scores(program) if any(d.source == "val" for d in s.targets)]
    if not scores:
        return None
    loops: dict[int, Reach] = {}
    for score in scores:
        selecting = _selecting(program, trace, score)
        if selecting is None:
            return None
        loops |= selecting
    if not all(_steps_fit(program, reach) for reach in loops.values()):
        return None
    if any(_may_skip(program, loops.values())) or not (gathers(program) or _alone(program)):
        return None
    rows = [program.evidence(r.place, "runs over all validation tokens", "score") for r in loops.values()]
    sizes = {size for r in loops.values() for size in r.sizes}
    rows += [program.at(file, line, "the number of validation tokens", "source") for file, line in sorted(sizes)]
    rows += [ordering.report_row(program, r) for r in program.reports]
    return say.passed(
        "No log counts the validation tokens; the code loads every file of the split and its loops score all of it.",
        ordering.unique(rows),
    )


def _selecting(program: Program, trace: Trace, score: ScoreEvent) -> dict[int, Reach] | None:
    """The loops that select the tokens of a score; None where one is cut short or nothing is known of it."""
    cuts = [x for x in score.used if isinstance(x, Flag) and x.name in ("cut", "partial")]
    if any(x.name == "partial" or not _of_layers(program, x) for x in cuts):
        return None
    found: dict[int, Reach] = {}
    for data in score.targets:
        if data.source != "val":
            continue
        for loop, _ in data.symbols:
            if loop < 0:  # where a name splits a row, no loop: what a slice leaves out of the whole is marked as a cut
                continue
            reach = trace.reaches.get(loop)
            if reach is None or not reach.whole:
                return None
            found[loop] = reach
    running = {loop for loop, _ in score.loops}
    return found if running & set(found) else None


def _of_layers(program: Program, cut: Flag) -> bool:
    """Whether a limit is one on the layers of a model: it stands where a module is made, which holds no tokens."""
    tree = program.trees.get(str(cut.detail))
    classes = of(tree, (ast.ClassDef,)) if tree is not None else []
    made = [f for c in classes if _is_module(c) for f in c.body if isinstance(f, ast.FunctionDef)]
    return any(f.name == "__init__" and _holds(f, cut.line) for f in made)


def _is_module(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).rpartition(".")[2] == "Module" for base in node.bases)


def _steps_fit(program: Program, reach: Reach) -> bool:
    """Whether the step of a range is used beside the range: a batch or a stride, no sample of every so many."""
    if not reach.step or reach.step == "1":
        return True
    tree = program.trees.get(reach.place.file)
    if tree is None:
        return False
    around = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and _holds(n, reach.place.line)]
    scope: ast.AST = min(around, key=lambda n: (n.end_lineno or 0) - n.lineno, default=tree)
    uses = [n for n in ast.walk(scope) if isinstance(n, ast.expr) and ast.unparse(n) == reach.step]
    return len(uses) > 1


def _holds(node: ast.AST, line: int) -> bool:
    return getattr(node, "lineno", 0) <= line <= (getattr(node, "end_lineno", None) or 0)


def _may_skip(program: Program, loops: Collection[Reach]) -> Iterator[bool]:
    """Statements that run in a loop that scores and leave it, or pass over a token, under an open condition."""
    assert program.trace is not None
    lines = {(s.place.file, s.place.line) for s in ordering.headline_scores(program)}
    lines |= {c for s in ordering.headline_scores(program) for c in s.place.calls}
    for path, loop in scoring_loops(program):
        if not any(r.place.file == path and loop.lineno <= r.place.line < loop.body[0].lineno for r in loops):
            continue
        inner = [n for n in ast.walk(loop) if isinstance(n, (ast.For, ast.While)) and n is not loop]
        others = [n for n in inner if not any(path == f and _holds(n, line) for f, line in lines)]  # e.g. that adapt
        for node in ast.walk(loop):
            if not isinstance(node, ast.If) or (path, node.lineno) not in program.trace.executed:
                continue
            if any(_holds(other, node.lineno) for other in others):
                continue
            leaves = [n for n in node.body if isinstance(n, (ast.Break, ast.Continue, ast.Return))]
            if any((path, n.lineno) in program.trace.executed for n in leaves) and not _empty(node.test):
                yield True
            guards = any(path == f and node.lineno < line <= (node.end_lineno or 0) for f, line in lines)
            if guards and any(isinstance(n, ast.Mod) for n in ast.walk(node.test)):
                yield True


def _empty(test: ast.expr) -> bool:
    """``if not rows``, ``if n < 2``, ``if start >= end``: nothing is left to score in this iteration."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return True
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return False
    right = test.comparators[0]
    if isinstance(right, ast.Constant):
        small = isinstance(right.value, int) and 0 <= right.value <= 2
        return small and isinstance(test.ops[0], (ast.Eq, ast.Lt, ast.LtE))
    return (
        isinstance(test.ops[0], (ast.GtE, ast.Gt)) and isinstance(right, ast.Name) and isinstance(test.left, ast.Name)
    )


def _alone(program: Program) -> bool:
    """Whether the script knows of no other rank."""
    return not any("world_size" in s.text.lower() or "get_rank" in s.text for s in program.scripts.values())
