"""Watches one run: keeps its timeline, enforces the clocks, and takes the artifact when everything inside is dead."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from harness.reproduce import artifact as artifacts
from harness.reproduce.artifact import Artifact
from harness.reproduce.caps import Caps
from harness.reproduce.clocks import charged_so_far, pauses, training_start
from harness.reproduce.data import DATASETS
from harness.reproduce.timeline import Step, Timeline
from harness.sandbox import Blame, Confined, FileEvent, RunnerError, Stop
from harness.sandbox.processes import holding

_HOLDING_SECONDS = 2.0


class Progress(Protocol):
    """Where the course of a run is shown."""

    def phase(self, seed: int, name: str) -> None:
        """A phase began."""

    def step(self, seed: int, step: Step, elapsed: float, cap: float) -> None:
        """A step line came; ``elapsed`` training seconds were charged so far."""

    def score(self, seed: int, val_bpb: float, elapsed: float) -> None:
        """A final score was printed."""

    def waiting(self, seed: int, phase: str, elapsed: float, cap: float) -> None:
        """A phase without step lines goes on."""


@dataclass
class RunObserver:
    """Observer of a training run (with its own evaluation) or of a replay (``replay``: evaluation only)."""

    seed: int
    caps: Caps
    progress: Progress
    keep: Path
    replay: bool = False
    timeline: Timeline = field(default_factory=Timeline)
    artifact: Artifact | None = None
    printed_sizes: set[int] = field(default_factory=set)
    held_after_training: set[str] = field(default_factory=set)
    left_behind: dict[str, int] = field(default_factory=dict)
    problem: str = ""
    _began: float = 0.0
    _confined: Confined | None = None
    _looked: float = -_HOLDING_SECONDS
    _phase: str = ""

    def started(self, at: float, confined: Confined) -> None:
        """Start the clock."""
        self._began, self._confined = at, confined
        self._enter("replay" if self.replay else "setup")

    def line(self, at: float, text: str) -> None:
        """Read a printed line; numbers of bytes are kept as hints for the artifact."""
        mark = self.timeline.line(at - self._began, text)
        if isinstance(mark, Step):
            self._enter("training")
            start = training_start(self.timeline) or 0.0
            self.progress.step(self.seed, mark, mark.at - start, self.caps.train)
        elif mark is not None:
            self._enter("evaluation")
            self.progress.score(self.seed, mark.val_bpb, mark.at)
        elif "bytes" in text and len(self.printed_sizes) < 100:
            self.printed_sizes.update(
                int(word) for word in text.split() if word.isascii() and word.isdigit() and len(word) < 12
            )

    def file(self, at: float, event: FileEvent) -> None:
        """Keep a file event."""
        self.timeline.file(at - self._began, event)

    def tick(self, at: float) -> Stop | None:
        """Look for overruns, and for training shards that are still open after training."""
        now = at - self._began
        finished = self._finish_sign()
        if self._phase == "setup":
            self.progress.waiting(self.seed, self._phase, now, self.caps.setup)
        elif finished is not None or self.replay:
            self.progress.waiting(self.seed, "evaluation", now - (finished or 0.0), self.caps.evaluate)
        if finished is not None and now - self._looked > _HOLDING_SECONDS and self._confined is not None:
            self._looked = now
            held = holding(self._confined.pids(), f"{DATASETS}/")
            self.held_after_training |= {path for path in held if "/fineweb_train_" in path}
        if self.replay:
            return Stop.EVALUATION if now > self.caps.evaluate_tolerated + self.caps.setup else None
        if finished is not None:
            return self._late(now, finished)
        if training_start(self.timeline) is None:
            return Stop.SETUP if now > self.caps.setup + self.caps.train_fail else None
        seen = pauses(self.timeline.steps, training_start(self.timeline) or 0.0)
        allowance = max([2 * pause for pause in seen], default=0.0)
        limit = self.caps.train_fail + max(allowance, self.caps.validation)
        return Stop.TRAINING if charged_so_far(self.timeline, now) > limit else None

    def ended(self, at: float, confined: Confined) -> None:
        """Find and copy the artifact; list what else was left."""
        self.timeline.end = at - self._began
        self.left_behind = artifacts.workspace_files(confined.folder)
        if self.replay:
            return
        chosen = artifacts.choose(self.timeline, self.left_behind, frozenset(self.printed_sizes))
        if chosen is None:
            return
        path, why = chosen
        history = self.timeline.files["workspace", path]
        try:
            size, digest = artifacts.copy(confined.folder, path, self.keep / Path(path).name)
        except RunnerError as error:
            self.problem = str(error)
            return
        except OSError as error:
            self.problem = f"the artifact {path} cannot be read: {error.strerror}"
            return
        read_back = history.last_read if history.read_after_write else None
        rewritten = read_back is None and history.last_read is not None
        self.artifact = Artifact(path, size, digest, history.written or 0.0, read_back, why, rewritten)

    def _finish_sign(self) -> float | None:
        """Return when the submission last claimed that training was over, None before."""
        last = self.timeline.steps[-1] if self.timeline.steps else None
        signs = [self.timeline.stop_line]
        if last is not None and last.total is not None and last.step >= last.total:
            signs.append(last.at)
        if self.timeline.scores:
            signs.append(self.timeline.scores[0].at)
        known = [sign for sign in signs if sign is not None]
        return max(known) if known else None

    def _late(self, now: float, finished: float) -> Stop | None:
        last_score = self.timeline.scores[-1].at if self.timeline.scores else 0.0
        writes = [h.written or 0.0 for (tree, _), h in self.timeline.files.items() if tree == "workspace"]
        written = max(writes, default=0.0)
        begun = max(finished, last_score)
        if written < finished:
            return Stop.TRAINING if now - begun > self.caps.export + self.caps.evaluate_tolerated else None
        limit = self.caps.evaluate_tolerated + self.caps.grace
        return Stop.EVALUATION if now - max(begun, min(written, begun + self.caps.export)) > limit else None

    def _enter(self, phase: str) -> None:
        if phase != self._phase:
            self._phase = phase
            self.progress.phase(self.seed, phase)


def no_artifact(observer: RunObserver) -> RunnerError:
    """Return the error for a run that left no artifact."""
    return RunnerError(Blame.SUBMISSION, observer.problem or "no file was written that could be the artifact")
