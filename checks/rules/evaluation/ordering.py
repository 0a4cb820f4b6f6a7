"""What the rules on order share: when they can decide, and how they show an order that they found."""

from __future__ import annotations

from collections.abc import Iterable

from checks.program.engine.labels import Flag
from checks.program.imports import foreign
from checks.program.order import Breach, breaches, later_iteration, overlap, with_bases
from checks.program.program import Program
from checks.program.trace import AdaptEvent, Place, ReportEvent, ScoreEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation.typed_score import typed, uncomputed
from checks.verdict import Evidence, Finding


def undecidable(case: Case, say: Verdicts) -> Finding | None:
    """The finding of a rule that needs the program where the program could not be analysed; None when it was."""
    program = case.program
    if program.trace is not None and program.reports:
        return None
    script = program.headline or case.submission.script or ""
    where = [Evidence(_shown(program, script), 0, 0, "", program.failure or "no report of a score was found")]
    if program.trace is None:
        if not script:
            return say.not_applicable("There is no script to check.")
        return say.unknown(
            f"The code could not be analysed: {program.failure}.", where, "A script that a parser can read."
        )
    if _is_empty(program):
        return say.not_applicable("The script is empty: there is no code to check.")
    if not program.trace.exhausted:
        if _without_score(case):
            return say.not_applicable(
                "No score is claimed, no log shows one, and the script prints none: there is none to judge."
            )
        if typed(case):
            return say.not_applicable("The script computes no score: it prints a fixed number.")
        if uncomputed(case):
            return say.not_applicable("No script of the folder computes a score: what is claimed was made elsewhere.")
        absent = _absent(program)
        if absent:
            return say.unknown(
                f"No statement was found that scores validation tokens and prints a val_bpb; {program.headline} imports "
                f"{absent[0][0]}, which is not in the folder.",
                [program.at(program.headline or "", line, f"imports {name}", "source") for name, line in absent[:4]],
                "Add the module to the folder: all code that makes the score belongs to the submission.",
            )
        return say.unknown(
            "No statement was found that scores validation tokens and prints a val_bpb.",
            where,
            "An evaluation that can be followed from the validation tokens to the printed val_bpb.",
        )
    return say.unknown(f"The code was not followed to its end: {program.trace.exhausted}.", where, "Simpler code.")


def _is_empty(program: Program) -> bool:
    """Whether the headline script holds no statement."""
    tree = program.trees.get(program.headline or "")
    return tree is not None and not tree.body


def _absent(program: Program) -> list[tuple[str, int]]:
    """Modules that the headline script imports and that are neither in the folder nor any known package."""
    script = program.scripts.get(program.headline or "")
    inside = {path.rsplit("/", 1)[-1].removesuffix(".py") for path in program.scripts}
    found = script.imports if script is not None else ()
    return [(name, line) for name, line in found if foreign(name) and name.partition(".")[0] not in inside]


def _without_score(case: Case) -> bool:
    """Whether neither the author nor a log names a score."""
    claims = case.submission.claims
    named = claims.val_bpb is not None or claims.title_val_bpb is not None or claims.readme_val_bpb
    return not (named or claims.seed_scores or claims.json_error or any(run.scores for run in case.submission.runs))


def unread(case: Case, say: Verdicts) -> Finding | None:
    """``unknown`` where the reported score passes through code that is not in the folder, for rules on what it is made of."""
    program = case.program
    labels = {x for r in program.reports for x in r.labels} | {x for s in headline_scores(program) for x in s.used}
    through = sorted({(x.line, x.detail) for x in labels if isinstance(x, Flag) and x.name == "unread"})
    if not through:
        return _native(case, say)
    rows = [program.at(file, line, f"hands the score to {name}", "score") for line, (file, name) in through[:4]]
    return say.unknown(
        f"The reported score passes through {through[0][1][1]}, whose code is not in the folder.",
        [*rows, *(report_row(program, r) for r in program.reports)],
        "Add the module to the folder: all code that makes the score belongs to the submission.",
    )


def natives(program: Program) -> frozenset[str]:
    """Native functions that the headline's scores passed through."""
    labels = (x for r in program.reports for x in r.labels)
    return frozenset(str(x.detail[1]) for x in labels if isinstance(x, Flag) and x.name == "native")


def _native(case: Case, say: Verdicts) -> Finding | None:
    """``unknown`` where native code makes the reported score out of the model's: it is read only for known breaches."""
    labels = (x for r in case.program.reports for x in r.labels)
    calls = sorted({(x.line, x.detail) for x in labels if isinstance(x, Flag) and x.name == "native"})
    if not calls:
        return None
    rows = [case.program.at(file, line, f"hands the score to {name}", "score") for line, (file, name) in calls[:4]]
    return say.unknown(
        f"The reported score is what the native function {calls[0][1][1]} makes of the model's losses; it was not followed.",
        [*rows, *(report_row(case.program, r) for r in case.program.reports)],
        "Mix in Python, or report the score of the model alone beside it.",
    )


def exhausted(case: Case, say: Verdicts) -> Finding | None:
    """``unknown`` where the analysis stopped before the end, for rules that found nothing up to there."""
    trace = case.program.trace
    if trace is None or not trace.exhausted or case.program.reports:
        return None
    script = case.program.headline or ""
    where = [Evidence(_shown(case.program, script), 0, 0, "", trace.exhausted)]
    return say.unknown(f"The code was not followed to its end: {trace.exhausted}.", where, "Simpler code.")


def _shown(program: Program, script: str) -> str:
    found = program.scripts.get(script)
    return found.display if found is not None else script


def chosen(program: Program) -> list[tuple[int, bool, Evidence]]:
    """Choices by validation scores that the headline depends on: (score event compared, during training, where)."""
    trace = program.trace
    if trace is None:
        return []
    scores = headline_scores(program)
    carried = {x for s in scores for x in s.used}
    labels = {x for r in program.reports for x in r.labels if x not in carried}
    for score in scores:
        for label in score.used:
            if isinstance(label, Flag) and label.name == "chosen-by-score":
                compared = [trace.scores[i] for i in label.detail[2]]
                if any(overlap(score.targets, c.targets) for c in compared):
                    labels.add(label)
    result = []
    training = {loop for a in trace.adapts.values() if any(d.source == "train" for d in a.data) for loop, _ in a.loops}
    for label in labels:
        if isinstance(label, Flag) and label.name == "chosen-by-score":
            file, name, scores = label.detail
            val = [i for i in scores if any(d.source == "val" for d in trace.scores[i].targets)]
            if val:
                during = any(loop in training for i in val for loop, _ in trace.scores[i].loops)
                result.append((min(val), during, program.at(file, label.line, f"chooses {name} by scores", "adapt")))
    return sorted(result, key=lambda row: (row[0], row[2].file, row[2].line, row[2].what))


def calibrates(program: Program, event: AdaptEvent) -> bool:
    """Whether a change of state fits exported weights to activations without a loss or a gradient."""
    exported = program.trace is not None and event.ident in program.trace.saved
    return event.kind == "calibration" or (event.kind == "inplace" and exported and not event.losses)


def selections(program: Program) -> list[Evidence]:
    """Minima and choices over scores that are in the headline."""
    trace = program.trace
    if trace is None:
        return []
    wanted = {s.ident for s in headline_scores(program)}
    return [
        program.evidence(b.place, "keeps the smaller score", "score")
        for b in trace.blends
        if b.kind in ("minimum", "select") and b.scores & wanted
    ]


def best_of_passes(program: Program) -> list[Place]:
    """Where the headline keeps the smaller of scores of the same tokens from several passes of a loop."""
    trace = program.trace
    if trace is None:
        return []
    wanted = {s.ident for s in headline_scores(program)}
    trained = {loop for a in trace.adapts.values() if any(d.source == "train" for d in a.data) for loop, _ in a.loops}
    places = []
    for blend in trace.blends:
        if blend.kind not in ("minimum", "select") or blend.other or blend.result not in wanted:
            continue
        kept = trace.scores[blend.result]
        parts = [trace.scores[i] for i in blend.scores if not trace.scores[i].base]
        if blend.place not in places and any(_repeats(part, kept, trained) for part in parts):
            places.append(blend.place)
    return places


def _repeats(first: ScoreEvent, second: ScoreEvent, trained: set[int]) -> bool:
    """Whether the second is of a later iteration of a loop that selects none of the tokens of the first, but of these."""
    selecting = {loop for d in first.targets for loop, _ in d.symbols} | trained
    later = later_iteration(frozenset(s for s in second.loops if s[0] not in selecting), first.loops)
    return later and overlap(first.targets, second.targets)


def no_distributions(program: Program, kind: str) -> list[tuple[str, int]]:
    """Places where a score that is summed into the headline stops being a distribution over the vocabulary."""
    flags = {x for r in program.reports for x in r.labels if isinstance(x, Flag) and x.name == "no-distribution"}
    return sorted({(x.detail[0], x.line) for x in flags if x.detail[1] == kind})


def found(program: Program) -> list[Breach]:
    """The breaches of order in the headline, each pair of lines once, first scores first."""
    trace = program.trace
    if trace is None:
        return []
    seen: set[tuple[object, ...]] = set()
    result = []
    for breach in breaches(trace, program.reports):
        key = (breach.adapt.place.file, breach.adapt.place.line, _outer(breach.score), breach.rescored is None)
        if key not in seen:
            seen.add(key)
            result.append(breach)
    return result


def _outer(score: ScoreEvent) -> tuple[str, int]:
    return score.place.calls[-1] if score.place.calls else (score.place.file, score.place.line)


def evidence_of(program: Program, breach: Breach, adapt_what: str, score_what: str) -> list[Evidence]:
    """The order that was found: adapt, the call that leads there, score, report."""
    trace = program.trace
    rows = [program.evidence(breach.adapt.place, adapt_what, "adapt")]
    rows += _calls(program, breach.adapt.place, "calls the adaptation")
    rows += score_rows(program, breach.score, score_what)
    if trace is not None:
        rows.append(program.evidence(breach.report.place, f"reports {breach.report.template.strip()[:60]}", "report"))
    return unique(rows)


def score_rows(program: Program, score: ScoreEvent, what: str) -> list[Evidence]:
    """The statement that computes a score and the calls that lead to it, innermost first."""
    rows = []
    trace = program.trace
    summed = trace.accumulated.get(score.ident) if trace is not None else None
    if summed is not None:
        rows.append(program.evidence(summed, "adds the score to the sum", "score"))
    if score.place.calls and "." in score.place.function:
        file, line = score.place.calls[-1]
        rows.append(program.at(file, line, what, "score"))
    rows.append(program.evidence(score.place, "loss on the tokens" if rows else what, "score"))
    return rows + _calls(program, score.place, "calls the evaluation", skip=1)


def report_row(program: Program, report: ReportEvent) -> Evidence:
    """The statement that reports the headline."""
    return program.evidence(report.place, f"reports {report.template.strip()[:60]}", "report")


def _calls(program: Program, place: Place, what: str, skip: int = 0) -> list[Evidence]:
    calls = place.calls[: len(place.calls) - skip] if skip else place.calls
    inner = [c for c in calls[1:] if c[0] in program.scripts][-3:]
    return [program.at(file, line, what, "") for file, line in reversed(inner)]


def unique(rows: Iterable[Evidence]) -> list[Evidence]:
    """Evidence with each line once, at most ten entries."""
    seen: set[tuple[str, int]] = set()
    result = []
    for row in rows:
        if (row.file, row.line) not in seen:
            seen.add((row.file, row.line))
            result.append(row)
    return result[:10]


def headline_scores(program: Program) -> list[ScoreEvent]:
    """Score events that reach the headline, with those that they re-weight."""
    trace = program.trace
    if trace is None:
        return []
    return [trace.scores[i] for i in sorted(with_bases(trace, (i for r in program.reports for i in r.scores)))]


def scores_while_learning(program: Program, event: AdaptEvent) -> bool:
    """Whether the losses that an adaptation learns from are themselves in the headline."""
    return not event.losses.isdisjoint(s.ident for s in headline_scores(program))


def val_adaptations(trace: Trace) -> list[AdaptEvent]:
    """Adaptations on validation tokens, in the order in which they happen."""
    return [a for a in trace.adapts.values() if any(d.source == "val" for d in a.data)]
