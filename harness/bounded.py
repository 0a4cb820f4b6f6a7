"""Runs work on hostile input in a forked child with bounds, and tells what became of it.

libcst can be crashed and stalled by a submission (nesting, long chains), so analysis never runs in the process that
answers the user. The child has limits on address space, CPU and wall time, its own process group and a large stack; it
sends JSON over a pipe. The result of a dead child is the stage at which it died.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

STACK_BYTES = 512 * 1024 * 1024
RECURSION_LIMIT = 50_000
FRAME_SLOTS = (1 << 17) + 1  # of 8 bytes: half of a piece of 2 MiB

Report = Callable[[str], None]
Work = Callable[[Report], Any]


@dataclass(frozen=True)
class Limits:
    """What the child may use: seconds of wall clock and CPU, bytes of address space and of output."""

    wall_seconds: float = 120.0
    cpu_seconds: int = 60
    memory_bytes: int = 6 * 1024**3
    output_bytes: int = 128 * 1024**2


@dataclass(frozen=True)
class Outcome:
    """What became of the work.

    ``failure`` is empty when ``value`` holds the result; else it says in words how the child ended, and ``stage`` names
    the last stage that it reported. ``bug`` is the traceback when the work itself raised.
    """

    value: Any = None
    failure: str = ""
    stage: str = ""
    bug: str = ""
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class Job:
    """One child at work. ``fileno`` is readable when it has something to say; call ``advance`` then."""

    def __init__(self, work: Work, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._buffer = bytearray()
        self._received = 0
        self._stage = ""
        self._value: dict[str, Any] | None = None
        self._killed = ""
        self._started = time.monotonic()
        self.deadline = self._started + self._limits.wall_seconds
        read_end, write_end = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(read_end)
            _child(work, self._limits, write_end)
        os.close(write_end)
        with contextlib.suppress(OSError):  # the child does the same: whoever comes first
            os.setpgid(self._pid, self._pid)
        self._pipe = read_end

    def fileno(self) -> int:
        """The descriptor to select on."""
        return self._pipe

    def advance(self) -> Outcome | None:
        """Take what the child has sent; the outcome when it has finished, None while it works."""
        chunk = os.read(self._pipe, 1 << 20)
        self._received += len(chunk)
        if self._received > self._limits.output_bytes:
            return self.kill(f"it wrote more than {self._limits.output_bytes} bytes")
        self._buffer += chunk
        while (end := self._buffer.find(b"\n")) >= 0:
            message = json.loads(self._buffer[:end])
            del self._buffer[: end + 1]
            if "stage" in message:
                self._stage = message["stage"]
            else:
                self._value = message
        return None if chunk else self._reap()

    def kill(self, why: str) -> Outcome:
        """End the child with its whole group."""
        self._killed = why
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._pid, signal.SIGKILL)
        return self._reap()

    def _reap(self) -> Outcome:
        os.close(self._pipe)
        _, status, usage = os.wait4(self._pid, 0)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._pid, signal.SIGKILL)  # helpers it may have left behind
        value = self._value or {}
        failure = self._killed or ("" if "result" in value else _ending(status, self._limits))
        return Outcome(
            value=value.get("result"),
            failure=failure,
            stage=self._stage,
            bug=value.get("bug", ""),
            wall_seconds=time.monotonic() - self._started,
            cpu_seconds=usage.ru_utime + usage.ru_stime,
            peak_bytes=usage.ru_maxrss * 1024,
        )


def run(work: Work, limits: Limits | None = None) -> Outcome:
    """Do the work in a child and wait for it, at most for the wall limit."""
    job = Job(work, limits)
    try:
        while True:
            left = job.deadline - time.monotonic()
            if left <= 0:
                return job.kill(overdue(limits or Limits()))
            if select.select([job], [], [], left)[0] and (outcome := job.advance()) is not None:
                return outcome
    except BaseException:
        job.kill("interrupted")
        raise


def overdue(limits: Limits) -> str:
    """The words for a child that passed its wall limit."""
    return f"it took longer than {limits.wall_seconds:g} s"


def _child(work: Work, limits: Limits, pipe: int) -> None:
    """Do the work and leave; never returns."""
    status = 1
    try:
        os.setpgid(0, 0)
        faulthandler.disable()
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(null, descriptor)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        resource.setrlimit(resource.RLIMIT_CPU, (limits.cpu_seconds, limits.cpu_seconds + 1))
        gc.freeze()
        gc.disable()  # short-lived, bounded by RLIMIT_AS: a quarter of the parse would be spent in vain
        sys.setrecursionlimit(RECURSION_LIMIT)
        threading.stack_size(STACK_BYTES)
        thread = threading.Thread(target=_in_one_piece, args=(partial(_work, work, pipe),))
        thread.start()
        thread.join()
        status = 0
    finally:
        os._exit(status)


def _in_one_piece(act: Callable[[], None]) -> None:
    act()


# CPython takes memory for Python frames from the system in pieces of 16 KiB and gives each back as soon as it is empty:
# a recursive interpreter that goes up and down across such a border does little else. A frame that asks for much gets a
# piece of the next power of two, whose rest the frames above it share.
_in_one_piece.__code__ = _in_one_piece.__code__.replace(co_stacksize=FRAME_SLOTS)


def _work(work: Work, pipe: int) -> None:
    def send(message: dict[str, Any]) -> None:
        data = json.dumps(message, ensure_ascii=True).encode() + b"\n"
        while data:
            data = data[os.write(pipe, data) :]

    try:
        send({"result": work(lambda stage: send({"stage": stage}))})
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)
    except Exception:  # noqa: BLE001 - whatever it is, the parent has to hear of it
        send({"bug": traceback.format_exc(limit=20)})


_OUT_OF_MEMORY = 77


def _ending(status: int, limits: Limits) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGXCPU:
            return f"it used more than {limits.cpu_seconds} s of CPU"
        return f"it crashed ({signal.Signals(number).name})"
    if os.WEXITSTATUS(status) == _OUT_OF_MEMORY:
        return f"it needed more than {limits.memory_bytes // 1024**2} MiB of memory"
    return "it raised an error" if os.WEXITSTATUS(status) == 0 else f"it ended with status {os.WEXITSTATUS(status)}"
