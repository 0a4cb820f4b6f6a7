"""The verdict as a GitHub comment: verdict first, then facts and findings, with the long parts folded.

A comment holds 65,536 characters. Blocks are dropped whole, the least needed first and headings last; the comment says
what was dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from checks.verdict import Evidence, Finding, Outcome, Recommendation, Status, SubmissionVerdict, Verdict
from reports import outline
from reports.escaping import markdown as md
from reports.escaping.plain import lines, shorten
from reports.facts import SubmissionFacts, read

LIMIT = 65_536
_RESERVE = 1_000  # for the sentence that says what was cut
_SIGNS = {
    Outcome.COMPLIANT: "✅",
    Outcome.VIOLATION: "❌",
    Outcome.INCOMPLETE: "📦",
    Outcome.UNDETERMINED: "❔",
}
_MAX_TEXT = 1_200
_MAX_EVIDENCE = 20
_MAX_EXCERPT = 14


@dataclass(frozen=True)
class _Block:
    """A piece that is kept or dropped whole. ``rank`` 0 always stays; of the others the highest goes first."""

    text: str
    rank: int = 0
    label: str = ""


def render(verdict: Verdict, *, limit: int = LIMIT) -> str:
    """Return the comment, at most ``limit`` UTF-16 code units long, starting with the marker that bots look for."""
    blocks = list(_blocks(verdict))
    dropped: Counter[str] = Counter()
    size = sum(_units(b.text) + 2 for b in blocks) + _RESERVE
    for block in sorted((b for b in reversed(blocks) if b.rank), key=lambda b: -b.rank):
        if size <= limit:
            break
        blocks.remove(block)
        dropped[block.label] += 1
        size -= _units(block.text) + 2
    if dropped:
        counts = ", ".join(f"{count} x {label}" for label, count in sorted(dropped.items()))
        cut = f"**This comment was cut to fit GitHub's limit.** Left out: {counts}."
        blocks.append(_Block(f"{cut} The JSON and HTML reports hold everything."))
    return "\n\n".join(b.text for b in blocks) + "\n"


def marker(verdict: Verdict) -> str:
    """Return the invisible first line; it names the commit reviewed."""
    head = verdict.target.head or ""
    return f"{md.MARKER_PREFIX} head={head if re.fullmatch('[0-9a-f]{7,64}', head) else 'none'} -->"


def _blocks(verdict: Verdict) -> Iterator[_Block]:
    yield _Block(marker(verdict))
    yield _Block(f"## {_headline(verdict.verdict, verdict.recommendation)}")
    yield _Block(_opening(verdict))
    several = len(verdict.submissions) > 1
    if several:
        yield _overview(verdict)
    for index, part in enumerate(outline.parts(verdict)):
        if part.submission is None:
            yield _Block("### The pull request as a whole", 1, "heading")
        else:
            yield from _submission(part.submission, verdict, several, rank=0 if index < 3 else 7)
        yield from _finding_blocks(part.findings, verdict, part.submission.path if part.submission else "")
        if part.submission is not None:
            yield from _configuration(part.submission)
    yield from _notes(verdict)
    yield _Block(_footer(verdict))


def _opening(verdict: Verdict) -> str:
    findings = outline.all_findings(verdict)
    blocking = _codes(outline.failing_rules(findings), 12)
    name = f"PR {verdict.target.pr}" if verdict.target.pr is not None else shorten(verdict.target.path, 200)
    what = md.text(name) + (f" at {md.code(verdict.target.head[:12])}" if verdict.target.head else "")
    reason = f" Not met: {blocking}." if blocking else ""
    return f"Review of {what}: {outline.why_overall(verdict)}.{reason}\n\n<sub>{outline.tally(findings)}</sub>"


def _overview(verdict: Verdict) -> _Block:
    rows = ["| record folder | verdict | not met |", "|---|---|---|"]
    for submission in verdict.submissions[:40]:
        name = md.code(shorten(submission.path.rsplit("/", 1)[-1] or ".", 80), cell=True)
        outcome = f"{_SIGNS[submission.verdict]} {outline.OUTCOMES[submission.verdict].lower()}"
        rows.append(f"| {name} | {outcome} | {_codes(outline.failing_rules(submission.findings), 6)} |")
    left = len(verdict.submissions) - 40
    return _Block("\n".join(rows) + (f"\n\n… and {left} more record folders." if left > 0 else ""))


def _codes(rules: Sequence[str], most: int) -> str:
    named = ", ".join(md.code(shorten(rule, 60), cell=True) for rule in rules[:most])
    return named + (f" and {len(rules) - most} more" if len(rules) > most else "")


def _submission(submission: SubmissionVerdict, verdict: Verdict, several: bool, rank: int) -> Iterator[_Block]:
    name = md.code(shorten(submission.path or ".", 300))
    heading = f"### {name}"
    if several:
        heading += f"\n\n{_headline(submission.verdict, submission.recommendation)}"
    yield _Block(heading, 1 if rank else 0, "heading")
    facts = read(submission)
    rows = outline.fact_rows(submission, facts, verdict.rulebook.limits)
    table = ["| fact | value |", "|---|---|"]
    table += [f"| {name} | {md.text(shorten(value, 300))} |" for name, value in rows]
    yield _Block("\n".join(table), rank, "fact table")
    if facts.runs:
        yield _Block(_fold(f"Runs in the logs ({len(facts.runs)})", _runs(facts)), 8, "table of runs")


def _finding_blocks(findings: Iterable[Finding], verdict: Verdict, folder: str) -> Iterator[_Block]:
    for section in outline.sections(findings):
        title = f"{section.heading} ({len(section.findings)})"
        if section.folded:
            rows = [f"- {md.code(f.rule)}: {md.prose(shorten(f.summary, 400))}" for f in section.findings[:200]]
            yield _Block(
                _fold(title, "\n".join(rows)), 10 if section.key == "pass" else 12, f"list '{section.heading.lower()}'"
            )
            continue
        yield _Block(f"#### {title}", 1, "heading")
        for finding in section.findings:
            order = {Status.FAIL: 2, Status.UNKNOWN: 3, Status.WARN: 4}.get(finding.status, 5)
            yield _Block(_finding(finding, verdict), order, "finding")
            excerpts = _excerpts(finding, folder)
            if excerpts:
                yield _Block(excerpts, 8 + (order > 2), "source excerpt")


def _finding(finding: Finding, verdict: Verdict) -> str:
    title = md.text(shorten(outline.title(finding), 200))
    blocks = "" if finding.blocking or finding.status is not Status.FAIL else " (does not block)"
    parts = [
        f"**{title}** · {md.code(shorten(finding.rule, 60))}{blocks}  ",
        md.prose(shorten(finding.summary, _MAX_TEXT)),
    ]
    places = [_link(e, verdict) for e in finding.evidence[:6]]
    if places:
        more = f" and {len(finding.evidence) - 6} more" if len(finding.evidence) > 6 else ""
        parts[-1] += f"  \nSee {', '.join(places)}{more}."
    if finding.clears:
        parts[-1] += f"  \n**Clears it:** {md.prose(shorten(finding.clears, _MAX_TEXT))}"
    if finding.waiver is not None:
        w = finding.waiver
        words = f"{w.by}, until {w.until}: {w.why}"
        parts[-1] += f"  \n**Waived** by {md.text(shorten(words, 500))}"
    if finding.sources and finding.status in (Status.FAIL, Status.WARN, Status.UNKNOWN):
        listed = ", ".join(_source(s, verdict.target.repository) for s in finding.sources[:8])
        parts[-1] += f"  \n<sub>Rule from {listed}</sub>"
    return "\n".join(parts)


def _excerpts(finding: Finding, folder: str) -> str:
    shown = [e for e in finding.evidence[:_MAX_EVIDENCE] if e.excerpt.strip()]
    if not shown:
        return ""
    body = []
    for evidence in shown:
        role = f"**{md.text(shorten(evidence.role, 20))}** " if evidence.role else ""
        what = f": {md.prose(shorten(evidence.what, 300))}" if evidence.what else ""
        language = "python" if re.search(r"\.py(!|$)", evidence.file) else ""
        rows = lines(evidence.excerpt.strip("\n"), _MAX_EXCERPT, 200)
        body.append(
            f"{role}{md.code(shorten(outline.place(evidence, folder), 300))}{what}\n\n{md.fenced(rows, language)}"
        )
    left = len(finding.evidence) - _MAX_EVIDENCE
    if left > 0:
        body.append(f"… and {left} more places in the JSON report.")
    return _fold(f"Evidence for {_summary_text(finding.rule)} ({len(shown)})", "\n\n".join(body))


def _link(evidence: Evidence, verdict: Verdict) -> str:
    label = md.code(shorten(outline.place(evidence).rsplit("/", 1)[-1], 80))
    packed = "!" in evidence.file  # unpacked source: no such line at the commit, so the link opens the packed file
    path = evidence.file.split("!", 1)[0] if packed else evidence.file
    line, end = (0, 0) if packed else (evidence.line, evidence.end_line)
    address = md.permalink(verdict.target.repository, verdict.target.head, path, line, end)
    return f"[{label}]({address})" if address else label


def _source(source: str, repository: str | None) -> str:
    match = re.fullmatch(r"#(\d{1,7})", source)
    if match and repository and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository, re.ASCII):
        # redirect.github.com: a direct link would write a cross-reference into that thread for every comment posted.
        return f"[{source}](https://redirect.github.com/{repository}/issues/{match[1]})"
    return md.text(shorten(source, 80))


def _runs(facts: SubmissionFacts) -> str:
    rows = ["| " + " | ".join(outline.RUN_HEADERS) + " |", "|" + "---|" * len(outline.RUN_HEADERS)]
    rows += [
        "| " + " | ".join(md.text(shorten(c, 120)) for c in outline.run_row(run)) + " |" for run in facts.runs[:50]
    ]
    left = len(facts.runs) - 50
    return "\n".join(rows) + (f"\n\n… and {left} more runs." if left > 0 else "")


def _configuration(submission: SubmissionVerdict) -> Iterator[_Block]:
    settings = read(submission).configuration
    if not settings:
        return
    rows = ["| setting | value | from |", "|---|---|---|"]
    for s in settings[:150]:
        cells = (
            md.code(shorten(s.name, 60), cell=True),
            md.code(shorten(s.value, 80), cell=True),
            md.text(shorten(s.source, 120)),
        )
        rows.append("| " + " | ".join(cells) + " |")
    if len(settings) > 150:
        rows.append(f"\n… and {len(settings) - 150} more settings.")
    yield _Block(_fold(f"Configuration ({len(settings)} settings)", "\n".join(rows)), 11, "configuration")


def _notes(verdict: Verdict) -> Iterator[_Block]:
    if verdict.notes:
        rows = "\n".join(f"- {md.prose(shorten(note, 400))}" for note in verdict.notes[:100])
        yield _Block(f"#### Limits of this review\n\n{rows}", 9, "list of limits")


def _footer(verdict: Verdict) -> str:
    rules = md.text(shorten(outline.rule_set(verdict), 500))
    return f"---\n\n<sub>{rules} {outline.method(verdict)}</sub>\n\n<sub>{outline.DISPUTE}</sub>"


def _headline(outcome: Outcome, recommendation: Recommendation) -> str:
    return f"{_SIGNS[outcome]} {outline.OUTCOMES[outcome]} · recommendation: {outline.RECOMMENDATIONS[recommendation]}"


def _fold(summary: str, body: str) -> str:
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"


def _summary_text(value: str) -> str:
    return md.text(shorten(value, 60))


def _units(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
