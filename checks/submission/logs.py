"""Training logs: which files are logs, and one log -> its runs.

Linear in the log's size, bounded in lines and line length; what was not read is said in ``Run.notes``.
Keys of ``Run.settings`` are upper case, whatever the log's spelling.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from checks.submission.log_json import json_lines
from checks.submission.log_lines import clean
from checks.submission.log_run import RunBuilder
from checks.submission.log_source import EmbeddedSource, find_sources, matching_script
from checks.submission.model import Run
from checks.submission.source_difference import difference

MAX_LINES = 1_000_000
MAX_RUNS = 200

_LOG_NAME = re.compile(r"(?:\.log|\.out|\.stdout|\.stderr|\.jsonl|\.ndjson)(?:\.txt)?$", re.IGNORECASE)
_TEXT_NAME = re.compile(r"\.(?:txt|text)$", re.IGNORECASE)
_NO_LOG = re.compile(
    r"(?:requirements|readme|license|notes|summary_table|vocab|merges|pip[_-]?freeze)[^/]*$", re.IGNORECASE
)
_SPEAKS = re.compile(
    rb"val_bpb|val_loss|train_loss|train_time|warmup_step"
    rb"|Serialized model|Total submission size|train_shards|world_size"
    rb"|Hyperparameters:|torch/distributed|nvidia-smi|NVIDIA-SMI|\bstep[:= ]\d|(?mi:^\[step \d.{0,80}\bloss[:=])"
)
_HEADER = re.compile(
    r"(?:Hyperparameters:|Running Python \d|val_bpb:enabled|world_size:\s?\d|(?:random )?seed:\s?\d+$|run_id:"
    r"|=+ ?\[?(?:run|seed)\b.{0,60}\d|logs/\S+\.txt$)",
    re.IGNORECASE,
)


def is_log(path: str, head: bytes) -> bool:
    """Whether a file of a record folder is a training or evaluation log, by its name and its first bytes."""
    name = path.rsplit("/", 1)[-1].strip().strip('"')
    if (b"\0" in head[:4096] and not head.startswith((b"\xff\xfe", b"\xfe\xff"))) or _NO_LOG.match(name):
        return False
    if _LOG_NAME.search(name):
        return True
    if _TEXT_NAME.search(name) or "." not in name:
        named = (
            re.search(r"log|train|seed|run|eval|out", name, re.IGNORECASE) is not None or "/log" in f"/{path.lower()}"
        )
        return _SPEAKS.search(head) is not None and (named or _TEXT_NAME.search(name) is not None)
    return False


def read_log(path: str, data: bytes, scripts: Mapping[str, bytes]) -> tuple[Run, ...]:
    """Read one log into its runs, in order.

    Args:
        path: the log's path, as evidence will name it.
        data: its content, already cut to a bound by the caller.
        scripts: path -> bytes of the submission's scripts, to compare the embedded source with.
    """
    notes: list[str] = []
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
        notes.append("UTF-16 log")
    sources = find_sources(data)
    builders = _split(path, data, sources, notes)
    runs = []
    for builder in builders:
        if builder.is_run:
            runs.append(_with_source(builder.build(), builder.source, scripts))
    runs = distinct_runs(runs)
    return tuple(replace(run, index=i, notes=run.notes + tuple(notes)) for i, run in enumerate(runs))


def distinct_runs(runs: Sequence[Run]) -> list[Run]:
    """Drop repeats of the same run (console and log file pasted together, a log copied under a second name).

    Two runs are one when seed, final score, training time, steps and size all agree; the one with a source is kept.
    """
    kept: dict[tuple[object, ...], Run] = {}
    for run in runs:
        last = run.scores[-1].val_bpb if run.scores else None
        key: tuple[object, ...] = (run.seed, run.val_bpb, last, run.train_seconds, run.steps, run.artifact_bytes)
        if key.count(None) >= 4:
            key = (*key, run.log, run.first_line)
        first = kept.get(key)
        if first is None:
            kept[key] = run
            continue
        better, other = (run, first) if first.source_bytes is None and run.source_bytes is not None else (first, run)
        note = f"printed again in {other.log}, lines {other.first_line} to {other.last_line}"
        kept[key] = replace(better, notes=(*better.notes, note))
    return list(kept.values())


def _split(path: str, data: bytes, sources: tuple[EmbeddedSource, ...], notes: list[str]) -> list[RunBuilder]:
    builders = [RunBuilder(path, 1)]
    for number, raw, source in _lines(data, sources):
        current = builders[-1]
        if number > MAX_LINES:
            notes.append(f"only the first {MAX_LINES} lines were read")
            break
        if source is not None:
            if current.has_body or current.source is not None:
                builders.append(current := RunBuilder(path, source.first_line))
            current.source = source
            current.last_line = source.last_line
            continue
        line = clean(raw)
        if not line:
            continue
        if current.has_body and _HEADER.match(line) and not line.startswith(" "):
            if len(builders) >= MAX_RUNS:
                notes.append(f"only the first {MAX_RUNS} runs were read")
                break
            builders.append(current := RunBuilder(path, number))
        if line.startswith("{") or "_json" in line.lower()[:40]:
            line = json_lines(line)
        current.feed(number, line)
    return builders


def _lines(data: bytes, sources: tuple[EmbeddedSource, ...]) -> Iterator[tuple[int, bytes, EmbeddedSource | None]]:
    """Yield (line number, line, None), and each embedded source once in place of its lines."""
    at, number = 0, 1
    for source in sources:
        for raw in io.BytesIO(data[at : source.start]):
            yield number, raw, None
            number += 1
        yield number, b"", source
        at, number = source.end, source.last_line + 1
    for raw in io.BytesIO(data[at:]):
        yield number, raw, None
        number += 1


def _with_source(run: Run, source: EmbeddedSource | None, scripts: Mapping[str, bytes]) -> Run:
    if source is None:
        return run
    script = matching_script(source, scripts)
    details = {
        **run.details,
        "source_lines": (source.first_line, source.last_line),
        "source_sha256": hashlib.sha256(source.text).hexdigest(),
        "source_script": script,
    }
    if script is None and (nearest := difference(source, scripts)):
        details["source_difference"] = nearest.to_detail()
    matches = None if not scripts else script is not None
    return replace(run, source_matches=matches, details=details, lines={**run.lines, "source_bytes": source.first_line})
