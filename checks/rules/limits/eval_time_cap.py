"""eval-time-cap: everything computed on validation data for the score takes at most 600 s."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.places import at, name_run, of_folder, of_run, readme_lines
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "eval-time-cap"

_TOLD = re.compile(
    r"(?:eval(?:uation)?|ttt|process|wall)[^.|\n]{0,80}?(?P<seconds>\d{3,5}(?:\.\d+)?)\s?s(?:ec(?:onds)?)?\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[a-z]+\d*")
_OVER = re.compile(r"\b(over|exceed\w*|above|beyond|longer than|not under)\b[^.\n]{0,60}\b600", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Sum what the headline needs; diagnostic passes are listed and not charged."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    cap = float(case.rulebook.constants["eval_cap_seconds"])
    limit = float(case.rulebook.rule(CODE).numbers["tolerated_seconds"])
    runs = counted(case).runs
    timed = [(charged(r), r) for r in runs]
    known = [(seconds, r) for seconds, r in timed if seconds is not None]
    if not known:
        if case.non_record:
            return say.not_applicable("A non-record submission, and no run logs its evaluation time.")
        missing = [of_run(case, r, "val_bpb", f"{name_run(r)}: no evaluation time") for r in runs[:3]]
        return say.unknown(
            "No complete run logs how long its evaluation took.",
            missing or [of_folder(case, "no complete run")],
            "Attach logs that print eval_time.",
        )
    seconds, longest = max(known, key=lambda pair: pair[0])
    over = [(s, r) for s, r in known if s > limit]
    if over:
        clears = f"Bring everything that the score needs under {cap:.0f} s and rerun."
        text = f"The evaluation takes {seconds:,.1f} s ({len(over)} of {len(known)} runs over {cap:.0f} s)."
        evidence = [e for s, r in over for e in _parts(case, r, s)]
        return (say.warn if case.non_record else say.fail)(text + _beside(longest), evidence, clears)
    if told := _told(case, limit):
        return say.warn(
            f"The logs charge {seconds:.1f} s, but the README tells of an evaluation beyond {cap:.0f} s.",
            told,
            "Log the whole evaluation with one timer.",
        )
    return say.passed(
        f"Longest of {len(known)} evaluations: {seconds:.1f} s.{_beside(longest)}", _parts(case, longest, seconds)
    )


def charged(run: Run) -> float | None:
    """Return the seconds that the headline needs: its own evaluation, adaptation, and hints outside the timer.

    A time that two lines print for one piece of work counts once. A headline that prints no time of its own takes that
    of the last timed pass before it whose label its own label extends.
    """
    parts = _needed(run)
    if not parts:
        return run.eval_seconds
    outside = run.details.get("ngram_hint_seconds") if run.details.get("ngram_hint_outside") else None
    return sum(float(p["seconds"]) for p in parts) + float(outside or 0.0)


def _needed(run: Run) -> list[Mapping[str, Any]]:
    parts = [p for p in _timed_parts(run) if p.get("counts")]
    unique = {(bool(p.get("adaptation")), round(float(p["seconds"]), 1)): p for p in parts}
    if unique or run.eval_seconds is not None:
        return list(unique.values())
    own = set(_WORD.findall(str(run.details.get("score_label", "")).lower()))
    before = [p for p in _timed_parts(run) if int(p["line"]) <= run.lines.get("val_bpb", 0)]
    extended = [p for p in before if set(_WORD.findall(str(p["label"]).lower())) <= own]
    return extended[-1:]


def _parts(case: Case, run: Run, seconds: float) -> list[Evidence]:
    found = [
        at(case, run.log, int(p["line"]), f"{p['label']}: {p['seconds']:.1f} s, counts", "clock")
        for p in _needed(run)[:6]
    ]
    if run.details.get("ngram_hint_outside") and (hints := run.details.get("ngram_hint_seconds")):
        found.append(
            of_run(case, run, "ngram_hint_seconds", f"hints outside the timer: {hints:.1f} s, counts", "clock")
        )
    return found or [of_run(case, run, "eval_seconds", f"{name_run(run)}: {seconds:.1f} s of evaluation", "clock")]


def _beside(run: Run) -> str:
    """Name the timed passes that the headline does not need, with the other sum."""
    needed = charged(run) or 0.0
    spare = [p for p in _timed_parts(run) if p not in _needed(run) and not p.get("counts") and not _is_total(p)]
    more = sum(float(p["seconds"]) for p in spare)
    return f" With the diagnostic passes printed beside it the sum is {needed + more:,.1f} s." if more > 1.0 else ""


def _timed_parts(run: Run) -> list[Mapping[str, Any]]:
    return list(run.details.get("eval_parts", ()))


def _is_total(part: Mapping[str, Any]) -> bool:
    return str(part["label"]).lower().startswith("total_eval")


def _told(case: Case, limit: float) -> list[Evidence]:
    """README lines that say that the evaluation takes longer than the cap."""
    found = []
    for name, number, line in readme_lines(case):
        match = _TOLD.search(line)
        if match and _OVER.search(line) and limit < float(match["seconds"]) < 20 * limit:
            found.append(at(case, name, number, line.strip()[:160]))
    return found[:3]
