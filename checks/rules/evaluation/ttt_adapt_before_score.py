"""ttt-adapt-before-score: a token is scored before anything is trained on it."""

from __future__ import annotations

from checks.program.program import Program
from checks.program.trace import AdaptEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.told_only import told_only
from checks.rules.evaluation.val_training import training_on_val
from checks.verdict import Evidence, Finding, Group

CODE = "ttt-adapt-before-score"
KINDS = ("gradient", "inplace")


def check(case: Case) -> Finding:
    """Check that no score of the headline depends on an adaptation that used the same tokens."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trained = {a.place.line for a in training_on_val(case)}  # steps of the training loop are val-training
    breaches = [
        b
        for b in ordering.found(program)
        if b.rescored is None and b.adapt.place.line not in trained and _adapts(program, b.adapt)
    ]
    if breaches:
        first = breaches[0]
        rows: list[Evidence] = []
        for breach in breaches[:4]:
            rows += ordering.evidence_of(
                program, breach, "trains on validation tokens", "scores the same tokens afterwards"
            )
        lines = sorted({b.adapt.place.line for b in breaches})
        return say.fail(
            f"{first.adapt.place.function} adapts to validation tokens (line {', '.join(map(str, lines[:4]))}) before the "
            "same tokens are scored into the reported val_bpb.",
            ordering.unique(rows),
            "Score every token under the state from before any update that uses it: score a chunk, then train on it.",
        )
    unknown = ordering.undecidable(case, say) or ordering.exhausted(case, say) or told_only(case, say, "ttt")
    if unknown is not None:
        return unknown
    trace = program.trace
    adaptations = ordering.val_adaptations(trace) if trace is not None else []
    used = {i for s in ordering.headline_scores(program) for i in s.state}
    counted = [a for a in adaptations if a.ident in used and a.kind in KINDS]
    warm = [] if trained else _warm_ups(case)  # batches of a training loop on validation tokens: val-training
    if warm:
        return say.warn(
            "A warm-up takes training steps on validation tokens before the evaluation; no reported score depends on them.",
            warm,
            "Warm up on random tokens.",
        )
    if not counted:
        return say.passed(
            "No reported score depends on a state that validation tokens changed.",
            [ordering.report_row(program, r) for r in program.reports],
        )
    scores = [s for s in ordering.headline_scores(program) if s.state & {a.ident for a in counted}]
    rows = []
    for score in scores[:1]:
        rows += ordering.score_rows(program, score, "scores a chunk first")
    rows += [program.evidence(a.place, "then trains on the chunk that was scored", "adapt") for a in counted[:3]]
    rows += [ordering.report_row(program, r) for r in program.reports]
    return say.passed("Every chunk is scored before the model is trained on it.", ordering.unique(rows))


def _adapts(program: Program, event: AdaptEvent) -> bool:
    """Whether a change of state is test-time training: of a model, or of any tensor that learns from what it scores."""
    if ordering.calibrates(program, event):
        return False
    return event.kind in KINDS or (event.kind == "free-gradient" and ordering.scores_while_learning(program, event))


def _warm_ups(case: Case) -> list[Evidence]:
    """Steps on validation tokens that happen before the headline's first score and that no score of it depends on."""
    program = case.program
    scores = ordering.headline_scores(program)
    if program.trace is None or not scores:
        return []
    used = {i for s in scores for i in s.state}
    first = min(s.at for s in scores)
    fitted = {
        program.trace.adapts[i].place.line for i in used
    }  # a window's first fit, which only weighs its second: slot
    stepped = [a for a in ordering.val_adaptations(program.trace) if a.kind != "inplace" or a.losses]
    rows = [
        program.evidence(a.place, "takes a step on validation tokens", "adapt")
        for a in stepped
        if (a.kind in KINDS or (a.kind == "free-gradient" and a.place.line not in fitted))
        and a.ident not in used
        and a.at < first
    ]
    return ordering.unique(rows)[:4]
