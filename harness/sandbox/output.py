"""What a program prints: read from a pipe, stamped, cut into lines, capped and kept."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import BinaryIO

_CHUNK = 1 << 20
_LINE_LIMIT = 1 << 16


class Output:
    """The reading end of a program's standard output and error.

    Keeps at most ``limit`` bytes in ``sink``; ``exceeded`` turns true at the first byte or line too many. Lines
    longer than 64 KiB are cut. Text is decoded as UTF-8 with replacement: nothing that a program prints can raise.
    """

    def __init__(self, descriptor: int, sink: BinaryIO, limit: int, most_lines: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._sink = sink
        self._limit = limit
        self._most_lines = most_lines
        self._lines = 0
        self._pending = b""
        self._skipping = False
        self.total = 0
        self.ended = False

    def fileno(self) -> int:
        """Return the descriptor to select on."""
        return self._descriptor

    @property
    def exceeded(self) -> bool:
        """Whether the program printed more than it may."""
        return self.total > self._limit or self._lines > self._most_lines

    def lines(self) -> Iterator[tuple[float, str]]:
        """Yield complete lines that can be read now, each with the harness's own time of reading (monotonic).

        Reads once, at most 1 MiB: a flood of lines must not keep the caller from its clock.
        """
        if self.exceeded:
            return
        try:
            data = os.read(self._descriptor, _CHUNK)
        except BlockingIOError:
            return
        if not data:
            self.ended = True
            yield from self._cut(b"\n" if self._pending else b"")
            return
        room = max(self._limit - self.total, 0)
        self._sink.write(data[:room])
        self.total += len(data)
        yield from self._cut(data)

    def _cut(self, data: bytes) -> Iterator[tuple[float, str]]:
        now = time.monotonic()
        *complete, rest = (self._pending + data).split(b"\n")
        self._lines += len(complete)
        for line in complete:
            if self._skipping:
                self._skipping = False
                continue
            yield now, line[:_LINE_LIMIT].decode("utf-8", "replace").rstrip("\r")
        if len(rest) > _LINE_LIMIT and not self._skipping:
            yield now, rest[:_LINE_LIMIT].decode("utf-8", "replace")
            self._skipping = True
        self._pending = b"" if self._skipping else rest
