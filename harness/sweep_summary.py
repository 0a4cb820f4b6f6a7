"""Sums up a sweep: one row an item (CSV, JSON), and how long, how large and how decided it was."""

from __future__ import annotations

import csv
import io
import json
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from checks.verdict import Finding, Group, Status, Verdict
from harness.sweep import Reviewed
from reports.escaping.csv import cell

COLUMNS = (
    *("name", "pr", "head", "verdict", "recommendation", "folders", "script", "packed", "claimed_val_bpb"),
    *("fail", "warn", "unknown", "seconds", "cpu_seconds", "peak_mib", "cached", "deaths", "error"),
)


def findings(verdict: Verdict) -> list[Finding]:
    """Return the findings of the pull request and of all its folders."""
    return [*verdict.findings, *(f for s in verdict.submissions for f in s.findings)]


def codes(verdict: Verdict, status: Status) -> list[str]:
    """Return the codes of the rules that came out so, sorted."""
    return sorted({f.rule for f in findings(verdict) if f.status is status})


def undecided(verdict: Verdict) -> bool:
    """Whether an evaluation rule is unknown."""
    return any(f.status is Status.UNKNOWN and f.group is Group.EVALUATION for f in findings(verdict))


def row(done: Reviewed) -> dict[str, Any]:
    """Return the row of one item, as plain values."""
    verdict = done.verdict
    first = verdict.submissions[0] if verdict and verdict.submissions else None
    values: dict[str, Any] = dict.fromkeys(COLUMNS)
    values |= {
        "name": done.item.name,
        "pr": done.item.pr,
        "head": done.item.commit,
        "seconds": round(done.wall_seconds, 3),
        "cpu_seconds": round(done.cpu_seconds, 3),
        "peak_mib": round(done.peak_bytes / 1024**2, 1),
        "cached": done.cached,
        "deaths": list(done.deaths),
        "error": done.error,
    }
    if verdict is not None:
        values |= {
            "verdict": verdict.verdict.value if first else "no submission",
            "recommendation": verdict.recommendation.value,
            "folders": [s.path for s in verdict.submissions],
            "fail": codes(verdict, Status.FAIL),
            "warn": codes(verdict, Status.WARN),
            "unknown": codes(verdict, Status.UNKNOWN),
        }
    if first is not None:
        values |= {
            "script": first.script,
            "packed": first.packed,
            "claimed_val_bpb": first.facts.get("claimed_val_bpb"),
        }
    return values


def statistics_of(results: Sequence[Reviewed]) -> dict[str, Any]:
    """Return counts, and time and memory over the items that were reviewed now (not the cached ones)."""
    judged = [r.verdict for r in results if r.verdict is not None and r.verdict.submissions]
    fresh = [r for r in results if not r.cached]
    deaths = [d for r in results for d in r.deaths]
    return {
        "items": len(results),
        "cached": len(results) - len(fresh),
        "no_submission": sum(1 for r in results if r.verdict is not None and not r.verdict.submissions),
        "failed": sum(1 for r in results if r.error),
        "steps_that_died": len(deaths),
        "time_outs": sum(1 for d in deaths if "longer than" in d or "of CPU" in d),
        "verdicts": dict(Counter(v.verdict.value for v in judged)),
        "undecided": sum(1 for v in judged if undecided(v)),
        "undecided_share": round(sum(1 for v in judged if undecided(v)) / len(judged), 4) if judged else None,
        "seconds": _spread([r.wall_seconds for r in fresh]),
        "cpu_seconds": _spread([r.cpu_seconds for r in fresh]),
        "peak_mib": _spread([r.peak_bytes / 1024**2 for r in fresh]),
    }


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    ordered = sorted(values)
    p99 = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"median": round(statistics.median(ordered), 3), "p99": round(p99, 3), "max": round(ordered[-1], 3)}


def write(results: Sequence[Reviewed], folder: Path) -> None:
    """Write ``summary.csv`` and ``summary.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row(r) for r in results]
    document = {"statistics": statistics_of(results), "items": rows}
    (folder / "summary.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    writer.writerows([_joined(r[name]) for name in COLUMNS] for r in rows)
    (folder / "summary.csv").write_text(text.getvalue(), encoding="utf-8")


def _joined(value: Any) -> str:
    return cell(" ".join(str(v) for v in value) if isinstance(value, list) else value)
