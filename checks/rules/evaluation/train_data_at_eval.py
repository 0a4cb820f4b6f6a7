"""train-data-at-eval: after the training clock stopped, nothing reads training data (#569, #606, #639, #706)."""

from __future__ import annotations

import re

from checks.program.trace import AdaptEvent, CallEvent, Place
from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.evaluation import calibration_clock, ordering, phases
from checks.rules.places import name_run, of_run
from checks.verdict import Evidence, Finding, Group, Status

CODE = "train-data-at-eval"
_SHARDS = re.compile(r"fineweb_train|train_files|train_shards|TRAIN_FILES")
_SHOWN = 7


def check(case: Case) -> Finding:
    """Find reads of training data after the training loop, and let the clock decide what they are."""
    case = phases.at_the_end(case)
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    replayed = _in_evaluation(case)
    if replayed:
        return say.fail(
            "Evaluation reads training data and changes the state that it scores with.",
            ordering.unique([*replayed, *_reports(case)]),
            "Adapt in evaluation on validation tokens that are scored already, and on nothing else.",
        )
    end = phases.last_training_loop(case.program)
    fitted = _fitted_on_the_artifact(case)
    if fitted:
        return say.fail(
            "Training tokens are read after the artifact was read back, and the headline's score uses what was fitted on "
            "them: the counted bytes hold none of it, whatever the clock says.",
            ordering.unique([*fitted, *_reports(case)]),
            "Fit it before the artifact is written, inside the 600 s, and store the result in the artifact.",
        )
    reads = phases.read_after(case.program, end[0]) if end is not None else []
    first = phases.first_score(case.program)
    reads = [r for r in reads if first is None or r.at <= first.at]
    if reads and end is not None and not phases.thrown_away(case.program, reads):
        return _by_clock(case, say, reads, end[1])
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    if end is None:
        lost = _training_not_found(case)
        if lost:
            return say.unknown(
                "The logs show training steps, and no training loop was found in the script under the effective "
                "configuration: what it reads after its clock stopped is not known.",
                lost,
                "A training loop that can be followed from the training shards to the optimizer's step.",
            )
        return say.passed(
            "Under the effective configuration no training loop precedes the headline, nor does evaluation train."
        )
    if reads:
        what = "After the training loop the model runs on training tokens, and nothing keeps what that gave."
        return say.passed(what, ordering.unique([*_reads(case, reads), *_loop(case, end[1])]))
    return say.passed("No training data is read after the training loop.", _loop(case, end[1]))


def _training_not_found(case: Case) -> list[Evidence]:
    """Where a run that counts logs its training and the script steps along gradients, and none was seen outside the scores."""
    program, trace = case.program, case.program.trace
    script = program.scripts.get(program.headline or "")
    if trace is None or script is None or ".backward(" not in script.text or not _SHARDS.search(script.text):
        return []
    scored = phases.selecting_loops(program)
    if any(trace.moved(a.ident) and not scored & {loop for loop, _ in a.loops} for a in trace.adapts.values()):
        return []  # it trains, on other data
    runs = [r for r in counted(case).trained if r.steps and r.source_matches is not False]
    if not runs or calibration_clock.decide(case, CODE).status is Status.PASS:
        return []
    return [of_run(case, runs[0], "steps", f"{name_run(runs[0])}: {runs[0].steps:,} steps of training", "clock")]


def _by_clock(case: Case, say: Verdicts, reads: list[CallEvent], loop: Place) -> Finding:
    if foreign := calibration_clock.foreign(case):
        return say.unknown(
            "Training data is read after the training loop; the log whose clock would decide has words in its lines of "
            "the stop and of the score that no script of the folder holds: another script printed it.",
            ordering.unique([*_reads(case, reads), *foreign, *_loop(case, loop)]),
            "Attach the logs of the submitted script.",
        )
    decided = calibration_clock.decide(case, CODE)
    rows = [*_reads(case, reads), *decided.evidence[:3], *_loop(case, loop)]
    rows = ordering.unique(rows)
    if decided.status is Status.PASS:
        return say.passed(f"Training data is read after the training loop: {decided.reason}", rows)
    summary = f"Training data is read after the training loop. {decided.reason}"
    clears = "Stop training early enough that the calibration ends within the 600 s, or calibrate without data."
    if decided.status is Status.WARN:
        return say.warn(summary, rows, clears)
    return say.fail(summary, rows, clears)


def _reads(case: Case, reads: list[CallEvent]) -> list[Evidence]:
    """The last selection of tokens and how it is reached, the model run on them, the first read."""
    rows: list[Evidence] = []
    models = {(r.place.file, r.place.line) for r in reads if r.name == "model"}
    tokens = [r for r in reads if r.name != "model" and not models & set(r.place.calls)]
    for read in dict.fromkeys([*tokens[-1:], *[r for r in reads if r.name == "model"][:1], *tokens[:1]]):
        what = "runs the model on training tokens" if read.name == "model" else "reads training tokens"
        rows.append(case.program.evidence(read.place, what, "source"))
        rows += phases.leading_calls(case.program, read.place, "after the training loop, leads to the read")
    return ordering.unique(rows)[:_SHOWN]


def _loop(case: Case, loop: Place) -> list[Evidence]:
    return [case.program.evidence(loop, "the training loop, over before the read", "clock")]


def _reports(case: Case) -> list[Evidence]:
    return [ordering.report_row(case.program, r) for r in case.program.reports]


def _fitted_on_the_artifact(case: Case) -> list[Evidence]:
    """What a model that was read back learned from training tokens and no file keeps, where the headline depends on it.

    Training was written to a file before, and the fit is no training that goes on from a checkpoint under a clock.
    """
    trace = case.program.trace
    if trace is None:
        return []
    kept = [trace.adapts[i].at for i in trace.saved if phases.from_train(trace.adapts[i].data)]
    state = {i for s in ordering.headline_scores(case.program) for i in s.state} - trace.saved
    rows: list[Evidence] = []
    for event in (trace.adapts[i] for i in sorted(state)):
        loops = [trace.loop_places[loop] for loop, _ in event.loops if loop in trace.loop_places]
        read_back = any(phases.artifact_lines(trace.scores[i]) for i in event.losses)
        if not read_back or not phases.from_train(event.data) or event.at < min(kept, default=event.at + 1):
            continue
        if not any(phases.asks_clock(case.program, place) for place in loops):
            rows += [*_tokens_of(case, event), case.program.evidence(event.place, "fits on training tokens", "adapt")]
            rows += phases.leading_calls(case.program, event.place, "leads to the fit, with the artifact read back")
    return ordering.unique(rows)[:_SHOWN]


def _tokens_of(case: Case, event: AdaptEvent) -> list[Evidence]:
    """The first and the last read of training tokens in the loops of a fit, else the last one before it."""
    trace = case.program.trace
    reads = [c for c in trace.calls if c.name == "train-read" and c.at <= event.at] if trace is not None else []
    within = [c for c in reads if c.loops & event.loops] or reads[-1:]
    shown = [*within[-1:], *within[:1]]
    return [case.program.evidence(c.place, "reads training tokens", "source") for c in shown]


def _in_evaluation(case: Case) -> list[Evidence]:
    """Adaptations on training data within evaluation: in the scored loop, or in a script that does not train at all."""
    trace = case.program.trace
    if trace is None:
        return []
    state = {i for s in ordering.headline_scores(case.program) for i in s.state}
    steps = {a.ident for a in phases.training_steps(case.program)}
    scored = phases.scored_loops(case.program)
    on_train = [a for a in trace.adapts.values() if phases.from_train(a.data)]
    used = [a for a in on_train if a.kind in phases.STEPS and a.ident not in steps and _replays(a, scored)]
    if not any(a.kind in phases.STEPS for a in on_train):
        used += [a for a in on_train if a.kind == "table" and a.ident in state]
    if not used:
        return []
    reads = [c for c in trace.calls if c.name == "train-read"]
    rows = [case.program.evidence(a.place, "changes state with training data", "adapt") for a in used[:2]]
    sources = [case.program.evidence(c.place, "reads training tokens", "source") for c in reversed(reads[-3:])]
    return [*sources, *rows]


def _replays(event: AdaptEvent, scored: set[int]) -> bool:
    """Whether a step in the scored loop takes training tokens there; what weights took up in an earlier loop is no read."""
    running = {loop for loop, _ in event.loops}
    picked = [{loop for loop, _ in d.symbols} for d in event.data if d.source == "train"]
    return bool(running & scored) and any(not loops or loops & running for loops in picked)
