"""roundtrip: the headline is a score of weights that were read back from the artifact (reference script; #2009)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from checks.program.engine.labels import Flag, Uses
from checks.program.program import Program
from checks.program.trace import Place, ReportEvent, ScoreEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering, phases
from checks.rules.evaluation.told_score import said_before_export
from checks.rules.places import at, name_run, of_run
from checks.verdict import Evidence, Finding, Group

CODE = "roundtrip"
_PROGRESS = re.compile(r"\bstep\b|train_time|\biter\b|\bepoch\b", re.I)
_BEFORE = re.compile(r"pre[-_ ]?quant|post[-_ ]?ema|unquant|\bfp(?:16|32)\b|\bbf16\b|before quant", re.I)
_BINARY = re.compile(r"""["'][wa]b|save""")


def check(case: Case) -> Finding:
    """Fail when the headline's weights were trained in this run and never passed through a file or a decompressor."""
    case = phases.at_the_end(case)
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    trace = case.program.trace
    scores = ordering.headline_scores(case.program)
    raw = _raw(case, trace, scores) if trace is not None and not trace.exhausted else []
    if raw and trace is not None and _dequantised(raw):
        return say.warn(
            "The scored weights were quantised and restored in memory; the file that was written was not read back.",
            _evidence(case, trace, raw),
            "Load the compressed file and evaluate what was loaded; report that number.",
        )
    if raw and trace is not None and _claims_worse(case):
        return say.unknown(
            "The claim is worse than every score that the logs show: where the artifact was scored was not seen.",
            _evidence(case, trace, raw),
            "Add the script and the log of the evaluation that made the claim.",
        )
    if raw and trace is not None:
        return say.fail(
            "The headline is a score of weights in memory; they were not read back from the artifact.",
            _evidence(case, trace, raw),
            "Load the compressed file and evaluate what was loaded; report that number.",
        )
    beyond = _beyond_the_cap(case, trace, scores) if trace is not None else []
    if beyond:
        return say.fail(
            "The scored weights come from a file that a log gives more bytes than the cap: it is no artifact.",
            [*beyond, *(ordering.report_row(case.program, r) for r in case.program.reports)],
            "Load the compressed file and evaluate what was loaded; report that number.",
        )
    claimed = _claimed_in_training(case)
    if claimed:
        weigh = say.warn if case.non_record else say.fail  # organisers merged such a folder as non-record
        return weigh(
            "The claimed score is a validation during training, of weights before export; no log scores the artifact.",
            claimed,
            "Evaluate the compressed file to the end and claim that number.",
        )
    earlier = _claimed_before_export(case)
    if earlier:
        weigh = say.warn if case.non_record else say.fail
        return weigh(
            "The claimed score is one of weights before export; the logs' scores of the artifact are others.",
            earlier,
            "Claim the score of the compressed file.",
        )
    told = said_before_export(case)
    if told:
        weigh = say.warn if case.non_record else say.fail
        return weigh(
            "The author calls the claimed score one of weights before quantisation; no log scores the artifact.",
            told,
            "Evaluate the compressed file to the end and claim that number.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    lines = [case.program.at(f, n, "reads the artifact", "source") for s in scores for f, n in phases.artifact_lines(s)]
    if not lines:
        return say.passed("No headline score of weights in memory was found; no line that reads the artifact was seen.")
    return say.passed("The scored weights come from a file that is read back.", ordering.unique(lines)[:4])


def _beyond_the_cap(case: Case, trace: Trace, scores: list[ScoreEvent]) -> list[Evidence]:
    """Loads of the files that all scored weights come from, where logs give each more bytes than an artifact may have."""
    read = {place for s in scores for place in phases.artifact_lines(s)}
    loads = {(c.place.file, c.place.line): c for c in trace.calls if c.name == "load-file"}
    rounded = {x.name for s in scores for x in s.used if isinstance(x, Flag)} & {"rounded", "dequantised"}
    if not read or not read <= set(loads) or rounded:
        return []
    rows = []
    for place in sorted(read):
        name = loads[place].detail.rsplit("/", 1)[-1]
        sizes = [
            (run, *run.details["files"][name]) for run in case.submission.runs if name in run.details.get("files", ())
        ]
        if not sizes or min(size for _, size, _ in sizes) <= int(case.rulebook.constants["artifact_cap_bytes"]):
            return []
        run, size, line = sizes[0]
        rows.append(case.program.evidence(loads[place].place, f"loads {name}", "source"))
        rows.append(at(case, run.log, line, f"{name_run(run)}: {name} has {size:,} bytes"))
    return rows


def _claims_worse(case: Case) -> bool:
    """Whether the claim is above all final scores of the logs: another evaluation made it, of the artifact perhaps."""
    from checks.program.analyse import NEAR  # loads the parser

    claim = case.submission.claims.val_bpb
    shown = [s.val_bpb for r in case.submission.runs for s in r.scores if s.step is None]
    shown += [r.val_bpb for r in case.submission.runs if r.complete and r.val_bpb is not None]
    return claim is not None and bool(shown) and claim * (1 - NEAR) > max(shown)


def _claimed_in_training(case: Case) -> list[Evidence]:
    """Lines of a training loop's validation that print the claim, where no log holds a score after training."""
    claim, near = case.submission.claims.val_bpb, float(case.rulebook.constants["rounding_bpb"])
    runs = case.submission.runs
    if claim is None or any(score.step is None for run in runs for score in run.scores):
        return []
    # the last validation, or the best one of the run: one closest to the claim for each
    equal = [
        (r, min(r.scores, key=lambda s: (abs(s.val_bpb - claim), -s.line)))
        for r in runs
        if any(abs(s.val_bpb - claim) <= near for s in r.scores)
    ]
    return [
        at(case, r.log, s.line, f"{name_run(r)}: {s.val_bpb} at step {s.step}, before export", "report")
        for r, s in equal
    ]


def _claimed_before_export(case: Case) -> list[Evidence]:
    """Scores of weights before export that are the claim, where every complete log ends with another, worse one."""
    claim, near = case.submission.claims.val_bpb, float(case.rulebook.constants["rounding_bpb"])
    runs = [r for r in case.submission.runs if r.complete and r.val_bpb is not None]
    if claim is None or not runs or any(r.val_bpb is None or r.val_bpb <= claim + near for r in runs):
        return []
    rows = []
    for run in runs:
        before = [
            s for s in run.scores if (s.step is not None or _BEFORE.search(s.label)) and abs(s.val_bpb - claim) <= near
        ]
        rows += [
            at(case, run.log, s.line, f"{name_run(run)}: {s.val_bpb}, before export", "report") for s in before[-1:]
        ]
        if before:
            rows.append(of_run(case, run, "val_bpb", f"{name_run(run)}: {run.val_bpb}, of the artifact", "report"))
    return rows


def _raw(case: Case, trace: Trace, scores: list[ScoreEvent]) -> list[ScoreEvent]:
    """The headline's scores, if the script trains the model that they use and none of them uses an artifact."""
    own = [s for s in scores if any(isinstance(x, Uses) for x in s.used)]
    if not own or any(phases.artifact_lines(s) for s in scores) or phases.last_training_loop(case.program) is None:
        return []
    steps = phases.training_steps(case.program)
    in_training = {loop for a in steps for loop, _ in a.loops} & {
        loop for r in case.program.reports for loop, _ in r.loops
    }
    if in_training and not _repeats_progress(trace, case.program.reports):
        return []
    trained = {a.ident for a in steps}
    in_memory = any(s.state & trained for s in own) or _overwritten(trace, own)
    return own if in_memory else []


def _repeats_progress(trace: Trace, reports: Iterable[ReportEvent]) -> bool:
    """Whether the headline is the validation of the training loop, printed once more under a final label."""
    progress = {i for r in trace.reports if _PROGRESS.search(r.template) for i in r.scores}
    return all(not _PROGRESS.search(r.template) and r.scores <= progress for r in reports)


def _overwritten(trace: Trace, scores: list[ScoreEvent]) -> bool:
    """Whether weights from memory were loaded over those of the artifact, after it was written."""
    written = [c.at for c in trace.calls if c.name in ("open-write", "save-file")]
    return bool(written) and any(isinstance(x, Flag) and x.name == "loaded" for s in scores for x in s.used)


def _dequantised(scores: list[ScoreEvent]) -> bool:
    """Whether the last weights that each score's model took from memory had been rounded to eight bits."""
    for score in scores:
        loads = [x for x in score.used if isinstance(x, Flag) and x.name == "loaded"]
        last = max(loads, key=lambda x: (str(x.detail), x.line), default=None)
        if last is None or Flag("dequantised", last.line, last.detail) not in score.used:
            return False
    return True


def _evidence(case: Case, trace: Trace, scores: list[ScoreEvent]) -> list[Evidence]:
    program = case.program
    score = scores[0]
    rows = [program.evidence(score.place, "loss of the headline", "score")]
    rows += phases.leading_calls(program, score.place, "calls the evaluation")
    end = phases.last_training_loop(program)
    loads = sorted(x for x in score.used if isinstance(x, Flag) and x.name == "loaded")
    if end is not None:  # what is loaded before the training loop is undone by it: the weights of a warm-up
        loads = [x for x in loads if (str(x.detail), x.line) > (end[1].file, end[1].line) or x.detail != end[1].file]
    rows += [program.at(str(x.detail), x.line, "loads weights from memory") for x in loads[:2]]
    added = {x for r in program.reports for x in r.labels if isinstance(x, Flag) and x.name == "offset"}
    rows += [program.at(str(x.detail), x.line, "adds a constant to the score") for x in sorted(added)[:2]]
    writes = [c for c in trace.calls if c.name in ("open-write", "save-file")]
    exports = [c for c in writes if c.name == "save-file" or _BINARY.search(_line(program, c.place))]
    rows += [program.evidence(c.place, "writes the artifact", "source") for c in exports[-1:]]
    for report in program.reports:
        rows.append(ordering.report_row(program, report))
    return ordering.unique(rows)


def _line(program: Program, place: Place) -> str:
    script = program.scripts.get(place.file)
    return script.excerpt(place.line) if script is not None else ""
