"""Read access to the archive of pull requests (a bare repository, env PGOLF_ARCHIVE) for tests and measurements."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from checks.submission.model import SourceFile

MAX_BLOB = 20_000_000
needs_archive = pytest.mark.skipif("PGOLF_ARCHIVE" not in os.environ, reason="PGOLF_ARCHIVE names no repository")


def git(*arguments: str, stdin: bytes = b"") -> bytes:
    """Run git on the archive and return its standard output."""
    command = ["git", "-C", os.environ["PGOLF_ARCHIVE"], *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def folder_at(ref: str, folder: str) -> dict[str, SourceFile]:
    """Files of a record folder at a commit, by path relative to the folder."""
    found = {}
    for entry in git("ls-tree", "-r", "-z", ref, f"{folder}/").split(b"\0"):
        if entry:
            meta, _, path = entry.decode("utf-8", "replace").partition("\t")
            sha = meta.split()[2]
            data = git("cat-file", "blob", sha)
            name = path[len(folder) + 1 :]
            found[name] = SourceFile(name, len(data), "file", partial(_cut, data), sha)
    return found


def _cut(data: bytes, limit: int) -> bytes:
    return data[:limit]


def pull_requests(every: int = 1) -> list[str]:
    """Refs of the pull requests' heads, every n-th."""
    refs = git("for-each-ref", "--format=%(refname)", "refs/pull/*/head").decode().split()
    return refs[::every]


def added_blobs(refs: Sequence[str]) -> Iterator[tuple[str, str, bytes]]:
    """Yield (ref, path, content) of every distinct file that the pull requests add below ``records/``."""
    wanted: dict[str, tuple[str, str]] = {}
    for ref in refs:
        try:
            base = git("merge-base", "refs/heads/main", ref).decode().strip()
        except subprocess.CalledProcessError:
            continue
        changed = git("diff-tree", "-r", "-z", "--no-renames", "--diff-filter=AM", base, ref).split(b"\0")
        for meta, path in zip(changed[::2], changed[1::2], strict=False):
            name = path.decode("utf-8", "replace")
            if name.startswith("records/"):
                wanted.setdefault(meta.split()[3].decode(), (ref, name))
    for sha, (ref, name) in wanted.items():
        path = Path(name)
        if path.suffix.lower() in {".py", ".md", ".json", ".png", ".ptz", ".pt", ".model", ".npz", ".svg", ".pdf"}:
            continue
        answer = git("cat-file", "--batch-check=%(objecttype) %(objectsize)", stdin=sha.encode() + b"\n").split()
        if answer[:1] == [b"blob"] and int(answer[1]) <= MAX_BLOB:
            yield ref, name, git("cat-file", "blob", sha)
