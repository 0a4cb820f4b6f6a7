"""unnormalised-mixture: what scores a token is one normalised distribution over the vocabulary."""

from __future__ import annotations

from checks.program.native.spread import NativeSpread, spread_losses
from checks.program.program import Program
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.told_only import told_only
from checks.verdict import Evidence, Finding, Group

CODE = "unnormalised-mixture"
_WHY = {
    "pseudo-expert": "puts a quantity that is the same for every token beside the experts' losses",
    "bytes-spread": "spreads the true token's probability evenly over its bytes and mixes it there",
    "sum": "gives the tokens of the vocabulary probabilities that together make more than one",
}
_NATIVE = "divides the loss of the true token by the number of its bytes"
_SUMS = "the probabilities of all tokens that could have come sum to more than one"


def check(case: Case) -> Finding:
    """Look for pseudo-experts and byte spreading among what the headline's scores were mixed with."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trace = program.trace
    if trace is not None:
        wanted = {s.ident for s in ordering.headline_scores(program)}
        sums = ordering.no_distributions(program, "mixture")
        rows = [program.at(file, line, _SUMS, "score") for file, line in sums]
        kinds = ["sum"] if sums else []
        for blend in trace.blends:
            kind = blend.detail if blend.detail in _WHY else blend.kind
            if kind not in _WHY or not (blend.result in wanted or (blend.result < 0 and blend.scores & wanted)):
                continue
            kinds.append(kind)
            rows.append(program.evidence(blend.place, _WHY[kind], "score"))
            rows += [program.at(*call, "calls the mixing") for call in blend.place.calls[1:][-2:]]
        spread = spread_losses(program, ordering.natives(program))
        if spread:
            kinds.append("bytes-spread")
            rows += [_row(program, s) for s in spread[:4]]
        if rows:
            rows += [ordering.report_row(program, r) for r in program.reports]
            return say.fail(
                f"The mixture behind the reported score is no distribution over the vocabulary: the code {_WHY[kinds[0]]}.",
                ordering.unique(rows),
                "Mix whole normalised distributions over the vocabulary, then read off the true token.",
            )
    unknown = ordering.undecidable(case, say) or ordering.unread(case, say) or told_only(case, say, "ppm")
    if unknown is not None:
        return unknown
    return say.passed("No unnormalised expert was found in what the headline's scores are made of.")


def _row(program: Program, spread: NativeSpread) -> Evidence:
    """The line of native code that spreads a loss over bytes."""
    script = program.scripts.get(spread.source.file)
    shown = script.display if script is not None else spread.source.file
    return Evidence(shown, spread.line, spread.line, "", _NATIVE, spread.excerpt, "score")
