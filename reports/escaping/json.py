"""Escapes for JSON: any terminal, log viewer or strict parser may read the result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False).encode


def dumps(document: Any) -> str:
    """Return the document as ASCII-only JSON: controls escaped, lone surrogates spelt out, no NaN or infinity.

    Objects are indented; arrays that hold no object (the points of a curve) stay on one line, which a reader and a
    differ prefer, and which the C encoder writes ten times faster.
    """
    parts: list[str] = []
    _write(_clean(document), "\n", parts)
    # json leaves DEL alone, which terminals may act upon; it can only stand inside a string.
    return "".join(parts).replace("\x7f", "\\u007f") + "\n"


def _write(value: Any, margin: str, parts: list[str]) -> None:
    inner = margin + "  "
    if isinstance(value, dict) and value:
        for i, (key, item) in enumerate(value.items()):
            parts.append(f"{',' if i else '{'}{inner}{_encode(key)}: ")
            _write(item, inner, parts)
        parts.append(f"{margin}}}")
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        for i, item in enumerate(value):
            parts.append(f"{',' if i else '['}{inner}")
            _write(item, inner, parts)
        parts.append(f"{margin}]")
    else:
        parts.append(_encode(value))


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_clean(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    return value
