"""What the author says of a score that is over a part of the validation tokens: submission.json and the README.

Only statements about the claimed score count: an object of submission.json that holds both, words about ``val_bpb``
itself, a line of the README with the claimed number on it. Ablations on a subset beside a whole score are legal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from checks.submission.model import ToldPart

_COUNT_KEY = re.compile(
    r"(?:num_|n_)?(?:eval(?:uation)?|val(?:idation)?|scored|evaluated)_tokens(?:_scored|_evaluated|_processed)?"
    r"|tokens_(?:scored|evaluated)|(?:val|eval)_(?:max_tokens|tokens?_limit)",
    re.IGNORECASE,
)
_SCORE_KEY = re.compile(r"bpb|bits_per_byte", re.IGNORECASE)
_COUNT = r"(\d[\d,_.]{0,14})\s?(K|M|million)?"
_SPLIT = r"(?:(?:val(?:idation)?|eval(?:uation)?)[- ])?"
_PART = re.compile(
    rf"\b{_COUNT}[- ]?{_SPLIT}tokens?[- ]{_SPLIT}(?:subset|slice|sample|prefix)\b"
    rf"|\bfirst\s+{_COUNT}[- ]?{_SPLIT}tokens\s+of\s+(?:the\s+)?val",
    re.IGNORECASE,
)
#: A limit among the settings of a run whose score the same text gives.
_LIMIT = re.compile(r"\b(?:val|eval)_(?:max_tokens|tokens?_limit)\s?[=:]\s?(\d[\d_]{0,14})\b", re.IGNORECASE)
_OF_SCORE = re.compile(r"\b(?:val_)?bpb\b[^.;]{0,40}\b(?:on|over)\b[^.;]{0,12}$", re.IGNORECASE)
_NOT_WHOLE = re.compile(
    r"\b(?:rather than|instead of|not)\s+(?:on\s+)?(?:the\s+)?(?:full|whole|entire)\b", re.IGNORECASE
)
_OTHER = re.compile(
    r"train|calib|diagnos|\bfull|\bwhole|\bentire|estimate|ablation|proxy|\bnot\b|\bno[rn]?\b|control|baseline",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?<![\d.])\d\.(\d{3,12})(?!\d)")
_UNITS = {"": 1, "k": 1_000, "m": 1_000_000, "million": 1_000_000}
_MAX_OBJECTS = 2_000
_MAX_DEPTH = 6
_MAX_LINE = 1_000
_MOST = 20


def of_json(data: Mapping[str, Any], text: str, path: str, claim: float | None) -> tuple[ToldPart, ...]:
    """The counts of scored tokens in submission.json (``text``, at ``path``) that stand with the claimed score."""
    found = []
    for node in _objects(data):
        for key, value in list(node.items())[:200]:
            if _COUNT_KEY.fullmatch(str(key)[:60]) and isinstance(value, int) and not isinstance(value, bool):
                scores = list(_scores(node))
                if 0 < value < 10**15 and (any(_same(s, claim) for s in scores) if claim is not None else scores):
                    where = re.search(rf'"{re.escape(str(key))}"\s*:\s*{value}\b', text)
                    found.append(ToldPart(value, f"{path}:{_line(text, where)}", claim is not None))
            elif isinstance(value, str) and (tokens := _limit(value[:_MAX_LINE], claim)):
                where = re.search(rf'"{re.escape(str(key)[:60])}"', text)
                found.append(ToldPart(tokens, f"{path}:{_line(text, where)}", True, words=True))
            elif isinstance(value, str) and (part := _PART.search(value[:_MAX_LINE])):
                head = value[: part.start()]
                plain = _OF_SCORE.search(head) and _NOT_WHOLE.search(value[part.end() : _MAX_LINE])
                if plain and not _OTHER.search(f"{str(key)[:60]} {head}") and (tokens := _tokens(part)):
                    where = re.search(rf'"{re.escape(str(key)[:60])}"', text)
                    found.append(ToldPart(tokens, f"{path}:{_line(text, where)}", True, words=True))
    return tuple(found[:_MOST])


def of_readme(readme: str, path: str, claim: float | None) -> tuple[ToldPart, ...]:
    """The lines of a README that give the claimed score, and it alone, as that of a subset."""
    found: list[ToldPart] = []
    before = ""
    for number, whole in enumerate(readme.splitlines(), 1):
        line = whole[:_MAX_LINE]
        scores = list(_NUMBER.finditer(line))
        if claim is not None and len(scores) == 1 and _same(claim, float(scores[0][0]), len(scores[0][1])):
            heading = before if before.rstrip(" *").endswith(":") else ""
            part = _PART.search(line) or _PART.search(heading)
            if part and not _OTHER.search(line) and not _OTHER.search(heading) and (tokens := _tokens(part)):
                found.append(ToldPart(tokens, f"{path}:{number}", False, words=True))
        before = line
    return tuple(found[:_MOST])


def _limit(text: str, claim: float | None) -> int | None:
    """The limit of validation tokens of a run that the text describes, with the claimed score as its result."""
    limit = _LIMIT.search(text)
    scored = any(_same(float(n[0]), claim, len(n[1])) for n in _NUMBER.finditer(text))
    if limit is None or not scored or len(_LIMIT.findall(text)) > 1 or _OTHER.search(text):
        return None
    return int(limit[1].replace("_", "")) or None


def _objects(data: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The objects of a JSON document, those of lists included; bounded in number and depth."""
    level: list[Any] = [data]
    seen = 0
    for _ in range(_MAX_DEPTH):
        below: list[Any] = []
        for node in level:
            seen += 1
            if seen > _MAX_OBJECTS:
                return
            if isinstance(node, dict):
                yield node
            children = list(node.values() if isinstance(node, dict) else node)[:_MAX_OBJECTS]
            below += [c for c in children if isinstance(c, (dict, list))]
        level = below


def _scores(node: Mapping[str, Any]) -> Iterator[float]:
    """The numbers under the names of scores in an object and the objects in it."""
    for inner in _objects(node):
        for key, value in list(inner.items())[:200]:
            if isinstance(value, (int, float)) and not isinstance(value, bool) and _SCORE_KEY.search(str(key)[:60]):
                yield float(value)


def _same(score: float, other: float | None, decimals: int = 4) -> bool:
    return other is not None and abs(score - other) <= 0.51 * 10.0**-decimals


def _tokens(part: re.Match[str]) -> int | None:
    digits = (part[1] or part[3] or "").replace(",", "").replace("_", "").rstrip(".")
    unit = (part[2] or part[4] or "").lower()
    try:
        return int(float(digits) * _UNITS[unit]) or None
    except ValueError:
        return None


def _line(text: str, where: re.Match[str] | None) -> int:
    return text.count("\n", 0, where.start()) + 1 if where else 1
