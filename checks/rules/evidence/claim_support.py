"""What in the logs bears out a claimed score, and which places of the submission state another one."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from checks.rules.base import Case
from checks.rules.counted import Counted
from checks.rules.places import README_LIMIT, at, of_claim, readme_lines
from checks.submission.log_scores import base_label
from checks.submission.model import Run
from checks.verdict import Evidence

_MEAN = re.compile(r"\b(mean|average|avg|μ)\b|±", re.IGNORECASE)
_SEED = re.compile(r"\bseed\W{0,3}(\d{1,6})\b", re.IGNORECASE)
_AFFIRMED = re.compile(r'"(?:three_seeds|3_seeds|three_seed_mean)"\s*:\s*true', re.IGNORECASE)


@dataclass(frozen=True)
class Support:
    """How the logs bear out a claim.

    ``how``: "mean" of the runs, "label" (another final score that all of them print), "one" run, "some" of the runs,
    "table" (the author's, of which only a part is logged), or "none". ``mean`` is what the runs show.
    """

    how: str
    mean: float
    label: str = ""


def supports(case: Case, runs: Counted, claim: float) -> Support:
    """Find what the claim agrees with."""
    within = tolerance(case, claim)
    mean = runs.mean if runs.mean is not None else 0.0
    if abs(mean - claim) <= within:
        return Support("mean", mean)
    for label, value in _means_by_label(runs.runs).items():
        if abs(value - claim) <= within:
            return Support("label", mean, label)
    if any(abs(score - claim) <= within for score in runs.scores):
        return Support("one", mean)
    table = case.submission.claims.seed_scores
    if len(table) > len(runs.runs) and abs(statistics.fmean(table.values()) - claim) <= within:
        stated = [(table.get(r.seed) if r.seed is not None else None, r.val_bpb) for r in runs.runs]
        if all(s is not None and b is not None and abs(s - b) <= 2 * within for s, b in stated):
            return Support("table", mean)
    return Support("some" if _is_mean_of_some(runs.scores, claim, within) else "none", mean)


def tolerance(case: Case, stated: float) -> float:
    """Half a unit of the last digit stated, at least that of four digits; two digits at the coarsest."""
    digits = max(2, min(len(repr(stated).partition(".")[2]), 4))
    return float(case.rulebook.constants["rounding_bpb"]) * 10.0 ** (4 - digits)


def printed(case: Case, claim: float) -> Evidence | None:
    """Any score of any log that is the claim: before quantisation, while training, or of a run that does not count."""
    for run in case.submission.runs:
        for score in run.scores:
            if abs(score.val_bpb - claim) <= tolerance(case, claim):
                label = f"step {score.step}" if score.step is not None else repr(score.label)
                return at(case, run.log, score.line, f"what {run.log} prints for {label}")
    return None


def unlogged_seed(case: Case, claim: float) -> Evidence | None:
    """A README line that gives the claim to a seed of which no log is attached."""
    logged = {r.seed for r in case.submission.runs}
    number = re.compile(rf"(?<![\d.]){re.escape(f'{claim:.4f}')}")
    for name, line, text in readme_lines(case):
        seed = _SEED.search(text)
        if number.search(text) and seed and int(seed[1]) not in logged:
            return at(case, name, line, f"the score of seed {seed[1]}, of which no log is attached")
    return None


def other_headline(case: Case, runs: Counted, claim: float, apart: float) -> Evidence | None:
    """The README's headline, when it is neither submission.json's number nor any that the logs show."""
    claims = case.submission.claims
    source = claims.from_.get("val_bpb", "")
    if not claims.readme_val_bpb or not claims.json_path or not source.startswith(claims.json_path):
        return None
    first = claims.readme_val_bpb[0]
    place = of_claim(case, "readme_val_bpb.0", f"the README's headline is {first}")
    text = next((t for name, number, t in readme_lines(case) if number == place.line and place.file.endswith(name)), "")
    stated = any(abs(value - claim) <= tolerance(case, value) for value in claims.readme_val_bpb)
    if first < 0.05 or abs(first - claim) <= apart or (stated and not text.startswith("#")):
        return None
    shown = [s.val_bpb for r in case.submission.runs for s in r.scores] + [runs.mean or 0.0]
    if any(abs(value - first) <= tolerance(case, first) for value in shown):
        return None
    return Evidence(place.file, place.line, place.line, what=place.what, excerpt=text[:160])


def mean_of_all(case: Case, runs: Counted, claim: float) -> Evidence | None:
    """A README score that is the mean of all complete runs, where the claim is the mean of only some of them."""
    everything = [*runs.scores, *(r.val_bpb for r, _ in runs.left_out if r.complete and r.val_bpb is not None)]
    if len(runs.scores) < 2 or len(everything) == len(runs.scores):
        return None
    mean = statistics.fmean(everything)
    for index, value in enumerate(case.submission.claims.readme_val_bpb):
        if len(repr(value)) > 6 and abs(value - mean) < 1e-6 and abs(value - claim) > tolerance(case, claim):
            what = f"the README states {value}, the mean of all {len(everything)} runs"
            return of_claim(case, f"readme_val_bpb.{index}", what)
    return None


def affirmed_three_seeds(case: Case) -> Evidence | None:
    """A line of submission.json that affirms three seeds."""
    file = case.submission.files.get(case.submission.claims.json_path)
    if file is None:
        return None
    for number, line in enumerate(file.read(README_LIMIT).decode("utf-8", "replace").splitlines(), 1):
        if _AFFIRMED.search(line):
            return at(case, case.submission.claims.json_path, number, line.strip()[:160])
    return None


def called_mean(case: Case, claim: float) -> Evidence | None:
    """A README line that gives the claim as a mean."""
    number = re.compile(rf"(?<![\d.]){re.escape(f'{claim:.4f}')}\d*")
    for name, line, text in readme_lines(case):
        if "|" not in text and number.search(text) and _MEAN.search(text):
            return at(case, name, line, text.strip()[:160])
    return None


def _means_by_label(runs: Sequence[Run]) -> dict[str, float]:
    """Mean of each final score that every run printed under the same label."""
    tables = []
    for run in runs:
        scores = [s for s in run.scores if s.step is None]
        tables.append({base_label(s.label): s.val_bpb for s in sorted(scores, key=lambda s: s.exact)})
    shared = set(tables[0]).intersection(*tables[1:]) if tables else set()
    return {label: statistics.fmean(t[label] for t in tables) for label in sorted(shared)}


def _is_mean_of_some(scores: Sequence[float], claim: float, within: float) -> bool:
    """Whether leaving out one or two of at least four runs gives the claim."""
    if len(scores) < 4:
        return False
    total, n = sum(scores), len(scores)
    if any(abs((total - a) / (n - 1) - claim) <= within for a in scores):
        return True
    pairs = ((a, b) for i, a in enumerate(scores[:40]) for b in scores[i + 1 : 40])
    return any(abs((total - a - b) / (n - 2) - claim) <= within for a, b in pairs)
