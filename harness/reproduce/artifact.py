"""Finds, copies, hashes and weighs the artifact.

The submission says nothing here: its printed sizes only help to choose a file.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from harness.reproduce.timeline import FileHistory, Timeline
from harness.sandbox import Blame, RunnerError

_NAMED = re.compile(
    r"\.(?:ptz|pt\.\w+|bin|xz|lzma|zst|br|zlib|int\d|npz|safetensors|pt|pth)$|artifact|quant|int\d", re.IGNORECASE
)
_NO_ARTIFACT = re.compile(
    r"(?:^|/)(?:logs?|tmp|\.cache|__pycache__)/|\.(?:txt|log|jsonl?|csv|py|md)$|^run\.log$", re.IGNORECASE
)
_COPY_LIMIT = 1 << 30
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Artifact:
    """The file that evaluation is said to read.

    ``written`` and ``read_back`` (its last read after that) are seconds since the start; ``why`` names what chose it;
    ``rewritten``: it was read, then written again, and not read since.
    """

    path: str
    size: int
    sha256: str
    written: float
    read_back: float | None
    why: str
    rewritten: bool = False


def choose(timeline: Timeline, sizes: dict[str, int], printed_sizes: frozenset[int]) -> tuple[str, str] | None:
    """Return (path, why) of the artifact among the workspace's files, None when no file can be it.

    A file whose size the submission printed comes first, then one that was read after it was written, then one named
    like an artifact; among equals the one last written.
    """
    ranked = []
    for path, size in sizes.items():
        history = timeline.files.get(("workspace", path))
        if history is None or history.written is None or size == 0 or _NO_ARTIFACT.search(path):
            continue
        witnesses = []
        if size in printed_sizes:
            witnesses.append("its size is the one printed")
        if history.read_after_write:
            witnesses.append("it was read after it was written")
        if _NAMED.search(path):
            witnesses.append("it is named like an artifact")
        if witnesses:
            weight = 4 * (size in printed_sizes) + 2 * history.read_after_write + bool(_NAMED.search(path))
            ranked.append((weight, history.written, path, "; ".join(witnesses)))
    if not ranked:
        return None
    _, _, path, why = max(ranked)
    return path, why


def workspace_files(folder: Path) -> dict[str, int]:
    """Return the regular files of the workspace: relative path -> bytes. Links are not followed."""
    found = {}
    for base, folders, names in os.walk(f"{folder}/.", followlinks=False):
        folders[:] = [f for f in folders if f not in (".cache", ".root")]
        for name in names:
            path = Path(base) / name
            try:
                status = path.lstat()
            except OSError:
                continue
            if stat.S_ISREG(status.st_mode):
                found[os.path.relpath(path, f"{folder}/.")] = status.st_size
        if len(found) > 10_000:
            break
    return found


def copy(folder: Path, path: str, destination: Path) -> tuple[int, str]:
    """Copy a file out of the workspace; return its size and sha256, taken from the bytes copied.

    Raises:
        RunnerError: it is no regular file any more, or larger than 1 GiB (blame: submission).
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    descriptor = os.open(folder / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as source, destination.open("wb") as target:
        if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
            raise RunnerError(Blame.SUBMISSION, f"the artifact {path} is no regular file")
        while data := source.read(_CHUNK):
            size += len(data)
            if size > _COPY_LIMIT:
                raise RunnerError(Blame.SUBMISSION, f"the artifact {path} is larger than {_COPY_LIMIT} bytes")
            digest.update(data)
            target.write(data)
    return size, digest.hexdigest()


def hidden_reads(timeline: Timeline, artifact: str, written: float) -> dict[str, FileHistory]:
    """Return the files besides the artifact that training left in the workspace or /dev/shm and that were read later.

    Compiler caches, logs and torchrun's own files are left out; they cannot be judged by name alone, which is why
    only a replay from the artifact proves that nothing else was used.
    """
    found = {}
    for (tree, path), history in timeline.files.items():
        if tree not in ("workspace", "shm") or path == artifact or path.startswith((".cache/", "tmp/torchelastic_")):
            continue
        if history.created < written and history.last_read is not None and history.last_read > written:
            found[path if tree == "workspace" else f"/dev/shm/{path}"] = history
    return found
