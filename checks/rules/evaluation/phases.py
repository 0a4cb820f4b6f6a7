"""Where training ends in a trace, and what reads training data after it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from dataclasses import replace

from checks.program import order
from checks.program.engine.labels import Data, Flag
from checks.program.nodes import of
from checks.program.program import Program
from checks.program.trace import AdaptEvent, CallEvent, Place, ScoreEvent, Trace
from checks.rules.base import Case
from checks.rules.evaluation import ordering
from checks.verdict import Evidence

#: Kinds of adaptation that a training loop makes.
STEPS = ("gradient", "inplace", "free-gradient")
READS = ("train-read", "model")
_CAP = re.compile(
    r"max_wallclock|wallclock_(?:cap|limit|ms|seconds)|time_(?:limit|budget|cap)|max_(?:train_)?(?:seconds|time)", re.I
)
_HOOKED = re.compile(
    r"register_(?:module_)?(?:full_)?(?:forward|backward)_(?:pre_)?hook|\.forward\s*=[^=]|setattr\([^\n]*forward"
)
_CLOCK = re.compile(r"perf_counter|monotonic|time\.time|wallclock|deadline|elapsed")


def at_the_end(case: Case) -> Case:
    """The case with the reports after training as headline, where a log's last score is one of the training loop's."""
    program = case.program
    trace = program.trace
    if trace is None or not program.reports:
        return case
    loops = {loop for a in trace.adapts.values() if a.kind in STEPS and from_train(a.data) for loop, _ in a.loops}
    if not all(loops & {loop for loop, _ in r.loops} for r in program.reports):
        return case
    final = [r for r in order.headline(trace) if not loops & {loop for loop, _ in r.loops}]
    return replace(case, program=replace(program, reports=tuple(final))) if final else case


def from_train(data: Iterable[Data]) -> bool:
    """Whether some of the data is of the training split."""
    return any(d.source == "train" for d in data)


def training_steps(program: Program) -> list[AdaptEvent]:
    """Gradient steps on training data, without those of a loop that holds the headline's scores (test-time replay)."""
    trace = program.trace
    if trace is None:
        return []
    steps = [a for a in trace.adapts.values() if a.kind in STEPS]
    mixed = selecting_loops(program) & {
        loop for a in steps if any(d.source == "val" for d in a.data) for loop, _ in a.loops
    }
    return [a for a in steps if from_train(a.data) and not mixed & {loop for loop, _ in a.loops}]


def scored_loops(program: Program) -> set[int]:
    """Loops in which scores of the headline are made."""
    return {loop for s in ordering.headline_scores(program) for loop, _ in s.loops}


def selecting_loops(program: Program) -> set[int]:
    """Loops that pick the tokens which the headline scores; a training loop around an evaluation is none."""
    return {loop for s in ordering.headline_scores(program) for d in s.targets for loop, _ in d.symbols}


def training_end(program: Program) -> tuple[int, Place] | None:
    """Position and place of the last training loop without scores of the headline; None when there is none.

    A loop over a fixed range after one that a wall clock ends is no part of training: the clock had run out.
    """
    trace = program.trace
    if trace is None:
        return None
    scored = scored_loops(program)
    first = first_score(program)
    ends = [
        (trace.loop_exits[loop], trace.loop_places[loop])
        for loop in _outermost(trace, training_steps(program), scored)
        if first is None or trace.loop_exits[loop] <= first.at
    ]
    clocked = [e for e in ends if _is_clocked(program, e[1])]
    last = max(clocked, key=lambda e: e[0], default=None)
    if last is not None and all(_is_counted(program, place) for position, place in ends if position > last[0]):
        return last
    return max(ends, key=lambda e: e[0], default=None)


def last_training_loop(program: Program) -> tuple[int, Place] | None:
    """The same, or the training loop that prints the headline itself: its last step evaluates, prints and breaks."""
    trace = program.trace
    around = training_loops(program) & scored_loops(program)
    if trace is None or not around:
        return training_end(program)
    loop = max(around, key=lambda loop: trace.loop_exits[loop])
    return trace.loop_exits[loop], trace.loop_places[loop]


def training_loops(program: Program) -> set[int]:
    """The outermost loops that step on training data."""
    return _outermost(program.trace, training_steps(program), set()) if program.trace is not None else set()


def _outermost(trace: Trace, steps: Iterable[AdaptEvent], without: set[int]) -> set[int]:
    """Of each step's loops the one that ends last, ``without`` aside."""
    found = set()
    for step in steps:
        loops = [loop for loop, _ in step.loops if loop in trace.loop_exits and loop not in without]
        if loops:
            found.add(max(loops, key=lambda loop: trace.loop_exits[loop]))
    return found


def _loop_at(program: Program, place: Place) -> ast.For | ast.While | None:
    tree = program.trees.get(place.file)
    found = of(tree, (ast.For, ast.While)) if tree is not None else ()
    return next((n for n in found if n.lineno == place.line), None)


def _is_clocked(program: Program, place: Place) -> bool:
    """Whether a loop compares something with the wall-clock cap."""
    loop = _loop_at(program, place)
    if loop is None:
        return False
    compared = of(loop, (ast.Compare,))
    names = (_CAP.search(ast.unparse(side)) for n in compared for side in (n.left, *n.comparators))
    return any(names)


def asks_clock(program: Program, place: Place) -> bool:
    """Whether a loop compares a time, as training under a clock does."""
    loop = _loop_at(program, place)
    return loop is not None and any(
        _CAP.search(text) or _CLOCK.search(text) for n in of(loop, (ast.Compare,)) for text in (ast.unparse(n),)
    )


def _is_counted(program: Program, place: Place) -> bool:
    """Whether a loop runs over a range and asks no clock."""
    loop = _loop_at(program, place)
    over = loop.iter if isinstance(loop, ast.For) else None
    counts = isinstance(over, ast.Call) and isinstance(over.func, ast.Name) and over.func.id in ("range", "trange")
    if loop is None or not counts or asks_clock(program, place):
        return False
    return not of(loop, (ast.Break, ast.Return)) or not _CLOCK.search(ast.unparse(loop))


def first_score(program: Program) -> ScoreEvent | None:
    """The first score that the headline needs."""
    return min(ordering.headline_scores(program), key=lambda s: s.at, default=None)


def read_after(program: Program, position: int) -> list[CallEvent]:
    """Reads of training tokens, and calls of the model on them, after a position and outside every training loop."""
    if program.trace is None:
        return []
    loops = training_loops(program) - _after_the_clock(program, position)
    reads = [c for c in program.trace.calls if c.at > position and c.name in READS and from_train(c.data)]
    return [c for c in reads if not loops & {loop for loop, _ in c.loops}]


def thrown_away(program: Program, reads: list[CallEvent]) -> bool:
    """Whether all that reads of training tokens feed is a forward pass that leaves nothing behind.

    The call of the model is a statement by itself, no hook and no replaced ``forward`` can have kept what passed, and
    afterwards nothing outside that pass reads values of training tokens or is fitted on them.
    """
    trace = program.trace
    models = [r for r in reads if r.name == "model"]
    if trace is None or not models or not all(_is_statement(program, r.place) for r in models):
        return False
    if any(_HOOKED.search(s.text) for s in program.scripts.values()):
        return False
    passes = {(r.place.file, r.place.line) for r in models}
    start = min(r.at for r in reads)
    used = [c for c in trace.calls if c.at >= start and c.name == "train-derived" and not passes & {*c.place.calls}]
    return not used and not any(a.at >= start and from_train(a.data) for a in trace.adapts.values())


def _is_statement(program: Program, place: Place) -> bool:
    """Whether a call's result goes nowhere: a statement by itself, and the only one of its line."""
    tree = program.trees.get(place.file)
    kinds = (ast.Expr, ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Return)
    nodes = of(tree, kinds) if tree is not None else ()
    found = [n for n in nodes if n.lineno <= place.line <= (n.end_lineno or n.lineno)]
    return bool(found) and all(isinstance(n, ast.Expr) and isinstance(n.value, ast.Call) for n in found)


def _after_the_clock(program: Program, position: int) -> set[int]:
    """Loops with a fixed number of training steps after the loop that ends at a position by the wall clock."""
    trace = program.trace
    ended = [loop for loop, at in trace.loop_exits.items() if at == position] if trace is not None else []
    if trace is None or not any(_is_clocked(program, trace.loop_places[loop]) for loop in ended):
        return set()
    later = {loop for loop in training_loops(program) if trace.loop_exits[loop] > position}
    return {loop for loop in later if _is_counted(program, trace.loop_places[loop])}


def artifact_lines(score: ScoreEvent) -> list[tuple[str, int]]:
    """Where a score's prediction passed through a file that was read back or decompressed."""
    return sorted((x.detail, x.line) for x in score.used if isinstance(x, Flag) and x.name == "artifact")


def leading_calls(program: Program, place: Place, what: str) -> list[Evidence]:
    """The calls that led to a place, innermost first, without the call of the main function."""
    calls = [c for c in place.calls[1:] if c[0] in program.scripts]
    nearest = dict.fromkeys([*reversed(calls[-2:]), *calls[:1]])
    return [program.at(file, line, what, "") for file, line in nearest]
