"""Which runs prove the claim: complete runs of the submitted configuration, one a seed (rulebook section 15)."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from checks.rules.base import Case
from checks.rules.places import readme_lines
from checks.submission.log_scores import is_diagnostic
from checks.submission.model import Run, Score

_NUMBER = re.compile(r"(?<![\d.+\-−])(\d\.\d{4,10})(?![\d.])")
SAME = 5e-9  # two logs that print the same eight digits are the same run


@dataclass(frozen=True)
class Counted:
    """The runs that count, and every other one with the reason why it does not."""

    runs: tuple[Run, ...]
    left_out: tuple[tuple[Run, str], ...]

    @property
    def scores(self) -> tuple[float, ...]:
        """Final val_bpb of the runs that count."""
        return tuple(r.val_bpb for r in self.runs if r.val_bpb is not None)

    @property
    def mean(self) -> float | None:
        """Mean final val_bpb, None without a run."""
        return statistics.fmean(self.scores) if self.scores else None


def counted(case: Case) -> Counted:
    """Select the runs that count.

    Incomplete runs and second logs of one run never do. Of several runs with one seed, the one that the README or
    submission.json cites counts, else the last; runs of another script do not count beside runs of the submitted one.
    Where the author cites another final score of a run than the last one printed, the run carries that score.
    """
    stated = _stated(case)
    left: list[tuple[Run, str]] = []
    complete: list[Run] = []
    for run in case.submission.runs:
        if not run.complete or run.val_bpb is None:
            left.append((run, run.reason or "it has no final score"))
        elif twin := next((r for r in complete if _same_run(r, run)), None):
            left.append((run, f"it is a second log of the run in {twin.log}"))
        else:
            complete.append(run)
    by_run = {id(r): _with_cited_score(case, r, stated) for r in complete}
    cited = [new for r in complete if (new := by_run[id(r)]) is not None]
    complete = [by_run[id(r)] or r for r in complete]
    if any(r.source_matches for r in complete):
        for run in [r for r in complete if r.source_matches is False and r not in cited]:
            complete.remove(run)
            left.append((run, "its log prints another script than the submitted one"))
    if cited and _mean_is_claimed(case, cited):
        left += [(r, "neither README nor submission.json cites its score") for r in complete if r not in cited]
        complete = cited
    return Counted(tuple(_one_a_seed(complete, cited, left)), tuple(left))


def seeds_of(runs: Iterable[Run]) -> tuple[int, ...]:
    """Return the distinct seeds that the runs printed, sorted."""
    return tuple(sorted({r.seed for r in runs if r.seed is not None}))


def _same_run(one: Run, other: Run) -> bool:
    if one.seed != other.seed or one.val_bpb is None or other.val_bpb is None:
        return False
    if abs(one.val_bpb - other.val_bpb) > SAME:
        return False
    times = (one.train_seconds, other.train_seconds)
    return None in times or times[0] == times[1]


def _stated(case: Case) -> tuple[float, ...]:
    """Every number of the README that may be a score, and the scores of submission.json."""
    numbers = [float(m) for _, _, line in readme_lines(case) for m in _NUMBER.findall(line[:2000])]
    return (*case.submission.claims.seed_scores.values(), *numbers)


def _with_cited_score(case: Case, run: Run, stated: Sequence[float]) -> Run | None:
    """Return the run with the final score that the author cites for it, None when none is cited."""
    own = case.submission.claims.seed_scores.get(run.seed) if run.seed is not None else None
    wanted = (own,) if own is not None else stated
    if run.val_bpb is not None and any(_rounds_to(run.val_bpb, s) for s in wanted):
        return run
    for score in reversed([s for s in run.scores if s.step is None and not is_diagnostic(s.label)]):
        if own is not None and _rounds_to(score.val_bpb, own):
            return with_score(run, score)
    return None


def with_score(run: Run, score: Score) -> Run:
    """Return the run with another of its scores as its final one."""
    ratio = score.val_loss / (score.val_bpb * math.log(2)) if score.val_loss and score.val_bpb else run.bytes_per_token
    return replace(
        run,
        val_bpb=score.val_bpb,
        val_loss=score.val_loss,
        bytes_per_token=ratio,
        lines={**run.lines, "val_bpb": score.line, "val_loss": score.line},
        details={**run.details, "score_label": score.label},
    )


def _rounds_to(value: float, stated: float) -> bool:
    digits = min(max(len(repr(stated).partition(".")[2]), 4), 8)
    return abs(value - stated) < 0.6 * 10**-digits


def _mean_is_claimed(case: Case, runs: Sequence[Run]) -> bool:
    claim = case.submission.claims.val_bpb
    if claim is None or len(runs) < 2:
        return False
    mean = statistics.fmean(r.val_bpb for r in runs if r.val_bpb is not None)
    return abs(mean - claim) <= float(case.rulebook.constants["rounding_bpb"])


def _one_a_seed(runs: Sequence[Run], cited: Sequence[Run], left: list[tuple[Run, str]]) -> list[Run]:
    kept: list[Run] = []
    for run in runs:
        before = next((r for r in kept if r.seed is not None and r.seed == run.seed), None)
        if before is None:
            kept.append(run)
            continue
        loser, winner = (run, before) if before in cited and run not in cited else (before, run)
        kept[kept.index(before)] = winner
        left.append((loser, f"{winner.log} is a later run with the same seed"))
    return kept
