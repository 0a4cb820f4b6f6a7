"""The evidence bundle: one folder whose every byte is accounted for in ``manifest.json`` and an in-toto Statement.

The manifest holds the sha256 of every file and of each of its 64 KiB blocks, so that a changed byte can be placed;
the Statement (in-toto v1) has the files as subjects and manifest digest, tool, plan and verdict as predicate. It is
unsigned: its digest, which is printed, is what to publish or to hand to ``actions/attest``.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from checks.verdict import Verdict
from harness.reproduce.digest import sha256
from harness.reproduce.plan import Plan
from harness.reproduce.record import SeedRecord, write_json

MANIFEST = "manifest.json"
STATEMENT = "statement.json"
SCHEMA = "pgolf.bundle/1"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://github.com/parameter-golf-harness/reproduction/v1"
BLOCK = 1 << 16
PRIVATE = "state"
"""The part of the output folder that is no evidence: views of the data, the staged code, job scripts."""


def write_bundle(
    folder: Path,
    plan: Plan,
    machine: Mapping[str, Any],
    records: tuple[SeedRecord, ...],
    verdict: Verdict,
    inputs: Mapping[str, str],
    tool_version: str,
) -> str:
    """Write manifest and Statement over everything in ``folder``; return the Statement's sha256.

    Args:
        folder: the output folder; plan, seeds, submission and reports are already in it.
        plan: what was run.
        machine: what it was run on.
        records: the seeds.
        verdict: the verdict.
        inputs: digests of inputs that are not in the bundle (the data): name -> sha256.
        tool_version: our own version.
    """
    manifest = {
        "schema": SCHEMA,
        "tool": {"name": "pgolf", "version": tool_version},
        "created": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "plan": plan.digest,
        "command": list(plan.command()),
        "environment": dict(plan.environment),
        "machine": dict(machine),
        "clocks": {str(r.seed): {"started": r.started, "wall_seconds": r.end.wall_seconds} for r in records},
        "inputs": dict(inputs),
        "files": {name: describe(folder / name) for name in bundle_files(folder)},
    }
    write_json(folder / MANIFEST, manifest)
    write_json(folder / STATEMENT, statement(folder, manifest, verdict.verdict.value))
    return sha256(folder / STATEMENT)


def bundle_files(folder: Path) -> Iterator[str]:
    """Yield the relative paths of everything that is evidence, sorted; links count as what they are not: evidence."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink() or not path.is_file() or name in (MANIFEST, STATEMENT) or name.startswith(f"{PRIVATE}/"):
            continue
        yield name


def describe(path: Path) -> dict[str, Any]:
    """Return size, sha256 and the first 16 hex digits of the sha256 of each 64 KiB block."""
    whole, blocks, size = hashlib.sha256(), [], 0
    with path.open("rb") as file:
        while data := file.read(BLOCK):
            whole.update(data)
            blocks.append(hashlib.sha256(data).hexdigest()[:16])
            size += len(data)
    return {"bytes": size, "sha256": whole.hexdigest(), "blocks": blocks}


def statement(folder: Path, manifest: Mapping[str, Any], verdict: str) -> dict[str, Any]:
    """Return the in-toto Statement that follows from a manifest."""
    subjects = [{"name": name, "digest": {"sha256": entry["sha256"]}} for name, entry in manifest["files"].items()]
    return {
        "_type": STATEMENT_TYPE,
        "subject": subjects,
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "manifest": {"name": MANIFEST, "digest": {"sha256": sha256(folder / MANIFEST)}},
            "tool": manifest["tool"],
            "plan": manifest["plan"],
            "inputs": [{"name": n, "digest": {"sha256": d}} for n, d in manifest["inputs"].items()],
            "created": manifest["created"],
            "verdict": verdict,
        },
    }


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of at most 64 MiB.

    Raises:
        ValueError: it cannot be read or is no object.
    """
    try:
        if path.stat().st_size > 64 << 20:
            raise ValueError(f"{path.name} is too large to be ours")
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return data
