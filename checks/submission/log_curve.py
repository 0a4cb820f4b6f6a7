"""The training curve of one run: thinned for reports, with the stalls that a wall clock hides."""

from __future__ import annotations

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from checks.submission.log_facts import Facts
from checks.submission.log_lines import StepLine

MAX_POINTS = 200
_MAX_KEPT = 100_000
_STALL_SECONDS = 5.0  # a gap this much longer than its steps should take is reported
_MAX_STALLS = 20
T = TypeVar("T")


def thin(points: Sequence[T], most: int = MAX_POINTS) -> list[T]:
    """Return at most ``most`` of the points, evenly, with the first and the last."""
    if len(points) <= most:
        return list(points)
    stride = (len(points) - 1) / (most - 1)
    return [points[round(i * stride)] for i in range(most)]


@dataclass
class Curve:
    """Step lines in order. Times in seconds."""

    points: list[tuple[StepLine, int]] = field(default_factory=list)
    dropped: int = 0

    def add(self, step: StepLine, line: int) -> None:
        """Append one step line."""
        if len(self.points) < _MAX_KEPT:
            self.points.append((step, line))
        else:
            self.dropped += 1
            self.points[-1] = (step, line)

    @property
    def last(self) -> StepLine | None:
        """The step line with the highest step."""
        return max((p for p, _ in self.points), key=lambda p: p.step, default=None)

    def conclude(self, facts: Facts) -> None:
        """Fill in steps, train_seconds (where no stop line gave them), ``stalls`` and ``step_ms``."""
        if not self.points:
            return
        top, at = max(self.points, key=lambda p: p[0].step)
        facts.set("steps", top.step, at, keep_first=True)
        timed = [(p, n) for p, n in self.points if p.train_seconds is not None]
        if timed and "train_seconds" not in facts.values:
            last, at = max(timed, key=lambda p: (p[0].step, p[0].train_seconds or 0.0))
            facts.set("train_seconds", last.train_seconds, at)
            if last.coarse:
                facts.details["train_seconds_rounded"] = True
        self._stalls(timed, facts.details)

    def _stalls(self, timed: Sequence[tuple[StepLine, int]], details: dict[str, Any]) -> None:
        gaps: list[tuple[int, int, float, int]] = []
        for (before, _), (after, line) in itertools.pairwise(timed):
            steps = after.step - before.step
            if steps > 0 and not (before.coarse or after.coarse):
                gaps.append(
                    (before.step, after.step, (after.train_seconds or 0.0) - (before.train_seconds or 0.0), line)
                )
        rates = [gap / (b - a) for a, b, gap, _ in gaps if b - a >= 10 and gap > 0]
        if len(rates) < 5:
            return
        usual = statistics.median(rates)
        details["step_ms"] = round(usual * 1e3, 2)
        stalls = [
            {
                "from_step": a,
                "to_step": b,
                "seconds": round(gap - (b - a) * usual, 1),
                "line": line,
                "step_ms_before": _rate([g for g in gaps if g[1] <= a][-5:]),
                "step_ms_after": _rate([g for g in gaps if g[0] >= b][:5]),
            }
            for a, b, gap, line in gaps
            if gap - (b - a) * usual >= _STALL_SECONDS
        ][:_MAX_STALLS]
        if stalls:
            details["stalls"] = stalls

    def rows(self) -> tuple[tuple[int, float, float], ...]:
        """Rows (step, loss, train seconds) of the training loss, else of the validation loss; thinned."""
        train = [(p.step, p.train_loss, p.train_seconds or 0.0) for p, _ in self.points if p.train_loss is not None]
        val = [(p.step, p.val_loss, p.train_seconds or 0.0) for p, _ in self.points if p.val_loss is not None]
        return tuple(thin(train or val))


def _rate(gaps: Sequence[tuple[int, int, float, int]]) -> float | None:
    steps = sum(b - a for a, b, _, _ in gaps)
    return round(1e3 * sum(g[2] for g in gaps) / steps, 1) if steps else None
