"""The half of partial-val that lies in the code: limits, samples, early stops, ranks that are not gathered."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from checks.program.engine.labels import Flag
from checks.program.nodes import nodes, of
from checks.program.program import Program
from checks.program.trace import ScoreEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding

_GATHER = (
    "all_reduce",
    "all_gather",
    "reduce",
    "gather",
    "all_gather_object",
    "gather_object",
    "all_gather_into_tensor",
)
_CLOCKS = ("perf_counter", "time", "monotonic")
#: Steps that cannot hold the split: with more, a stop may be a guard that is never reached.
_FEW_STEPS = 256
_CLEARS = "Score the whole validation split, as the reference does."


def _of_training(program: Program) -> bool:
    """Whether what is reported as a score of the validation split is of training data alone, and nothing scores the split."""
    trace = program.trace
    if trace is None or any(d.source == "val" for s in trace.scores.values() for d in s.targets):
        return False
    scores = ordering.headline_scores(program)
    return (
        bool(scores)
        and all(s.targets and all(d.source == "train" for d in s.targets) for s in scores)
        and all("val" in r.template.lower() for r in program.reports)
    )


def by_code(case: Case, say: Verdicts) -> Finding | None:
    """What the code behind the headline leaves out; None where nothing was found."""
    program = case.program
    if program.trace is None or not program.reports:
        return None
    reports = [ordering.report_row(program, r) for r in program.reports]
    if _of_training(program):
        scores = ordering.headline_scores(program)
        rows = [row for score in scores[:2] for row in ordering.score_rows(program, score, "scores training data")]
        return say.fail(
            "The reported score is of training data: no validation token is scored.",
            ordering.unique([*rows, *reports]),
            _CLEARS,
        )
    parts = _parts(program)
    if parts:
        where = sorted({what for _, what in parts})
        rows = ordering.unique([row for row, _ in parts])
        return say.fail(
            f"The reported score is over {', '.join(where)} of the validation tokens only.", [*rows, *reports], _CLEARS
        )
    for path, scope in _scoring_scopes(program):
        alone = list(_ungathered(program, path, scope))
        if alone:
            return say.fail(
                "Every rank scores its share and the number is computed from one rank's share: nothing is gathered.",
                [*alone, *reports],
                _CLEARS,
            )
        left_out = list(_left_out(program, path, scope))
        if left_out:
            return say.warn(
                "Targets of one kind are left out of the loss and of the bytes.", [*left_out, *reports], _CLEARS
            )
        counted = list(_counted_stops(program, path, scope))
        if counted:
            return say.fail(
                "The loop that scores ends after a fixed number of steps: tokens after that are not in the number.",
                [*counted, *reports],
                _CLEARS,
            )
        stops = list(_stops(program, path, scope))
        if stops:
            return say.warn(
                "The loop that scores ends when its time is up: tokens after that are not in the number.",
                [*stops, *reports],
                _CLEARS,
            )
    return None


def _parts(program: Program) -> list[tuple[Evidence, str]]:
    """Selections that every score of the headline went through."""
    scores = [s for s in ordering.headline_scores(program) if any(d.source == "val" for d in s.targets)]
    cut = [_limits(program, s) for s in scores]
    if not cut or not all(cut):
        return []
    return [
        (program.at(x.detail[0], x.line, f"takes {x.detail[1]} of the tokens", "source"), str(x.detail[1]))
        for x in sorted(set().union(*cut), key=lambda x: x.line)
    ]


def _limits(program: Program, score: ScoreEvent) -> set[Flag]:
    """Marks of the selections that a score's tokens went through, and of the limits of the loops that select them.

    A limit of one loop proves nothing where another goes on over all tokens: it may be the length of a chunk.
    """
    assert program.trace is not None
    marks = {x for x in score.used if isinstance(x, Flag) and x.name == "partial"}
    selecting = {loop for d in score.targets if d.source == "val" for loop, _ in d.symbols}
    reaches = {loop: reach for loop, reach in program.trace.reaches.items() if loop in selecting}
    running = selecting & {loop for loop, _ in score.loops}
    few = {loop: reach.few or _few_as_called(program, score, loop) for loop, reach in reaches.items()}
    beyond = any(reach.sizes and not few[loop] for loop, reach in reaches.items())
    if not beyond and all(loop in reaches and not reaches[loop].whole for loop in running):
        marks |= set().union(*few.values())
    return {x for x in marks if len(x.detail) < 3 or not x.detail[2] or not _undone(program, x)}


def _few_as_called(program: Program, score: ScoreEvent, loop: int) -> frozenset[Flag]:
    """The limits of a loop in the one call of its function that makes this score."""
    assert program.trace is not None
    calls = [c for ident, c in program.trace.few if ident == loop and c and score.place.calls[: len(c)] == c]
    return program.trace.few[loop, max(calls, key=len)] if calls else frozenset()


def _undone(program: Program, mark: Flag) -> bool:
    """Whether a number that divides a size is used again around it: as the length of what the quotient counts."""
    path, _, unit = mark.detail
    tree = program.trees.get(path)
    if tree is None:
        return True
    around = [n for n in of(tree, (ast.FunctionDef,)) if n.lineno <= mark.line <= (n.end_lineno or 0)]
    scope: ast.AST = min(around, key=lambda n: (n.end_lineno or 0) - n.lineno, default=tree)
    here = [n for n in ast.walk(scope) if isinstance(n, ast.Constant) and str(n.value) == unit]
    return len(here) != 1 or here[0].lineno != mark.line


def _scoring_scopes(program: Program) -> Iterator[tuple[str, ast.AST]]:
    """The functions (or the module) in which scores of the headline are made or summed."""
    places = set()
    for score in ordering.headline_scores(program):
        places |= {(score.place.file, score.place.line), *score.place.calls}
    for path, tree in program.trees.items():
        lines = {line for file, line in places if file == path}
        if not lines:
            continue
        functions = of(tree, (ast.FunctionDef,))
        inside: set[int] = set()
        for function in functions:
            held = {line for line in lines if function.lineno <= line <= (function.end_lineno or 0)}
            inside |= held
            if held:
                yield path, function
        if lines - inside:
            yield path, tree


def _runs(program: Program, path: str, line: int) -> bool:
    return program.trace is not None and (path, line) in program.trace.executed


def _loops(program: Program, path: str, scope: ast.AST) -> Iterator[ast.For]:
    """Loops of the scope that run and in which the headline's scores are made."""
    lines = set()
    for score in ordering.headline_scores(program):
        lines |= {line for file, line in ((score.place.file, score.place.line), *score.place.calls) if file == path}
    for node in of(scope, (ast.For,)):
        if any(node.lineno < line <= (node.end_lineno or 0) for line in lines):
            yield node


def scoring_loops(program: Program) -> Iterator[tuple[str, ast.For | ast.While]]:
    """The loops in which scores of the headline are made, in the functions of the scores and of the calls to them."""
    for path, scope in _scoring_scopes(program):
        places = [p for s in ordering.headline_scores(program) for p in ((s.place.file, s.place.line), *s.place.calls)]
        lines = {line for file, line in places if file == path}
        for node in of(scope, (ast.For, ast.While)):
            if any(node.lineno < n <= (node.end_lineno or 0) for n in lines):
                yield path, node


def _ungathered(program: Program, path: str, scope: ast.AST) -> Iterator[Evidence]:
    """Loops over a rank's share in a program whose running lines gather nothing."""
    if program.trace is None or gathers(program):
        return
    shares: dict[str, int] = {"rank": 0, "local_rank": 0}
    for node in sorted(of(scope, (ast.Assign,)), key=lambda n: n.lineno):
        if _names(node.value) & set(shares):
            for target in node.targets:
                shares |= {name: node.lineno for name in _names(target)}
    if not any(
        isinstance(n, ast.Call) and isinstance(n.func, ast.Attribute) and n.func.attr == "get_rank"
        for n in nodes(scope)
    ):
        return
    for loop in _loops(program, path, scope):
        used = _names(loop.iter) & set(shares)
        if used:
            yield from (
                program.at(path, shares[n], "takes the share of one rank", "source") for n in sorted(used) if shares[n]
            )
            yield program.at(path, loop.lineno, "scores the share of one rank", "score")


def gathers(program: Program) -> bool:
    """Whether a line that runs sums or collects over the ranks."""
    assert program.trace is not None
    for file, line in program.trace.executed:
        script = program.scripts.get(file)
        if script is not None and any(f"{word}(" in script.excerpt(line) for word in _GATHER):
            return True
    return False


def _stops(program: Program, path: str, scope: ast.AST) -> Iterator[Evidence]:
    """``if clock - start > budget: break`` in the outermost loop that scores, with no loop after it that goes on."""
    loops = list(_loops(program, path, scope))
    for loop in loops[:1]:
        if len([other for other in loops if other.lineno > (loop.end_lineno or 0)]):
            continue
        for node in loop.body:
            if (
                isinstance(node, ast.If)
                and any(isinstance(s, ast.Break) for s in node.body)
                and _runs(program, path, node.lineno)
            ):
                called = {
                    n.func.attr if isinstance(n.func, ast.Attribute) else getattr(n.func, "id", "")
                    for n in ast.walk(node.test)
                    if isinstance(n, ast.Call)
                }
                if called & set(_CLOCKS):
                    yield program.at(path, node.body[0].lineno, "ends the evaluation early", "score")


def _counted_stops(program: Program, path: str, scope: ast.AST) -> Iterator[Evidence]:
    """``if n == 100: break`` on the counter of the outermost loop that scores."""
    for loop in list(_loops(program, path, scope))[:1]:
        counters = _names(loop.target)
        for node in loop.body:
            test = node.test if isinstance(node, ast.If) else None
            if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.left, ast.Name):
                continue
            limit = test.comparators[0]
            few = isinstance(limit, ast.Constant) and isinstance(limit.value, int) and 0 < limit.value <= _FEW_STEPS
            ends = isinstance(node, ast.If) and any(isinstance(s, ast.Break) for s in node.body)
            at_least = isinstance(test.ops[0], (ast.Eq, ast.Gt, ast.GtE))
            if ends and few and at_least and test.left.id in counters and _runs(program, path, node.lineno):
                yield program.at(path, node.lineno, f"ends after {ast.unparse(limit)} steps", "score")


def _left_out(program: Program, path: str, scope: ast.AST) -> Iterator[Evidence]:
    """``wanted = y != 1`` that selects both what is summed and what is counted."""
    masks = {
        target.id: node.lineno
        for node in of(scope, (ast.Assign,))
        if isinstance(node.value, ast.Compare) and isinstance(node.value.ops[0], ast.NotEq)
        for target in node.targets
        if isinstance(target, ast.Name)
        and isinstance(node.value.comparators[0], ast.Constant)
        and _runs(program, path, node.lineno)
    }
    sums = of(scope, (ast.AugAssign,))
    for name, line in masks.items():
        selected = [
            n for n in sums if any(isinstance(s, ast.Subscript) and name in _names(s.slice) for s in ast.walk(n.value))
        ]
        counted = [n for n in sums if isinstance(n.value, ast.Call) and name in _names(n.value)]
        if selected and counted:
            yield program.at(path, line, "leaves these targets out", "score")


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
