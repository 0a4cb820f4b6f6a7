"""Where the author says that the claimed score is one of weights before export (rulebook section 15).

Only words that stand with the claimed number count. Reporting both numbers is legal; "pre-quant" is also the name of a
kind of test-time training.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks.rules.base import Case
from checks.rules.places import MAX_LINE, README_LIMIT, at, readme_lines
from checks.verdict import Evidence

#: The words, not followed by what is done before export or by a number of their own.
_BEFORE = (
    r"\b(?:pre[-_ ]?(?:quant(?:i[sz](?:ation|ed))?|int[4-8]|gptq|export)|un-?quanti[sz]ed|before quanti[sz]ation)\b"
    r"(?![-_ \"'*:]{0,4}(?:TTT|SLOT|GPTQ|Adam|test|fine|adapt|tun|train|calib|→|->))"
)
_NEAR = r"[^.;,→\n\d](?:(?!->|post|after|roundtrip|round-trip)[^.;,→\n]){0,60}?(?<![\d.])"
_MARK = r"[\s*`_(|:=~—–-]{1,12}(?:(?:val_)?bpb[\s*`_(|:=~—–-]{1,6})?"
_OF_CLAIM = re.compile(rf"\b(?:reported|claimed|headline)\b[^.;,]{{0,30}}\b(?:is|was)\s+(?:the\s+)?{_BEFORE}", re.I)
#: What the words belong to where a number stands before them.
_OWN_NUMBER = re.compile(r"\d\.\d{2,12}[\s*`_(]{0,6}(?:(?:val_)?bpb)?[\s*`_(]{0,6}$", re.I)
_AFTER = re.compile(
    r"(?:post|after)[-_ ]?(?:quant|int\d|gptq|export)|round-?trip|(?<!un)(?<!un-)quanti[sz]ed|artifact\b", re.I
)
_SENTENCE = re.compile(r"\.\s|[;|]|,\s*\"|\.[*`]|[*`]\.")


def said_before_export(case: Case) -> list[Evidence]:
    """Lines of submission.json and the README that call the claim a number before export.

    None where a log holds a score after training, or where the number is given to the artifact anywhere as well.
    """
    claim = case.submission.claims.val_bpb
    if claim is None or any(score.step is None for run in case.submission.runs for score in run.scores):
        return []
    number = rf"{re.escape(_digits(claim))}\d*"
    number_first = re.compile(rf"(?<![\d.]){number}{_MARK}{_BEFORE}(?![^.;\n]{{0,20}}\d\.\d)", re.IGNORECASE)
    words_first = re.compile(rf"{_BEFORE}{_NEAR}{number}", re.IGNORECASE)
    whole = re.compile(rf"(?<![\d.]){number}")
    rows = []
    for name, line, text in _lines(case):
        if any(whole.search(part) and _AFTER.search(part) for part in _SENTENCE.split(text)):
            return []
        led = any(not _OWN_NUMBER.search(text[: m.start()]) for m in words_first.finditer(text))
        if led or number_first.search(text) or (name.endswith(".json") and _OF_CLAIM.search(text)):
            what = f"calls {claim} a score before quantisation"
            rows.append(at(case, name, line, what, "report", text.strip()[:200]))
    return rows[:4]


def _digits(claim: float) -> str:
    """The claim to four decimals, cut: what every place that states it begins with."""
    whole, _, decimals = repr(claim).partition(".")
    return f"{whole}.{decimals[:4]}"


def _lines(case: Case) -> Iterator[tuple[str, int, str]]:
    """The lines of submission.json, then those of the README."""
    path = case.submission.claims.json_path
    file = case.submission.files.get(path)
    if file is not None:
        for number, line in enumerate(file.read(README_LIMIT).decode("utf-8", "replace").splitlines(), 1):
            yield path, number, line[:MAX_LINE]
    yield from readme_lines(case)
