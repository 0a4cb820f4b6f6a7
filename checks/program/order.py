"""Questions of order that rules ask of a trace: which scores are the headline, and what had their state already seen."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from checks.program.engine.labels import Data, Symbol, regions_overlap
from checks.program.trace import AdaptEvent, ReportEvent, ScoreEvent, Trace

_RUNNING = re.compile(
    r"running|progress|chunk ?\[|\brank\b|\bbatch|best_|  ttt|eval \[|diagnostic|pre[-_ ]?quant|pre[-_ ]?ttt", re.I
)
_DIAGNOSTIC = re.compile(r"diagnostic|pre[-_ ]?quant|pre[-_ ]?ttt", re.I)
_LABEL = 6
_CODEC = re.compile(r"\b(?:brotli|bz2|lzma|xz|zlib|zstd)\d*\b ?")


@dataclass(frozen=True)
class Breach:
    """A score of the headline whose state had already been changed by the tokens that it scores."""

    score: ScoreEvent
    adapt: AdaptEvent
    report: ReportEvent
    rescored: ScoreEvent | None


def headline(trace: Trace, label: str = "") -> list[ReportEvent]:
    """The report of the number that counts: the one that prints the log's final label, else the last one printed."""
    return [_as_written(report, trace) for report in _headline(trace, label)]


def _as_written(report: ReportEvent, trace: Trace) -> ReportEvent:
    """The statement that wrote a report's text, where a logger only passes it on."""
    text = report.template.strip()
    return next(
        (
            r
            for r in trace.reports
            if r.scores == report.scores
            and r.template.strip() == text
            and (r.place.file, r.place.line) in report.place.calls
        ),
        report,
    )


def _headline(trace: Trace, label: str) -> list[ReportEvent]:
    candidates = _shown(trace)
    if label:
        named = [r for r in candidates if same_label(r.template, label)]
        named = named or [r for r in candidates if _same_but_codec(r.template, label)]
        exact = [r for r in named if _bare(r.template) == _bare(label)]
        if exact:
            return exact[-1:]
        if named:
            return named[-1:]
    plain = [r for r in candidates if not _RUNNING.search(r.template) and not _in_score_loop(r, trace)]
    if label and not plain and any(_DIAGNOSTIC.search(r.template) for r in candidates[-1:]):
        # else the number of the log is printed by a statement that was not found
        return [r for r in candidates if _bare(r.template) and _bare(label).endswith(_bare(r.template))][-1:]
    return (plain or candidates)[-1:]


def prints(trace: Trace, label: str) -> bool:
    """Whether a report of the trace prints the log's final label."""
    return any(same_label(r.template, label) or _same_but_codec(r.template, label) for r in _shown(trace))


def _shown(trace: Trace) -> list[ReportEvent]:
    """The reports of scores, without texts that only a plot shows."""
    drawn = trace.drawn - trace.printed
    return [r for r in trace.reports if r.scores and (r.place.file, r.place.line) not in drawn]


def same_label(template: str, label: str) -> bool:
    """Whether an f-string can print a log line with this label."""
    return _begins(words_of(template), words_of(label))


def _same_but_codec(template: str, label: str) -> bool:
    """Whether it can but for the compressor's name, which a run may have changed."""
    return _begins(_CODEC.sub("", words_of(template)), _CODEC.sub("", words_of(label)))


def _begins(printed: str, wanted: str) -> bool:
    if not printed or not wanted:
        return False
    return printed.startswith(wanted) or (len(printed) >= _LABEL and wanted.startswith(printed))


def _bare(text: str) -> str:
    """A label or template without the names of the metrics that follow it."""
    return re.sub(r"(?: (?:val|loss|bpb))+$", "", words_of(text))


def _in_score_loop(report: ReportEvent, trace: Trace) -> bool:
    loops = {loop for loop, _ in report.loops}
    return any(loops & {loop for loop, _ in trace.scores[i].loops} for i in report.scores)


def words_of(text: str) -> str:
    """The words of a label or template, for comparison."""
    return re.sub(r"[^a-z0-9]+", " ", re.sub(r"\{.*", "", text).lower()).strip()


def overlap(a: Iterable[Data], b: Iterable[Data], source: str = "val") -> bool:
    """Whether two selections can hold the same token of a split."""
    first = [d.symbols for d in a if d.source == source]
    second = [d.symbols for d in b if d.source == source]
    return any(regions_overlap(x, y) for x in first for y in second)


def breaches(trace: Trace, reports: Iterable[ReportEvent]) -> list[Breach]:
    """Every (score, adapt) pair of the headline in which the adaptation used tokens of the score."""
    found = []
    for report in reports:
        for ident in sorted(report.scores):
            score = trace.scores[ident]
            for adapt_ident in sorted(score.state):
                adapt = trace.adapts[adapt_ident]
                if _met(trace, score, adapt):
                    found.append(Breach(score, adapt, report, rescored(trace, score, adapt)))
    return found


def _met(trace: Trace, score: ScoreEvent, adapt: AdaptEvent) -> bool:
    """Whether an adaptation in a score's state used its tokens; what came with one part of it, that part's tokens."""
    if not overlap(score.targets, adapt.data):
        return False
    parts = [trace.scores[i] for i in score.base if adapt.ident in trace.scores[i].state]
    return adapt.ident in score.own or any(_met(trace, part, adapt) for part in parts)


def rescored(trace: Trace, score: ScoreEvent, adapt: AdaptEvent) -> ScoreEvent | None:
    """An earlier score of the same tokens, when this one is a rescoring rather than the first score."""
    if adapt.kind == "table":
        return score
    selecting = {loop for d in score.targets for loop, _ in d.symbols}
    if later_iteration(frozenset(s for s in score.loops if s[0] not in selecting), adapt.loops):
        return score
    same = [a for a in trace.adapts.values() if a.place.line == adapt.place.line]
    losses = with_bases(trace, (i for a in same for i in a.losses))
    training = losses | {
        s.ident
        for s in trace.scores.values()
        if any(
            s.place.line == trace.scores[i].place.line and s.place.calls == trace.scores[i].place.calls for i in losses
        )
    }
    counted = with_bases(trace, (i for r in trace.reports for i in r.scores)) | trace.accumulated.keys()
    for earlier in trace.scores.values():
        if earlier.at >= adapt.at or earlier.ident in training or earlier.ident == score.ident:
            continue
        if adapt.kind == "free-gradient" and earlier.ident not in counted:
            continue  # a loss that only weighs the fit of a window's free parameters is no score
        shared = {loop for loop, _ in earlier.loops & adapt.loops}
        if shared and overlap(earlier.targets, adapt.data) and overlap(earlier.targets, score.targets):
            return earlier
    return None


def with_bases(trace: Trace, idents: Iterable[int]) -> set[int]:
    """Score events and those that they were made of."""
    found: set[int] = set()
    stack = list(idents)
    while stack:
        ident = stack.pop()
        if ident not in found:
            found.add(ident)
            stack.extend(trace.scores[ident].base)
    return found


def later_iteration(score: frozenset[Symbol], adapt: frozenset[Symbol]) -> bool:
    """Whether the score runs in a later iteration of a loop that the adaptation runs in."""
    iterations = dict(adapt)
    return any(loop in iterations and k > iterations[loop] for loop, k in score)
