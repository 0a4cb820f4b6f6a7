"""What a rule is given and what it gives back.

A rule is a module ``checks/rules/<group>/<rule_name>.py`` with ``CODE`` (kebab-case) and ``check(case) -> Finding`` (one
submission) or ``check_pull_request(case) -> Finding`` (the pull request as a whole), and a page ``<rule_name>.md`` beside it.
Titles, dates, sources and numbers are data: ``checks/rulebook.toml``.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from checks.rulebook import Rulebook
from checks.submission.model import PullRequest, Submission
from checks.verdict import Evidence, Finding, Group, Status

if TYPE_CHECKING:
    from checks.program.program import Program


_DATED = re.compile(r"(\d{4}-\d\d-\d\d)_")


@dataclass(frozen=True)
class Case:
    """All that a rule may look at. ``program`` says itself when it could not be analysed."""

    submission: Submission
    pull_request: PullRequest
    program: Program
    rulebook: Rulebook
    record_bpb: float | None = None

    @property
    def created(self) -> dt.date | None:
        """Day of the pull request's creation in UTC; None when unknown (a plain folder).

        A folder at a commit without a pull request was merged later than it was opened: the date in its name, if earlier,
        is the better witness.
        """
        if self.pull_request.created is None:
            return None
        day = self.pull_request.created.date()
        named = _DATED.match(self.submission.path.rsplit("/", 1)[-1])
        if self.pull_request.pr is None and named is not None:
            try:
                return min(day, dt.date.fromisoformat(named[1]))
            except ValueError:
                return day
        return day

    @property
    def non_record(self) -> bool:
        """True when the submission is non-record by its folder or its own words (rulebook section 15)."""
        return self.submission.track == self.rulebook.non_record_track or self.submission.claims.non_record


@dataclass(frozen=True)
class PullRequestCase:
    """What a rule on the pull request as a whole may look at."""

    pull_request: PullRequest
    rulebook: Rulebook


@dataclass(frozen=True)
class Verdicts:
    """Builds findings of one rule, with its title, group and sources from the rulebook."""

    code: str
    group: Group
    rulebook: Rulebook

    def fail(
        self, summary: str, evidence: Iterable[Evidence], clears: str = "", sources: Iterable[str] = ()
    ) -> Finding:
        """A breach that the evidence proves."""
        return self._finding(Status.FAIL, summary, evidence, clears, sources)

    def warn(
        self, summary: str, evidence: Iterable[Evidence], clears: str = "", sources: Iterable[str] = ()
    ) -> Finding:
        """A deviation that organisers tolerated or never ruled on."""
        return self._finding(Status.WARN, summary, evidence, clears, sources)

    def unknown(
        self, summary: str, evidence: Iterable[Evidence], clears: str = "", sources: Iterable[str] = ()
    ) -> Finding:
        """The rule applies and could not be decided; the summary says what is missing."""
        return self._finding(Status.UNKNOWN, summary, evidence, clears, sources)

    def passed(self, summary: str, evidence: Iterable[Evidence] = ()) -> Finding:
        """The rule applies and was checked."""
        return self._finding(Status.PASS, summary, evidence)

    def not_applicable(self, summary: str) -> Finding:
        """The rule does not apply to this submission."""
        return self._finding(Status.NOT_APPLICABLE, summary, ())

    def _finding(
        self, status: Status, summary: str, evidence: Iterable[Evidence], clears: str = "", sources: Iterable[str] = ()
    ) -> Finding:
        entry = self.rulebook.rule(self.code)
        return Finding(
            rule=self.code,
            status=status,
            title=entry.title,
            summary=summary,
            group=self.group,
            blocking=status is Status.FAIL,
            evidence=tuple(evidence),
            sources=tuple(sources) or entry.sources,
            clears=clears if status in (Status.FAIL, Status.WARN, Status.UNKNOWN) else "",
        )
