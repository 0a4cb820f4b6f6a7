"""offline-val-tuning: evaluation knobs picked by sweeps over dumped validation scores are no evidence for a record."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.places import at, readme_lines
from checks.verdict import Evidence, Finding, Group

CODE = "offline-val-tuning"

_SEARCHED = re.compile(
    r"\b(sweep\w*|swept|grid[- ]?search\w*|tuned|tuning|optimi[sz]ed|fit(?:ted)?|search(?:ed)?)\b", re.IGNORECASE
)
_SCORES = r"(?:log[- ]?prob\w*|logits?|nlls?|losses|predictions?|probabilit\w+|ppm[_ ]inputs|scores)"
_DUMPED = re.compile(
    rf"\bdump\w*\b[^.\n]{{0,80}}\b{_SCORES}|\b(?:cached|stored|saved|precomputed|offline)\b[^.\n]{{0,40}}\b{_SCORES}"
    rf"|\b{_SCORES}\b[^.\n]{{0,40}}\b(?:dump\w*|offline)\b|\bDUMP_\w+|\boffline\b[^.\n]{{0,30}}\bsweep",
    re.IGNORECASE,
)
_VALIDATION = re.compile(r"\b(val|validation|eval|evaluation|fineweb_val\w*)\b", re.IGNORECASE)
_KNOB = re.compile(
    r"\b(gates?|thresholds?|temperatures?|alphas?|betas?|lambdas?|orders?|mix(?:ing|er|ture)?|blend\w*)\b",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"\b(?:no|not|never|without|none)\b[^.\n]{0,40}\b(?:sweep\w*|swept|tun(?:ed|ing)|dump\w*|search\w*|offline|fit(?:ted)?)\b"
    r"|\btrain(?:ing)?[- ](?:data|shards?|set|split|tokens?)\b",
    re.IGNORECASE,
)
SHOWN = 4
AROUND = 4  # lines above and below that belong to the passage


def check(case: Case) -> Finding:
    """Read the README for a sweep over stored validation predictions."""
    return by_readme(case, Verdicts(CODE, Group.EVALUATION, case.rulebook))


def by_readme(case: Case, say: Verdicts) -> Finding:
    """FAIL only when the author states the sweep; whether it happened unstated cannot be seen."""
    told = _told(case)
    if not told:
        return say.passed("The README tells of no sweep over stored validation predictions.")
    text = (
        "The README tells that evaluation knobs were chosen by a sweep over stored predictions on the validation data."
    )
    clears = "Choose the knobs on training data, or file the result as non-record."
    if case.non_record or not case.rulebook.in_force(CODE, case.created):
        return say.warn(text, told, clears)
    return say.fail(text, told, clears)


def _told(case: Case) -> list[Evidence]:
    """Passages of a few lines that name a search, stored predictions, the validation data and a knob."""
    lines = list(readme_lines(case))
    found: list[Evidence] = []
    for index, (name, number, line) in enumerate(lines):
        if len(found) >= SHOWN or not _DUMPED.search(line):
            continue
        passage = " ".join(text for _, _, text in lines[max(0, index - AROUND) : index + AROUND + 1])
        if (
            _SEARCHED.search(passage)
            and _VALIDATION.search(passage)
            and _KNOB.search(passage)
            and not _DENIED.search(line)
        ):
            found.append(at(case, name, number, line.strip()[:160], "adapt"))
    return found
