"""Which evaluation mechanisms a log line shows at work: TTT, SLOT, n-gram caches, byte mixers, second passes."""

from __future__ import annotations

import re

_WORDS = ("ttt", "tto", "tc[", "ttp", "slot", "pass", "ngram", "n-gram", "ppm", "rescor")
_REPORTS = r"(?:\s*[:\[(]|\s+(?:val_|\[))"  # what follows the name on a line that reports on it
_MECHANISMS = (
    (
        "prequant_ttt",
        re.compile(r"\W{0,8}(?:pre[-_ ]?quant[-_ ]?ttt|dttt|ttt_adamw|ttt_epoch|ttt_pre)\w{0,40}\s*[:\[(]", re.I),
    ),
    (
        "ttt",
        re.compile(
            rf"\W{{0,8}}(?:[\w+.-]{{0,40}}ttt[\w+.-]{{0,40}}|tc|ttp|ttpp|tttg|tto){_REPORTS}|beginning TTT eval", re.I
        ),
    ),
    (
        "slot",
        re.compile(
            rf"\W{{0,8}}[\w+.-]{{0,40}}slot[\w+.-]{{0,40}}{_REPORTS}|.{{0,200}}:start\b.{{0,400}}\bslot_(?:steps|lr)[=:]",
            re.I,
        ),
    ),
    ("two_pass", re.compile(r"\W{0,8}\w{0,40}two[-_]pass|.{0,40}\bpass ?2\b|.{0,40}\brescor(?:e|ing)\b", re.I)),
    (
        "ngram",
        re.compile(r"\W{0,8}(?:[\w+.-]{0,40}ngram[\w+.-]{0,40}|n-gram)(?:\s*[:\[(]|\s+(?:val_|eval|cache|\[))", re.I),
    ),
    ("ppm", re.compile(r"\W{0,8}[\w+.-]{0,40}ppm[\w+.-]{0,40}(?:\s*[:\[(]|\s+(?:val_|bytes|tokens))", re.I)),
)
_OFF = re.compile(
    r"disabled|skipp|not used|:\s*(?:False|0(?![.\d])|off|none)\b|=\s*(?:False|off)\b|enabled[:=]\s*(?:0|False)"
    r"|params:0\b|_mult",
    re.I,
)


def mechanisms_at_work(line: str, lower: str) -> list[str]:
    """Return the mechanisms that the line reports on; none for any other line and for one that says it is off."""
    if not any(word in lower for word in _WORDS) or _OFF.search(line):
        return []
    found = [name for name, pattern in _MECHANISMS if pattern.match(line)]
    before_export = "prequant_ttt" in found or "prequant" in lower or "pre-quant" in lower or "pre_quant" in lower
    return [name for name in found if name != "ttt" or not before_export]
