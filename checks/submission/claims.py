"""What the author claims: submission.json, the README and the title, read within bounds.

A broken, huge, deep or oddly typed submission.json yields ``json_error`` and whatever could still be read, never an
exception. Score keys come in many spellings (rulebook section 1); the first of ``_SCORE_KEYS`` with a number wins.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from checks.submission import no_claim, told_part
from checks.submission.model import Claims, SourceFile
from checks.submission.readme_claims import readme_scores, says_non_record, title_score

MAX_JSON = 1_000_000
MAX_README = 400_000
_MAX_DEPTH = 40

_SCORE_KEYS = (
    ("val_bpb",),
    ("mean_val_bpb",),
    ("val_bpb_mean",),
    ("mean_bpb",),
    ("bpb",),
    ("score",),
    ("final_val_bpb",),
    ("val_bpb_exact",),
    ("final_validation_bpb",),
    ("mean_sliding_bpb",),
    ("val_bpb_quantized",),
    ("best_val_bpb",),
    ("results", "val_bpb"),
    ("results", "mean_val_bpb"),
    ("metrics", "val_bpb"),
    ("result", "val_bpb"),
)
_MEAN_KEY = re.compile(r"val_bpb_(?:\d_?seeds?_)?mean(?:_\d_?seeds?)?", re.IGNORECASE)
_OTHERS_KEY = re.compile(
    r"smoke|baseline|parent|previous|\bprior|sota|target|expected|project|predict|comparison|retract|invalid",
    re.IGNORECASE,
)
_MAX_NODES = 2_000
_LOSS_KEYS = ("val_loss", "mean_val_loss", "val_loss_mean", "val_loss_nats")
_BYTES_KEYS = (
    "bytes_total",
    "artifact_bytes",
    "total_bytes",
    "artifact_bytes_max",
    "artifact_size_bytes",
    "submission_size_bytes",
    "total_artifact_bytes",
    "compressed_size_bytes",
)
_CODE_KEYS = ("bytes_code", "code_bytes")
_SEED_KEYS = ("seed_results", "seeds", "per_seed", "val_bpb_seeds", "val_bpb_per_seed", "seed_scores", "results")
_NUMBER = re.compile(r"\s*~?\s*(\d{1,3}(?:\.\d{1,12})?)\s*(?:\(|±|\+/-|bpb|$)", re.IGNORECASE)
_LABEL = re.compile(r"[a-z0-9]{2,20}(?:_[a-z0-9]{1,20}){2,8}")
_SEED_NAME = re.compile(r"(?:seed[_ -]?)?(\d{1,9})$", re.IGNORECASE)


def read_claims(files: Mapping[str, SourceFile], title: str | None, folder: str) -> Claims:
    """Read what the author claims.

    Args:
        files: the folder's files by path relative to it.
        title: the pull request's title, if known.
        folder: the record folder's path, whose track counts as the author's word.
    """
    json_file = _named(files, "submission.json", r"submission.*\.json$")
    readme = _named(files, "readme.md", r"readme(?:\.\w+)?$")
    from_: dict[str, str] = {}
    data, text, error = _load(json_file) if json_file else ({}, "", "")
    path = json_file[0] if json_file else ""
    where = _Where(path, text, from_)
    facts = _json_facts(data, where)
    readme_text = _text(readme[1], MAX_README) if readme else ""
    taken_back = no_claim.withdrawn(data) if facts["val_bpb"] is None else ""
    left_open = no_claim.said_open(data, [keys[0] for keys in _SCORE_KEYS])
    silent = taken_back or (facts["val_bpb"] is None and left_open and no_claim.headline_open(readme_text))
    scores = () if silent else readme_scores(readme_text, _not_own(data))
    for i, (_, line) in enumerate(scores):
        from_[f"readme_val_bpb.{i}"] = f"{readme[0]}:{line}" if readme else ""
    titled = None if taken_back else title_score(title or "")
    bpb = facts.pop("val_bpb", None)
    if bpb is None and scores and readme:
        bpb, from_["val_bpb"] = scores[0][0], f"{readme[0]}:{scores[0][1]}"
    elif bpb is None and titled is not None:
        bpb, from_["val_bpb"] = titled, "title"
    unclaimed = ""
    if bpb is None and (key := taken_back or left_open):
        unclaimed = f"{path}:{no_claim.line_of(text, key)}"
    elif bpb is None and readme and (line := no_claim.pending(readme_text) or no_claim.aside(readme_text, json_file)):
        unclaimed = f"{readme[0]}:{line}"
    parts = told_part.of_json(data, text, path, bpb)
    if readme:
        parts += told_part.of_readme(readme_text, readme[0], bpb)
    track = facts["track"]
    words = (track or "", str(data.get("submission_type", "")), str(data.get("status", "")), str(data.get("type", "")))
    non_record = (
        "track_non_record" in folder
        or data.get("non_record") is True
        or data.get("record_claim") is False
        or any(
            says_non_record(word) for word in (*words, facts["name"], title or "", *readme_text.split("\n", 12)[:12])
        )
    )
    return Claims(
        val_bpb=bpb,
        readme_val_bpb=tuple(value for value, _ in scores),
        title_val_bpb=titled,
        json_error=error,
        json_keys=tuple(str(key)[:80] for key in list(data)[:200]),
        from_=from_,
        json_path=path,
        readme_path=readme[0] if readme else "",
        non_record=non_record,
        unclaimed=unclaimed,
        withdrawn=bool(taken_back),
        told_parts=parts,
        stated_labels=tuple(v for v in list(data.values())[:200] if isinstance(v, str) and _LABEL.fullmatch(v[:81])),
        **facts,
    )


class _Where:
    """Notes for each fact the line of its key in the JSON text."""

    def __init__(self, path: str, text: str, from_: dict[str, str]) -> None:
        self.path, self.text, self.from_ = path, text, from_

    def note(self, fact: str, key: str) -> None:
        self.from_[fact] = f"{self.path}:{no_claim.line_of(self.text, key)}"


def _json_facts(data: Mapping[str, Any], where: _Where) -> dict[str, Any]:
    scores = _seed_scores(data)
    facts: dict[str, Any] = {
        "val_bpb": _first_score(data, where),
        "val_loss": _first(data, _LOSS_KEYS, _real, "val_loss", where),
        "bytes_total": _first(data, _BYTES_KEYS, _whole, "bytes_total", where),
        "bytes_code": _first(data, _CODE_KEYS, _whole, "bytes_code", where),
        "seeds": _seeds(data, scores),
        "seed_scores": scores,
        "track": _string(data.get("track")) or None,
        "name": _string(data.get("name")) or _string(data.get("title")),
        "author": _string(data.get("author")),
        "github_id": _string(data.get("github_id")) or _string(data.get("github")),
        "hardware": _string(data.get("hardware")) or _string(data.get("gpu")),
        "date": _string(data.get("date")),
    }
    if facts["val_bpb"] is None and len(scores) > 0:
        facts["val_bpb"] = sum(scores.values()) / len(scores)
        where.note("val_bpb", next((k for k in _SEED_KEYS if k in data), ""))
    for fact in ("track", "name", "seeds"):
        if facts[fact]:
            key = fact if fact in data else next((k for k in _SEED_KEYS if k in data), fact)
            where.note(fact, key)
    return facts


def _first_score(data: Mapping[str, Any], where: _Where) -> float | None:
    means = [(str(key),) for key in list(data)[:200] if _MEAN_KEY.fullmatch(str(key))]
    for keys in (*_SCORE_KEYS, *means):
        value: Any = data
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        if isinstance(value, dict):
            value = value.get("mean", value.get("mean_val_bpb"))
        score = _real(value)
        if score is not None and 0.0 < score < 100.0:
            where.note("val_bpb", keys[-1])
            return score
    return None


def _not_own(data: Mapping[str, Any]) -> frozenset[float]:
    """Numbers that submission.json names as a baseline's, a goal or a trial's, and nowhere as a score of its own."""
    others: set[float] = set()
    own: set[float] = set()
    pending: list[tuple[Any, bool]] = [(data, False)]
    for _ in range(_MAX_NODES):
        if not pending:
            break
        node, other = pending.pop()
        for key, value in list(node.items())[:200]:
            named = other or _OTHERS_KEY.search(str(key)[:80]) is not None
            if isinstance(value, dict):
                pending.append((value, named))
            elif isinstance(value, float):
                (others if named else own).add(value)
    return frozenset(others - own)


def _first(data: Mapping[str, Any], keys: tuple[str, ...], convert: Any, fact: str, where: _Where) -> Any:
    for key in keys:
        value = convert(data.get(key))
        if value is not None:
            where.note(fact, key)
            return value
    return None


def _seed_scores(data: Mapping[str, Any]) -> dict[int, float]:
    """Per-seed scores: ``{"42": 1.1}``, ``{"42": {"val_bpb": 1.1}}``, ``[{"seed": 42, …}]`` or ``seed_42: {…}``."""
    found: dict[int, float] = {}
    sources: list[Any] = [data.get(key) for key in _SEED_KEYS]
    sources.append({k: v for k, v in data.items() if str(k).lower().startswith("seed_") and isinstance(v, dict)})
    for source in sources:
        for seed, value in _seed_items(source):
            score = (
                _real(value.get("val_bpb", value.get("bpb", value.get("final_bpb"))))
                if isinstance(value, dict)
                else _real(value)
            )
            if score is not None and 0.0 < score < 100.0 and len(found) < 100:
                found.setdefault(seed, score)
    return found


def _seed_items(source: Any) -> Iterator[tuple[int, Any]]:
    if isinstance(source, dict):
        for key, value in source.items():
            match = _SEED_NAME.match(str(key)[:40])
            if match:
                yield int(match[1]), value
    elif isinstance(source, list):
        for value in source[:200]:
            seed = _whole(value.get("seed")) if isinstance(value, dict) else None
            if seed is not None:
                yield seed, value


def _seeds(data: Mapping[str, Any], scores: Mapping[int, float]) -> tuple[int, ...]:
    listed = data.get("seeds")
    if isinstance(listed, list):
        plain = [s for s in (_whole(v) for v in listed[:100]) if s is not None]
        if plain:
            return tuple(dict.fromkeys(plain))
    named = [seed for seed, _ in _seed_items(listed)] or [s for s, _ in _seed_items(data.get("seed_results"))]
    if named or scores:
        return tuple(dict.fromkeys([*named, *scores]))
    single = _whole(data.get("seed"))
    return () if single is None else (single,)


def _load(found: tuple[str, SourceFile]) -> tuple[dict[str, Any], str, str]:
    path, file = found
    if file.kind != "file":
        return {}, "", f"{path} is a {file.kind}, not a file"
    if file.size > MAX_JSON:
        return {}, "", f"{path} has {file.size} bytes, more than {MAX_JSON} are not read"
    raw = file.read(MAX_JSON + 1)
    text = raw.decode("utf-8-sig", "replace")
    constants: list[str] = []
    try:
        value = json.loads(text, parse_constant=lambda name: constants.append(name))
    except ValueError as error:
        return {}, text, f"{path} is no valid JSON: {error}"
    except RecursionError:
        return {}, text, f"{path} is nested too deeply to be read"
    if not isinstance(value, dict):
        return {}, text, f"{path} holds a {type(value).__name__}, not an object"
    problem = f"{path} holds {constants[0]}, which is no JSON number" if constants else ""
    if _too_deep(value):
        problem = f"{path} is nested more than {_MAX_DEPTH} levels"
    return value, text, problem


def _too_deep(value: Any) -> bool:
    level: list[Any] = [value]
    for _ in range(_MAX_DEPTH):
        level = [c for v in level if isinstance(v, (dict, list)) for c in (v.values() if isinstance(v, dict) else v)]
        if not level:
            return False
    return True


def _named(files: Mapping[str, SourceFile], exact: str, pattern: str) -> tuple[str, SourceFile] | None:
    """The shallowest file of that name (any case), else the shallowest that fits the pattern."""
    order = sorted(files, key=lambda path: (path.count("/"), path))
    for path in order:
        if path.rsplit("/", 1)[-1].lower() == exact:
            return path, files[path]
    fits = re.compile(pattern, re.IGNORECASE)
    for path in order:
        if "/" not in path and fits.match(path):
            return path, files[path]
    return None


def _text(file: SourceFile, limit: int) -> str:
    return file.read(limit).decode("utf-8", "replace") if file.kind == "file" else ""


def _real(value: Any) -> float | None:
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, str):
        match = _NUMBER.match(value[:40])
        return float(match[1]) if match else None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _whole(value: Any) -> int | None:
    if isinstance(value, str):
        digits = value[:30].replace(",", "").replace("_", "").strip()
        return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None
    number = _real(value)
    return int(number) if number is not None and number == int(number) and abs(number) < 1e18 else None


def _string(value: Any) -> str:
    return value.strip()[:300] if isinstance(value, str) else ""
