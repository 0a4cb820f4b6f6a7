"""hidden-state-transfer: what training learned reaches evaluation through the artifact only (#891, #925)."""

from __future__ import annotations

from checks.program.trace import AdaptEvent, CallEvent, LookupEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering, phases
from checks.verdict import Evidence, Finding, Group

CODE = "hidden-state-transfer"
_CLEARS = "Write what evaluation needs into the counted artifact and read it back, or fill it from scored tokens."


def check(case: Case) -> Finding:
    """Look for tables, stored states and side files that training filled and the headline's scores read."""
    case = phases.at_the_end(case)
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    end = phases.training_end(case.program)
    trace = case.program.trace
    if trace is not None and end is not None and not _within_training(case):
        reports = [ordering.report_row(case.program, r) for r in case.program.reports]
        for rows, what in (
            (_tables(case, trace, end[0]), "a table in memory that training data filled"),
            (_side_files(case, trace, end[0]), "a file of training statistics that is not the artifact"),
            (_derived(case, trace, end[0]), "values in memory that were computed from training data"),
        ):
            if rows:
                return say.fail(f"The headline depends on {what}.", ordering.unique([*rows, *reports]), _CLEARS)
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("Nothing that training filled reaches the headline outside the artifact.")


def _within_training(case: Case) -> bool:
    """Whether the headline is a validation of the training loop, of weights in memory: there is no transfer to ask for."""
    loops = phases.training_loops(case.program)
    reports = case.program.reports
    inside = bool(reports) and all(loops & {loop for loop, _ in r.loops} for r in reports)
    return inside and not any(phases.artifact_lines(s) for s in ordering.headline_scores(case.program))


def _tables(case: Case, trace: Trace, end: int) -> list[Evidence]:
    """Lookups of the headline in tables of which training filled a part, not read from a file."""
    rows: list[Evidence] = []
    wanted = {i for s in ordering.headline_scores(case.program) for i in s.lookups}
    for ident in sorted(wanted):
        lookup = trace.lookups[ident]
        filled = _filled(trace, lookup, end)
        if filled and not lookup.loaded:
            rows.append(case.program.evidence(lookup.place, "evaluation reads the table", "score"))
            rows += phases.leading_calls(case.program, lookup.place, "leads to the read of the table")
            rows.append(case.program.evidence(filled[0].place, "training data fills the table", "adapt"))
            rows += phases.leading_calls(case.program, filled[0].place, "leads to the filling")
    return ordering.unique(rows)[:8]


def _filled(trace: Trace, lookup: LookupEvent, end: int) -> list[AdaptEvent]:
    """Fillings of a table on training data that were not written to a file: what the artifact holds is paid for."""
    events = [trace.adapts[i] for i in sorted(lookup.state - trace.saved)]
    return [a for a in events if a.kind == "table" and a.at <= end and phases.from_train(a.data)]


def _side_files(case: Case, trace: Trace, end: int) -> list[Evidence]:
    """Files written with values of training tokens and read by name on the way to the headline."""
    saved = {c.detail: c for c in trace.calls if c.name == "save-file" and phases.from_train(c.data)}
    counted = {c.detail for c in trace.calls if c.name == "open-write"}
    scores = ordering.headline_scores(case.program)
    used = {place for s in scores for place in phases.artifact_lines(s)}
    first = min((s.at for s in scores), default=0)
    loads: list[CallEvent] = [
        c for c in trace.calls
        if c.name == "load-file" and c.detail in saved and c.detail not in counted and end <= c.at <= first
        and (c.place.file, c.place.line) in used
    ]  # fmt: skip
    rows = []
    for load in loads[:2]:
        rows.append(case.program.evidence(load.place, f"reads {load.detail[:80]}", "score"))
        rows.append(case.program.evidence(saved[load.detail].place, f"writes {load.detail[:80]}", "source"))
    return rows


def _derived(case: Case, trace: Trace, end: int) -> list[Evidence]:
    """Stored values of training tokens that an evaluation step puts beside its scores."""
    scores = ordering.headline_scores(case.program)
    loops = phases.selecting_loops(case.program)
    last = max((s.at for s in scores), default=0)
    reads = [
        c for c in trace.calls
        if c.name == "train-derived" and end < c.at <= last and {loop for loop, _ in c.loops} & loops
    ]  # fmt: skip
    held = [c for c in trace.calls if c.name == "train-derived" and c.at <= end]
    if not reads or not any(s.trained for s in scores):
        return []
    rows = [case.program.evidence(c.place, "evaluation reads values of training tokens", "score") for c in reads[:2]]
    rows += phases.leading_calls(case.program, reads[0].place, "leads to the read")
    rows += [case.program.evidence(c.place, "computed in training", "source") for c in held[-1:]]
    return rows
