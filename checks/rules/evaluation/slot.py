"""slot: no free parameters are fitted to the very tokens that they then score."""

from __future__ import annotations

from checks.program.trace import AdaptEvent, ScoreEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.told_only import told_only
from checks.verdict import Evidence, Finding, Group

CODE = "slot"


def check(case: Case) -> Finding:
    """Look for a tensor outside the model, optimised on validation tokens that the headline scores with it."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    breaches = [
        b
        for b in ordering.found(program)
        if b.adapt.kind == "free-gradient"
        and b.rescored is None
        and not ordering.scores_while_learning(program, b.adapt)
    ]
    if breaches:
        first = breaches[0]
        rows: list[Evidence] = []
        for breach in breaches[:3]:
            rows += ordering.evidence_of(
                program,
                breach,
                "fits free parameters to the window's tokens",
                "scores the window with the fitted parameters",
            )
        return say.fail(
            f"{first.adapt.place.function} (line {first.adapt.place.line}) fits free parameters on tokens that the next "
            "score of the same window counts.",
            ordering.unique(rows),
            "Fit only on tokens that were scored in earlier windows, and score with what was fixed before.",
        )
    unknown = ordering.undecidable(case, say) or told_only(case, say, "slot")
    if unknown is not None:
        return unknown
    causal = _causal(case)
    if causal:
        return say.warn(
            "Free parameters are fitted on the part of each window that earlier windows scored; this was never ruled on.",
            causal,
            "Ask the organisers, or fit nothing between windows.",
            ("#1336", "#1350"),
        )
    return say.passed("No free parameters are fitted to tokens that they then score.")


def _other_part(score: ScoreEvent, adapt: AdaptEvent) -> bool:
    """Whether both use one window, split at one place (negative symbols are splits), from different sides."""
    return any(
        side != other and loop == same and loop < 0
        for d in score.targets
        for loop, side in d.symbols
        for e in adapt.data
        if e.source == "val"
        for same, other in e.symbols
    )


def _causal(case: Case) -> list[Evidence]:
    """Fits of free parameters in the very window that they score, on other positions of it."""
    trace = case.program.trace
    if trace is None:
        return []
    rows = []
    for score in ordering.headline_scores(case.program):
        for ident in score.state:
            adapt = trace.adapts[ident]
            if adapt.kind == "free-gradient" and _other_part(score, adapt):
                rows.append(case.program.evidence(adapt.place, "fits free parameters inside the window", "adapt"))
                rows += ordering.score_rows(case.program, score, "scores the rest of the window with them")[:2]
    return ordering.unique(rows)
