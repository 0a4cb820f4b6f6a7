"""What all judges share: the case, where evidence points, and which seeds count."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from checks.rulebook import Rulebook
from checks.submission.model import Submission
from checks.verdict import Evidence
from harness.reproduce.plan import Plan
from harness.reproduce.record import SeedRecord


@dataclass(frozen=True)
class Reproduction:
    """All that judging needs.

    ``weaker`` lists what the machine cannot prove; ``submission`` carries claims and own
    logs; ``created`` is when its pull request was opened, ``gpu`` the name of the GPUs.
    """

    plan: Plan
    records: tuple[SeedRecord, ...]
    submission: Submission
    rulebook: Rulebook
    weaker: tuple[str, ...] = ()
    record_bpb: float | None = None
    created: dt.datetime | None = None
    gpu: str | None = None

    def circumstances(self) -> dict[str, Any]:
        """Return what judging needs besides plan, records and submission, as JSON values."""
        created = self.created.isoformat() if self.created else None
        return {"weaker": list(self.weaker), "record_bpb": self.record_bpb, "created": created, "gpu": self.gpu}

    @property
    def times_bind(self) -> bool:
        """Whether the clocks of this run can be held against the rules' caps."""
        return (
            not self.plan.rehearsal and self.plan.gpus == int(self.rulebook.constants["world_size"]) and not self.weaker
        )

    @property
    def finished(self) -> tuple[SeedRecord, ...]:
        """The seeds that ran to their end with exit status 0."""
        return tuple(record for record in self.records if record.end.status == 0)

    def measured(self) -> dict[int, float]:
        """Return seed -> val_bpb of the seeds whose score is backed by training and an artifact that was read back."""
        return {r.seed: score for r in self.finished if (score := score_of(r)) is not None}


def score_of(record: SeedRecord) -> float | None:
    """Return the score that the harness stands behind.

    The replay's, else the printed one where the file events back it.
    """
    if record.artifact is None or not record.train_reads:
        return None
    if record.replay is not None and record.replay.end.status == 0:
        return record.replay.val_bpb
    if record.artifact.read_back is None and not record.end.events_lost:
        return None
    return record.printed.val_bpb if record.printed else None


def at_line(record: SeedRecord, line: int, what: str, log: str = "output.log") -> Evidence:
    """Point at a line of a seed's captured log."""
    return Evidence(f"seeds/{record.seed}/{log}", line, what=what)


def in_record(record: SeedRecord, what: str) -> Evidence:
    """Point at a seed's record: what the harness itself saw."""
    return Evidence(f"seeds/{record.seed}/record.json", what=what)


def of_plan(what: str) -> Evidence:
    """Point at the plan."""
    return Evidence("plan.json", what=what)


def seeds_text(records: Sequence[SeedRecord]) -> str:
    """Return "seed 42" or "seeds 42, 1337"."""
    return f"seed{'s' * (len(records) != 1)} " + ", ".join(str(record.seed) for record in records)
