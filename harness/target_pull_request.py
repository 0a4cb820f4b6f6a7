"""Finds out what a branch adds: its base, its changes, its record folders and when it was opened."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from dataclasses import replace

from checks.submission.files import MAX_FILES, RECORDS, record_folders, track_of
from checks.submission.model import Change, PullRequest, Submission
from harness.errors import UsageFault
from harness.target_git import EMPTY_TREE, SUBMODULE, Repository

NO_DATE = "when the pull request was opened is not in git"
NEEDED = (".py", ".log", ".md")
_PULL = re.compile(r"(?:^|/)pull/(\d+)(?:/|$)")

MAX_LOOSE = 50
_MOST_FOLDERS = 60  # whose first commits are looked up
_MOST_SUBJECTS = 20
_MOST_NAMES = 4  # that one folder had


def read_pull_request(repository: Repository, ref: str, base_ref: str | None = None) -> PullRequest:
    """Read a head and compare it with where it branched off.

    Raises:
        UsageFault: the ref, the base or their common history is not in the repository.
    """
    head = _commit(repository, ref)
    default = _commit(repository, base_ref) if base_ref else repository.default_branch()
    if default is None:
        raise UsageFault(f"{repository.path}: no default branch found: say what to compare with (--base REF)")
    notes: list[str] = []
    base, upstream = _base(repository, default, head, notes)
    changes = repository.changes(base or EMPTY_TREE, head)
    folders = _added_folders(repository, changes, base)
    if not folders:
        base, changes, folders = _own_commits(repository, upstream, head, base, changes, notes)
    title = None if folders else _subject(repository, upstream, head, notes)
    number = _PULL.search(ref)
    created = _created(repository, upstream, head, folders)
    if created is not None:
        day = f"{created:%Y-%m-%d %H:%M} UTC"
        notes.append(f"{NO_DATE}: its first commit ({day}) stands for it; --created says better")
    return PullRequest(
        path=f"{repository.path}@{ref}",
        pr=int(number[1]) if number and len(number[1]) < 10 else None,
        head=head,
        base=base,
        created=created,
        title=title,
        changes=_with_sizes(repository, changes, head),
        submissions=read_folders(repository, head, folders),
        loose=None if folders else _loose(repository, head, changes),
        notes=tuple(notes),
        subjects=_subjects(repository, upstream, head, folders),
    )


def _loose(repository: Repository, head: str, changes: Sequence[Change]) -> Submission | None:
    """The changed Python files of a pull request without a record folder, as they stand at its head."""
    wanted = {c.path for c in changes if c.status in "AMR" and c.path.endswith(".py")}
    entries = [e for e in repository.tree(head) if e.path in wanted][:MAX_LOOSE]
    if not entries:
        return None
    sizes = repository.sizes([e.sha for e in entries])
    return Submission("", None, {e.path: repository.file(e, sizes) for e in entries})


def folders_at(repository: Repository, commit: str, folders: Sequence[str]) -> PullRequest:
    """Return record folders as they stand at a commit, such as merged ones; no pull request, hence no changes.

    Raises:
        UsageFault: the commit is not in the repository.
    """
    head = _commit(repository, commit)
    first = repository.commits("--reverse", head, paths=folders)
    seconds = repository.author_time(first[0]) if first else None
    return PullRequest(
        path=f"{repository.path}@{commit}",
        head=head,
        created=None if seconds is None else dt.datetime.fromtimestamp(seconds, dt.timezone.utc),
        submissions=read_folders(repository, head, folders),
    )


def read_folders(repository: Repository, commit: str, folders: Sequence[str]) -> tuple[Submission, ...]:
    """Return the record folders as they stand at a commit; contents are read on demand.

    Raises:
        UsageFault: the repository lacks the content of a script, log or README of theirs.
    """
    found = []
    for folder in folders:
        entries = repository.tree(commit, folder)
        notes = []
        if len(entries) > MAX_FILES:
            notes.append(f"the folder has {len(entries)} files; only the first {MAX_FILES} were read")
            entries = entries[:MAX_FILES]
        sizes = repository.sizes([e.sha for e in entries])
        absent = [e.path for e in entries if e.sha not in sizes and e.mode != SUBMODULE]
        if needed := [path for path in absent if path.lower().endswith(NEEDED)]:
            raise UsageFault(
                f"{repository.path}: the content of {needed[0]} and {len(absent) - 1} more files is not there "
                "(a partial clone?): fetch the pull request with all of its blobs"
            )
        if absent:
            names = ", ".join(path[len(folder) + 1 :] for path in absent[:5])
            notes.append(f"not in this repository, so not looked at: the content of {names}")
        files = {e.path[len(folder) + 1 :]: repository.file(e, sizes) for e in entries}
        found.append(Submission(folder, track_of(folder), files, notes=tuple(notes)))
    return tuple(found)


def _commit(repository: Repository, ref: str) -> str:
    commit = repository.resolve(ref)
    if commit is None:
        raise UsageFault(f"{repository.path}: no commit at {ref}: fetch it; `git for-each-ref` lists what is there")
    return commit


def _base(repository: Repository, default: str, head: str, notes: list[str]) -> tuple[str | None, str]:
    """Return the base to compare with (None: nothing) and the commit that stands for upstream without this branch."""
    base = repository.merge_base(default, head)
    if base is None:
        if repository.is_shallow():
            raise UsageFault(f"{repository.path}: history was cut off when cloning: fetch all of it (fetch-depth: 0)")
        notes.append("the head shares no history with the default branch: everything in it counts as added")
        return None, default
    if base != head:
        return base, default
    merge = _merged_by(repository, default, head)
    if merge is None or merge == head:
        notes.append("the head is on the default branch itself: compared with its first parent")
        parent = repository.resolve(f"{head}^1")
        return parent, parent or default
    before = repository.resolve(f"{merge}^1") or default
    notes.append(f"already merged by {merge[:12]}: compared with where it branched off")
    return repository.merge_base(before, head), before


def _merged_by(repository: Repository, default: str, head: str) -> str | None:
    """Return the oldest commit of the default branch's first-parent line that contains the head (bisection)."""
    line = repository.commits("--first-parent", default)  # newest first
    low, high = 0, len(line) - 1
    if not line or repository.merge_base(line[0], head) != head:
        return None
    while low < high:
        middle = (low + high + 1) // 2
        if repository.merge_base(line[middle], head) == head:
            low = middle
        else:
            high = middle - 1
    return line[low]


def _added_folders(repository: Repository, changes: Sequence[Change], base: str | None) -> tuple[str, ...]:
    """Return the record folders that the changes add: those that the base does not have."""
    folders = record_folders(c.path for c in changes if c.status == "A")
    return tuple(f for f in folders if base is None or not repository.tree(base, f))


def _own_commits(
    repository: Repository, upstream: str, head: str, base: str | None, changes: list[Change], notes: list[str]
) -> tuple[str | None, list[Change], tuple[str, ...]]:
    """Look at the branch's own commits: upstream may hold a squashed or rebased copy of the same folder."""
    own = repository.commits("--no-merges", "--reverse", "--topo-order", head, f"^{upstream}")
    start = repository.resolve(f"{own[0]}^1") if own else None
    if start is None:
        return base, changes, ()
    touched = repository.touched(own)
    changed = [c for c in repository.changes(start, head) if c.path in touched]
    folders = _added_folders(repository, changed, start)
    if not folders:
        return base, changes, ()
    notes.append("the default branch already holds this work (squashed or rebased): judged by the branch's own commits")
    return start, changed, folders


def _created(repository: Repository, upstream: str, head: str, folders: Sequence[str]) -> dt.datetime | None:
    """When the branch began: the first commit to its record folder; of several folders, of the one begun last.

    A branch may carry the folders of older submissions along, with their commits' dates. A folder that was renamed, as
    organisers ask for, began under its first name (#1667).
    """
    began: list[int] = []
    for folder in folders[:_MOST_FOLDERS]:
        first = _begun(repository, upstream, head, folder)
        seconds = repository.author_time(first) if first else None
        began += [seconds] if seconds is not None else []
    if not began:
        commits = repository.commits("--reverse", head, f"^{upstream}")
        seconds = repository.author_time(commits[0]) if commits else None
        began += [seconds] if seconds is not None else []
    return dt.datetime.fromtimestamp(max(began), dt.timezone.utc) if began else None


def _begun(repository: Repository, upstream: str, head: str, folder: str) -> str | None:
    """The branch's first commit to a folder, or to the one that it was renamed from."""
    first = None
    for _ in range(_MOST_NAMES):
        commits = repository.commits("--reverse", head, f"^{upstream}", paths=(folder,)) if folder else []
        if not commits:
            break
        first = commits[0]
        folder = _renamed_from(repository, first, folder)
    return first


def _renamed_from(repository: Repository, commit: str, folder: str) -> str:
    """The record folder that a commit moves to this one: a script and a README, submission.json or log, all unchanged.

    Empty when it moves none; a script that moves on alone is that of other work.
    """
    before = repository.resolve(f"{commit}^1")
    if before is None:
        return ""
    contents = {e.sha for e in repository.tree(commit, folder)}
    kept = {e.path for e in repository.tree(commit, RECORDS)}
    moved = [e.path for e in repository.tree(before, RECORDS) if e.sha in contents and e.path not in kept]
    for found in record_folders(moved):
        names = [path.rsplit("/", 1)[-1].lower() for path in moved if path.startswith(f"{found}/")]
        told = any(n == "submission.json" or n.startswith("readme") or n.endswith(".log") for n in names)
        if found != folder and told and any(n.endswith(".py") for n in names):
            return found
    return ""


def _subject(repository: Repository, upstream: str, head: str, notes: list[str]) -> str | None:
    """Return the subject of the branch's last commit: without a record folder, only words say what is meant."""
    own = repository.commits("--no-merges", "--max-count=1", head, f"^{upstream}")
    subject = repository.subject(own[0]) if own else ""
    if subject:
        notes.append("the pull request's title is not in git: the subject of its last commit stands for it")
    return subject or None


def _subjects(repository: Repository, upstream: str, head: str, folders: Sequence[str]) -> tuple[str, ...]:
    """Subjects of the branch's commits to its record folders, newest first."""
    if not folders or len(folders) > _MOST_FOLDERS:
        return ()
    newest = f"--max-count={_MOST_SUBJECTS}"
    own = repository.commits("--no-merges", newest, head, f"^{upstream}", paths=folders)
    return tuple(filter(None, map(repository.subject, own)))


def _with_sizes(repository: Repository, changes: Sequence[Change], head: str) -> tuple[Change, ...]:
    wanted = {c.path for c in changes if c.status != "D"}
    shas = {e.path: e.sha for e in repository.tree(head) if e.path in wanted}
    sizes = repository.sizes(list(shas.values()))
    return tuple(replace(c, size=sizes.get(shas.get(c.path, ""), 0)) for c in changes)
