"""What was seen of a run, with the harness's own times: output lines that mark its course, and file events.

All times are seconds since the program's first instruction. Nothing here trusts the text of a line; ``clocks``
compares it with the times.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from checks.submission.log_lines import STOP, VAL_BPB, StepLine, clean, number, step_line
from harness.sandbox import Action, FileEvent

DATA = "data"
"""The tree of the shards. There an opened file counts as read: a mapping is opened once and read without a trace."""

_FINAL = re.compile(r"\bfinal|_exact\b|roundtrip", re.IGNORECASE)
_MAX_STEPS = 100_000
_MAX_PATHS = 5_000


@dataclass(frozen=True)
class Step:
    """A printed step line. ``printed`` is the training time that it claims, in seconds."""

    at: float
    step: int
    total: int | None
    printed: float | None
    validation: bool
    train_loss: float | None = None
    val_bpb: float | None = None


@dataclass(frozen=True)
class ScoreLine:
    """A printed final score."""

    at: float
    val_bpb: float
    text: str


@dataclass
class FileHistory:
    """When a file was made, last written, last opened, and first and last read."""

    created: float
    written: float | None = None
    opened: float | None = None
    first_read: float | None = None
    last_read: float | None = None
    read_after_write: bool = False
    deleted: bool = False

    def read_at(self, at: float) -> None:
        """Note a read."""
        self.first_read = at if self.first_read is None else min(self.first_read, at)
        self.last_read = at if self.last_read is None else max(self.last_read, at)
        self.read_after_write = self.read_after_write or (self.written is not None and at >= self.written)


@dataclass
class Timeline:
    """Collects marks while a run goes on."""

    steps: list[Step] = field(default_factory=list)
    scores: list[ScoreLine] = field(default_factory=list)
    stop_line: float | None = None
    first_line: float | None = None
    before_steps: float = 0.0
    last_line: float = 0.0
    lines: int = 0
    files: dict[tuple[str, str], FileHistory] = field(default_factory=dict)
    paths_left_out: int = 0
    end: float = 0.0

    def line(self, at: float, text: str) -> Step | ScoreLine | None:
        """Note a printed line; return the mark that it makes, if any."""
        text = clean(text.encode("utf-8", "replace"))
        self.lines += 1
        self.last_line = at
        if self.first_line is None:
            self.first_line = at
        parsed = step_line(text)
        if parsed is not None:
            return self._step(at, parsed)
        if not self.steps:
            self.before_steps = at
        if STOP.search(text) and self.steps:
            self.stop_line = at
        bpb = VAL_BPB.search(text) if _FINAL.search(text) else None
        value = number(bpb[1]) if bpb else None
        if value is None:
            return None
        self.scores.append(ScoreLine(at, value, text[:200]))
        return self.scores[-1]

    def file(self, at: float, event: FileEvent) -> None:
        """Note a file event."""
        key = (event.tree, event.path)
        history = self.files.get(key)
        if history is None:
            if len(self.files) >= _MAX_PATHS:
                self.paths_left_out += 1
                return
            history = self.files[key] = FileHistory(at)
        if event.action is Action.WRITTEN:
            history.written, history.read_after_write, history.deleted = at, False, False
        elif event.action is Action.OPENED:
            history.opened = at
            if event.tree == DATA:
                history.read_at(at)
        elif event.action is Action.READ:
            history.read_at(at)
        elif event.action is Action.CLOSED and event.tree != DATA and history.opened is not None:
            history.read_at(history.opened)  # open for reading only: a mapping, whose reads leave no trace
        elif event.action is Action.DELETED:
            history.deleted = True

    def reads(self, tree: str, names: Iterable[str] | None = None) -> dict[str, FileHistory]:
        """Return the files of a tree that were read."""
        wanted = None if names is None else set(names)
        return {
            path: history
            for (where, path), history in self.files.items()
            if where == tree and history.last_read is not None and (wanted is None or path in wanted)
        }

    def to_json(self) -> list[dict[str, Any]]:
        """Return the marks in order of time, as plain values for the evidence bundle."""
        marks: list[dict[str, Any]] = [
            {"t": s.at, "step": s.step, "printed_seconds": s.printed, "validation": s.validation, "val_bpb": s.val_bpb}
            for s in self.steps
        ]
        marks += [{"t": s.at, "score": s.val_bpb, "text": s.text} for s in self.scores]
        if self.stop_line is not None:
            marks.append({"t": self.stop_line, "stop_line": True})
        for (tree, path), history in self.files.items():
            seen = {k: v for k, v in vars(history).items() if v is not None and v is not False}
            marks.append({"t": history.created, "tree": tree, "path": path, **seen})
        return sorted(marks, key=lambda mark: mark["t"])

    def _step(self, at: float, parsed: StepLine) -> Step:
        printed = None if parsed.coarse else parsed.train_seconds
        validation = parsed.val_bpb is not None or parsed.val_loss is not None
        step = Step(at, parsed.step, parsed.total, printed, validation, parsed.train_loss, parsed.val_bpb)
        if len(self.steps) < _MAX_STEPS:
            self.steps.append(step)
        else:
            self.steps[-1] = step
        return step
