"""A mechanism that the author's run command switches on and that no script of the folder holds (rulebook section 15).

What made the claimed score is then not in the code: the mechanism's rule stays open, whatever the scripts show.
"""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.package.missing_files import lacks
from checks.rules.places import at, readme_lines
from checks.verdict import Evidence, Finding

_SWITCH = frozenset(["ENABLED", "ENABLE", "USE", "ON", "RUN", "DO"])
_ON = frozenset(["1", "true", "True", "yes", "on"])
MECHANISMS = ("ttt", "slot", "ngram", "ppm")
_TABLE = 8  # lines below the head of a table in which its numbers stand


def told_only(case: Case, say: Verdicts, mechanism: str) -> Finding | None:
    """``unknown`` where the claimed score is one with a mechanism that no script contains; None elsewhere."""
    found = switched_on(case, mechanism)
    if found is None:
        return None
    return say.unknown(
        f"By the submission's own account the run used {mechanism}, and no script of the folder contains it: how it "
        "used the validation tokens cannot be seen.",
        [found],
        "Add the script that ran.",
    )


def switched_on(case: Case, mechanism: str) -> Evidence | None:
    """Where the headline's run command switches on what no script contains; None when a complete log shows the run."""
    submission = case.submission
    if submission.claims.val_bpb is None or any(run.complete for run in submission.runs):
        return None
    best = min((c.rank for c in submission.commands), default=0)
    for command in [c for c in submission.commands if c.rank == best]:
        for name, value in sorted(command.environment.items()):
            words = set(name.upper().replace("N_GRAM", "NGRAM").split("_"))
            switch = words == {mechanism.upper()} or (mechanism.upper() in words and words & _SWITCH)
            if switch and value in _ON and lacks(case, mechanism):
                what = f"the command sets {name[:60]}={value}, and no script contains {mechanism}"
                return at(case, command.file, command.lines.get(name, command.line), what, "source", command.text[:200])
    return None


def credited(case: Case, mechanism: str) -> Evidence | None:
    """A README line that tells scores before and after a mechanism apart, with the claim in it or just below."""
    claim = case.submission.claims.val_bpb
    told = re.compile(rf"\b(?:pre|post|before|after)[- ]?(?:the )?{mechanism}\b", re.IGNORECASE)
    number = re.compile(rf"(?<![\d.]){re.escape(f'{claim:.4f}')}")
    head: tuple[str, int, str] | None = None
    for name, line, text in readme_lines(case):
        if told.search(text):
            head = name, line, text
        if head is not None and line - head[1] <= _TABLE and number.search(text):
            return at(case, head[0], head[1], f"gives scores before and after {mechanism}", "source", head[2][:200])
    return None
