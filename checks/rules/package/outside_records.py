"""outside-records: a submission adds one folder and touches nothing else."""

from __future__ import annotations

from checks.rules.base import PullRequestCase, Verdicts
from checks.rules.package.missing_files import claims_result
from checks.submission.model import Change, PullRequest
from checks.verdict import Evidence, Finding, Group

CODE = "outside-records"
SHOWN = 10


def check_pull_request(case: PullRequestCase) -> Finding:
    """Check the paths that the pull request touches."""
    say = Verdicts(CODE, Group.PACKAGE, case.rulebook)
    request = case.pull_request
    if not request.changes:
        return say.not_applicable("A folder alone: what a pull request would change is not known.")
    if not request.submissions:
        if claims_result(request):
            return say.fail(
                "The pull request claims a result and changes only files outside the record folders.",
                [_evidence(c) for c in request.changes[:SHOWN]],
                "Put the submission into one new record folder.",
            )
        return say.not_applicable("The pull request adds no record folder.")
    new = _new_folders(request)
    root = str(case.rulebook.constants["records_root"])
    outside = [c for c in request.changes if not _in_track(c.path, root)]
    others = [c for c in request.changes if _in_track(c.path, root) and _folder(c.path) not in new]
    if outside:
        stray = outside + (others if new else [])
        return say.fail(
            f"{len(stray)} changed file{'s' * (len(stray) != 1)} outside the record folder: {_names(stray)}.",
            [_evidence(c) for c in stray[:SHOWN]],
            "Take every change outside the record folder out of the pull request.",
        )
    if others and new:
        folders = sorted({_folder(c.path) for c in others})
        return say.fail(
            f"The pull request edits or deletes files of other submissions: {', '.join(folders[:3])}.",
            [_evidence(c) for c in others[:SHOWN]],
            "Rebase on the default branch and leave other record folders as they are.",
        )
    if others:
        return say.warn(
            "The pull request only edits record folders that exist already; changes of substance need a new one.",
            [_evidence(c) for c in others[:SHOWN]],
            "Say which accepted submission this corrects, or submit it as a folder of its own.",
        )
    return say.passed("Every changed file lies in the record folder.", [Evidence(f) for f in sorted(new)])


def _new_folders(request: PullRequest) -> set[str]:
    """Record folders that the pull request adds: all that it touches there is new."""
    touched: dict[str, set[str]] = {}
    for change in request.changes:
        touched.setdefault(_folder(change.path), set()).add(change.status)
    return {folder for folder, statuses in touched.items() if folder and statuses <= {"A", "R"}}


def _in_track(path: str, root: str) -> bool:
    parts = path.split("/")
    return len(parts) >= 4 and parts[0] == root and parts[1].startswith("track_")


def _folder(path: str) -> str:
    return "/".join(path.split("/")[:3]) if path.count("/") >= 3 else ""


def _evidence(change: Change) -> Evidence:
    how = {"A": "added", "M": "changed", "D": "deleted", "R": f"renamed from {change.old_path}", "T": "type changed"}
    return Evidence(change.path, what=how.get(change.status, change.status))


def _names(changes: list[Change]) -> str:
    shown = ", ".join(c.path for c in changes[:3])
    return shown if len(changes) <= 3 else f"{shown} and {len(changes) - 3} more"
