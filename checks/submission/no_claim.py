"""Where an author says that there is no score (yet, or any more): a null in submission.json, a README that waits for a run.

A folder that names no score anywhere claims none, where the pull request's title, or else its commits, name none either
(rulebook, "no score, no breach"); where nothing is known of these, silence is no such statement. One whose README calls
it a non-record analysis, and names no score of its own, claims none (#1147). Nor does a bare script beside the folder
that holds the pull request's README or submission.json (#410, #1825).
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from checks.submission.model import Submission
from checks.submission.readme_claims import readme_scores, title_score

_WITHDRAWN = re.compile(r"\b(?:retract|withdr[ae]w)", re.IGNORECASE)
_PENDING = re.compile(
    r"\b(?:val[_ ]?bpb|bpb|score|status|results?)\b[^|]{0,80}"
    r"(?<![a-z])(?:tbd|tba|pending|awaiting|not yet|to be determined)(?![a-z])",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(?:val[_ ]?)?bpb\b[\s:=*`~]{1,8}(?:tbd|tba|pending|to be determined)(?![a-z])", re.IGNORECASE)
_ASIDE = re.compile(r"\bnon[-_ ]?record\b", re.IGNORECASE)
_STUDY = re.compile(
    r"\b(?:analy(?:sis|tical)|diagnostics?|negative results?|post[-_ ]?mortem|tooling)\b", re.IGNORECASE
)
_TOP_LINES = 25
_MAX_LINE = 500
_PROSE = (".md", ".txt", ".json", ".jsonl", ".csv", ".tsv", ".log", ".out")
_MAX_PROSE = 20
_MAX_READ = 400_000
_ROUNDED = 0.006


def withdrawn(data: Mapping[str, Any]) -> str:
    """The key of submission.json whose words take the score back; empty when none does.

    Only a key that stands for the submission as a whole counts; a note on one run or ablation takes nothing back.
    """
    for key in ("status", "name", "title", "submission_type"):
        value = data.get(key)
        if isinstance(value, str) and _WITHDRAWN.search(value[:300]):
            return key
    return ""


def said_open(data: Mapping[str, Any], score_keys: Collection[str]) -> str:
    """The score key of submission.json that is there and holds no score: a null, a word, 0 or -1; empty when none does."""
    return next((k for k in score_keys if k in data and _no_score(data[k])), "")


def _no_score(value: object) -> bool:
    return not value or isinstance(value, str) or (isinstance(value, int | float) and value < 0)


def line_of(text: str, key: str) -> int:
    """The line of a key in a JSON text."""
    at = text.find(json.dumps(key))
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


def pending(readme: str) -> int:
    """The line at the top of a README that says that the result is still to come; 0 when none does."""
    for number, line in enumerate(readme.split("\n", _TOP_LINES)[:_TOP_LINES], 1):
        if _PENDING.search(line[:_MAX_LINE]):
            return number
    return 0


def headline_open(readme: str) -> bool:
    """Whether the top of a README leaves its score open ("val_bpb: TBD"): the numbers below it are of something else."""
    return any(_OPEN.search(line[:_MAX_LINE]) for line in readme.split("\n", _TOP_LINES)[:_TOP_LINES])


def aside(readme: str, claimed: object) -> int:
    """The line at the top of a README that says that this is a non-record study (analysis, tooling); 0 when none does.

    A submission.json (``claimed``) is there to make a claim: its silence says nothing.
    """
    if claimed:
        return 0
    for number, line in enumerate(readme.split("\n", _TOP_LINES)[:_TOP_LINES], 1):
        if _ASIDE.search(line[:_MAX_LINE]) and _STUDY.search(line[:_MAX_LINE]):
            return number
    return 0


def left_over(submission: Submission, folders: Sequence[Submission]) -> bool:
    """Whether this folder claims nothing: code without README, submission.json or score, where another one has them.

    Args:
        submission: the folder.
        folders: all record folders of the pull request.
    """
    claims = submission.claims
    others = [f for f in folders if f.path != submission.path and (f.claims.json_path or f.claims.readme_path)]
    if not others or claims.json_path or claims.readme_path:
        return False
    titled = claims.title_val_bpb
    if titled is not None and not any(_states(other, titled) for other in others):
        return False
    return _names_no_score(submission)


def silent(submission: Submission, words: Sequence[str]) -> bool:
    """Whether no score is named: not in the folder, nor in what is known of the pull request's own words.

    Args:
        submission: the folder.
        words: the title, else the subjects of the commits to the folder; where nothing is known, silence says nothing.
    """
    claims = submission.claims
    stated = (claims.val_bpb, claims.val_loss, claims.title_val_bpb, *map(title_score, words))
    if not words or claims.json_error or claims.seed_scores or any(value is not None for value in stated):
        return False
    return _names_no_score(submission)


def _names_no_score(submission: Submission) -> bool:
    """Whether the folder's name, logs and prose name no score of its own."""
    if any(run.scores for run in submission.runs) or title_score(submission.path.rsplit("/", 1)[-1]) is not None:
        return False
    prose = sorted(path for path, file in submission.files.items() if file.kind == "file" and path.endswith(_PROSE))
    if len(prose) > _MAX_PROSE:
        return False
    return not any(readme_scores(submission.files[path].read(_MAX_READ).decode("utf-8", "replace")) for path in prose)


def _states(submission: Submission, score: float) -> bool:
    """Whether the folder itself names this score, but for rounding."""
    claims = submission.claims
    named = (
        claims.readme_val_bpb if claims.from_.get("val_bpb") == "title" else (claims.val_bpb, *claims.readme_val_bpb)
    )
    return any(value is not None and abs(value - score) < _ROUNDED for value in named)
