"""missing-files: README, submission.json, training logs and the script have to be there."""

from __future__ import annotations

import re

from checks.rules.base import Case, PullRequestCase, Verdicts
from checks.rules.places import at, of_claim, of_folder, of_run, readmes
from checks.submission.model import Change, PullRequest, Submission
from checks.verdict import Evidence, Finding, Group

CODE = "missing-files"

_JSON = re.compile(r"submission[\w.-]*\.json$", re.IGNORECASE)
_LOG = re.compile(
    r"(\.log|\.jsonl|(log|run|train|seed|stdout|output)[^/]*\.txt|logs?/[^/]+\.(txt|out))(\.gz)?$", re.IGNORECASE
)
_NOT_A_LOG = re.compile(r"(requirements|license|notes?|constraints)[^/]*\.txt$", re.IGNORECASE)
_TRAINING_SCRIPT = re.compile(r"(^|/)train_gpt[^/]*\.py$")
_MECHANISMS = {
    "ttt": re.compile(r"ttt|tto|test[_ -]?time", re.IGNORECASE),
    "ngram": re.compile(r"n[_-]?gram", re.IGNORECASE),
    "slot": re.compile(r"slot", re.IGNORECASE),
    "ppm": re.compile(r"ppm", re.IGNORECASE),
}
FAR = 1.3  # a script this much longer than the submitted one is no earlier state of it
_SCORE_IN_TITLE = re.compile(r"\b[01]\.\d{2,}\b|\bbpb\b|\brecord\b|\bsubmission\b", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Check one record folder."""
    say = Verdicts(CODE, Group.PACKAGE, case.rulebook)
    submission = case.submission
    missing = _missing(submission)
    if missing:
        clears = "Add " + ", ".join(missing) + " to the record folder."
        return say.fail(f"The folder has no {_join(missing)}.", [of_folder(case, f"no {m}") for m in missing], clears)
    claims = submission.claims
    if claims.json_error:
        return say.fail(
            f"submission.json cannot be read: {claims.json_error}.",
            [_json_place(case, claims.json_error)],
            "Make submission.json one valid JSON object.",
        )
    if not _states_score(case):
        finding = say.warn if case.non_record else say.fail
        return finding(
            "Neither submission.json, the README nor the title states a val_bpb.",
            [_json_place(case, "no val_bpb")],
            "State the headline val_bpb in submission.json.",
        )
    if foreign := not_in_scripts(case) or _foreign_source(case):
        return say.fail(
            f"The script that produced the logs is not in the folder: {foreign.what}.",
            [foreign],
            "Add the script that the logs were made with, or logs of the submitted script.",
        )
    absent = [k for k in case.rulebook.rule(CODE).numbers["required_json_keys"] if k not in claims.json_keys]
    if absent and claims.json_keys:
        return say.warn(
            f"submission.json has no {_join(absent)}.",
            [_json_place(case, f"no key {k}") for k in absent],
            "Add the keys to submission.json.",
        )
    if not submission.runs:
        logs = sorted(p for p in submission.files if _is_log(p))
        return say.warn(
            "Files that look like logs are there, but no training run was recognised in them.",
            [at(case, path, 0, "no run recognised") for path in logs[:5]],
            "Attach the log that the training script writes.",
        )
    return say.passed(
        "README, submission.json, script and training logs are there.", [at(case, submission.script or "")]
    )


def check_pull_request(case: PullRequestCase) -> Finding:
    """Check a pull request that changes the training script and adds no record folder at all."""
    say = Verdicts(CODE, Group.PACKAGE, case.rulebook)
    request = case.pull_request
    scripts = _scripts(request)
    if request.submissions or not scripts:
        return say.not_applicable("The pull request adds a record folder, or is no submission.")
    evidence = [Evidence(c.path, what=_how(c)) for c in scripts[:5]]
    clears = "Put the script, README.md, submission.json and the training logs into one new record folder."
    if claims_result(request):
        return say.fail(
            "The pull request claims a result but has no record folder: no README, submission.json or training log.",
            evidence,
            clears,
        )
    return say.warn(
        "The pull request changes the training script without a record folder. If it is meant as a submission, "
        "README, submission.json and training logs are missing.",
        evidence,
        clears,
    )


def claims_result(request: PullRequest) -> bool:
    """Whether a pull request without a record folder is meant as a submission: script changed, score named."""
    return bool(
        not request.submissions and _scripts(request) and request.title and _SCORE_IN_TITLE.search(request.title)
    )


def _scripts(request: PullRequest) -> list[Change]:
    return [c for c in request.changes if c.status in "AMR" and _TRAINING_SCRIPT.search(c.path)]


def _missing(submission: Submission) -> list[str]:
    names = list(submission.files)
    missing = []
    if not readmes(submission):
        missing.append("README.md")
    if not any(_JSON.match(n.rsplit("/", 1)[-1]) for n in names):
        missing.append("submission.json")
    if submission.script is None:
        missing.append("training script (train_gpt.py)")
    if not submission.runs and not any(_is_log(n) for n in names):
        missing.append("training log")
    return missing


def _is_log(path: str) -> bool:
    return bool(_LOG.search(path)) and not _NOT_A_LOG.search(path)


def _states_score(case: Case) -> bool:
    claims = case.submission.claims
    return claims.val_bpb is not None or bool(claims.readme_val_bpb) or claims.title_val_bpb is not None


def _json_place(case: Case, what: str) -> Evidence:
    if place := case.submission.claims.from_.get("val_bpb", ""):
        return of_claim(case, "val_bpb", what) if "json" in place else at(case, "submission.json", 0, what)
    names = [n for n in case.submission.files if _JSON.match(n)]
    return at(case, names[0] if names else "submission.json", 1, what)


def not_in_scripts(case: Case) -> Evidence | None:
    """A log line that shows a mechanism at work which no script mentions; None when some could not be read."""
    for run in case.submission.runs:
        for mechanism, line in run.details.get("ran", {}).items():
            if lacks(case, mechanism):
                return at(case, run.log, line, f"the log shows {mechanism} at work, and no script contains it")
    return None


def lacks(case: Case, mechanism: str) -> bool:
    """Whether every script could be read and none mentions a mechanism."""
    scripts = case.program.scripts.values()
    words = _MECHANISMS.get(mechanism)
    if words is None or not scripts or any(s.error or (s.packed and "unpacked" not in s.display) for s in scripts):
        return False
    return not any(words.search(s.text) for s in scripts)


def _foreign_source(case: Case) -> Evidence | None:
    """The logs print their own source, none of them the submitted script, and the sizes are far apart."""
    submission = case.submission
    printed = [r for r in submission.runs if r.source_matches is not None and r.complete]
    if not printed or any(r.source_matches for r in printed) or submission.script is None:
        return None
    size = submission.files[submission.script].size if submission.script in submission.files else 0
    biggest = max(printed, key=lambda r: r.source_bytes or 0)
    packed = any(s.packed for s in case.program.scripts.values())
    if size and not packed and (biggest.source_bytes or 0) > FAR * size:
        what = f"{biggest.log} prints a script of {biggest.source_bytes:,} bytes, {submission.script} has {size:,}"
        return of_run(case, biggest, "source_bytes", what)
    return None


def _how(change: Change) -> str:
    return {"A": "added", "M": "changed", "R": "renamed"}.get(change.status, "changed")


def _join(items: list[str]) -> str:
    return items[0] if len(items) == 1 else ", ".join(items[:-1]) + " and no " + items[-1]
