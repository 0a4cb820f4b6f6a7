"""significance: a record beats the one before it, by the README's test and by the organisers' practice."""

from __future__ import annotations

import datetime as dt
import math
import statistics
from dataclasses import dataclass, replace

from checks.rulebook import Record
from checks.rules.base import Case, Verdicts
from checks.rules.counted import Counted, counted, edits_only
from checks.rules.evidence.welch import margin_in_bpb, p_lower
from checks.rules.places import name_run, of_claim, of_folder, of_run
from checks.verdict import Evidence, Finding, Group, Status

CODE = "significance"


@dataclass(frozen=True)
class Comparison:
    """The runs against one record: gain of the mean in bpb and nats per token, and both p values."""

    record: Record
    gain_bpb: float
    gain_nats: float | None
    p_margin: float | None
    p_lower: float | None

    def meets_readme(self, margin: float, p: float) -> bool:
        """Whether the README's test is met: the margin in nats, at the p asked for."""
        return (
            self.gain_nats is not None and self.gain_nats >= margin and self.p_margin is not None and self.p_margin < p
        )


def check(case: Case) -> Finding:
    """Judge, and add the numbers that a report draws."""
    finding = _judge(case)
    return finding if finding.status is Status.NOT_APPLICABLE else replace(finding, numbers=_numbers(case))


def _judge(case: Case) -> Finding:
    """Give three verdicts (README margin and p, practice p, lower mean) against both records of the day."""
    say = Verdicts(CODE, Group.EVIDENCE, case.rulebook)
    if case.non_record:
        return say.not_applicable("A non-record submission need not beat the record.")
    if edits_only(case):
        return say.not_applicable("The pull request only edits a record folder that was there before.")
    runs = counted(case)
    scores = runs.scores
    if not scores:
        if hopeless := _claim_not_lower(case):
            return say.fail(*hopeless)
        return say.unknown(
            "No complete run counts, so nothing can be compared with the record.",
            [of_folder(case, "no complete run")],
            "Attach complete logs.",
        )
    records = comparators(case)
    if not records:
        return say.not_applicable("No record precedes this submission.")
    found = {name: _compare(case, runs, record) for name, record in records.items()}
    governing = found.get(_governing(case)) or next(iter(found.values()))
    text = f"Mean {statistics.fmean(scores):.4f} of {len(scores)} run{'s' * (len(scores) != 1)}. " + " ".join(
        _describe(name, c) for name, c in found.items()
    )
    evidence = _evidence(case, runs)
    constants = case.rulebook.constants
    margin, p = float(constants["record_margin_nats"]), float(constants["record_p"])
    clears = f"Show a mean lower by {margin} nats with p < {p}, or file the submission as non-record."
    if governing.meets_readme(margin, p):
        others = [c for c in found.values() if c.gain_bpb <= 0]
        if others:
            return say.warn(f"{text} An earlier pull request was already lower.", evidence, clears)
        return say.passed(text, evidence)
    if governing.gain_bpb <= 0:
        return say.fail(f"{text} It is not lower than the record.", evidence, clears)
    if len(scores) < 2 or (len(scores) < int(constants["seeds"]) and (governing.gain_nats or 0.0) >= margin):
        few = "One run allows" if len(scores) == 1 else f"{len(scores)} runs allow"
        return say.unknown(f"{text} {few} no test.", evidence, f"Attach {constants['seeds']} complete runs.")
    if _practice(case, governing):
        return say.warn(
            f"{text} The README's margin is not met; by the practice of the day it counts as lower.", evidence, clears
        )
    return say.fail(f"{text} The README's margin and p are not met.", evidence, clears)


def _claim_not_lower(case: Case) -> tuple[str, list[Evidence], str] | None:
    """Whether even the claimed score, which no run supports, is not lower than the record that governs."""
    claim, records = case.submission.claims.val_bpb, comparators(case)
    record = records.get(_governing(case)) or next(iter(records.values()), None)
    if claim is None or record is None or claim < record.val_bpb:
        return None
    number = f" of #{record.pr}" if record.pr else ""
    than = f"is not lower than the record {record.val_bpb:.4f}{number}"
    text = f"Even the claimed {claim}, which no complete run supports, {than}."
    return text, [of_claim(case, "val_bpb", f"claims {claim}")], "File the submission as non-record."


def comparators(case: Case) -> dict[str, Record]:
    """Return the records to beat: the given one, or the README's best and the best earlier pull request at creation."""
    if case.record_bpb is not None:
        when = case.pull_request.created or dt.datetime.now(dt.timezone.utc)
        return {"given": Record(when, None, case.record_bpb, "as given", None)}
    created = case.pull_request.created or _dated(case)
    rows = [r for r in case.rulebook.records if not _is_own(case, r)]
    shown = [r for r in rows if r.shown is not None and (created is None or r.shown <= created)]
    earlier = [r for r in rows if created is None or r.created < created]
    found = {}
    if shown:
        found["readme"] = min(shown, key=lambda r: r.val_bpb)
    if earlier:
        found["chronological"] = min(earlier, key=lambda r: r.val_bpb)
    if len(found) == 2 and found["readme"] == found["chronological"]:
        del found["chronological"]
    return found


def _is_own(case: Case, record: Record) -> bool:
    """Whether a row of the table is this submission: its pull request, or, for a folder alone, its author and score."""
    if case.pull_request.pr is not None:
        return record.pr == case.pull_request.pr
    claim = case.submission.claims.val_bpb
    return claim is not None and abs(claim - record.val_bpb) <= float(case.rulebook.constants["rounding_bpb"])


def _dated(case: Case) -> dt.datetime | None:
    """The end of the day that submission.json names, for a folder that comes without a pull request."""
    try:
        day = dt.date.fromisoformat(case.submission.claims.date[:10])
    except ValueError:
        return None
    return dt.datetime.combine(day, dt.time(23, 59), dt.timezone.utc)


def _day(case: Case) -> dt.date | None:
    if case.created is not None:
        return case.created
    dated = _dated(case)
    return dated.date() if dated else None


def _governing(case: Case) -> str:
    """Which record decides: the README's until organisers went by the order of creation (#1902)."""
    since: dt.date = case.rulebook.rule(CODE).numbers["chronological_since"]
    day = _day(case)
    return "readme" if day is not None and day < since else "chronological"


def _compare(case: Case, runs: Counted, record: Record) -> Comparison:
    new, old = runs.scores, record.scores or (record.val_bpb,)
    gain = statistics.fmean(old) - statistics.fmean(new)
    ratios = [r.bytes_per_token for r in runs.runs if r.bytes_per_token]
    nats = margin = None
    if ratios:
        margin = margin_in_bpb(float(case.rulebook.constants["record_margin_nats"]), statistics.fmean(ratios))
        nats = gain * float(case.rulebook.constants["record_margin_nats"]) / margin
    return Comparison(record, gain, nats, p_lower(new, old, margin) if margin is not None else None, p_lower(new, old))


def _numbers(case: Case) -> dict[str, float]:
    """The governing record, the score that the margin asks for, the runs' mean and its 95 % interval, in bpb."""
    runs, records = counted(case), comparators(case)
    record = records.get(_governing(case)) or next(iter(records.values()), None)
    drawn: dict[str, float] = {}
    if record is not None:
        drawn["record_bpb"] = record.val_bpb
        if record.pr:
            drawn["record_pr"] = record.pr
    if runs.mean is None:
        return drawn
    drawn["mean_bpb"] = runs.mean
    if len(runs.scores) > 1:
        from scipy.special import stdtrit

        freedom = len(runs.scores) - 1
        reach = float(stdtrit(freedom, 0.975)) * statistics.stdev(runs.scores) / math.sqrt(len(runs.scores))
        drawn |= {"mean_low": runs.mean - reach, "mean_high": runs.mean + reach}
    if record is not None:
        comparison = _compare(case, runs, record)
        if comparison.gain_nats is not None and comparison.gain_bpb:
            margin = float(case.rulebook.constants["record_margin_nats"])
            drawn["target_bpb"] = record.val_bpb - margin * comparison.gain_bpb / comparison.gain_nats
        tested = {"p_lower": comparison.p_lower, "p_margin": comparison.p_margin}
        drawn |= {name: p for name, p in tested.items() if p is not None}
    return drawn


def _practice(case: Case, comparison: Comparison) -> bool:
    """Whether organisers of the day would have taken it as lower (batch merges since 04-09, p < 0.25 since #1902)."""
    since: dt.date = case.rulebook.rule(CODE).numbers["margin_ignored_since"]
    lower = comparison.p_lower is not None and comparison.p_lower < float(case.rulebook.constants["practice_p"])
    day = _day(case)
    return lower and (day is None or day >= since)


def _describe(name: str, c: Comparison) -> str:
    which = {
        "given": "the given record",
        "readme": "the README's record",
        "chronological": "the best earlier pull request",
    }[name]
    number = f" #{c.record.pr}" if c.record.pr else ""
    nats = f", {c.gain_nats:+.4f} nats/token" if c.gain_nats is not None else ""
    if c.p_lower is None:
        tested = ""
    else:
        single = "" if len(c.record.scores) > 1 else ", one-sample"
        margin = f"; p {c.p_margin:.3g} for the margin" if c.p_margin is not None else ""
        tested = f" (p {c.p_lower:.3g} for lower{margin}{single})"
    return f"Against {which}{number} ({c.record.val_bpb:.4f}): gain {c.gain_bpb:+.4f} bpb{nats}{tested}."


def _evidence(case: Case, runs: Counted) -> list[Evidence]:
    found = [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}") for r in runs.runs[:6]]
    if case.submission.claims.val_bpb is not None:
        found.append(of_claim(case, "val_bpb", f"claimed {case.submission.claims.val_bpb}"))
    return found
