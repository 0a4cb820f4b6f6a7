"""roundtrip: the headline is a score of weights that were read back from the artifact (reference script; #2009)."""

from __future__ import annotations

from checks.program.engine.values import Flag, Uses
from checks.program.trace import ScoreEvent, Trace
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering, phases
from checks.verdict import Evidence, Finding, Group

CODE = "roundtrip"


def check(case: Case) -> Finding:
    """Fail when the headline's weights were trained in this run and never passed through a file or a decompressor."""
    case = phases.at_the_end(case)
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    trace = case.program.trace
    scores = ordering.headline_scores(case.program)
    raw = _raw(case, trace, scores) if trace is not None and not trace.exhausted else []
    if raw and trace is not None:
        return say.fail(
            "The headline is a score of weights in memory; they were not read back from the artifact.",
            _evidence(case, trace, raw),
            "Load the compressed file and evaluate what was loaded; report that number.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    lines = [case.program.at(f, n, "reads the artifact", "source") for s in scores for f, n in phases.artifact_lines(s)]
    return say.passed("The scored weights come from a file that is read back.", ordering.unique(lines)[:4])


def _raw(case: Case, trace: Trace, scores: list[ScoreEvent]) -> list[ScoreEvent]:
    """The headline's scores, if the script trains the model that they use and none of them uses an artifact."""
    own = [s for s in scores if any(isinstance(x, Uses) for x in s.used)]
    if not own or any(phases.artifact_lines(s) for s in scores) or phases.training_end(case.program) is None:
        return []
    steps = phases.training_steps(case.program)
    if {loop for a in steps for loop, _ in a.loops} & {loop for r in case.program.reports for loop, _ in r.loops}:
        return []
    trained = {a.ident for a in steps}
    in_memory = any(s.state & trained for s in own) or _overwritten(trace, own)
    return own if in_memory else []


def _overwritten(trace: Trace, scores: list[ScoreEvent]) -> bool:
    """Whether weights from memory were loaded over those of the artifact, after it was written."""
    written = [c.at for c in trace.calls if c.name in ("open-write", "save-file")]
    return bool(written) and any(isinstance(x, Flag) and x.name == "loaded" for s in scores for x in s.used)


def _evidence(case: Case, trace: Trace, scores: list[ScoreEvent]) -> list[Evidence]:
    program = case.program
    score = scores[0]
    rows = [program.evidence(score.place, "loss of the headline", "score")]
    rows += phases.leading_calls(program, score.place, "calls the evaluation")
    loads = {x for x in score.used if isinstance(x, Flag) and x.name == "loaded"}
    rows += [program.at(str(x.detail), x.line, "loads weights from memory") for x in sorted(loads)[:2]]
    added = {x for r in program.reports for x in r.labels if isinstance(x, Flag) and x.name == "offset"}
    rows += [program.at(str(x.detail), x.line, "adds a constant to the score") for x in sorted(added)[:2]]
    exports = [c for c in trace.calls if c.name in ("open-write", "save-file")]
    rows += [program.evidence(c.place, "writes the artifact", "source") for c in exports[-1:]]
    for report in program.reports:
        rows.append(ordering.report_row(program, report))
    return ordering.unique(rows)
