"""val-calibration: quantisation, temperatures and the like are not fitted on validation tokens."""

from __future__ import annotations

import ast

from checks.program.nodes import of
from checks.program.program import Program
from checks.program.trace import AdaptEvent, CallEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding, Group

CODE = "val-calibration"


def check(case: Case) -> Finding:
    """Look for statistics of validation tokens that reach the scored weights, and for choices made by validation scores."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trace = program.trace
    clears = "Calibrate on training tokens inside the training clock, on self-generated text, or without data."
    breaches = [b for b in ordering.found(program) if ordering.calibrates(program, b.adapt)]
    if breaches:
        rows: list[Evidence] = []
        for breach in breaches[:3]:
            rows += ordering.evidence_of(
                program,
                breach,
                "what is exported depends on activations of validation tokens",
                "scores with the calibrated weights",
            )
        rows = [*_collected(case, breaches[0].adapt), *rows]
        if any(_only_if_nothing_else(program, c) for c in _runs(case, breaches[0].adapt)[:1]):
            return say.unknown(
                "Validation tokens calibrate the exported weights only where nothing was collected before; no log tells.",
                ordering.unique(rows),
                "Take the fallback out, or log what the calibration was collected from.",
            )
        return say.fail(
            "The exported weights were calibrated with validation tokens that had not been scored yet.",
            ordering.unique(rows),
            clears,
        )
    wanted = {s.ident for s in ordering.headline_scores(program)}
    picked = [row for compared, during, row in ordering.chosen(program) if compared not in wanted and not during]
    if picked and trace is not None:
        reports = [ordering.report_row(program, r) for r in program.reports]
        return say.fail(
            "A value that the reported score depends on was chosen by comparing scores on validation tokens.",
            ordering.unique([*picked, *reports]),
            clears,
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("Nothing that the headline depends on was calibrated on validation tokens.")


def _only_if_nothing_else(program: Program, call: CallEvent) -> bool:
    """Whether a call is made under ``if not found:``, where ``found`` is a container that may have been filled before."""
    for file, line in ((call.place.file, call.place.line), *call.place.calls):
        tree = program.trees.get(file)
        for node in of(tree, (ast.If,)) if tree is not None else ():
            test = node.test
            if (
                tree is not None
                and isinstance(test, ast.UnaryOp)
                and isinstance(test.op, ast.Not)
                and isinstance(test.operand, ast.Name)
                and node.body[0].lineno <= line <= (node.body[-1].end_lineno or 0)
                and _is_container(tree, test.operand.id)
            ):
                return True
    return False


def _is_container(tree: ast.Module, name: str) -> bool:
    made = [n for n in of(tree, (ast.Assign, ast.AnnAssign)) if isinstance(n.value, (ast.Dict, ast.List))]
    targets = (t for n in made for t in (n.targets if isinstance(n, ast.Assign) else [n.target]))
    return any(isinstance(t, ast.Name) and t.id == name for t in targets)


def _runs(case: Case, export: AdaptEvent) -> list[CallEvent]:
    """The last calls of the model on validation tokens before the export, those whose loss is reported aside."""
    trace = case.program.trace
    if trace is None:
        return []
    reported = [trace.scores[i] for r in trace.reports for i in r.scores]
    scoring = {line for s in reported for line in ((s.place.file, s.place.line), *s.place.calls)}
    calls = [
        c for c in trace.calls if c.name == "model" and c.at < export.at and any(d.source == "val" for d in c.data)
    ]
    return ([c for c in calls if (c.place.file, c.place.line) not in scoring] or calls)[-2:]


def _collected(case: Case, export: AdaptEvent) -> list[Evidence]:
    """Where the model runs on validation tokens before the export, and where what that gave is kept."""
    watched = case.program.trace.calls if case.program.trace is not None else []
    kept = [c for c in watched if c.name == "val-kept" and c.at < export.at and c.data & export.data]
    lines = {(c.place.file, c.place.line): c.place for c in kept}
    for c in watched:  # what a forward pass keeps whenever it runs is no evidence
        if c.name == "val-kept" and c.at >= export.at:
            lines.pop((c.place.file, c.place.line), None)
    rows = [
        case.program.evidence(c.place, "runs the model on validation tokens", "source") for c in _runs(case, export)
    ]
    return rows + [
        case.program.evidence(p, "keeps what validation tokens gave", "source") for p in [*lines.values()][:2]
    ]
