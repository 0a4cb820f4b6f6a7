"""acausal-model: the prediction of a token sees neither that token nor later ones."""

from __future__ import annotations

from checks.program.engine.labels import Flag
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.stated_bound import stated_bound
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
        bound = stated_bound(case)
        if bound is not None:
            return say.warn(
                "The model sees later positions and is scored by a stated upper bound on its likelihood, not exactly.",
                ordering.unique([bound, *rows]),
                "Say in the README that the score is a bound.",
                ("#1106",),
            )
        return say.fail(
            f"The model that scores {ordered[0].detail[1]}: the prediction of a token sees the token itself.",
            ordering.unique(rows),
            "Let every position see earlier positions only, in every part of the model that scores.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    memory = sorted({x for s in scores for x in s.used if isinstance(x, Flag) and x.name == "acausal-memory"})
    if memory:
        return say.unknown(
            "A position attends to all of another sequence; whether that holds later tokens was not followed.",
            ordering.unique(program.at(x.detail[0], x.line, "attends to another sequence", "score") for x in memory),
            "Show in the README that the other sequence is of earlier tokens only.",
        )
    return say.passed(
        "No attention, recurrence or convolution over later positions was found on the way to the headline."
    )
