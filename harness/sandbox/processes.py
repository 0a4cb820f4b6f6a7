"""Processes of a sandbox as the host's /proc shows them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


def in_namespace(pid_namespace: int) -> list[int]:
    """Return the pids (as the host counts) of what runs in a PID namespace, given by its inode number.

    A zombie does not run: it only waits for its parent, who may be slow, to read its exit status.
    """
    wanted = f"pid:[{pid_namespace}]"
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                if str((folder / "ns/pid").readlink()) == wanted and not _is_zombie(folder):
                    found.append(int(folder.name))
            except OSError:  # gone, or another user's
                continue
    return found


def _is_zombie(folder: Path) -> bool:
    return (folder / "stat").read_bytes().rpartition(b")")[2].split()[0] in (b"Z", b"X")


def private_bytes(pids: Iterable[int]) -> int:
    """Return the memory that the processes do not share with files: resident minus shared, summed."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/statm").read_text().split()
        except OSError:
            continue
        total += max(int(fields[1]) - int(fields[2]), 0) * _PAGE
    return total


def available_bytes() -> int:
    """Return the memory that the machine can still hand out (MemAvailable)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 1 << 62


def holding(pids: Iterable[int], prefix: str) -> set[str]:
    """Return the paths below ``prefix`` (as the sandbox names them) that a process has open or mapped now."""
    held = set()
    for pid in pids:
        try:
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                target = str(descriptor.readlink())
                if target.startswith(prefix):
                    held.add(target)
            with Path(f"/proc/{pid}/maps").open(encoding="utf-8", errors="replace") as maps:
                for line in maps:
                    fields = line.rstrip("\n").split(maxsplit=5)
                    if len(fields) == 6 and fields[5].startswith(prefix):
                        held.add(fields[5])
        except OSError:
            continue
    return held
