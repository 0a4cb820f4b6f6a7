"""``pgolf reproduce --verify BUNDLE``.

Does every byte of a bundle still stand, and does its verdict follow from its records?
"""

from __future__ import annotations

import datetime as dt
import json
import string
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from checks import rulebook
from checks.submission.logs import read_log
from harness.reproduce import bundle
from harness.reproduce.digest import sha256
from harness.reproduce.judging.facts import Reproduction
from harness.reproduce.judging.verdict import findings
from harness.reproduce.plan import plan_from_json
from harness.reproduce.record import SeedRecord, record_from_json
from harness.reproduce.subject import read_staged

_SHOWN = 5
_HEX = set(string.hexdigits)


def verify(folder: Path) -> tuple[list[str], str]:
    """Return (what is wrong, the Statement's sha256); nothing wrong means that every byte checks.

    Raises:
        ValueError: this is no bundle, or its manifest or Statement cannot be read.
    """
    manifest = bundle.read_json(folder / bundle.MANIFEST)
    if manifest.get("schema") != bundle.SCHEMA:
        raise ValueError(f"not a {bundle.SCHEMA} manifest")
    files = _checked_files(manifest)
    wrong = []
    present = set(bundle.bundle_files(folder))
    wrong += [f"{name!r} is missing" for name in sorted(set(files) - present)]
    wrong += [f"{name!r} is not in the manifest" for name in sorted(present - set(files))]
    for name in sorted(present & set(files)):
        wrong += _compare(folder / name, name, files[name])
    stated = bundle.read_json(folder / bundle.STATEMENT)
    predicate = stated.get("predicate")
    verdict = str(predicate.get("verdict")) if isinstance(predicate, dict) else ""
    try:
        expected: Any = bundle.statement(folder, manifest, verdict)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{bundle.MANIFEST} is incomplete: {error}") from error
    if stated != expected:
        wrong.append(
            f"{bundle.STATEMENT!r} does not follow from {bundle.MANIFEST!r}: {_first_difference(stated, expected)}"
        )
    if not wrong:
        wrong += _rejudge(folder, verdict)
    return wrong, sha256(folder / bundle.STATEMENT)


def _checked_files(manifest: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise ValueError("the manifest lists no files")
    for name, entry in files.items():
        parts = Path(name).parts
        if Path(name).is_absolute() or ".." in parts or not isinstance(entry, dict):
            raise ValueError(f"the manifest names {name!r}")
        if not {"bytes", "sha256", "blocks"} <= set(entry) or not set(str(entry["sha256"])) <= _HEX:
            raise ValueError(f"the manifest's entry of {name!r} is incomplete")
    return files


def _compare(path: Path, name: str, entry: Mapping[str, Any]) -> list[str]:
    found = bundle.describe(path)
    if found["sha256"] == entry["sha256"] and found["bytes"] == entry["bytes"]:
        return []
    then, now = list(entry["blocks"]), found["blocks"]
    changed = [i for i, (a, b) in enumerate(zip(then, now, strict=False)) if a != b]
    places = ", ".join(
        f"bytes {i * bundle.BLOCK}-{min((i + 1) * bundle.BLOCK, found['bytes']) - 1}" for i in changed[:_SHOWN]
    )
    if found["bytes"] != entry["bytes"]:
        places = "; ".join(filter(None, (f"{found['bytes']} bytes instead of {entry['bytes']}", places)))
    return [f"{name!r} changed: {places or 'its digest'}"]


def _rejudge(folder: Path, verdict: str) -> list[str]:
    """Judge the bundle's records again, with the rulebook of this installation, and read its logs again."""
    document = bundle.read_json(folder / "verdict.json")
    if document.get("verdict") != verdict:
        return [f"the Statement says {verdict!r}, verdict.json {document.get('verdict')!r}"]
    case = bundle.read_json(folder / "case.json")
    rules = rulebook.load()
    if document.get("rulebook", {}).get("version") != rules.version:
        return []
    plan = plan_from_json(bundle.read_json(folder / "plan.json"))
    records = []
    for seed in plan.seeds:
        path = folder / "seeds" / str(seed) / "record.json"
        record = record_from_json(bundle.read_json(path))
        if wrong := _same_artifact(path.parent, record) or _same_score(path.parent, record):
            return [wrong]
        records.append(record)
    reproduction = Reproduction(
        plan,
        tuple(records),
        read_staged(folder / "submission", plan.target),
        rules,
        tuple(case["weaker"]),
        case["record_bpb"],
        dt.datetime.fromisoformat(case["created"]) if case["created"] else None,
        case["gpu"],
    )
    now = [(f.rule, f.status.value, f.summary) for f in findings(reproduction)]
    then = [(f["rule"], f["status"], f["summary"]) for f in document["submissions"][0]["findings"]]
    if now == then:
        return []
    rule = next((a[0] for a, b in zip(now, then, strict=False) if a != b), "number of findings")
    return [f"verdict.json does not follow from the records: {rule} comes out otherwise"]


def _same_artifact(folder: Path, record: SeedRecord) -> str:
    if record.artifact is None:
        return ""
    path = folder / "artifact" / Path(record.artifact.path).name
    if not path.is_file() or sha256(path) != record.artifact.sha256:
        return f"seed {record.seed}: the artifact is not the one that was weighed"
    return ""


def _same_score(folder: Path, record: SeedRecord) -> str:
    runs = read_log("output.log", (folder / "output.log").read_bytes(), {})
    again = runs[-1].val_bpb if runs else None
    if again != (record.printed.val_bpb if record.printed else None):
        return f"seed {record.seed}: the log says {again}, the record something else"
    return ""


def _first_difference(one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    for key in sorted(set(one) | set(other)):
        if one.get(key) != other.get(key):
            return f"{key} differs ({json.dumps(one.get(key))[:80]})"
    return "it differs"
