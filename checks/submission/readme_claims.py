"""Scores that prose claims: the README's and the title's own number, not deltas, baselines or others' records."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Sequence

_VALUE = r"(\d{1,2}\.\d{3,10})"
_KEYED = re.compile(
    rf"(?:val[_ \\]{{0,2}}bpb|\bbpb\b|bits[- ]per[- ]byte)[^\d\n+\-−–—Δ±]{{0,24}}?(?:[—–-]\s)?[*`~≈ ]*{_VALUE}(?![\d.])"
    rf"|(?<![\d.+\-−–—±Δ]){_VALUE}[*`]*\s*(?:val[_ \\]{{0,2}})?bpb\b(?!\s*[:=])"
    rf"|\bours\b[\s:=*`~(]{{0,6}}{_VALUE}(?![\d.])",
    re.IGNORECASE,
)
_BARE = re.compile(rf"(?<![\d.+\-−±Δv#]){_VALUE}(?![\d.%])")
_OTHERS = re.compile(
    r"baseline|previous|prior|\bsota\b|\bvs\.?\b|versus|pre[-_ ]?quant|\bdelta\b|Δ|improv|gain|target|better|worse"
    r"|lower|reduc|beats?\b|gap|drop|\bstd\b|merged|leader|record of|current best|\bfrom\b|\bover\b|without|ablat"
    r"|expected|projected|threshold|\bpr ?#|#\d{2,}|spread|margin|\btax\b|noise|lineage|follow|parent|base:|\bpre[-_]",
    re.IGNORECASE,
)
_STD = re.compile(r"\bstd\b", re.IGNORECASE)
_GOAL = re.compile(r"\bclears?\b|\bbelow\b|\bexceeds?\b|\bsub-$", re.IGNORECASE)
_EFFECT = re.compile(r"gain|impact|effect|delta|Δ|improv|expected", re.IGNORECASE)
_RIVAL = re.compile(r"\bsota\b|baseline|previous|\bprior\b|reference|\bpr ?#|^\W*#\d", re.IGNORECASE)
_INHERITED = re.compile(r"inherited|historical|\breference (?:numbers?|scores?|results?|values?)\b", re.IGNORECASE)
_HOPED = re.compile(
    r"\bshould\b.{0,20}\b(?:yield|give|reach|land)\b[^.]{0,60}$|\bestimated?\b[^.|]{0,20}$", re.IGNORECASE
)
_OWNED = re.compile(r"\w['’]s\b[^.|]{0,40}$")
_FAR = re.compile(
    r"\bpr(?: ?#| )\d|(?<![\w&])#\d{2,}|\bsota\b|\bbuil[td]s? (?:up)?on\b|\bbuilt from\b|\bbased on\b"
    r"|^\W{0,8}(?:[\w-]{1,30}\s){0,2}baseline\b"
    r"|\bbase(?: score)?\W{0,4}:|^\W{0,8}base score\b|\bcurrent (?:#1|best|record|leader)"
    r"|\b(?:submission|record|entry) \([^)]{0,120}$"
    r"|\(\w{1,30}['’]s\b[^)]{0,120}$|\bpredict|\bprojected\b|\bestimate[ds]?\b|\btarget|\bwin bar\b|\bdiagnostic\b|\bsmoke\b"
    r"|\bstep[- ]0\b|^\W{0,8}step\W{0,4}\d",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\b(?:we|ours|mine)\b|\b(?:our|my|this|final)\s+(?:[\w-]+\s+)?"
    r"(?:submission|record|run|pr|entry|work|result|score|model|stack)s?\b",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[.;!?][*_`]*\s|\|")
_AMID = re.compile(
    r"\bgap\b|\bvs\b|\bdiffer|\btarget|baseline|\bsota\b|recovery|\bdelta\b|anchor|\(live\)|[≤≥]|(?<![\w=-])[<>]=?[\s~]{0,3}$",
    re.IGNORECASE,
)
_AFTER = re.compile(
    r"[*`]{0,3}\s{0,2}(?:val_)?(?:bpb)?[*`]{0,3}\s{0,2}(?:gap|difference|sota|baseline|frontier|(?:headroom|improvement|target|anchor)\b"
    r"|\((?:target|live|anchor|projected|expected|predicted|estimated)\)|\([^()\d.]{0,30}\bpr ?#?\d+[^()\d.]{0,20}\)"
    r"|[^.|]{0,40}\binvalid\b)",
    re.IGNORECASE,
)
_BY = re.compile(r"\bby\s{1,2}[~*`≈]{0,4}$", re.IGNORECASE)
_SIDE_SECTION = re.compile(
    r"smoke|expected|projected|predicted|acknowledg|\bcredits?\b|references|lineage|related work", re.IGNORECASE
)
_BEFORE_QUANT = re.compile(r"\bpre[-_ ]", re.IGNORECASE)
_PROSE_LINE = re.compile(r"\s{0,3}(?![-*+>#|]|\d+[.)]\s)\S")
_GOES_ON = re.compile(r"\s{0,3}(?!val_?bpb|bpb)[a-z(`]")
_LOSSES = re.compile(r"degrad|penalt|overhead", re.IGNORECASE)
_BUILT_ON = re.compile(r"[*`]{0,3}\s{1,3}(?:architecture|stack|base\b|recipe|codebase)", re.IGNORECASE)
_MEAN_ROW = re.compile(r"\s*\|[\s*_`]*(?:\d+[- ]seed )?(?:mean|average|avg)\b", re.IGNORECASE)
_SCORE_COLUMN = re.compile(r"bpb|bits", re.IGNORECASE)
_SIDE_COLUMN = re.compile(
    r"pre|raw|sliding|roundtrip|no[- ]ttt|without|base|delta|Δ|std|gain|neural|ema|float", re.IGNORECASE
)
_NON_RECORD = re.compile(r"\bnon[-_ ]?record", re.IGNORECASE)
_NOT_OURS = re.compile(r"\bnot?\b.{0,20}non[-_ ]?record", re.IGNORECASE)
_MAX_LINES = 1500
_MAX_LINE = 1000
_MAX_SCORES = 40
_MAX_IN_LINE = 10
_MAX_CLAUSE = 300
_LEAST_BESIDE = 0.05  # in a line that compares, a smaller number is a difference
_TOP_LINES = 12


def readme_scores(text: str, not_own: Collection[float] = ()) -> tuple[tuple[float, int], ...]:
    """Return (score, line) of what the README claims as its own, the most prominent first.

    Prominence: a keyed score near the top, then in headings and bold lines, then a table's row of means. ``not_own``
    are scores that submission.json names as a baseline's, a goal or a trial.
    """
    found: list[tuple[int, int, float]] = []
    header: Sequence[str] = ()
    fenced = inherited = aside = False
    before = ""
    for number, line in enumerate(text.split("\n", _MAX_LINES)[:_MAX_LINES], 1):
        line = line[:_MAX_LINE]
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        if fenced or not line.strip():
            header, before = (), ""
            continue
        if line.startswith("#"):
            aside = _SIDE_SECTION.search(line) is not None
        inherited = _is_inherited(line, inherited)
        for match in itertools.islice(_KEYED.finditer(line), _MAX_IN_LINE):
            value = float(match[match.lastindex or 0])
            if match.lastindex == 3 and "bpb" not in line.lower():
                continue
            near = line[max(0, match.start() - 40) : match.start()]
            comparing = (
                (match.lastindex != 3 and _OTHERS.search(near))
                or _GOAL.search(near[-12:] + match[0])
                or _in_effects(header, line, match)
            )
            others = comparing or inherited or aside or value in not_own or _of_others(header, line, match)
            if not others and not _no_own_score(before, line, match) and _plausible(value, line):
                found.append((_prominence(line, number), number, value))
        if "|" in line:
            header = header or _cells(line)
            if _MEAN_ROW.match(line) and not aside:
                found += [(3, number, value) for value in _mean_row(header, _cells(line))]
        before = line
    found.sort(key=lambda entry: entry[:2])
    seen: dict[float, int] = {}
    for _, number, value in found:
        seen.setdefault(value, number)
    return tuple(list(seen.items())[:_MAX_SCORES])


def _mean_row(header: Sequence[str], cells: Sequence[str]) -> list[float]:
    """Scores of a row of means: columns that the header calls BPB, the final one before the side columns."""
    scores: list[tuple[int, int, float]] = []
    if (_FAR.search(cells[0]) or _RIVAL.search(cells[0])) and not _OWN.search(cells[0]):
        return []
    for place, (name, cell) in enumerate(zip(header, cells, strict=False)):
        match = _BARE.search(cell)
        if match and _SCORE_COLUMN.search(name) and not _AFTER.match(cell[match.end() :]):
            scores.append((1 if _SIDE_COLUMN.search(name) else 0, -place, float(match[1])))
    return [value for _, _, value in sorted(scores)]


def _in_effects(header: Sequence[str], line: str, match: re.Match[str]) -> bool:
    """Whether a number stands in a table's column of gains or effects."""
    column = line[: match.start()].strip().lstrip("|").count("|")
    return "|" in line and column < len(header) and _EFFECT.search(header[column]) is not None


def _is_inherited(line: str, before: bool) -> bool:
    """Whether a line announces, or lists below such an announcement, numbers of another submission."""
    if line.rstrip(" *_").endswith(":"):
        return _INHERITED.search(line) is not None
    return before and line.lstrip().startswith(("-", "*", "+", "|"))


def _of_others(header: Sequence[str], line: str, match: re.Match[str]) -> bool:
    """Whether a number is somebody else's (their column, "their 1.1 bpb stack"), or one that is only hoped for."""
    start = match.start(match.lastindex or 0)
    column = line[:start].strip().lstrip("|").count("|")
    if "|" in line and column < len(header) and _RIVAL.search(header[column]):
        return True
    if _HOPED.search(line[:start]):
        return True
    return _OWNED.search(line[: match.start()]) is not None and _BUILT_ON.match(line[match.end() :]) is not None


def _no_own_score(before: str, line: str, match: re.Match[str]) -> bool:
    """Whether the words around a number say that it is another's score, a goal, a difference or a trial's.

    Args:
        before: the line above, whose last sentence may go on in this one.
        line: the line of the number.
        match: of ``_KEYED``.
    """
    if match.lastindex == 1 and _AMID.search(line[match.start() : match.start(1)]):
        return True
    if match.lastindex == 2 and _BY.search(line[max(0, match.start() - 10) : match.start()]):
        return True
    if _AFTER.match(line[match.end() :]):
        return True
    if line.startswith("#"):
        return False
    if match.lastindex == 3:
        return _BEFORE_QUANT.search(line[: match.start()]) is not None
    head = line[max(0, match.start() - _MAX_CLAUSE) : match.start()]
    if _GOES_ON.match(line) and _PROSE_LINE.match(before):
        head = f"{before[-_MAX_CLAUSE:]} {head}"
    clauses = [_CLAUSE_END.split(head)[-1]]
    if line.lstrip().startswith("|"):
        clauses.append(_cells(line)[0])
    return any(_FAR.search(_OWN.split(clause)[-1]) for clause in clauses)


def _cells(line: str) -> list[str]:
    return line.strip().strip("|").split("|")


def _plausible(value: float, line: str) -> bool:
    compared = _OTHERS.search(line) or _LOSSES.search(line)
    return 0.0 < value < 20.0 and (value >= _LEAST_BESIDE or compared is None)


def _prominence(line: str, number: int) -> int:
    if _OTHERS.search(_STD.sub("", line)):  # a mean's deviation beside it makes it no comparison
        return 4
    if number <= _TOP_LINES:
        return 0
    return 1 if line.startswith("#") or "**" in line else 2


def title_score(title: str) -> float | None:
    """Return the score that a pull request's title claims, None when it names none."""
    title = title[:500]
    for pattern in (_KEYED, _BARE):
        for match in pattern.finditer(title):
            value = float(next(group for group in match.groups() if group))
            before = title[max(0, match.start() - 24) : match.start()]
            if _LEAST_BESIDE < value < 20.0 and not _OTHERS.search(before):
                return value
    return None


def says_non_record(text: str) -> bool:
    """Whether these words call the submission non-record."""
    return _NON_RECORD.search(text[:2000]) is not None and _NOT_OURS.search(text[:2000]) is None
