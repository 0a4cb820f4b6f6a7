"""The clocks of a run, read from outside.

Training starts with the first step (its line's time less the training time it claims, but not before the line printed
before it) and lasts until the last sign of training: a step line, the stop line, or a read of a training shard.
Validation passes inside the loop are excluded as the reference excludes them, measured as the time between two lines
that their printed clocks do not account for. Time that a *training* line does not account for is training: that is
how a clock that runs slow shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reproduce.timeline import Step, Timeline

_PAUSE_FACTOR = 2.0
_PAUSE_SLACK = 5.0


@dataclass(frozen=True)
class Clocks:
    """Seconds by the harness's clock.

    ``training_wall`` counts everything from the first step to the last sign of training; ``training`` leaves out
    ``validation`` (of ``validations`` passes). ``warmup`` lies between the first read of a training shard and the first
    step: compiling, as the rules allow, or more. ``pauses_plausible`` is False when one pass took so much longer than
    the others (or, alone, than the final evaluation) that training may hide in it. ``export`` lies between training
    and the artifact's last write; ``evaluation`` between that write and the last final score; ``headline`` is the
    part of it since the final score before the last. ``printed_*`` is what the submission says.
    """

    setup: float
    warmup: float
    training: float
    training_wall: float
    validation: float
    validations: int
    pauses_plausible: bool
    export: float
    evaluation: float
    headline: float
    training_end: float
    started: bool
    printed_training: float | None
    steps: int | None


def training_start(timeline: Timeline) -> float | None:
    """Return when training began, None before its first sign."""
    if not timeline.steps:
        return None
    first = timeline.steps[0]
    return max(timeline.before_steps, first.at - (first.printed or 0.0))


def pauses(steps: list[Step], start: float) -> list[float]:
    """Return the seconds of each validation pass inside the loop, as its line's clock leaves them unaccounted for."""
    found = []
    at, printed = start, 0.0
    for step in steps:
        if step.printed is None:
            continue
        if step.validation:
            found.append(max((step.at - at) - (step.printed - printed), 0.0))
        at, printed = step.at, step.printed
    return found


def read_clocks(timeline: Timeline, artifact_written: float | None, train_reads: Sequence[float]) -> Clocks:
    """Compute the clocks of a finished (or stopped) run.

    Args:
        timeline: what was seen.
        artifact_written: when the artifact was last written, None when there is none.
        train_reads: when training shards were first and last read before the artifact was written.
    """
    start = training_start(timeline)
    until = artifact_written if artifact_written is not None else timeline.end
    signs = [s.at for s in timeline.steps if s.at <= until]
    if timeline.stop_line is not None and timeline.stop_line <= until:
        signs.append(timeline.stop_line)
    if start is not None:
        signs += [read for read in train_reads if start <= read <= until]
    begun = start if start is not None else 0.0
    end = max(signs) if start is not None and signs else until
    excluded = pauses([s for s in timeline.steps if s.at <= end], begun)
    finals = [s.at for s in timeline.scores if s.at >= until]
    evaluated = finals[-1] if finals else timeline.end
    evaluation = max(evaluated - until, 0.0) if artifact_written is not None else 0.0
    before = finals[-2] if len(finals) > 1 and finals[-1] - finals[-2] > 0.5 else until
    wall = max(end - begun, 0.0)
    printed = [s.printed for s in timeline.steps if s.printed is not None]
    return Clocks(
        setup=begun if start is not None else 0.0,
        warmup=max(begun - min(train_reads, default=begun), 0.0),
        training=max(wall - sum(excluded), 0.0),
        training_wall=wall,
        validation=sum(excluded),
        validations=len(excluded),
        pauses_plausible=_plausible(excluded, evaluation),
        export=max(until - end, 0.0),
        evaluation=evaluation,
        headline=max(evaluated - before, 0.0) if artifact_written is not None else 0.0,
        training_end=end,
        started=start is not None,
        printed_training=max(printed, default=None),
        steps=max((s.step for s in timeline.steps), default=None),
    )


def charged_so_far(timeline: Timeline, now: float) -> float:
    """Return the training seconds charged until now; a validation pass in progress still counts."""
    start = training_start(timeline)
    return 0.0 if start is None else now - start - sum(pauses(timeline.steps, start))


def _plausible(excluded: list[float], evaluation: float) -> bool:
    if not excluded:
        return True
    others = sorted(excluded)[:-1]
    longest = max(excluded)
    usual = others[len(others) // 2] if others else evaluation
    return longest <= _PAUSE_FACTOR * usual + _PAUSE_SLACK
