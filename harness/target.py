"""Reads the target of a review in its three forms: a record folder, a checkout, or a ref of a repository."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from pathlib import Path

from checks.submission.files import (
    RECORDS,
    TRACK_PREFIX,
    FolderError,
    read_folder,
    resembles_submission,
    track_of,
)
from checks.submission.model import PullRequest, Submission
from harness.errors import UsageFault

#: What a branch of a fork is compared with, the first that exists.
_DEFAULTS = ("refs/remotes/upstream/main", "refs/remotes/origin/main", "refs/heads/main", "refs/heads/master")


@dataclass(frozen=True)
class Target:
    """What the user points at. ``created``, ``title`` and ``pr`` say what git does not know of a pull request."""

    path: Path | None = None
    base: str | None = None
    git_dir: Path | None = None
    ref: str | None = None
    created: dt.datetime | None = None
    title: str | None = None
    pr: int | None = None


def read_target(target: Target) -> PullRequest:
    """Read the target.

    Raises:
        UsageFault: the options do not fit together, or there is nothing of a submission at the place they name.
    """
    if target.git_dir is not None:
        if target.ref is None:
            raise UsageFault("--git-dir needs --ref, e.g. --ref refs/pull/1002/head")
        if target.path is not None:
            raise UsageFault("give either a folder or --git-dir with --ref, not both")
        found = _from_git(target.git_dir, target.ref, target.base)
    elif target.ref is not None:
        raise UsageFault("--ref needs --git-dir REPO")
    elif target.path is None:
        raise UsageFault("what to review? Give a record folder, or --git-dir REPO --ref REF")
    elif target.base is not None:
        found = _from_git(target.path, "HEAD", target.base)
        notes = (*found.notes, "read from the commit at HEAD: changes that are not committed do not count")
        found = replace(found, path=str(target.path), notes=notes)
    elif _is_checkout(target.path):
        found = _from_checkout(target.path)
    else:
        found = _from_folder(target.path)
    return _told(found, target)


def _is_checkout(path: Path) -> bool:
    """Whether a folder is the top of a checkout of the challenge's repository (a fork), not a record folder."""
    return (path / ".git").exists() and any((path / RECORDS).glob(f"{TRACK_PREFIX}*"))


def _from_checkout(path: Path) -> PullRequest:
    """Review what the checked-out branch adds to the default branch, as its pull request would be."""
    from harness.target_git import Repository

    repository = Repository(path)
    base = next((ref for ref in _DEFAULTS if repository.resolve(ref) is not None), None)
    found = _from_git(path, "HEAD", base)
    note = (
        f"taken as a checkout: what HEAD adds to {base or 'the default branch'}; what is not committed does not count"
    )
    return replace(found, path=str(path), notes=(*found.notes, note))


def _from_git(path: Path, ref: str, base: str | None) -> PullRequest:
    from harness.target_git import Repository
    from harness.target_pull_request import read_pull_request

    if not path.is_dir():
        raise UsageFault(f"{path}: no such folder")
    return read_pull_request(Repository(path), ref, base)


def _from_folder(path: Path) -> PullRequest:
    if not path.exists():
        raise UsageFault(f"{path}: no such folder")
    if not path.is_dir():
        raise UsageFault(f"{path}: not a folder: point at the record folder that holds it")
    try:
        files, notes = read_folder(path)
    except FolderError as error:
        raise UsageFault(str(error)) from error
    if not files:
        raise UsageFault(f"{path}: the folder is empty")
    own = [p for p in files if "/" not in p]
    if not resembles_submission(own):
        hint = "no README.md, submission.json, script or log in it"
        if "records" in {p.partition("/")[0] for p in files}:
            hint = "this is a checkout: add --base REF to review what its branch adds"
        raise UsageFault(f"{path}: not a record folder: {hint}")
    track = track_of(str(path.resolve()))
    return PullRequest(path=str(path), submissions=(Submission(".", track, files, notes=notes),))


def _told(found: PullRequest, target: Target) -> PullRequest:
    if target.created is not None:
        from harness.target_pull_request import NO_DATE

        notes = tuple(n for n in found.notes if not n.startswith(NO_DATE))
        found = replace(found, created=target.created, notes=notes)
    if target.title is not None:
        found = replace(found, title=target.title)
    return found if target.pr is None else replace(found, pr=target.pr)
