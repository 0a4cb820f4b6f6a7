"""two-pass-rescore: every token is scored once, and that first score is the one that counts."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.val_training import training_on_val
from checks.verdict import Evidence, Finding, Group

CODE = "two-pass-rescore"
_TRAINED = ("gradient", "inplace", "free-gradient")
_CLEARS = "Report the first score of each token, taken before any update that uses it, and never revisit it."


def check(case: Case) -> Finding:
    """Check that the headline holds no second score of tokens that state has meanwhile adapted to."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trained = {a.place.line for a in training_on_val(case)}  # steps of the training loop are val-training
    breaches = [
        b
        for b in ordering.found(program)
        if b.adapt.place.line not in trained
        and (b.adapt.kind == "table" or (b.rescored is not None and b.adapt.kind in _TRAINED))
    ]
    if breaches:
        first = breaches[0]
        table = first.adapt.kind == "table"
        did = "fills a table with validation tokens" if table else "trains on validation tokens after they were scored"
        rows: list[Evidence] = []
        for breach in breaches[:4]:
            rows += ordering.evidence_of(
                program, breach, did, "scores the same tokens again, and this score is reported"
            )
        rows = [*rows[:7], *ordering.selections(program)[:3], *rows[7:]]
        return say.fail(
            f"The reported val_bpb holds scores of tokens that {first.adapt.place.function} (line {first.adapt.place.line}) "
            "had already used" + (" to fill its table." if table else " for training: they are scored a second time."),
            ordering.unique(rows),
            _CLEARS,
        )
    wanted = {s.ident for s in ordering.headline_scores(program)}
    picked = [row for compared, _, row in ordering.chosen(program) if compared in wanted] or [
        program.evidence(place, "keeps the smaller score of several passes", "score")
        for place in ordering.best_of_passes(program)[:3]
    ]
    if picked:
        reports = [ordering.report_row(program, r) for r in program.reports]
        return say.fail(
            "The reported val_bpb is the best of several passes over the same tokens, chosen by their scores.",
            ordering.unique([*picked, *reports]),
            _CLEARS,
        )
    unknown = ordering.undecidable(case, say) or ordering.unread(case, say) or ordering.exhausted(case, say)
    if unknown is not None:
        return unknown
    return say.passed(
        "No reported score is a second score of tokens that were learned from in between.",
        [ordering.report_row(program, r) for r in program.reports],
    )
