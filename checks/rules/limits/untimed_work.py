"""untimed-work: every second of work is training or evaluation; nothing runs outside both clocks."""

from __future__ import annotations

from collections.abc import Sequence

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.places import name_run, of_run
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "untimed-work"


def check(case: Case) -> Finding:
    """Find work that the logs show outside both timers, and charge it to evaluation."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    runs = counted(case).runs
    if not runs:
        return say.not_applicable("No complete run to time.")
    cap = float(case.rulebook.constants["eval_cap_seconds"])
    hints = [(r, _hints(r)) for r in runs if _hints(r) is not None]
    if hints:
        return _weigh_hints(case, say, [r for r, _ in hints], cap)
    generated = [r for r in runs if _generated(r) and (r.eval_seconds or 0.0) + _generated(r) > cap]
    if generated:
        worst = max(generated, key=lambda r: _generated(r) + (r.eval_seconds or 0.0))
        return say.warn(
            f"Calibration text is made for {_generated(worst):.0f} s after the training clock; with the evaluation "
            f"of {worst.eval_seconds or 0.0:.0f} s the sum is over {cap:.0f} s.",
            [_generation(case, r) for r in generated],
            f"Keep generation and evaluation together under {cap:.0f} s.",
        )
    timed = [r for r in runs if _generated(r)]
    if timed:
        return say.passed(
            f"Self-generated calibration takes {_generated(timed[0]):.0f} s, charged to evaluation.",
            [_generation(case, r) for r in timed[:3]],
        )
    return say.passed(
        "The logs show no work outside both clocks.",
        [of_run(case, runs[0], "train_seconds", "end of training", "clock")],
    )


def _weigh_hints(case: Case, say: Verdicts, runs: Sequence[Run], cap: float) -> Finding:
    evidence = [of_run(case, r, _fact(r), f"{name_run(r)}: hints computed outside the timer", "clock") for r in runs]
    total = max((r.eval_seconds or 0.0 for r in runs), default=0.0)
    clears = "Compute the hints inside the evaluation timer."
    if total > cap and not case.non_record:
        return say.fail(
            "N-gram hints over validation data are computed outside the evaluation timer; with them it takes "
            f"{total:.0f} s.",
            evidence,
            clears,
        )
    return say.warn(
        f"N-gram hints over validation data are computed outside the evaluation timer ({total:.0f} s with them).",
        evidence,
        clears,
    )


def _fact(run: Run) -> str:
    return "ngram_hint_seconds" if "ngram_hint_seconds" in run.lines else "settings.NGRAM_HINT_PRECOMPUTE_OUTSIDE"


def _hints(run: Run) -> float | None:
    """Seconds of hint computation outside the timer; None when there was none, 0 when its length is not known."""
    switch = run.settings.get("NGRAM_HINT_PRECOMPUTE_OUTSIDE", "").lower() in ("1", "true")
    enabled = run.settings.get("NGRAM_TILT_ENABLED", "1").lower() not in ("0", "false")
    if run.details.get("ngram_hint_outside") or (switch and enabled and "ngram_hint_seconds" in run.details):
        return float(run.details.get("ngram_hint_seconds") or 0.0)
    return None


def _generated(run: Run) -> float:
    return float(run.details.get("gptq", {}).get("generation_seconds") or 0.0)


def _generation(case: Case, run: Run) -> Evidence:
    line = run.details.get("gptq", {}).get("generation_line", 0)
    entry = of_run(case, run, "train_seconds", f"{name_run(run)}: {_generated(run):.0f} s of generation", "clock")
    return Evidence(entry.file, int(line), int(line), what=entry.what, role="clock")
