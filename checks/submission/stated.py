"""Settings that only the prose of a README names: "evaluated with ``EVAL_MODE=ngram``", bullets ``- SLOT_STEPS=8``."""

from __future__ import annotations

import re

_MAX_LINES = 3_000
_LINE = 600
_VALUE = r"([^\s`$<>|,{}()*]{1,80})"
_SPAN = re.compile(rf"`(?:export\s+)?([A-Z][A-Z0-9_]{{2,60}})={_VALUE}`")
_BULLET = re.compile(rf"\s*(?:[-*+]|\d+\.)\s+(?:[\w /-]{{1,40}}:\s+)?[`*]*([A-Z][A-Z0-9_]{{2,60}})={_VALUE}[`*]*")
#: What comes before a span where the run or its score is said to have had it.
_OF_THE_RUN = re.compile(r"\b(?:with|using|use[sd]?|under|ran|runs?)\b[^.;:]{0,60}$", re.I)
#: A line or heading about another run, about what could be set, or about what is not so.
_ASIDE = re.compile(
    r"\b(?:no|not|never|without|instead|unless|if|can|could|may|might|would|will|should|set|toggles?|optional\w*|default\w*"
    r"|enabl(?:e|ing|es)|disabl\w+|turn\w*|switch\w*|revert\w*|escape|support\w*|tr(?:y|ied)|fail\w*|worse|was|were|vs|next"
    r"|future|propos\w+|ablat\w*|sweep\w*|grid|baseline\w*|control|compar\w*|smoke|debug|diagnos\w*|proxy|local\w*|sanity"
    r"|test|quick|explor\w*|experiment\w*|variants?|alternativ\w*|previous\w*|prior|old|earlier|limitation\w*|gotchas?"
    r"|differ\w*|knobs?|variables?|usage|options?|study|seeds?)\b",
    re.I,
)


def stated(text: str) -> dict[str, tuple[str, int]]:
    """Return NAME -> (value, line) of settings that the prose gives the submitted run; what it gives twice differently is none.

    Code blocks, tables and asides (ablations, options, what is tried or switched off) are not read.
    """
    found: dict[str, tuple[str, int]] = {}
    values: dict[str, set[str]] = {}
    heading, above, fenced = "", "", False
    for number, whole in enumerate(text.split("\n", _MAX_LINES)[:_MAX_LINES], 1):
        line = whole[:_LINE].replace("\\_", "_")
        if line.lstrip().startswith(("```", "~~~")):
            fenced = not fenced
        elif line.startswith("#"):
            heading, above = line, ""
        elif not fenced and "=" in line:
            aside = line.lstrip().startswith("|") or any(map(_ASIDE.search, (line, above, heading)))
            for name, value, said in _settings(line):
                values.setdefault(name, set()).add(value)
                if said and not aside:
                    found.setdefault(name, (value, number))
        elif not fenced and line.strip():
            above = line  # the sentence that leads to a list
    return {name: row for name, row in found.items() if len(values[name]) == 1}


def _settings(line: str) -> list[tuple[str, str, bool]]:
    """The settings that a line names, and whether its words give them to the run."""
    bullet = _BULLET.match(line)
    rows = [(bullet[1], bullet[2], True)] if bullet else []
    for span in _SPAN.finditer(line):
        if not bullet or span[1] != bullet[1]:
            rows.append((span[1], span[2], bool(bullet) or bool(_OF_THE_RUN.search(line[: span.start()]))))
    return rows
