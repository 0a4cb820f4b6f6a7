"""claim-mismatch: the headline is the mean of the final scores that the attached logs show."""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from checks.rules.base import Case, Verdicts
from checks.rules.counted import Counted, counted
from checks.rules.package.missing_files import not_in_scripts
from checks.rules.places import README_LIMIT, at, name_run, of_claim, of_run, readme_lines
from checks.submission.log_scores import base_label, is_diagnostic
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "claim-mismatch"

PROMINENT = 12  # lines at the top of a README in which a score is its headline
_AFFIRMED = re.compile(r'"(?:three_seeds|3_seeds|three_seed_mean)"\s*:\s*true', re.IGNORECASE)
_MEAN = re.compile(r"\b(mean|average|avg|μ)\b|±", re.IGNORECASE)


@dataclass(frozen=True)
class Support:
    """How the logs bear out a claim. ``how`` is "mean", "label", "one", "table" or "none"; ``value`` what they show."""

    how: str
    value: float
    label: str = ""


def check(case: Case) -> Finding:
    """Compare the claim with the runs, the places that state it with each other, and the logs with the script."""
    say = Verdicts(CODE, Group.EVIDENCE, case.rulebook)
    claim = case.submission.claims.val_bpb
    if claim is None:
        return say.not_applicable("No score is claimed.")
    stated = of_claim(case, "val_bpb", f"claims {claim}")
    if not case.submission.runs:
        return say.unknown(
            f"The claim of {claim} cannot be checked: there is no training log.", [stated], "Attach the training logs."
        )
    if foreign := not_in_scripts(case):
        return say.fail(
            f"Another script than the submitted one made these numbers: {foreign.what}.",
            [stated, foreign],
            "Add the script that ran.",
        )
    if flag := _three_seeds(case):
        return say.fail(
            "submission.json affirms three seeds; fewer complete runs are attached.",
            [flag],
            "Attach the runs, or withdraw the statement.",
        )
    runs = counted(case)
    if runs.mean is None:
        run, why = runs.left_out[0]
        found = _printed(case, claim)
        if found and case.non_record:
            return say.warn(
                f"No complete run supports the claim of {claim}; it is {found.what}.",
                [stated, found],
                "Attach a complete log.",
            )
        return say.fail(
            f"No complete run supports the claim of {claim}: {name_run(run)}: {why}.",
            [stated, *[of_run(case, r, "reason", f"{name_run(r)}: {w}") for r, w in runs.left_out[:5]]],
            "Attach complete logs of the runs behind the claim.",
        )
    support = supports(case, runs, claim)
    clears = "Claim the mean of the final scores."
    evidence = [stated, *_scores(case, runs.runs)]
    if support.how == "none":
        found = _printed(case, claim)
        if found and case.non_record:
            return say.warn(
                f"The claim of {claim} is {found.what}; the {_runs(runs)} end at {support.value:.4f}.",
                [stated, found],
                clears,
            )
        return say.fail(
            f"The claim is {claim}; the {_runs(runs)} show {support.value:.4f} ({claim - support.value:+.4f})."
            + (f" It is {found.what}." if found else ""),
            evidence + ([found] if found else []),
            f"Claim {support.value:.4f}, or attach the logs that show {claim}.",
        )
    if conflict := _of_all(case, runs, claim):
        return say.fail(
            f"submission.json claims {claim}, the mean of {len(runs.runs)} runs; {conflict.what}.",
            [conflict, *evidence],
            "State one headline score everywhere.",
        )
    if conflict := _told_otherwise(case, claim):
        prominent = conflict.excerpt.startswith("#") or conflict.line <= PROMINENT
        return (say.fail if prominent else say.warn)(
            f"submission.json says {claim}, {conflict.what}; the logs show {support.value:.4f}.",
            [stated, conflict, *_scores(case, runs.runs)],
            "State one headline score everywhere.",
        )
    return _weigh(case, say, runs, support, claim, evidence)


def supports(case: Case, runs: Counted, claim: float) -> Support:
    """Find what the claim agrees with: the mean of the final scores, another final score, one run, or the author's table."""
    within = _tolerance(case, claim)
    mean = runs.mean if runs.mean is not None else 0.0
    if abs(mean - claim) <= within:
        return Support("mean", mean)
    for label, value in _means_by_label(runs.runs).items():
        if abs(value - claim) <= within:
            return Support("label", value, label)
    single = next((r.val_bpb for r in runs.runs if r.val_bpb is not None and abs(r.val_bpb - claim) <= within), None)
    if single is not None:
        return Support("one", mean)
    table = case.submission.claims.seed_scores
    if len(table) > len(runs.runs) and abs(statistics.fmean(table.values()) - claim) <= within:
        agree = [
            r
            for r in runs.runs
            if r.seed in table and r.val_bpb is not None and abs(r.val_bpb - table[r.seed]) <= 2 * within
        ]
        if len(agree) == len(runs.runs):
            return Support("table", mean)
    if _is_mean_of_some(runs.scores, claim, within):
        return Support("some", mean)
    return Support("none", mean)


def _weigh(
    case: Case, say: Verdicts, runs: Counted, support: Support, claim: float, evidence: Sequence[Evidence]
) -> Finding:
    if support.how == "one":
        text = f"The claim of {claim} is that of one run; the mean of the {_runs(runs)} is {support.value:.4f}."
        clears = f"Claim the mean, {support.value:.4f}."
        if claim < support.value and (told := _called_mean(case, claim)):
            return say.fail(f"{text} It is presented as a mean.", [told, *evidence], clears)
        return say.warn(text, evidence, clears) if claim < support.value else say.passed(text, evidence)
    if support.how == "some":
        text = f"The claim of {claim} is the mean of some of the {len(runs.runs)} complete runs; of all it is {support.value:.4f}."
        return say.warn(
            text, evidence, f"Claim the mean of all runs, {support.value:.4f}, or say why some do not count."
        )
    if support.how == "table":
        text = f"The claim of {claim} is the mean of a table of {len(case.submission.claims.seed_scores)} runs, of which {len(runs.runs)} are logged."
        return say.warn(text, evidence, "Attach a log for every run of the table.")
    if support.how == "label" and is_diagnostic(support.label):
        text = f"The claim of {claim} is the score that the logs call {support.label!r}, not the final one."
        return say.warn(text, evidence, "Claim the score of the quantised artifact.")
    if size := _other_size(case, runs.runs):
        return say.warn(*size)
    if support.how == "label":
        return say.passed(f"The claim of {claim} is the mean that the logs show as {support.label!r}.", evidence)
    return say.passed(f"The claim of {claim} is the mean of the {_runs(runs)}.", evidence)


def _tolerance(case: Case, claim: float) -> float:
    """Half a unit of the last digit claimed, at least that of four digits; two digits at the coarsest."""
    digits = max(2, min(len(repr(claim).partition(".")[2]), 4))
    return float(case.rulebook.constants["rounding_bpb"]) * 10.0 ** (4 - digits)


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


def _told_otherwise(case: Case, claim: float) -> Evidence | None:
    """The README's headline, when it is neither submission.json's number nor any that a log printed."""
    claims = case.submission.claims
    if (
        not claims.readme_val_bpb
        or not claims.json_path
        or not claims.from_.get("val_bpb", "").startswith(claims.json_path)
    ):
        return None
    first = claims.readme_val_bpb[0]
    name, _, line = claims.from_.get("readme_val_bpb.0", "").rpartition(":")
    is_heading = _line(case, name, line).startswith("#")
    stated = any(abs(value - claim) <= _tolerance(case, value) for value in claims.readme_val_bpb)
    printed = (s.val_bpb for r in case.submission.runs for s in r.scores)
    if (
        first < 0.05
        or abs(first - claim) <= float(case.rulebook.rule(CODE).numbers["headline_bpb"])
        or (stated and not is_heading)
    ):
        return None
    if any(abs(value - first) <= _tolerance(case, first) for value in printed):
        return None
    return at(
        case,
        name,
        int(line) if line.isdigit() else 0,
        f"the README's headline is {first}",
        excerpt=_line(case, name, line)[:160],
    )


def _of_all(case: Case, runs: Counted, claim: float) -> Evidence | None:
    """A README score that is the mean of all complete runs, where the claim is the mean of only some of them."""
    everything = [*runs.scores, *(r.val_bpb for r, _ in runs.left_out if r.complete and r.val_bpb is not None)]
    if len(runs.scores) < 2 or len(everything) == len(runs.scores):
        return None
    mean = statistics.fmean(everything)
    for index, value in enumerate(case.submission.claims.readme_val_bpb):
        if len(repr(value)) > 6 and abs(value - mean) < 1e-6 and abs(value - claim) > _tolerance(case, claim):
            name, _, line = case.submission.claims.from_.get(f"readme_val_bpb.{index}", "").rpartition(":")
            return at(
                case,
                name,
                int(line) if line.isdigit() else 0,
                f"the README states {value}, the mean of all {len(everything)} runs",
            )
    return None


def _three_seeds(case: Case) -> Evidence | None:
    """``"three_seeds": true`` in submission.json beside fewer than three complete runs."""
    file = case.submission.files.get(case.submission.claims.json_path)
    if file is None or len(counted(case).runs) >= int(case.rulebook.constants["seeds"]):
        return None
    for number, line in enumerate(file.read(README_LIMIT).decode("utf-8", "replace").splitlines(), 1):
        if _AFFIRMED.search(line):
            return at(case, file.name, number, line.strip()[:160])
    return None


def _line(case: Case, name: str, line: str) -> str:
    return next((text for file, number, text in readme_lines(case) if file == name and str(number) == line), "")


def _called_mean(case: Case, claim: float) -> Evidence | None:
    """A README line that gives the claim as a mean."""
    number = re.compile(rf"(?<![\d.]){re.escape(f'{claim:.4f}')}\d*")
    for name, at_line, text in readme_lines(case):
        if "|" not in text and number.search(text) and _MEAN.search(text):
            return at(case, name, at_line, text.strip()[:160])
    return None


def _other_size(case: Case, runs: Sequence[Run]) -> tuple[str, list[Evidence], str] | None:
    """Logs whose code size is that of no file of the folder, and that say nothing of a compressed form."""
    sizes = {f.size for f in case.submission.files.values()}
    odd = [
        r
        for r in runs
        if r.details.get("code_bytes") is not None
        and "code_bytes_compressed" not in r.details
        and r.source_matches is not True
        and r.code_bytes not in sizes
    ]
    script = case.submission.files.get(case.submission.script or "")
    if not odd or script is None:
        return None
    return (
        f"The claim agrees with the logs, but {len(odd)} of {len(runs)} log a script of {odd[0].code_bytes:,} bytes; the submitted one has {script.size:,}.",
        [of_run(case, r, "code_bytes", f"{name_run(r)}: code of {r.code_bytes:,} bytes") for r in odd[:5]]
        + [at(case, case.submission.script or "", 0, f"{script.size:,} bytes")],
        "Submit the script that ran, or rerun the submitted one.",
    )


def _printed(case: Case, claim: float) -> Evidence | None:
    """Any score of any log that is the claim: before quantisation, in the course of training, or of a run that does not count."""
    for run in case.submission.runs:
        for score in run.scores:
            if abs(score.val_bpb - claim) <= _tolerance(case, claim):
                label = f"step {score.step}" if score.step is not None else repr(score.label)
                return at(case, run.log, score.line, f"what {run.log} prints for {label}")
    return None


def _runs(runs: Counted) -> str:
    return f"{len(runs.runs)} complete run{'s' * (len(runs.runs) != 1)}"


def _scores(case: Case, runs: Sequence[Run]) -> list[Evidence]:
    return [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}") for r in runs[:8]]
