"""Logs written as JSON lines: one object a line is turned into the ``name:value`` line that the patterns read."""

from __future__ import annotations

import json

MAX_JSON = 16_384


def json_lines(line: str) -> str:
    """Return ``{"step": 5, "val_bpb": 1.2}`` as ``step:5 val_bpb:1.2``; a line that is no such object unchanged."""
    start = line.find("{")
    if start < 0 or len(line) > MAX_JSON:
        return line
    try:
        value = json.loads(line[start:])
    except (ValueError, RecursionError):
        return line
    if not isinstance(value, dict):
        return line
    label = line[:start].strip(" :=")
    names = sorted(value, key=lambda name: name != "step")
    fields = [f"{n}:{value[n]}" for n in names if isinstance(value[n], (str, int, float)) and len(str(n)) < 60]
    return " ".join([label, *fields]).strip()
