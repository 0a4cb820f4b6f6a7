"""ngram-target-only: a table's count ratio may not be blended into the probability of the true token alone."""

from __future__ import annotations

from checks.program.engine.labels import Adapted, Flag, Looked
from checks.program.trace import BlendEvent, LookupEvent, ScoreEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.rules.evaluation.ngram_native import native_breach
from checks.rules.evaluation.told_only import told_only
from checks.verdict import Finding, Group

CODE = "ngram-target-only"
_BYTES = (
    " Rulings on such byte mixtures count under this code; unnormalised-mixture names what is wrong with the bytes."
)
_BYTE_RULINGS = ("#1835", "#2098", "#2103")


def check(case: Case) -> Finding:
    """Look for scores of the headline that were mixed with a table read at the token being scored."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    program = case.program
    trace = program.trace
    scores = {s.ident: s for s in ordering.headline_scores(program)}
    if trace is not None:
        rows = []
        spread = False
        for blend in trace.blends:
            if blend.kind != "blend" or blend.result not in scores:
                continue
            tables = target_lookups(case, blend, [scores[i] for i in blend.scores if i in scores])
            bytewise = blend.detail == "bytes-spread" and any(
                isinstance(x, Adapted) and trace.adapts[x.event].kind == "table" for x in blend.other
            )
            if not tables and not bytewise:
                continue
            spread = spread or blend.detail == "bytes-spread"
            rows.append(
                program.evidence(blend.place, "blends the table's value into the score of the true token", "score")
            )
            rows += [
                program.evidence(t.place, "reads the table at a key that holds the true token", "source")
                for t in tables[:3]
            ]
            rows += [program.at(*call, "calls the mixing") for call in blend.place.calls[1:][-2:]]
        if rows:
            rows += [ordering.report_row(program, r) for r in program.reports]
            return say.fail(
                "A probability read from a table for the true token alone is blended into its score; the blend was never "
                "normalised over the vocabulary." + (_BYTES if spread else ""),
                ordering.unique(rows),
                "Gather the table's counts for every token of the vocabulary, normalise them, mix the two whole "
                "distributions, and only then read off the true token.",
                _BYTE_RULINGS if spread else (),
            )
    native = native_breach(case, say)
    if native is not None:
        return native
    unknown = (
        ordering.undecidable(case, say)
        or ordering.unread(case, say)
        or ordering.exhausted(case, say)
        or told_only(case, say, "ngram")
    )
    if unknown is not None:
        return unknown
    return say.passed(
        "No score of the headline is mixed with a table that was read for the true token alone.",
        [ordering.report_row(program, r) for r in program.reports],
    )


def target_lookups(case: Case, blend: BlendEvent, scores: list[ScoreEvent]) -> list[LookupEvent]:
    """The lookups of a blend whose key holds the token that is being scored."""
    trace = case.program.trace
    if trace is None:
        return []
    looked = [trace.lookups[i] for i in sorted(x.event for x in blend.other if isinstance(x, Looked))]
    ratios = [x.detail for x in blend.other if isinstance(x, Flag) and x.name == "ratio"]
    shares = {i for x in blend.other if isinstance(x, Flag) and x.name == "own-share" for i in x.detail}
    open_targets = {d.symbols for s in scores for d in s.targets if d.role == ""}
    found = []
    for lookup in looked:
        if lookup.row or lookup.ident in shares:
            continue
        target = any(
            d.source == "val" and (d.role == "y" or (d.role == "" and d.symbols in open_targets)) for d in lookup.key
        )
        ratio = lookup.mixed and any(
            lookup.ident in above and any(_within(trace.lookups[i], lookup) for i in below) for above, below in ratios
        )
        counted = any(trace.adapts[i].kind != "gradient" for i in lookup.state)  # learned weights are no counts
        if (target or ratio) and (counted or lookup.mixed):
            found.append(lookup)
    return found


def _within(context: LookupEvent, full: LookupEvent) -> bool:
    """Whether a key adds tokens, or a role, to another: the denominator's is the context, the numerator's adds the target."""
    below = {d for d in context.key if d.source == "val"}
    above = {d for d in full.key if d.source == "val"}
    return below < above or {d.role for d in below} < {d.role for d in above}
