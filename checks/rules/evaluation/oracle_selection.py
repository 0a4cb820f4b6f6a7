"""oracle-selection: which scorer counts for a token is fixed before the token is read."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Finding, Group

CODE = "oracle-selection"


def check(case: Case) -> Finding:
    """Look for minima and choices between losses on the true token that the headline depends on."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trace = program.trace
    if trace is not None:
        scores = {s.ident: s for s in ordering.headline_scores(program)}
        rescored = {b.score.ident for b in ordering.found(program)}
        rows = []
        for blend in trace.blends:
            if blend.kind not in ("minimum", "select"):
                continue
            involved = ({blend.result} if blend.result >= 0 else blend.scores) & scores.keys()
            if not involved or blend.scores & rescored:
                continue
            if any(d.source == "val" for i in involved for d in scores[i].targets):
                rows.append(
                    program.evidence(blend.place, "keeps the scorer with the smaller loss on the true token", "score")
                )
                rows += [program.at(*call, "calls the selection") for call in blend.place.calls[1:][-2:]]
        rows += [
            program.at(file, line, "keeps what gives the true token more probability", "score")
            for file, line in ordering.no_distributions(program, "selection")
        ]
        if rows:
            rows += [ordering.report_row(program, r) for r in program.reports]
            return say.fail(
                "Per token, the scorer with the lower loss on the true token is the one that counts.",
                ordering.unique(rows),
                "Fix the choice or the weights before the token is read, e.g. by the model's entropy or past losses.",
            )
    unknown = ordering.undecidable(case, say) or ordering.unread(case, say)
    if unknown is not None:
        return unknown
    return say.passed("No score is chosen by comparing losses on the true token.")
