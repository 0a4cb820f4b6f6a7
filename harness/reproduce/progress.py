"""Shows the course of a reproduction on standard error: live, as plain lines for logs, or not at all.

Only numbers that were parsed are shown, never text of the submission.
"""

from __future__ import annotations

import sys
import time
from typing import TextIO

from harness.reproduce.timeline import Step

_LINE_SECONDS = 10.0
_LIVE_SECONDS = 0.2


class Quiet:
    """Shows nothing."""

    def phase(self, seed: int, name: str) -> None:
        """Ignore the phase."""

    def step(self, seed: int, step: Step, elapsed: float, cap: float) -> None:
        """Ignore the step."""

    def score(self, seed: int, val_bpb: float, elapsed: float) -> None:
        """Ignore the score."""

    def waiting(self, seed: int, phase: str, elapsed: float, cap: float) -> None:
        """Ignore the time."""


class Lines:
    """One line for each phase and score and, at most every ten seconds, for a step or for waiting."""

    _every = _LINE_SECONDS

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._shown = 0.0
        self._val_bpb: float | None = None

    def phase(self, seed: int, name: str) -> None:
        """Say that a phase began."""
        self._write(f"seed {seed}: {name}")

    def step(self, seed: int, step: Step, elapsed: float, cap: float) -> None:
        """Show a step, but not too often."""
        if step.val_bpb is not None:
            self._val_bpb = step.val_bpb
        if self._due():
            self._show(f"seed {seed}: {describe(step, elapsed, cap, self._val_bpb)}")

    def score(self, seed: int, val_bpb: float, elapsed: float) -> None:
        """Show a final score."""
        self._write(f"seed {seed}: val_bpb {val_bpb:.4f} printed after {elapsed:.0f} s")

    def waiting(self, seed: int, phase: str, elapsed: float, cap: float) -> None:
        """Show how long a phase without step lines has lasted, but not too often."""
        if self._due():
            self._show(f"seed {seed}: {phase}, {elapsed:.0f}/{cap:.0f} s")

    def _due(self) -> bool:
        now = time.monotonic()
        if now - self._shown < self._every:
            return False
        self._shown = now
        return True

    def _show(self, text: str) -> None:
        self._write(text)

    def _write(self, text: str) -> None:
        print(text, file=self._stream, flush=True)


class Live(Lines):
    """One line that is rewritten in place, for terminals."""

    _every = _LIVE_SECONDS

    def _show(self, text: str) -> None:
        self._stream.write(f"\r\x1b[2K{text}")
        self._stream.flush()

    def _write(self, text: str) -> None:
        self._stream.write(f"\r\x1b[2K{text}\n")
        self._stream.flush()


def describe(step: Step, elapsed: float, cap: float, val_bpb: float | None) -> str:
    """Return step, loss, val_bpb, elapsed against the cap, and the expected end of training."""
    parts = [f"step {step.step}" + (f"/{step.total}" if step.total else "")]
    if step.train_loss is not None:
        parts.append(f"loss {step.train_loss:.4f}")
    if val_bpb is not None:
        parts.append(f"val_bpb {val_bpb:.4f}")
    parts.append(f"{elapsed:.0f}/{cap:.0f} s")
    if step.total and step.step > 0:
        left = min(elapsed / step.step * (step.total - step.step), max(cap - elapsed, 0.0))
        parts.append(f"training ends in {left:.0f} s")
    return ", ".join(parts)


def chosen(mode: str) -> Quiet | Lines:
    """Return the progress for "quiet", "log", "live" or "auto" (live on a terminal, else log)."""
    if mode == "quiet":
        return Quiet()
    if mode == "live" or (mode == "auto" and sys.stderr.isatty()):
        return Live()
    return Lines()
