"""multiple-folders: one pull request, one record folder."""

from __future__ import annotations

from checks.rules.base import PullRequestCase, Verdicts
from checks.submission.model import PullRequest
from checks.verdict import Evidence, Finding, Group

CODE = "multiple-folders"


def check_pull_request(case: PullRequestCase) -> Finding:
    """Count the record folders that the pull request adds files to."""
    say = Verdicts(CODE, Group.PACKAGE, case.rulebook)
    folders = _folders(case.pull_request)
    if not folders:
        return say.not_applicable("The pull request adds no record folder.")
    if len(folders) == 1:
        return say.passed("The pull request adds one record folder.", [Evidence(folders[0])])
    return say.fail(
        f"The pull request adds {len(folders)} record folders; each is judged by itself below.",
        [Evidence(folder, what="a record folder of its own") for folder in folders],
        "Keep one record folder; open a pull request of its own for each of the others.",
    )


def _folders(request: PullRequest) -> list[str]:
    """Folders judged here that this pull request brings in; a folder that it only edits is no second submission."""
    added = [c.path for c in request.changes if c.status in ("A", "R")]
    folders = [s.path for s in request.submissions]
    if not request.changes:
        return sorted(folders)
    return sorted(f for f in folders if any(p.startswith(f.rstrip("/") + "/") for p in added))
