"""The verdict for GitHub Actions: annotations (``::error …``) and the step summary.

Actions shows ten annotations of each type a step; the tenth then says how many are left.
"""

from __future__ import annotations

from checks.verdict import Evidence, Finding, Status, Verdict
from reports import markdown, outline
from reports.escaping import github as escape
from reports.escaping.plain import shorten

ANNOTATIONS_PER_TYPE = 10
_SUMMARY_UNITS = 250_000  # a step summary holds 1 MiB; a UTF-16 unit is at most three bytes of UTF-8
_COMMANDS = {Status.FAIL: "error", Status.WARN: "warning", Status.UNKNOWN: "notice"}


def render(verdict: Verdict) -> str:
    """Return workflow commands, one a line; waived findings are left out (the summary has them)."""
    rows = []
    for status, command in _COMMANDS.items():
        found = [f for f in outline.all_findings(verdict) if f.status is status and f.waiver is None]
        shown = found if len(found) <= ANNOTATIONS_PER_TYPE else found[: ANNOTATIONS_PER_TYPE - 1]
        rows += [_annotation(command, finding) for finding in shown]
        if len(found) > len(shown):
            left = len(found) - len(shown)
            rows.append(f"::{command} title=pgolf::{left} more findings: see the step summary or the JSON report")
    return "".join(f"{row}\n" for row in rows)


def step_summary(verdict: Verdict) -> str:
    """Return the Markdown for ``$GITHUB_STEP_SUMMARY``: the review comment with the room that a summary has."""
    return markdown.render(verdict, limit=_SUMMARY_UNITS)


def _annotation(command: str, finding: Finding) -> str:
    text = finding.summary + (f"\nClears it: {finding.clears}" if finding.clears else "")
    place = _place(finding.evidence[0]) if finding.evidence else ""
    title = escape.property_value(f"{finding.rule}: {shorten(outline.title(finding), 120)}")
    return f"::{command} {place}title={title}::{escape.message(shorten(text, 2_000))}"


def _place(evidence: Evidence) -> str:
    path, _, packed = evidence.file.partition("!")
    place = f"file={escape.property_value(path)},"
    if evidence.line <= 0 or packed:
        return place
    end = f"endLine={evidence.end_line}," if evidence.end_line > evidence.line else ""
    return f"{place}line={evidence.line},{end}"
