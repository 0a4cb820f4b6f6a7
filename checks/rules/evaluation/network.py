"""network: nothing is fetched while the score is made (README, from launch)."""

from __future__ import annotations

import re

from checks.program.trace import CallEvent
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering, phases
from checks.verdict import Finding, Group

CODE = "network"
_OFFICIAL = re.compile(r"fineweb|parameter-golf|\btokenizer|\bdatasets?\b|\bpip\b|\bapt(?:-get)?\b", re.I)


def check(case: Case) -> Finding:
    """Look for downloads and requests after training, or in a script that only evaluates."""
    case = phases.at_the_end(case)
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    calls = _fetches(case)
    if calls:
        rows = []
        for call in calls[:4]:
            rows.append(case.program.evidence(call.place, call.detail[:100], "source"))
            rows += phases.leading_calls(case.program, call.place, "leads to the network")
        rows += [ordering.report_row(case.program, r) for r in case.program.reports]
        return say.fail(
            "The evaluation uses the network: what it fetches is not in the artifact.",
            ordering.unique(rows),
            "Put what evaluation needs into the artifact, and run it without network.",
        )
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    return say.passed("Nothing is fetched after training.")


def _fetches(case: Case) -> list[CallEvent]:
    """Calls of the network on the way to the headline, other than for data and tokenizer before training."""
    trace = case.program.trace
    if trace is None:
        return []
    end = phases.training_end(case.program)
    if end is None and phases.training_steps(case.program):
        return []
    last = max((s.at for s in ordering.headline_scores(case.program)), default=0)
    calls = [c for c in trace.calls if c.name == "network" and c.at <= last]
    if end is not None:
        return [c for c in calls if c.at > end[0]]
    return [c for c in calls if not _OFFICIAL.search(c.detail)]
