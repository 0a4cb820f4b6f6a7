"""Scores that prose claims: the README's and the title's own number, not deltas, baselines or other people's records."""

from __future__ import annotations

import re

_VALUE = r"(\d{1,2}\.\d{3,10})"
_KEYED = re.compile(
    rf"(?:val[_ \\]{{0,2}}bpb|\bbpb\b|bits[- ]per[- ]byte)[^\d\n+\-−–—Δ±]{{0,24}}?(?:[—–-]\s)?[*`~≈ ]*{_VALUE}(?![\d.])"
    rf"|(?<![\d.+\-−±Δ]){_VALUE}[*`]*\s*(?:val[_ \\]{{0,2}})?bpb\b",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?<![\d.+\-−±Δv#]){_VALUE}(?![\d.%])")
_OTHERS = re.compile(
    r"baseline|previous|prior|\bsota\b|\bvs\.?\b|versus|pre[-_ ]?quant|\bdelta\b|Δ|improv|gain|target|better|worse|lower|reduc|beats?\b|gap|drop"
    r"|\bstd\b|merged|leader|record of|current best|\bfrom\b|\bover\b|without|ablat|expected|projected|threshold|\bpr ?#|#\d{2,}",
    re.IGNORECASE,
)
_NON_RECORD = re.compile(r"\bnon[-_ ]?record", re.IGNORECASE)
_NOT_OURS = re.compile(r"\bnot?\b.{0,20}non[-_ ]?record", re.IGNORECASE)
_MEAN_ROW = re.compile(r"\s*\|[\s*_]*(?:\d+[- ]seed )?(?:mean|average|avg)\b", re.IGNORECASE)
_MAX_LINES = 1500
_MAX_LINE = 1000
_MAX_SCORES = 40


def readme_scores(text: str) -> tuple[tuple[float, int], ...]:
    """Return (score, line) of what the README claims as its own, the most prominent first.

    Prominence: a keyed score near the top, then in headings and bold lines, then a row that says mean or average.
    """
    found: list[tuple[int, int, float]] = []
    fenced = False
    for number, line in enumerate(text.split("\n", _MAX_LINES)[:_MAX_LINES], 1):
        line = line[:_MAX_LINE]
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
            continue
        if fenced or not line.strip():
            continue
        for match in _KEYED.finditer(line):
            value = float(match[1] or match[2])
            if 0.0 < value < 20.0 and not _OTHERS.search(line[max(0, match.start() - 40) : match.start()]):
                found.append((_prominence(line, number), number, value))
        if _MEAN_ROW.match(line):
            values = [float(m[1]) for m in _BARE.finditer(line)]
            found += [(3, number, v) for v in values if 0.05 < v < 20.0]
    found.sort(key=lambda entry: entry[:2])
    seen: dict[float, int] = {}
    for _, number, value in found:
        seen.setdefault(value, number)
    return tuple(list(seen.items())[:_MAX_SCORES])


def _prominence(line: str, number: int) -> int:
    if _OTHERS.search(line):
        return 4
    if number <= 12:
        return 0
    return 1 if line.startswith("#") or "**" in line else 2


def title_score(title: str) -> float | None:
    """Return the score that a pull request's title claims, None when it names none."""
    title = title[:500]
    for pattern in (_KEYED, _BARE):
        for match in pattern.finditer(title):
            value = float(next(group for group in match.groups() if group))
            before = title[max(0, match.start() - 24) : match.start()]
            if 0.05 < value < 20.0 and not _OTHERS.search(before):
                return value
    return None


def says_non_record(text: str) -> bool:
    """Whether these words call the submission non-record."""
    return _NON_RECORD.search(text[:2000]) is not None and _NOT_OURS.search(text[:2000]) is None
