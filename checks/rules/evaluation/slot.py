"""slot: no free parameters are fitted to the very tokens that they then score."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding, Group

CODE = "slot"


def check(case: Case) -> Finding:
    """Look for a tensor outside the model, optimised on validation tokens that the headline scores with it."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    breaches = [b for b in ordering.found(program) if b.adapt.kind == "free-gradient" and b.rescored is None]
    if breaches:
        first = breaches[0]
        rows: list[Evidence] = []
        for breach in breaches[:3]:
            rows += ordering.evidence_of(
                program, breach, "fits free parameters to the window's tokens", "scores the window with the fitted parameters"
            )
        return say.fail(
            f"{first.adapt.place.function} (line {first.adapt.place.line}) fits free parameters on tokens that the next "
            "score of the same window counts.",
            ordering.unique(rows),
            "Fit only on tokens that were scored in earlier windows, and score with what was fixed before.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("No free parameters are fitted to tokens that they then score.")
