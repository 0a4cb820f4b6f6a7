"""val-in-artifact: the artifact holds no validation tokens and no table made from them."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding, Group

CODE = "val-in-artifact"
_PAID = re.compile(
    r"paid[_-]?prefix|val[_-]?(?:targets?|tokens?|prefix|answers?)[\w.-]*\.(?:xz|lzma|zst|bin|npz|npy|pt|ptz|gz|br)$",
    re.I,
)


def check(case: Case) -> Finding:
    """Look for validation tokens written into a file that the evaluation reads back, and for stored-token look-ups."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    clears = "Store only what was learned from training data; read validation tokens only to score them."
    breaches = [b for b in ordering.found(program) if b.adapt.kind == "stored"]
    if breaches:
        rows: list[Evidence] = []
        for breach in breaches[:3]:
            rows += ordering.evidence_of(
                program, breach, "writes validation tokens to a file", "the score depends on that file"
            )
        rows += _told(case)
        return say.fail(
            "Validation tokens are stored in a file that the scored result depends on.", ordering.unique(rows), clears
        )
    matched = _compared(case)
    if matched:
        return say.fail(
            "Scores are changed where a stored token equals the validation token: the answers are in the artifact.",
            ordering.unique([*matched, *(ordering.report_row(program, r) for r in program.reports)]),
            clears,
        )
    named = [p for p in case.submission.files if _PAID.search(p)]
    if named:
        rows = [
            Evidence(case.submission.files[p].path, 0, 0, "", "a file named as stored validation data")
            for p in named[:4]
        ]
        return say.unknown(
            "A file of the folder is named as stored validation data; its content was not read.", rows, clears
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("No file that the evaluation reads holds validation tokens.")


def _told(case: Case) -> list[Evidence]:
    """Where what the file holds says which entries of a prediction are changed."""
    calls = [c for c in case.program.trace.calls if c.name == "told"] if case.program.trace is not None else []
    return [case.program.evidence(c.place, "changes entries that the file names", "score") for c in calls[:2]]


def _compared(case: Case) -> list[Evidence]:
    trace = case.program.trace
    if trace is None:
        return []
    wanted = {s.ident for s in ordering.headline_scores(case.program)}
    return [
        case.program.evidence(b.place, "changes the score where a stored token equals the target", "score")
        for b in trace.blends
        if b.kind == "stored-match" and b.scores & wanted
    ]
