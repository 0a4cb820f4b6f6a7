"""Which runs prove the claim: complete runs of the submitted configuration (rulebook section 15)."""

from __future__ import annotations

import itertools
import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from checks.rules.base import Case
from checks.rules.places import readme_lines
from checks.submission.configuration import same_value
from checks.submission.log_scores import base_label, is_diagnostic
from checks.submission.model import Run, Score

_NUMBER = re.compile(r"(?<![\d.+\-−])(\d\.\d{4,10})(?![\d.])")
_IDENTITY = re.compile(
    r"(_PATH|_DIR|_FILE|_FILES|_ROOT|_LOG|_PORT|_ID|_NAME|_TAG|_DEVICE|_PREFIX|_OUT|_OUTPUT)$|^(SEED|WANDB|NCCL|TORCH|CUDA|LOG)_?"
)
MAX_CHOICES = 512
_EXACT_DIGITS = 6  # two runs do not share so many digits of val_bpb
_CUT = 0.0001  # bpb; a mean of numbers that were cut to four digits is so far below that of the logs
FAR = 0.02  # bpb between runs of one seed: no repetition of one another, but other configurations


@dataclass(frozen=True)
class Counted:
    """The runs that count, and every other one with the reason why it does not.

    ``trained`` are the runs that made the models: the same ones, or, where a log only evaluates, the training log of
    its seed. Where no run counts they are those that the submitted script trained to the end, though not evaluated.
    """

    runs: tuple[Run, ...]
    left_out: tuple[tuple[Run, str], ...]
    trained: tuple[Run, ...] = ()

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

    Incomplete runs and second logs of one run never do. Where the author cites runs (the seeds of submission.json, or
    scores in the README) and their mean is the claim, those count. Else, of several runs with one seed the choice that
    gives the claim counts, or the last; and where that does not bear out the claim, runs of another script do not.
    """
    left: list[tuple[Run, str]] = []
    complete = _complete(_ended_after_claim(case), left)
    complete = _with_claimed_score(case, complete)
    chosen = _claimed_seeds(case, complete) or _cited(case, complete)
    if not chosen:
        chosen = _one_a_seed(case, complete)
        if not _supports(case, chosen):
            chosen = _one_a_seed(case, _of_submitted_script(case, complete, left))
    settled = {id(r) for r, _ in left} | {id(r) for r in chosen}
    left += [(r, _why(r, chosen)) for r in complete if id(r) not in settled]
    trained = [_training_of(case, r) for r in chosen] or _trained_only(case)
    return Counted(tuple(chosen), tuple(left), tuple(trained))


def behind_claim(case: Case) -> tuple[Run, ...]:
    """The runs that the claimed number comes from: the one whose exact score it is, else all that count."""
    runs, claim = counted(case).runs, case.submission.claims.val_bpb
    if claim is None or len(repr(claim).partition(".")[2]) < _EXACT_DIGITS or _is_mean(case, runs, claim):
        return runs
    own = tuple(r for r in runs if r.val_bpb is not None and _rounds_to(r.val_bpb, claim))
    return own if len(own) == 1 else runs


def seeds_of(runs: Iterable[Run]) -> tuple[int, ...]:
    """Return the distinct seeds that the runs printed, sorted."""
    return tuple(sorted({r.seed for r in runs if r.seed is not None}))


def setting_names(case: Case) -> set[str]:
    """Return the variables that the script reads, without those that only name a run or a place."""
    identity = set(case.rulebook.rule("config-mix").numbers["identity"])
    return {n for n in case.submission.configuration if n not in identity and not _IDENTITY.search(n)}


def with_score(run: Run, score: Score) -> Run:
    """Return the run with another of its scores as its final one, and the time of that evaluation."""
    twins = [
        s
        for s in run.scores
        if base_label(s.label) == base_label(score.label) and abs(s.val_bpb - score.val_bpb) < 6e-5
    ]
    exact = max(twins, key=lambda s: (s.exact, s.val_loss is not None), default=score)
    same = [s for s in finals(run) if abs(s.val_bpb - exact.val_bpb) < 6e-5]
    beside = next((s for s in reversed([*same, *twins]) if s.val_loss is not None), exact)
    loss = exact.val_loss if exact.val_loss is not None else beside.val_loss
    ratio = loss / (exact.val_bpb * math.log(2)) if loss and exact.val_bpb else None
    return replace(
        run,
        val_bpb=exact.val_bpb,
        val_loss=loss,
        bytes_per_token=ratio,
        eval_seconds=max((s.eval_seconds for s in twins if s.eval_seconds is not None), default=None),
        lines={
            **run.lines,
            "val_bpb": exact.line,
            "val_loss": exact.line if exact.val_loss is not None else beside.line,
        },
        details={**run.details, "score_label": exact.label, "eval_parts": _parts(run, twins)},
    )


def finals(run: Run) -> tuple[Score, ...]:
    """Return the final scores that a run printed, diagnostics left out."""
    return tuple(s for s in run.scores if s.step is None and not is_diagnostic(s.label))


def _parts(run: Run, twins: Sequence[Score]) -> list[dict[str, object]]:
    lines = {s.line for s in twins}
    return [{**part, "counts": part["line"] in lines} for part in run.details.get("eval_parts", ())]


def _ended_after_claim(case: Case) -> list[Run]:
    """The runs; one that stops in a further evaluation is complete where the claim is what it had printed before."""
    runs, claim = list(case.submission.runs), case.submission.claims.val_bpb
    stopped = [r for r in runs if not r.complete and finals(r)]
    if claim is None or not stopped:
        return runs
    ids = {id(r) for r in stopped}
    found = _with_mean([r for r in runs if r.complete or id(r) in ids], claim, _CUT)
    found = found or next((f for r in stopped if (f := _with_mean([r], claim, _rounding(case)))), {})
    ended = {i: s for i, s in found.items() if i in ids}
    return [with_score(replace(r, complete=True, reason=""), ended[id(r)]) if id(r) in ended else r for r in runs]


def _with_mean(runs: Sequence[Run], claim: float, within: float) -> dict[int, Score]:
    """The scores of one label, one a run (by id), whose mean is the claim; empty where no label's is."""
    for label in dict.fromkeys(base_label(s.label) for s in (finals(runs[0]) if runs else ())):
        rows = [next((s for s in reversed(finals(r)) if base_label(s.label) == label), None) for r in runs]
        scores = [s for s in rows if s is not None]
        if len(scores) == len(runs) and abs(statistics.fmean(s.val_bpb for s in scores) - claim) <= within:
            return {id(r): s for r, s in zip(runs, scores, strict=True)}
    return {}


def _complete(runs: Sequence[Run], left: list[tuple[Run, str]]) -> list[Run]:
    complete: list[Run] = []
    by_score: dict[tuple[int | None, str], Run] = {}
    for run in runs:
        if not run.complete or run.val_bpb is None:
            left.append((run, run.reason or "it has no final score"))
            continue
        twin = by_score.setdefault((run.seed, f"{run.val_bpb:.8f}"), run)
        if twin is not run and _same_training(twin, run):
            left.append((run, f"it is a second log of the run in {twin.log}"))
        else:
            complete.append(run)
    return complete


def _same_training(one: Run, other: Run) -> bool:
    times = (one.train_seconds, other.train_seconds)
    return None in times or times[0] == times[1]


def _with_claimed_score(case: Case, runs: Sequence[Run]) -> list[Run]:
    """Put the score that the author cites for a seed in place of the last one printed, where they differ.

    A mean of one label that is the claim settles it for all runs; else the seeds of submission.json are looked up.
    """
    claim = case.submission.claims.val_bpb
    own = case.submission.claims.seed_scores
    found = [_own_score(r, own) for r in runs]
    if runs and claim is not None and not any(found) and not _is_mean(case, runs, claim):
        meant = _with_mean(runs, claim, _rounding(case)) or _with_mean(runs, claim, _CUT)
        found = [meant.get(id(r)) for r in runs] if meant else found
    return [
        with_score(r, s) if s is not None and s.val_bpb != r.val_bpb else r for r, s in zip(runs, found, strict=True)
    ]


def _own_score(run: Run, own: Mapping[int, float]) -> Score | None:
    stated = own.get(run.seed) if run.seed is not None else None
    if stated is None or (run.val_bpb is not None and _rounds_to(run.val_bpb, stated)):
        return None
    return next((s for s in reversed(finals(run)) if _rounds_to(s.val_bpb, stated)), None)


def _claimed_seeds(case: Case, runs: Sequence[Run]) -> list[Run]:
    """Runs of the seeds that submission.json lists, when their mean is the claim."""
    claims = case.submission.claims
    if not claims.seeds or claims.val_bpb is None or (len(claims.seeds) == 1 and not _headlined(case, claims.val_bpb)):
        return []
    per_seed = [[r for r in runs if r.seed == seed] for seed in claims.seeds[:12]]
    if not all(per_seed):
        return []
    return _matching(case, per_seed, claims.val_bpb)


def _headlined(case: Case, claim: float) -> bool:
    """Whether the README's first score is the claim too."""
    stated = case.submission.claims.readme_val_bpb
    return bool(stated) and abs(stated[0] - claim) <= _rounding(case)


def _cited(case: Case, runs: Sequence[Run]) -> list[Run]:
    """Runs whose own score stands in the README, when there are several and their mean is the claim."""
    claim = case.submission.claims.val_bpb
    numbers = [float(m) for _, _, line in readme_lines(case) for m in _NUMBER.findall(line[:2000])]
    cited = [r for r in runs if r.val_bpb is not None and any(_rounds_to(r.val_bpb, n) for n in numbers)]
    if claim is None or len(cited) < 2:
        return []
    if _is_mean(case, cited, claim):
        return cited
    groups = _by_seed(cited)
    return _matching(case, groups, claim) if len(groups) > 1 else []


def _supports(case: Case, runs: Sequence[Run]) -> bool:
    """Whether the claim is the mean of these runs, or the score of one of them."""
    claim = case.submission.claims.val_bpb
    if claim is None or not runs:
        return False
    mean = abs(statistics.fmean(r.val_bpb or 0.0 for r in runs) - claim) <= _CUT
    return mean or any(_is_mean(case, [r], claim) for r in runs)


def edits_only(case: Case) -> bool:
    """Whether the pull request only edits this record folder: its runs are an earlier submission's."""
    own = [c for c in case.pull_request.changes if c.path.startswith(case.submission.path.rstrip("/") + "/")]
    return bool(own) and all(c.status not in ("A", "R") for c in own)


def _of_submitted_script(case: Case, runs: Sequence[Run], left: list[tuple[Run, str]]) -> list[Run]:
    if not any(r.source_matches for r in case.submission.runs):
        return list(runs)
    other = "its log prints another script than the submitted one"
    left += [(r, f"{other} ({r.source_bytes:,} bytes)") for r in runs if r.source_matches is False]
    return [r for r in runs if r.source_matches is not False]


def _one_a_seed(case: Case, runs: Sequence[Run]) -> list[Run]:
    """One run a seed: the choice whose mean is the claim, else the last of each and its repetitions."""
    groups = _by_seed(runs)
    claim = case.submission.claims.val_bpb
    if claim is not None and any(len(g) > 1 for g in groups):
        if _is_mean(case, runs, claim):
            return list(runs)
        if len(groups) > 1 and (matching := _matching(case, groups, claim)):
            return matching
        if len(groups) > 1 and all(len(g) > 1 and _spread(g) > FAR for g in groups):
            return _closest(groups, claim)
    names = setting_names(case)
    return [r for g in groups for r in g if _same_settings(r, g[-1], names)]


def _closest(groups: Sequence[Sequence[Run]], claim: float) -> list[Run]:
    """One run of each group, the nearest to the claim: two sets of runs whose logs do not say how they differ."""
    return [min(g, key=lambda r: abs((r.val_bpb or 0.0) - claim)) for g in groups]


def _spread(runs: Sequence[Run]) -> float:
    scores = [r.val_bpb for r in runs if r.val_bpb is not None]
    return max(scores) - min(scores) if scores else 0.0


def _same_settings(one: Run, other: Run, names: set[str]) -> bool:
    if one is other:
        return True
    shared = [n for n in names if n in one.settings and n in other.settings]
    return bool(shared) and all(same_value(one.settings[n], other.settings[n]) for n in shared)


def _matching(case: Case, groups: Sequence[Sequence[Run]], claim: float) -> list[Run]:
    """Return one run of each group such that their mean is the claim; empty when no choice gives it."""
    for choice in itertools.islice(itertools.product(*(reversed(g) for g in groups)), MAX_CHOICES):
        if choice and _is_mean(case, choice, claim):
            return list(choice)
    return []


def _by_seed(runs: Sequence[Run]) -> list[list[Run]]:
    groups: dict[object, list[Run]] = {}
    for index, run in enumerate(runs):
        groups.setdefault(run.seed if run.seed is not None else ("none", index), []).append(run)
    return list(groups.values())


def _is_mean(case: Case, runs: Sequence[Run], claim: float) -> bool:
    values = [r.val_bpb for r in runs if r.val_bpb is not None]
    return bool(values) and abs(statistics.fmean(values) - claim) <= _rounding(case)


def _rounding(case: Case) -> float:
    return float(case.rulebook.constants["rounding_bpb"])


def _rounds_to(value: float, stated: float) -> bool:
    digits = min(max(len(repr(stated).partition(".")[2]), 4), 8)
    return bool(abs(value - stated) < 0.6 * 10.0**-digits)


def _why(run: Run, chosen: Sequence[Run]) -> str:
    other = next((r for r in chosen if r.seed is not None and r.seed == run.seed), None)
    if other is not None:
        return f"{other.log} is the run with this seed that counts"
    return "the claim is the mean of other runs"


def _trained_only(case: Case) -> list[Run]:
    ended = [r for r in case.submission.runs if r.artifact_bytes is not None or "stop" in r.details]
    return [r for r in ended if r.source_matches is not False]


def _training_of(case: Case, run: Run) -> Run:
    """Return the run that trained the model which ``run`` evaluates: itself, or another log's with the same seed."""
    if run.train_seconds is not None or run.seed is None:
        return run
    others = [r for r in case.submission.runs if r.seed == run.seed and r.train_seconds is not None]
    return others[-1] if others else run
