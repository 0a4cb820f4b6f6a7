"""two-pass-rescore: every token is scored once, and that first score is the one that counts."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Evidence, Finding, Group

CODE = "two-pass-rescore"


def check(case: Case) -> Finding:
    """Check that the headline holds no second score of tokens that state has meanwhile adapted to."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    breaches = [b for b in ordering.found(program) if b.rescored is not None or b.adapt.kind == "table"]
    if breaches:
        first = breaches[0]
        table = first.adapt.kind == "table"
        did = "fills a table with validation tokens" if table else "trains on validation tokens after they were scored"
        rows: list[Evidence] = []
        for breach in breaches[:4]:
            rows += ordering.evidence_of(program, breach, did, "scores the same tokens again, and this score is reported")
        return say.fail(
            f"The reported val_bpb holds scores of tokens that {first.adapt.place.function} (line {first.adapt.place.line}) "
            "had already used" + (" to fill its table." if table else " for training: they are scored a second time."),
            ordering.unique(rows),
            "Report the first score of each token, taken before any update that uses it, and never revisit it.",
        )
    unknown = ordering.undecidable(case, say) or ordering.exhausted(case, say)
    if unknown is not None:
        return unknown
    return say.passed(
        "No reported score is a second score of tokens that were learned from in between.",
        [ordering.report_row(program, r) for r in program.reports],
    )
