"""What is known of one seed after its run: plain data, written as ``record.json``; judging needs nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.reproduce.artifact import Artifact
from harness.reproduce.clocks import Clocks

SCHEMA = "pgolf.seed/1"
NAME = "record.json"


@dataclass(frozen=True)
class Printed:
    """What the submission printed of a run, as the log reader understands it: claims, to be compared."""

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
    val_tokens: int | None
    score_line: int
    size_line: int
    time_line: int


@dataclass(frozen=True)
class End:
    """How a phase ended. ``stopped`` names the limit at which the harness stopped it."""

    status: int | None
    stopped: str | None
    wall_seconds: float
    kill_seconds: float
    output_bytes: int
    peak_memory_bytes: int
    peak_disk_bytes: int
    events_lost: bool


@dataclass(frozen=True)
class Replay:
    """The second evaluation, in a fresh sandbox with code, artifact and validation data only."""

    end: End
    val_bpb: float | None
    seconds: float
    score_line: int


@dataclass(frozen=True)
class SeedRecord:
    """One finished seed. Reads are ``{shard: [first, last]}`` in seconds since the start."""

    seed: int
    plan: str
    started: str
    end: End
    clocks: Clocks
    printed: Printed | None
    artifact: Artifact | None
    script_bytes: int
    code_read: Mapping[str, int]
    train_reads: Mapping[str, tuple[float, float]]
    held_after_training: tuple[str, ...]
    hidden_reads: Mapping[str, int]
    exclusive_view: bool
    replay: Replay | None
    code_changed: tuple[str, ...]
    blame: str | None
    problem: str
    last_lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON values."""
        return {"schema": SCHEMA, **asdict(self)}


def record_from_json(data: Mapping[str, Any]) -> SeedRecord:
    """Rebuild a record.

    Raises:
        ValueError: the document is no record, or lacks a key.
    """
    if data.get("schema") != SCHEMA:
        raise ValueError(f"not a {SCHEMA} document")
    try:
        values = {k: data[k] for k in SeedRecord.__dataclass_fields__}
        replay = values["replay"]
        if replay is not None:
            replay = Replay(**{**replay, "end": End(**replay["end"])})
        artifact = values["artifact"]
        if artifact is not None:
            artifact = Artifact(**artifact)
        return SeedRecord(
            **{
                **values,
                "end": End(**values["end"]),
                "clocks": Clocks(**values["clocks"]),
                "printed": Printed(**values["printed"]) if values["printed"] else None,
                "artifact": artifact,
                "train_reads": {k: (float(a), float(b)) for k, (a, b) in values["train_reads"].items()},
                "held_after_training": tuple(values["held_after_training"]),
                "replay": replay,
                "code_changed": tuple(values["code_changed"]),
                "last_lines": tuple(values["last_lines"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"seed record is incomplete: {error}") from error


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write a JSON file so that it is either whole or absent."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    partial.replace(path)


def read_record(folder: Path, plan: str) -> SeedRecord | None:
    """Return the record of a finished seed, None when there is none of this plan."""
    try:
        record = record_from_json(json.loads((folder / NAME).read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None
    return record if record.plan == plan and record.end.stopped != "interrupted by the user" else None
