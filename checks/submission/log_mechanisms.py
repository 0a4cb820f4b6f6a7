"""Which evaluation mechanism a log line shows at work: TTT, SLOT, n-gram caches, byte mixers, second passes."""

from __future__ import annotations

import re

_WORDS = ("ttt", "tto", "tc[", "ttp", "slot", "pass", "ngram", "n-gram", "ppm", "rescor")
_MECHANISMS = (
    (
        "prequant_ttt",
        re.compile(r"\W*(?:pre[-_ ]?quant[-_ ]?ttt|dttt|ttt_adamw|ttt_epoch|ttt_pre)\w*\b\s*[:\[(]", re.I),
    ),
    (
        "ttt",
        re.compile(
            r"\W*(?:\w*ttt\w*|tc|ttp|ttpp|tttg|tto)\b\s*[:\[(]|\W*\w*ttt\w*\s+(?:val_|\[)|beginning TTT eval", re.I
        ),
    ),
    ("slot", re.compile(r"\W*\w*slot\w*(?:\s*[:\[(]|\s+(?:val_|\[))", re.I)),
    ("two_pass", re.compile(r"\W*\w*two[-_]pass\w*\b|.{0,40}\bpass ?2\b|.{0,40}\brescor(?:e|ing)\b", re.I)),
    ("ngram", re.compile(r"\W*(?:\w*ngram\w*|n-gram)(?:\s*[:\[(]|\s+(?:val_|eval|cache|\[))", re.I)),
    ("ppm", re.compile(r"\W*\w*ppm\w*(?:\s*[:\[(]|\s+(?:val_|bytes|tokens))", re.I)),
)
_OFF = re.compile(
    r"disabled|skipp|not used|:\s*(?:False|0|off|none)\b|=\s*(?:False|off)\b|enabled[:=]\s*(?:0|False)"
    r"|params:0\b|_mult",
    re.I,
)


def mechanism_at_work(line: str, lower: str) -> str | None:
    """Return the mechanism that the line reports on; None for any other line and for one that says it is off."""
    if not any(word in lower for word in _WORDS):
        return None
    for name, pattern in _MECHANISMS:
        if pattern.match(line):
            return None if _OFF.search(line) else name
    return None
