"""The verdict as one HTML file: no scripts, no requests, everything inline.

Jinja2 escapes all text; ``visible`` runs over it first, so that bidi overrides and other invisible characters show.
The content security policy allows only our own style sheet, by its hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from checks.verdict import Evidence, Finding, Status, SubmissionVerdict, Verdict, Waiver
from reports import outline
from reports.charts import charts
from reports.charts.drawing import Chart
from reports.charts.order import LANES, diagram
from reports.escaping.markdown import permalink
from reports.escaping.plain import lines, shorten, visible
from reports.facts import SettingFacts, read

_TEMPLATES = Path(__file__).parent / "template"
_SHOWN_PLACES = 8
_MAX_PLACES = 100
_MAX_ROWS = 40
_MAX_FINDINGS = 400


@dataclass(frozen=True)
class _Place:
    label: str
    url: str | None
    role: str
    function: str
    what: str
    rows: list[tuple[str, str]]


@dataclass(frozen=True)
class _Source:
    label: str
    url: str | None


@dataclass(frozen=True)
class _Finding:
    kind: str
    rule: str
    title: str
    note: str
    summary: str
    clears: str
    waiver: Waiver | None
    diagram: Markup | None
    places: list[_Place]
    more_places: list[_Place]
    sources: list[_Source]


@dataclass(frozen=True)
class _Section:
    key: str
    heading: str
    folded: bool
    findings: list[_Finding]


@dataclass(frozen=True)
class _Part:
    index: int
    submission: SubmissionVerdict | None
    sections: list[_Section]
    facts: Sequence[tuple[str, str]] = ()
    charts: Sequence[Chart] = ()
    runs: Sequence[tuple[str, ...]] = ()
    configuration: Sequence[SettingFacts] = ()


def render(verdict: Verdict) -> str:
    """Return the page."""
    target = verdict.target
    style = (_TEMPLATES / "report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    page = _environment().get_template("report.html.j2")
    return page.render(
        verdict=verdict,
        name=outline.target_name(verdict),
        head_url=permalink(target.repository, target.head, "x", 0) and _head(target.repository, target.pr, target.head),
        totals=outline.sections(outline.all_findings(verdict)),
        parts=[_part(i, part, verdict) for i, part in enumerate(outline.parts(verdict), 1)],
        run_headers=outline.RUN_HEADERS,
        outcomes=outline.OUTCOMES,
        recommendations=outline.RECOMMENDATIONS,
        why=outline.why,
        failing_rules=outline.failing_rules,
        why_overall=outline.why_overall,
        prose=_prose,
        lanes=LANES,
        rule_set=outline.rule_set(verdict),
        method=outline.method(verdict),
        dispute=outline.DISPUTE,
        style=Markup(style),
        style_hash=f"sha256-{digest}",
    )


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value,
    )


def _part(index: int, part: outline.Part, verdict: Verdict) -> _Part:
    submission = part.submission
    folder = submission.path if submission else ""
    sections = [
        _Section(s.key, s.heading, s.folded, [_finding(f, s.key, folder, verdict) for f in s.findings[:_MAX_FINDINGS]])
        for s in outline.sections(part.findings)
    ]
    if submission is None:
        return _Part(index, None, sections)
    facts = read(submission)
    limits = verdict.rulebook.limits
    return _Part(
        index,
        submission,
        sections,
        facts=outline.fact_rows(submission, facts, limits),
        charts=charts(facts, limits, {f.rule for f in part.findings if f.status in (Status.FAIL, Status.WARN)}),
        runs=[outline.run_row(run) for run in facts.runs],
        configuration=facts.configuration,
    )


def _finding(finding: Finding, kind: str, folder: str, verdict: Verdict) -> _Finding:
    places = [_place(e, folder, verdict) for e in finding.evidence[:_MAX_PLACES]]
    return _Finding(
        kind=kind,
        rule=finding.rule,
        title=outline.title(finding),
        note="does not block" if finding.status is Status.FAIL and not finding.blocking and not finding.waiver else "",
        summary=shorten(finding.summary, 4_000),
        clears=shorten(finding.clears, 4_000),
        waiver=finding.waiver,
        diagram=diagram(outline.ordered_events(finding)),
        places=places[:_SHOWN_PLACES],
        more_places=places[_SHOWN_PLACES:],
        sources=[_source(s, verdict.target.repository) for s in finding.sources[:20]],
    )


def _place(evidence: Evidence, folder: str, verdict: Verdict) -> _Place:
    path, _, packed = evidence.file.partition("!")
    line, end = (0, 0) if packed else (evidence.line, evidence.end_line)
    return _Place(
        label=outline.place(evidence, folder),
        url=permalink(verdict.target.repository, verdict.target.head, path, line, end),
        role=evidence.role,
        function=evidence.function,
        what=evidence.what,
        rows=list(_numbered(evidence)),
    )


def _numbered(evidence: Evidence) -> Iterable[tuple[str, str]]:
    if not evidence.excerpt.strip():
        return
    for offset, row in enumerate(lines(evidence.excerpt.rstrip("\n"), _MAX_ROWS, 300)):
        cut = row.startswith("… ") and offset == _MAX_ROWS
        yield ("" if cut or evidence.line <= 0 else str(evidence.line + offset)), row


def _source(source: str, repository: str | None) -> _Source:
    match = re.fullmatch(r"#(\d{1,7})", source)
    if not match or not repository or not permalink(repository, "0" * 40, "x", 0):
        return _Source(source, None)
    return _Source(source, f"https://github.com/{repository}/issues/{match[1]}")


def _head(repository: str | None, pr: int | None, head: str | None) -> str:
    base = f"https://github.com/{repository}"
    return f"{base}/pull/{pr}" if pr is not None else f"{base}/commit/{head}"


def _prose(text: str) -> Markup:
    """Return a sentence in which `code` between backticks is set as code."""
    pieces = re.split(r"`([^`\n]+)`", visible(text))
    return Markup("").join(Markup("<code>{}</code>").format(p) if i % 2 else escape(p) for i, p in enumerate(pieces))
