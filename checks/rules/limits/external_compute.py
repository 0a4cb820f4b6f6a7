"""external-compute: offline compute that is unfair, such as a search for a good seed."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted, seeds_of
from checks.rules.places import at, name_run, of_run, readme_lines
from checks.verdict import Evidence, Finding, Group

CODE = "external-compute"

_SEARCH = re.compile(
    r"\bseed[- ](?:search|sweep|hunt(?:ing)?|scan|selection|lottery|brute[- ]?forc\w*)\b"
    r"|\bbrute[- ]?forc\w+\b[^.\n]{0,30}\bseeds?\b"
    r"|\b(?:best|top)[- ](?:\d+ )?(?:of|out of|from)[- ](?:\d+|many|several)[- ](?:random )?seeds?\b"
    r"|\b(?:selected|picked|chose|chosen)\b[^.\n]{0,30}\bbest\b[^.\n]{0,20}\bseeds?\b",
    re.IGNORECASE,
)
_DENIED = re.compile(r"\b(no|not|never|without|isn't|avoid\w*|rather than|instead of)\b", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Warn of a seed search that the README tells of, or of more seeds run than averaged with the best kept."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    told = _told(case)
    clears = "Average over seeds that were fixed beforehand, and say so."
    if told:
        return say.warn("The README tells of a search over seeds.", told, clears)
    runs = counted(case)
    seeds = set(seeds_of(runs.runs))
    spare = [
        r
        for r, why in runs.left_out
        if r.seed is not None and r.seed not in seeds and "other runs" in why and r.val_bpb is not None
    ]
    worst = max(runs.scores, default=0.0)
    dropped = [r for r in spare if (r.val_bpb or 0.0) > worst]
    if dropped and len(dropped) == len(spare):
        return say.warn(
            f"{len(runs.runs) + len(spare)} seeds were run, {len(runs.runs)} averaged, and all left out are worse.",
            [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}, left out") for r in dropped[:6]],
            clears,
        )
    return say.passed("Nothing tells of a search over seeds.")


def _told(case: Case) -> list[Evidence]:
    found = []
    for name, number, line in readme_lines(case):
        match = _SEARCH.search(line)
        if match and not _DENIED.search(line[max(0, match.start() - 40) : match.start()]):
            found.append(at(case, name, number, line.strip()[:160]))
    return found[:3]
