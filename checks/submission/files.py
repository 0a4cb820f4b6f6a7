"""The files of a submission: read from a folder, and recognised in a list of paths.

A folder is hostile: symbolic links are never followed (as in git, their content is the target's name), devices and
pipes are never opened, and the number of entries and the depth are bounded.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from checks.submission.model import SourceFile

MAX_FILES = 20_000
MAX_DEPTH = 32
TRACK_PREFIX = "track_"
RECORDS = "records"
SKIPPED_FOLDERS = frozenset({".git", "__pycache__"})


class FolderError(Exception):
    """A folder cannot be taken as a submission; the message says why and what to do."""


def read_folder(root: Path) -> tuple[dict[str, SourceFile], tuple[str, ...]]:
    """List a folder's files by path relative to it, with notes on what was left out. Contents are read on demand.

    Raises:
        FolderError: the folder does not exist, cannot be listed or is no folder.
    """
    files: dict[str, SourceFile] = {}
    notes: list[str] = []
    for path, entry in _walk(root, notes):
        files[path] = _source_file(path, entry)
        if len(files) >= MAX_FILES:
            notes.append(f"the folder has more than {MAX_FILES} files; the rest was not read")
            break
    return dict(sorted(files.items())), tuple(notes)


def record_folders(paths: Iterable[str]) -> tuple[str, ...]:
    """Return the record folders among repository paths, sorted.

    A record folder is ``records/track_*/<name>`` with a script, a log or a submission.json in it: a folder of notes
    alone submits nothing. Where there is none, other folders count that their authors plainly meant as one: with a
    submission.json, or in ``records/`` with a training script beside a README or a log. Where there are some and none of
    them has a log, the one folder elsewhere with submission.json, script and log counts too: it is what is submitted.
    """
    by_folder: dict[str, set[str]] = {}
    tracked: dict[str, set[str]] = {}
    for path in paths:
        parts = path.split("/")
        if len(parts) >= 4 and parts[0] == RECORDS and parts[1].startswith(TRACK_PREFIX):
            if _submits(parts[-1].lower()):
                tracked.setdefault("/".join(parts[:3]), set()).add(parts[-1].lower())
        elif len(parts) >= 2:
            by_folder.setdefault("/".join(parts[:-1]), set()).add(parts[-1].lower())
    if any(_has_log(names) for names in tracked.values()):
        return tuple(sorted(tracked))
    found = {folder for folder, names in by_folder.items() if _meant(folder, names, bool(tracked))}
    if tracked and len(found) > 1:  # experiments that were left lying about: none is plainly the submission
        return tuple(sorted(tracked))
    return tuple(sorted({*tracked, *(f for f in found if not _inside_another(f, found))}))


def _meant(folder: str, names: set[str], beside_others: bool) -> bool:
    """Whether a folder outside the tracks is one that its author meant as a submission."""
    declared = "submission.json" in names
    if beside_others:
        return declared and _has_log(names) and any(n.endswith(".py") for n in names)
    return declared or (folder.startswith(f"{RECORDS}/") and _looks_complete(names))


def track_of(path: str) -> str | None:
    """Return a path's ``track_*`` component (``track_10min_16mb``), None without one."""
    for part in path.split("/"):
        if part.startswith(TRACK_PREFIX) and len(part) > len(TRACK_PREFIX):
            return part
    return None


def resembles_submission(paths: Iterable[str]) -> bool:
    """Whether a folder has at least one of the files that a record folder is made of."""
    names = {path.rsplit("/", 1)[-1].lower() for path in paths}
    return any(n in {"submission.json", "readme.md"} or n.endswith((".py", ".log")) for n in names)


def _submits(name: str) -> bool:
    return name.endswith((".py", ".log", ".txt")) or (name.startswith("submission") and name.endswith(".json"))


def _looks_complete(names: set[str]) -> bool:
    has_script = any(n.endswith(".py") for n in names)
    return has_script and ("readme.md" in names or _has_log(names))


def _has_log(names: set[str]) -> bool:
    return any(n.endswith((".log", ".txt")) and not n.startswith("requirements") for n in names)


def _inside_another(folder: str, folders: set[str]) -> bool:
    parts = folder.split("/")
    return any("/".join(parts[:n]) in folders for n in range(1, len(parts)))


def _walk(root: Path, notes: list[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    pending = [("", str(root))]
    while pending:
        prefix, folder = pending.pop()
        try:
            entries = sorted(os.scandir(folder), key=lambda e: e.name)
        except OSError as error:
            if not prefix:
                raise FolderError(f"{root}: cannot be listed ({error.strerror})") from error
            notes.append(f"{prefix} cannot be listed ({error.strerror})")
            continue
        for entry in entries:
            path = prefix + _text(entry.name)
            if not entry.is_dir(follow_symlinks=False):
                yield path, entry
            elif path.count("/") >= MAX_DEPTH:
                notes.append(f"{path} lies deeper than {MAX_DEPTH} folders and was not read")
            elif entry.name not in SKIPPED_FOLDERS:
                pending.append((path + "/", entry.path))


def _text(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _source_file(path: str, entry: os.DirEntry[str]) -> SourceFile:
    try:
        info = entry.stat(follow_symlinks=False)
    except OSError:
        return SourceFile(path, 0, "missing", lambda limit: b"")
    location = entry.path
    if stat.S_ISLNK(info.st_mode):
        return SourceFile(path, info.st_size, "symlink", lambda limit: os.fsencode(_link_target(location))[:limit])
    if not stat.S_ISREG(info.st_mode):
        return SourceFile(path, 0, "missing", lambda limit: b"")
    return SourceFile(path, info.st_size, "file", lambda limit: _read(location, limit))


def _link_target(location: str) -> str:
    try:
        return str(Path(location).readlink())
    except OSError:
        return ""


def _read(location: str, limit: int) -> bytes:
    """Read at most ``limit`` bytes of a regular file; empty when it vanished, changed its kind or is unreadable."""
    try:
        descriptor = os.open(location, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return b""
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return b""
        try:
            return file.read(limit)
        except OSError:
            return b""
