"""offline-val-tuning: evaluation knobs picked by sweeps over dumped validation scores are no evidence for a record."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.places import at, readme_lines
from checks.verdict import Evidence, Finding, Group

CODE = "offline-val-tuning"

_SEARCHED = re.compile(r"\b(sweep\w*|swept|grid|tun(?:ed|ing)|optimi[sz]\w+|fit(?:ted)?|search\w*|calibrat\w+|select(?:ed|ion))\b", re.IGNORECASE)
_DUMPED = re.compile(
    r"\b(dump\w*|offline|cached|stored|saved|precomputed|replay\w*|logged)\b[^.\n]{0,60}"
    r"\b(log[- ]?prob\w*|logits?|nlls?|losses|predictions?|scores|probabilit\w+|\.npz|arrays?)\b"
    r"|\b(log[- ]?prob\w*|logits?|nlls?|losses|predictions?|probabilit\w+)\b[^.\n]{0,40}\b(dump\w*|offline|cached|stored|saved|replay\w*)\b",
    re.IGNORECASE,
)
_VALIDATION = re.compile(r"\b(val|validation|eval|evaluation|fineweb_val\w*)\b", re.IGNORECASE)
_KNOB = re.compile(
    r"\b(gates?|thresholds?|temperature|alpha|beta|lambda|orders?|mix(?:ing|er|ture)?|weights?|hyper-?parameters?|knobs?|H|L|T)\b", re.IGNORECASE
)
_DENIED = re.compile(r"\b(no|not|never|without|none|train(?:ing)?[- ](?:data|shard|set|split|tokens?))\b", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Read the README for a sweep over stored validation predictions."""
    return by_readme(case, Verdicts(CODE, Group.EVALUATION, case.rulebook))


def by_readme(case: Case, say: Verdicts) -> Finding:
    """FAIL only when the author states the sweep; whether it happened unstated cannot be seen."""
    told = _told(case)
    if not told:
        return say.passed("The README tells of no sweep over stored validation predictions.")
    text = "The README tells that evaluation knobs were chosen by a sweep over stored predictions on the validation data."
    clears = "Choose the knobs on training data, or file the result as non-record."
    if case.non_record or not case.rulebook.in_force(CODE, case.created):
        return say.warn(text, told, clears)
    return say.fail(text, told, clears)


def _told(case: Case) -> list[Evidence]:
    """Passages of up to three lines that name a search, stored predictions, the validation data and a knob."""
    lines = list(readme_lines(case))
    found = []
    for index, (name, number, line) in enumerate(lines):
        if not _DUMPED.search(line):
            continue
        passage = " ".join(text for _, _, text in lines[max(0, index - 1) : index + 2])
        if _SEARCHED.search(passage) and _VALIDATION.search(passage) and _KNOB.search(passage) and not _DENIED.search(line):
            found.append(at(case, name, number, line.strip()[:160], "adapt"))
    return found[:4]
