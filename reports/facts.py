"""Reads the facts of a submission's verdict into types.

Facts are plain JSON that may come from a stored, hostile document: whatever has not the type that the contract
promises is treated as absent. Strings are still unescaped here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.verdict import Finding, SubmissionVerdict

Points = tuple[tuple[float, float], ...]
_MAX_RUNS = 200
_MAX_POINTS = 20_000


@dataclass(frozen=True)
class RunFacts:
    """One run as a log tells it: times in seconds, sizes in bytes.

    ``curve`` holds (step, training loss), ``val_curve`` (step, val_bpb), ``ttt_curve`` (chunk, running val_bpb). They
    are read when asked for, because most reports draw nothing.
    """

    log: str
    index: int
    seed: int | None
    val_bpb: float | None
    val_loss: float | None
    train_seconds: float | None
    eval_seconds: float | None
    artifact_bytes: int | None
    code_bytes: int | None
    model_bytes: int | None
    steps: int | None
    world_size: int | None
    gpu: str
    complete: bool
    reason: str
    val_bpb_line: int
    raw: Mapping[str, Any] = field(repr=False)

    @functools.cached_property
    def curve(self) -> Points:
        """Training loss over steps."""
        return _points(self.raw.get("curve"))

    @functools.cached_property
    def val_curve(self) -> Points:
        """Validation scores over steps."""
        return _scores(self.raw.get("scores"))

    @functools.cached_property
    def ttt_curve(self) -> Points:
        """Running score over chunks."""
        return _points(self.raw.get("ttt_curve"))

    @property
    def label(self) -> str:
        """Short name of the run for a legend."""
        seed = f"seed {self.seed}" if self.seed is not None else "seed unknown"
        return f"{seed} · {self.log.rsplit('/', 1)[-1]}" + (f" · run {self.index + 1}" if self.index else "")


def short_names(runs: Sequence[RunFacts]) -> list[str]:
    """Return a short name for each run: its seed, or its log, numbered where that is not unique."""
    names = [f"seed {r.seed}" if r.seed is not None else r.log.rsplit("/", 1)[-1] for r in runs]
    cut = [name if len(name) <= 12 else name[:11] + "…" for name in names]
    return [f"{name} #{cut[: i + 1].count(name)}" if cut.count(name) > 1 else name for i, name in enumerate(cut)]


@dataclass(frozen=True)
class SettingFacts:
    """One value of the effective configuration and where it came from."""

    name: str
    value: str
    source: str


@dataclass(frozen=True)
class RecordFacts:
    """The record in force and how the runs that count compare with it (BPB, one-sided p); absent numbers are None."""

    val_bpb: float | None = None
    pr: int | None = None
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    p_lower: float | None = None
    p_margin: float | None = None
    target: float | None = None


@dataclass(frozen=True)
class SubmissionFacts:
    """Everything that reports show of one submission beside its findings."""

    claimed_val_bpb: float | None
    code_bytes: int | None
    model_params: int | None
    runs: tuple[RunFacts, ...]
    configuration: tuple[SettingFacts, ...]
    record: RecordFacts

    @property
    def complete_runs(self) -> tuple[RunFacts, ...]:
        """The runs that reached their final score."""
        return tuple(run for run in self.runs if run.complete)


def read(submission: SubmissionVerdict) -> SubmissionFacts:
    """Return the facts with their types checked."""
    facts = submission.facts
    runs = facts.get("runs")
    configuration = facts.get("configuration")
    return SubmissionFacts(
        claimed_val_bpb=number(facts.get("claimed_val_bpb")),
        code_bytes=whole(facts.get("code_bytes")),
        model_params=whole(facts.get("model_params")),
        runs=tuple(_run(r) for r in runs[:_MAX_RUNS] if isinstance(r, Mapping)) if isinstance(runs, list) else (),
        configuration=tuple(_settings(configuration)) if isinstance(configuration, Mapping) else (),
        record=_record(submission.findings),
    )


def number(value: object) -> float | None:
    """Return a finite number, or None for anything else (booleans included)."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        result = float(value)
    except OverflowError:
        return None
    return result if math.isfinite(result) and abs(result) < 1e18 else None


def whole(value: object) -> int | None:
    """Return an integer of sensible size, or None for anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18 else None


def _run(run: Mapping[str, Any]) -> RunFacts:
    lines = run.get("lines")
    return RunFacts(
        log=_string(run.get("log")),
        index=whole(run.get("index")) or 0,
        seed=whole(run.get("seed")),
        val_bpb=number(run.get("val_bpb")),
        val_loss=number(run.get("val_loss")),
        train_seconds=number(run.get("train_seconds")),
        eval_seconds=number(run.get("eval_seconds")),
        artifact_bytes=whole(run.get("artifact_bytes")),
        code_bytes=whole(run.get("code_bytes")),
        model_bytes=whole(run.get("model_bytes")),
        steps=whole(run.get("steps")),
        world_size=whole(run.get("world_size")),
        gpu=_string(run.get("gpu")),
        complete=run.get("complete") is True,
        reason=_string(run.get("reason")),
        val_bpb_line=(whole(lines.get("val_bpb")) or 0) if isinstance(lines, Mapping) else 0,
        raw=run,
    )


def _points(rows: object) -> Points:
    """First two columns of the rows that are numbers."""
    if not isinstance(rows, list):
        return ()
    pairs = (
        (number(row[0]), number(row[1]))
        for row in rows[:_MAX_POINTS]
        if isinstance(row, (list, tuple)) and len(row) >= 2
    )
    return _sorted(pairs)


def _scores(scores: object) -> Points:
    """Validation scores taken at a step during training: (step, val_bpb)."""
    if not isinstance(scores, list):
        return ()
    return _sorted(
        (number(s.get("step")), number(s.get("val_bpb"))) for s in scores[:_MAX_POINTS] if isinstance(s, Mapping)
    )


def _sorted(pairs: Iterable[tuple[float | None, float | None]]) -> Points:
    return tuple(sorted((x, y) for x, y in pairs if x is not None and y is not None))


def _settings(configuration: Mapping[str, Any]) -> Iterable[SettingFacts]:
    for name, setting in list(configuration.items())[:1_000]:
        if isinstance(setting, Mapping):
            yield SettingFacts(
                str(name), _string(setting.get("value")), _string(setting.get("from", setting.get("from_")))
            )


def _record(findings: Iterable[Finding]) -> RecordFacts:
    values = next((f.numbers for f in findings if f.rule == "significance"), {})
    pr = number(values.get("record_pr"))
    return RecordFacts(
        val_bpb=number(values.get("record_bpb")),
        pr=int(pr) if pr is not None else None,
        mean=number(values.get("mean_bpb")),
        low=number(values.get("mean_low")),
        high=number(values.get("mean_high")),
        p_lower=number(values.get("p_lower")),
        p_margin=number(values.get("p_margin")),
        target=number(values.get("target_bpb")),
    )


def _string(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)[:1_000]
