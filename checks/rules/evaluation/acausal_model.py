"""acausal-model: the prediction of a token sees neither that token nor later ones."""

from __future__ import annotations

from checks.program.values import Flag
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Finding, Group

CODE = "acausal-model"


def check(case: Case) -> Finding:
    """Look for attention, recurrence and convolution over later positions in what the headline's scores are made of."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    scores = ordering.headline_scores(program) if program.reports else []
    flags = {x for s in scores for x in s.used if isinstance(x, Flag) and x.name == "acausal"}
    if flags:
        ordered = sorted(flags, key=lambda x: x.line)
        rows = [program.at(x.detail[0], x.line, x.detail[1], "score") for x in ordered]
        rows += [ordering.report_row(program, r) for r in program.reports]
        return say.fail(
            f"The model that scores {ordered[0].detail[1]}: the prediction of a token sees the token itself.",
            ordering.unique(rows),
            "Let every position see earlier positions only, in every part of the model that scores.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed(
        "No attention, recurrence or convolution over later positions was found on the way to the headline."
    )
