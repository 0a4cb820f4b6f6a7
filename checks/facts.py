"""The facts of a verdict (contract, "facts"): what was read of a submission, as plain JSON values."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TypeVar

from checks.reading import Reading
from checks.submission.model import Run

T = TypeVar("T")


def facts(reading: Reading) -> dict[str, Any]:
    """Return the facts of the contract as plain JSON values."""
    submission = reading.submission
    claims = submission.claims
    script = submission.files.get(submission.script or "")
    counts = [r.model_params for r in submission.runs if r.model_params is not None]
    return {
        "claimed_val_bpb": claims.val_bpb if claims.val_bpb is not None else claims.title_val_bpb,
        "code_bytes": script.size if script is not None and script.kind == "file" else None,
        "model_params": max(set(counts), key=counts.count) if counts else None,
        "runs": [_run_facts(run) for run in submission.runs],
        "configuration": {
            name: {"value": s.value, "from": s.from_, **({"default": s.default} if s.default is not None else {})}
            for name, s in submission.configuration.items()
        },
        "claims": {
            "name": claims.name,
            "author": claims.author,
            "seeds": list(claims.seeds),
            "bytes_total": claims.bytes_total,
            "from": dict(claims.from_),
        },
        "command": submission.commands[0].text if submission.commands else None,
        "script_why": reading.script_why,
        "scripts": list(submission.scripts),
        "notes": list(submission.notes),
        "not_understood": list(reading.program.not_understood),
    }


_NOT_FACTS = frozenset(("settings", "scores", "curve", "ttt_curve", "lines", "notes", "details"))
_RUN_FACTS = tuple(f.name for f in fields(Run) if f.name not in _NOT_FACTS)
MAX_ROWS = 2_000


def _run_facts(run: Run) -> dict[str, Any]:
    scores = [{"label": s.label, "line": s.line, "val_bpb": s.val_bpb, "step": s.step} for s in _thin(run.scores)]
    return {
        **{name: getattr(run, name) for name in _RUN_FACTS},
        "lines": dict(run.lines),
        "scores": scores,
        "curve": _thin(run.curve),
        "ttt_curve": _thin(run.ttt_curve),
        "notes": list(run.notes),
    }


def _thin(rows: tuple[T, ...]) -> list[T]:
    """Keep at most ``MAX_ROWS`` rows, evenly spread, the last one included."""
    if len(rows) <= MAX_ROWS:
        return list(rows)
    step = len(rows) / (MAX_ROWS - 1)
    return [rows[int(i * step)] for i in range(MAX_ROWS - 1)] + [rows[-1]]
