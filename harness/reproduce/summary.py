"""The table at the end: one row a seed, what was measured beside what was printed."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reproduce.judging.facts import score_of
from harness.reproduce.record import SeedRecord


def render_summary(records: Sequence[SeedRecord]) -> str:
    """Return the table, and a line for each run that failed with whose fault it was."""
    from tabulate import tabulate

    rows = [_row(record) for record in records]
    headers = ("seed", "val_bpb", "printed", "steps", "training s", "evaluation s", "artifact B", "wall s", "ended")
    lines = [tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True)]
    for record in records:
        if record.problem:
            lines.append(f"seed {record.seed}: {record.blame}'s fault: {record.problem}")
            lines += [f"  | {line}" for line in record.last_lines[-4:]]
    return "\n".join(lines)


def _row(record: SeedRecord) -> tuple[str, ...]:
    score, printed = score_of(record), record.printed.val_bpb if record.printed else None
    return (
        str(record.seed),
        f"{score:.5f}" if score is not None else "none",
        f"{printed:.5f}" if printed is not None else "none",
        str(record.clocks.steps or "-"),
        f"{record.clocks.training:.1f}",
        f"{record.clocks.evaluation:.1f}",
        f"{record.artifact.size:,}" if record.artifact else "none",
        f"{record.end.wall_seconds:.1f}",
        record.end.stopped or f"status {record.end.status}",
    )
