"""train-time-cap: training takes at most 600 s of wall clock."""

from __future__ import annotations

import re
from collections.abc import Sequence

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.places import at, name_run, of_folder, of_run, readme_lines
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "train-time-cap"

_STEP_TIME = re.compile(r"step\w*[^\n|]{0,40}?(\d{2,4}(?:\.\d+)?) ?ms\b", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Compare the training clock of every run that counts with the cap and its tolerances."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    numbers = case.rulebook.rule(CODE).numbers
    cap = float(case.rulebook.constants["train_cap_seconds"])
    runs = counted(case).trained
    timed = [r for r in runs if r.train_seconds is not None]
    if not timed:
        if case.non_record:
            return say.not_applicable("A non-record submission, and no run logs its training time.")
        missing = [of_run(case, r, "val_bpb", f"{name_run(r)}: no training time") for r in runs[:3]]
        return say.unknown(
            "No complete run logs its training time.",
            missing or [of_folder(case, "no complete run")],
            "Attach complete logs that print train_time.",
        )
    longest = max(timed, key=_seconds)
    seconds = _seconds(longest)
    over = [r for r in timed if _seconds(r) > float(numbers["fail_seconds"])]
    if case.non_record and over:
        return say.not_applicable(
            f"Non-record: training of {seconds:,.1f} s is not held to the {cap:.0f} s of the record track."
        )
    if over:
        return say.fail(
            f"{len(over)} of {len(timed)} runs train longer than {cap:.0f} s; the longest {seconds:,.1f} s."
            + _stall(longest),
            [_evidence(case, r) for r in over],
            f"Stop training at {cap:.0f} s of wall clock and rerun.",
        )
    if seconds > float(numbers["tolerated_seconds"]):
        return say.warn(
            f"Training takes {seconds:.3f} s, {seconds - cap:.3f} s over the cap; merged records stay within a step.",
            [_evidence(case, r) for r in timed if _seconds(r) > float(numbers["tolerated_seconds"])],
            "Stop one step earlier.",
        )
    unclocked = _unclocked(timed)
    if unclocked and not case.non_record:
        return say.warn(
            f"The run has no wall-clock stop (MAX_WALLCLOCK_SECONDS is 0); its fixed steps took {seconds:.1f} s here "
            "and is under no cap elsewhere.",
            [of_run(case, r, "settings.MAX_WALLCLOCK_SECONDS", "no wall-clock stop") for r in unclocked],
            "Stop by the clock.",
        )
    text = f"Longest of {len(timed)} run{'s' * (len(timed) != 1)}: {seconds:.3f} s of training.{_stall(longest)}"
    evidence = [_evidence(case, longest), *_stall_lines(case, longest)]
    if pace := _pace(case, longest):
        explain = "Explain the training time by what the log shows."
        return say.warn(f"{text} {pace.what}.", [pace, *evidence], explain)
    return say.passed(text, evidence)


def _seconds(run: Run) -> float:
    return run.train_seconds or 0.0


def _stall(run: Run) -> str:
    """Name the stalls of the step clock, when there were any."""
    stalls = run.details.get("stalls", ())
    named = [f"{s['seconds']:.0f} s between steps {s['from_step']} and {s['to_step']}" for s in stalls[:2]]
    return f" The clock stalled for {' and '.join(named)}." if named else ""


def _stall_lines(case: Case, run: Run) -> list[Evidence]:
    return [
        at(case, run.log, int(s["line"]), f"{s['seconds']:.0f} s lost", "clock")
        for s in run.details.get("stalls", ())[:2]
    ]


def _pace(case: Case, run: Run) -> Evidence | None:
    """A step time in the README that the log contradicts: a stall, not the steps, took the time."""
    usual, stalls = run.details.get("step_ms"), run.details.get("stalls", ())
    if not usual or not stalls:
        return None
    for name, number, text in readme_lines(case):
        stated = _STEP_TIME.search(text)
        if stated and 1.05 * usual < float(stated[1]) < 3 * usual:
            before, after = (stalls[0].get(f"step_ms_{side}") or usual for side in ("before", "after"))
            shown = f"the log shows {before:.0f} ms before the stall and {after:.0f} ms after"
            return at(case, name, number, f"The README gives {stated[1]} ms a step, {shown}")
    return None


def _unclocked(runs: Sequence[Run]) -> list[Run]:
    return [r for r in runs if _is_zero(r.settings.get("MAX_WALLCLOCK_SECONDS", ""))]


def _is_zero(text: str) -> bool:
    try:
        return float(text) <= 0.0
    except ValueError:
        return False


def _evidence(case: Case, run: Run) -> Evidence:
    return of_run(case, run, "train_seconds", f"{name_run(run)}: {_seconds(run):.3f} s of training", "clock")
