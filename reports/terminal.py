"""The verdict for a terminal: verdict first, then why, then the evidence, then what to do next."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence

import click
from tabulate import tabulate

from checks.verdict import Finding, Outcome, Recommendation, Status, SubmissionVerdict, Verdict
from reports import outline
from reports.escaping.plain import lines, one_line, shorten
from reports.facts import read

_COLOURS = {
    Outcome.COMPLIANT: "green",
    Outcome.VIOLATION: "red",
    Outcome.INCOMPLETE: "yellow",
    Outcome.UNDETERMINED: "cyan",
}
_MARKS = {
    Status.FAIL: ("✗", "red"),
    Status.WARN: ("!", "yellow"),
    Status.UNKNOWN: ("?", "cyan"),
    Status.PASS: ("✓", "green"),
    Status.NOT_APPLICABLE: ("–", "white"),
}
_MAX_EVIDENCE = 4
_MAX_EXCERPT = 6
_MAX_STEPS = 9


def render(verdict: Verdict, *, color: bool = False, width: int = 100) -> str:
    """Return the report.

    Args:
        verdict: the verdict to show.
        color: write ANSI colours; the caller passes whether standard output is a terminal.
        width: columns of the terminal.
    """
    rows = "\n".join(_Page(color, max(width, 60)).verdict(verdict)).rstrip().split("\n")
    return "\n".join(_no_command(row) for row in rows) + "\n"


def _no_command(row: str) -> str:
    """Keep GitHub's runner, which reads every line of a log, from taking text for a workflow command."""
    row = row.replace("##[", "#\\#[")
    bare = row.lstrip()
    return row[: len(row) - len(bare)] + "\\" + bare if bare.startswith("::") else row


class _Page:
    def __init__(self, color: bool, width: int) -> None:
        self._color = color
        self._width = width

    def verdict(self, verdict: Verdict) -> Iterator[str]:
        title = f": {one_line(verdict.target.title)}" if verdict.target.title else ""
        yield shorten(self._style(one_line(outline.target_name(verdict)), bold=True) + title, self._width + 20)
        yield self._headline(verdict.verdict, verdict.recommendation, outline.why_overall(verdict))
        yield from self._wrap(outline.tally(outline.all_findings(verdict)), "  ")
        yield ""
        for part in outline.parts(verdict):
            if part.submission is None:
                yield self._heading("The pull request as a whole")
                yield from self._findings(part.findings, "")
            else:
                yield from self._submission(part.submission, verdict, several=len(verdict.submissions) > 1)
                yield from self._findings(part.findings, part.submission.path)
        yield from self._next_steps(verdict)
        if verdict.notes:
            yield self._heading("Limits of this review")
            for note in verdict.notes:
                yield from self._wrap(one_line(note), "  - ")
            yield ""
        yield from self._wrap(f"{one_line(outline.rule_set(verdict))} {outline.method(verdict)}", "")

    def _submission(self, submission: SubmissionVerdict, verdict: Verdict, several: bool) -> Iterator[str]:
        yield self._heading(one_line(submission.path) or ".")
        if several:
            yield self._headline(submission.verdict, submission.recommendation, outline.why(submission.verdict))
        facts = read(submission)
        rows = [
            (name, one_line(value)) for name, value in outline.fact_rows(submission, facts, verdict.rulebook.limits)
        ]
        yield from self._table(rows, ())
        runs = facts.runs
        if len(runs) > 1:
            yield ""
            shown = [self._run(outline.run_row(run)) for run in runs[:20]]
            yield from self._table(shown, outline.RUN_HEADERS)
            if len(runs) > 20:
                yield f"  … {len(runs) - 20} more runs"
        yield ""

    @staticmethod
    def _run(row: tuple[str, ...]) -> tuple[str, ...]:
        cells = [one_line(cell) for cell in row]
        return (*(shorten(cell, 28) for cell in cells[:-1]), shorten(cells[-1], 120))

    def _findings(self, findings: Iterable[Finding], folder: str) -> Iterator[str]:
        for section in outline.sections(findings):
            yield self._style(f"{section.heading} ({len(section.findings)})", bold=True)
            if section.folded:
                yield from self._wrap(", ".join(one_line(f.rule) for f in section.findings), "  ")
            else:
                for finding in section.findings:
                    yield from self._finding(finding, folder)
            yield ""

    def _finding(self, finding: Finding, folder: str) -> Iterator[str]:
        mark, colour = _MARKS[finding.status]
        note = "" if finding.blocking or finding.status is not Status.FAIL else " (does not block)"
        yield f"  {self._style(mark, fg=colour, bold=True)} {self._style(one_line(finding.rule), bold=True)}{note}"
        yield from self._wrap(one_line(finding.summary), "    ")
        if finding.waiver is not None:
            waiver = finding.waiver
            words = f"waived by {waiver.by} until {waiver.until}: {waiver.why}"
            yield from self._wrap(one_line(words), "    ")
        for evidence in finding.evidence[:_MAX_EVIDENCE]:
            what = ": ".join(filter(None, (one_line(evidence.role), one_line(evidence.what))))
            place = one_line(outline.place(evidence, folder))
            room = max(self._width - len(place) - 6, 24)
            yield f"    {self._style(place, fg='blue')}" + (f"  {shorten(what, room)}" if what else "")
            if evidence.excerpt:
                for row in lines(evidence.excerpt.strip("\n"), _MAX_EXCERPT, self._width - 8):
                    yield self._style(f"      | {row}", dim=True)
        if len(finding.evidence) > _MAX_EVIDENCE:
            yield f"    … and {len(finding.evidence) - _MAX_EVIDENCE} more places (--format json lists all)"
        if finding.clears:
            yield from self._wrap(f"Clears: {one_line(finding.clears)}", "    ")

    def _next_steps(self, verdict: Verdict) -> Iterator[str]:
        steps = outline.next_steps(verdict)
        if not steps:
            return
        yield self._heading("What to do next")
        for number, (clears, rules) in enumerate(steps[:_MAX_STEPS], 1):
            yield from self._wrap(f"{one_line(clears)} [{one_line(', '.join(rules))}]", f"  {number}. ")
        if len(steps) > _MAX_STEPS:
            yield f"  … and {len(steps) - _MAX_STEPS} more, each under its finding"
        yield f"  Read a rule: pgolf rules {one_line(steps[0][1][0])}"
        yield ""

    def _headline(self, outcome: Outcome, recommendation: Recommendation, why: str) -> str:
        word = outline.OUTCOMES[outcome].upper()
        advice = f"Recommendation: {outline.RECOMMENDATIONS[recommendation]}."
        text = "\n".join(self._wrap(f"{word}: {why}. {advice}", ""))
        coloured = self._style(word, fg=_COLOURS[outcome], bold=True) + text[len(word) :]
        return coloured.replace(advice, self._style(advice, bold=True))

    def _table(self, rows: Sequence[tuple[str, ...]], headers: tuple[str, ...]) -> Iterator[str]:
        if not rows:
            return
        # The last column takes what the others leave, and wraps.
        taken = [max(len(row[i]) for row in (*rows, *([headers] if headers else []))) for i in range(len(rows[0]) - 1)]
        rest = max(self._width - sum(taken) - 2 * len(taken) - 2, 16)
        wrapped = [(*row[:-1], textwrap.fill(row[-1], rest)) for row in rows]
        text = tabulate(wrapped, headers=headers, tablefmt="simple" if headers else "plain", disable_numparse=True)
        yield from (f"  {line}" for line in text.splitlines())

    def _heading(self, text: str) -> str:
        return self._style(f"── {text} " + "─" * max(self._width - len(text) - 4, 2), bold=True)

    def _wrap(self, text: str, lead: str) -> list[str]:
        indent = " " * len(lead)
        return textwrap.wrap(
            text,
            self._width,
            initial_indent=lead,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )

    def _style(self, text: str, fg: str | None = None, bold: bool = False, dim: bool = False) -> str:
        return click.style(text, fg=fg, bold=bold or None, dim=dim or None) if self._color else text
