"""The seconds that a run may take, from the rulebook, and how long the harness waits before it stops an overrun."""

from __future__ import annotations

from dataclasses import dataclass

from checks.rulebook import Rulebook


@dataclass(frozen=True)
class Caps:
    """Clock limits of one run, in seconds.

    ``train`` and ``evaluate`` are the rules' caps; ``train_tolerated`` and ``train_fail`` the borders of the finding.
    The others only bound what an overrun can cost: ``setup`` until the first training step, ``validation`` for a
    validation pass that has not reported yet, ``export`` between training and evaluation, ``grace`` before an
    evaluation is stopped (loading and compiling).
    """

    train: float
    train_tolerated: float
    train_fail: float
    evaluate: float
    evaluate_tolerated: float
    untimed: float
    setup: float = 1200.0
    validation: float = 120.0
    export: float = 600.0
    grace: float = 180.0

    @property
    def whole_run(self) -> float:
        """The wall-clock limit of the whole run."""
        return self.setup + 2 * self.train + self.export + 2 * self.evaluate + self.grace


def rule_caps(rulebook: Rulebook, scale: float = 1.0) -> Caps:
    """Return the rules' caps; ``scale`` stretches them for a run on fewer GPUs (8 / N)."""
    train = float(rulebook.constants["train_cap_seconds"])
    evaluate = float(rulebook.constants["eval_cap_seconds"])
    training = rulebook.rule("train-time-cap").numbers
    return Caps(
        train=train * scale,
        train_tolerated=float(training["tolerated_seconds"]) * scale,
        train_fail=float(training["fail_seconds"]) * scale,
        evaluate=evaluate * scale,
        evaluate_tolerated=float(rulebook.rule("eval-time-cap").numbers["tolerated_seconds"]) * scale,
        untimed=float(rulebook.rule("untimed-work").numbers["tolerated_seconds"]) * scale,
        setup=1200.0 * max(scale, 1.0),
        validation=120.0 * scale,
        export=600.0 * scale,
        grace=180.0 * scale,
    )


def rehearsal_caps() -> Caps:
    """Return caps for toy runs on a CPU; the rules' caps mean nothing there, a hang still has to end."""
    return Caps(120, 120, 120, 120, 120, 60, setup=90, validation=60, export=60, grace=30)
