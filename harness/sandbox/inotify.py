"""File events seen from outside: Linux inotify through libc.

A watch sits on the inode, so it also sees what happens through a bind mount in another mount namespace. It does not
see page faults of a mapping made earlier (inotify(7), "Limitations"); ``processes.holding`` answers that part.
"""

from __future__ import annotations

import ctypes
import enum
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass

ACCESS, CLOSE_WRITE, CLOSE_NOWRITE, OPEN = 0x1, 0x8, 0x10, 0x20
MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200
OVERFLOW, IGNORED, ISDIR = 0x4000, 0x8000, 0x40000000
ONLYDIR, DONT_FOLLOW = 0x01000000, 0x02000000
EVERYTHING = ACCESS | CLOSE_WRITE | CLOSE_NOWRITE | OPEN | MOVED_FROM | MOVED_TO | CREATE | DELETE
READS = ACCESS | CLOSE_NOWRITE | OPEN

_HEADER = struct.Struct("iIII")
_DEPTH = 8
_MAX_WATCHES = 4096


class Action(str, enum.Enum):
    """What happened to a file. ``CLOSED``: it was open for reading only, and no longer is (a mapping: at exit)."""

    OPENED = "opened"
    READ = "read"
    CLOSED = "closed"
    CREATED = "created"
    WRITTEN = "written"
    DELETED = "deleted"


@dataclass(frozen=True)
class FileEvent:
    """One event on ``path`` (relative to the watched tree ``tree``)."""

    tree: str
    path: str
    action: Action


class Watcher:
    """Watches whole directory trees.

    ``lost`` turns true when the kernel's queue overflowed or a folder went unwatched.
    """

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "inotify_init1 failed")
        self._folders: dict[int, tuple[str, str, str, int, int]] = {}
        self.lost = False

    def fileno(self) -> int:
        """Return the descriptor to select on."""
        return int(self._fd)

    def close(self) -> None:
        """Drop every watch."""
        os.close(self._fd)

    def add_tree(self, tree: str, root: str, mask: int = EVERYTHING) -> None:
        """Watch ``root`` and every folder below it; links are not followed.

        Raises:
            OSError: the root cannot be watched.
        """
        self._add(tree, root, "", mask, 0, required=True)

    def events(self) -> Iterator[FileEvent]:
        """Yield what happened since the last call; new folders are watched on the way."""
        while True:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return
            at = 0
            while at < len(data):
                watch, mask, _, length = _HEADER.unpack_from(data, at)
                name = data[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0").decode("utf-8", "replace")
                at += _HEADER.size + length
                yield from self._event(watch, mask, name)

    def _event(self, watch: int, mask: int, name: str) -> Iterator[FileEvent]:
        if mask & OVERFLOW:
            self.lost = True
            return
        if mask & IGNORED:
            self._folders.pop(watch, None)
            return
        if watch not in self._folders or not name:
            return
        tree, host, inside, wanted, depth = self._folders[watch]
        path = f"{inside}{name}"
        if mask & ISDIR:
            if mask & (CREATE | MOVED_TO):
                yield from self._new_folder(tree, f"{host}/{name}", f"{path}/", wanted, depth + 1)
            return
        for bits, action in (
            (CREATE | MOVED_TO, Action.CREATED),
            (OPEN, Action.OPENED),
            (ACCESS, Action.READ),
            (CLOSE_NOWRITE, Action.CLOSED),
            (CLOSE_WRITE, Action.WRITTEN),
            (DELETE | MOVED_FROM, Action.DELETED),
        ):
            if mask & bits:
                yield FileEvent(tree, path, action)
        if mask & MOVED_TO:
            yield FileEvent(tree, path, Action.WRITTEN)

    def _new_folder(self, tree: str, host: str, inside: str, mask: int, depth: int) -> Iterator[FileEvent]:
        """Watch a folder made after the start; what it held before the watch is reported as created and written."""
        for path in self._add(tree, host, inside, mask, depth):
            yield FileEvent(tree, path, Action.CREATED)
            yield FileEvent(tree, path, Action.WRITTEN)

    def _add(self, tree: str, host: str, inside: str, mask: int, depth: int, required: bool = False) -> list[str]:
        if depth > _DEPTH or len(self._folders) >= _MAX_WATCHES:
            self.lost = True
            return []
        flags = mask | ONLYDIR | (0 if required else DONT_FOLLOW)
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(host), ctypes.c_uint32(flags))
        if watch < 0:
            error = ctypes.get_errno()
            if required:
                raise OSError(error, f"cannot watch {host}: {os.strerror(error)}")
            return []
        self._folders[watch] = (tree, host, inside, mask, depth)
        files = []
        try:
            with os.scandir(host) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        files += self._add(tree, entry.path, f"{inside}{entry.name}/", mask, depth + 1)
                    else:
                        files.append(f"{inside}{entry.name}")
        except OSError:  # the folder went away again, or was closed to us: the next listing says so
            self.lost = True
        return files
