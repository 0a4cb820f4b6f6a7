"""Runs one confined program to its end: one loop reads output, file events and limits with one clock.

Everything that is known of a run is seen here, from outside. Nothing inside can write to the harness except through
standard output and error, and what stands there is text of the submission, never a message of ours.
"""

from __future__ import annotations

import selectors
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from harness.sandbox import inotify, processes
from harness.sandbox.confinement import Confinement, Stop
from harness.sandbox.disk import Disk, mounted_disk
from harness.sandbox.output import Output

_TICK = 0.25
_LOOK = 1.0  # memory, disk and processes: looking at /proc costs milliseconds
_MACHINE_FLOOR = 512 << 20
_INODES = 200_000


class Confined(Protocol):
    """A program set up by a provider (see ``bubblewrap.Confined``)."""

    output: int
    exited: int
    folder: Path
    shared_memory: Path | None

    def release(self) -> None:
        """Start the program."""

    def returncode(self) -> int | None:
        """Return the exit status, None while it runs."""

    def pids(self) -> list[int]:
        """Return every process inside."""

    def disk(self) -> Disk:
        """Return what the workspace holds."""

    def kill(self) -> float:
        """Kill everything inside; return the seconds until nothing was left."""

    def close(self) -> None:
        """Let go of the workspace."""


class Provider(Protocol):
    """A way of confining programs."""

    name: str

    def start(self, confinement: Confinement) -> Confined:
        """Set a program up, stopped before its first instruction."""


class Observer(Protocol):
    """What a caller wants to see of a run. Times are ``time.monotonic()`` of the harness."""

    def started(self, at: float, confined: Confined) -> None:
        """Called at the program's first instruction."""

    def line(self, at: float, text: str) -> None:
        """Called for each line that the program prints."""

    def file(self, at: float, event: inotify.FileEvent) -> None:
        """Called for each file event in the workspace (tree ``workspace``, ``shm``) and the watched trees."""

    def tick(self, at: float) -> Stop | None:
        """Called four times a second; returns a reason to stop the program."""

    def ended(self, at: float, confined: Confined) -> None:
        """Called when nothing runs any more and the workspace can still be read."""


@dataclass(frozen=True)
class Ending:
    """How a run ended. ``status`` is the exit status, None when the harness stopped it.

    Seconds by the harness's clock.
    """

    status: int | None
    stopped: Stop | None
    wall_seconds: float
    kill_seconds: float
    output_bytes: int
    peak_memory_bytes: int
    peak_disk_bytes: int
    events_lost: bool


def supervise(
    provider: Provider,
    confinement: Confinement,
    log: BinaryIO,
    observer: Observer,
    watches: Mapping[str, Path] | None = None,
) -> Ending:
    """Run a program confined until it ends or breaks a limit; afterwards nothing of it runs.

    ``watches`` names host folders (shown inside by binds) whose reads are reported; ``log`` gets what the program
    prints.

    Raises:
        RunnerError: the sandbox could not be set up, or did not die.
        OSError: the log cannot be written.
    """
    confined = provider.start(confinement)
    watcher = inotify.Watcher()
    killed = False
    try:
        watcher.add_tree("workspace", f"{confined.folder}/.")
        if confined.shared_memory is not None:
            watcher.add_tree("shm", f"{confined.shared_memory}/.")
        for tree, folder in (watches or {}).items():
            watcher.add_tree(tree, str(folder), inotify.READS)
        limits = confinement.limits
        output = Output(confined.output, log, limits.output_bytes, limits.output_lines)
        usage = _Usage(confined, confinement)
        began = time.monotonic()
        observer.started(began, confined)
        confined.release()
        try:
            stopped = _loop(confined, observer, watcher, output, usage, began + limits.wall_seconds)
        except KeyboardInterrupt:
            stopped = Stop.INTERRUPTED
        wall = time.monotonic() - began
        status = None if stopped else confined.returncode()
        kill_seconds, killed = confined.kill(), True
        while not (output.ended or output.exceeded):  # everything is dead: what is left in the pipe has an end
            _read(observer, watcher, output)
        _read(observer, watcher, output)
        usage.look_at_disk()
        observer.ended(time.monotonic(), confined)
        lost = watcher.lost
        return Ending(status, stopped, wall, kill_seconds, output.total, usage.memory, usage.disk, lost)
    finally:
        if not killed:
            confined.kill()
        watcher.close()
        confined.close()


def _loop(
    confined: Confined, observer: Observer, watcher: inotify.Watcher, output: Output, usage: _Usage, deadline: float
) -> Stop | None:
    next_tick = next_look = 0.0
    with selectors.DefaultSelector() as selector:
        selector.register(output, selectors.EVENT_READ)
        selector.register(watcher, selectors.EVENT_READ)
        selector.register(confined.exited, selectors.EVENT_READ)
        while True:
            selector.select(max(min(_TICK, next_tick - time.monotonic()), 0.0))
            _read(observer, watcher, output)
            now = time.monotonic()
            if output.ended and output in selector.get_map():
                selector.unregister(output)
            if output.exceeded:
                return Stop.OUTPUT
            if confined.returncode() is not None:
                return None
            if now < next_tick:
                continue
            next_tick = now + _TICK
            reason = (Stop.WALL if now > deadline else None) or observer.tick(now)
            if not reason and now >= next_look:
                next_look = now + _LOOK
                reason = usage.exceeded()
            if reason:
                return reason


def _read(observer: Observer, watcher: inotify.Watcher, output: Output) -> None:
    for event in watcher.events():  # the queue keeps the order of all watches, so each event gets a later time
        observer.file(time.monotonic(), event)
    for at, text in output.lines():
        observer.line(at, text)


class _Usage:
    """Memory and disk as the host sees them; the peaks are kept."""

    def __init__(self, confined: Confined, confinement: Confinement) -> None:
        self._confined = confined
        self._limits = confinement.limits
        self._floor = min(_MACHINE_FLOOR, processes.available_bytes() // 4)
        self.memory = 0
        self.disk = 0

    def look_at_disk(self) -> Disk:
        disk = self._confined.disk()
        self.disk = max(self.disk, disk.used_bytes)
        return disk

    def exceeded(self) -> Stop | None:
        pids = self._confined.pids()
        if len(pids) > self._limits.processes:
            return Stop.PROCESSES
        disk = self.look_at_disk()
        if disk.used_bytes >= self._limits.disk_bytes or disk.files > _INODES:
            return Stop.DISK
        memory = processes.private_bytes(pids) + (disk.used_bytes if disk.in_memory else 0)
        if self._confined.shared_memory is not None:
            memory += mounted_disk(self._confined.shared_memory).used_bytes
        self.memory = max(self.memory, memory)
        if memory > self._limits.memory_bytes:
            return Stop.MEMORY
        return Stop.MACHINE_MEMORY if processes.available_bytes() < self._floor else None
