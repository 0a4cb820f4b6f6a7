"""Escapes for JSON: any terminal, log viewer or strict parser may read the result."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


def dumps(document: Any) -> str:
    """Return the document as ASCII-only JSON: controls escaped, lone surrogates spelt out, no NaN or infinity."""
    # json leaves DEL alone, which terminals may act upon; it can only stand inside a string.
    return json.dumps(_clean(document), indent=2, allow_nan=False).replace("\x7f", "\\u007f") + "\n"


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_clean(str(k)): _clean(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(v) for v in value]
    return value
