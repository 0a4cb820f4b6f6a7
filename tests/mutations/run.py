"""Judges one script as the headline script of a submission that is otherwise in order, by every evaluation rule."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import rules
from checks.submission.files import track_of
from checks.submission.model import Change, PullRequest, SourceFile, Submission
from checks.verdict import Finding, Group, Status
from tests.mutations.mutant import Mutant
from tests.rules.pages import DEFAULT, Example

#: Seconds of the clock that a base keeps for its calibration: its runs log them and stop so much earlier.
_RESERVED = {"class_ema": 10}


@dataclass(frozen=True)
class Judged:
    """A mutant and the findings on it that fail, and those that stay open (warn, unknown)."""

    mutant: Mutant
    failing: tuple[Finding, ...]
    open: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether an illegal mutant fails by a rule that must fail, or nothing fails on a legal one."""
        if self.mutant.legal:
            return not self.failing
        return any(f.rule in self.mutant.codes for f in self.failing)


def judge_mutant(mutant: Mutant) -> Judged:
    """Judge a mutant in this process, by the way that a review takes: files in, verdict out."""
    example = Example("mutant", mutant.label, 0, {"train_gpt.py": mutant.source, **_logs(mutant.base)}, {}, ())
    evaluation = {rule.code for rule in rules() if rule.group is Group.EVALUATION}
    verdict = judge(_request(example), rulebook.load(), Options(chosen=evaluation))
    findings = [f for submission in verdict.submissions for f in submission.findings]
    return Judged(
        mutant,
        tuple(f for f in findings if f.status is Status.FAIL),
        tuple(f for f in findings if f.status in (Status.WARN, Status.UNKNOWN)),
    )


def _logs(base: str) -> dict[str, str]:
    """The logs of a base whose runs end at another time than those of the pages' example."""
    if base not in _RESERVED:
        return {}
    stop = 600 - _RESERVED[base]
    said = f"gptq:reserving {_RESERVED[base]}s, effective={stop}000ms\nseed:"
    return {
        log.name: re.sub(
            r"train_time:600(?=\d{3}ms)", f"train_time:{stop}", log.read_text("utf-8").replace("seed:", said)
        )
        for log in sorted(DEFAULT.glob("*.log"))
    }


def _request(example: Example) -> PullRequest:
    contents = {path: text.encode() for path, text in example.tree().items()}
    folder = example.folder
    files = {path: SourceFile(path, len(data), "file", _loader(data)) for path, data in contents.items()}
    own = {p[len(folder) + 1 :]: replace(f, path=p[len(folder) + 1 :]) for p, f in files.items()}
    return PullRequest(
        path=folder,
        created=example.created,
        changes=tuple(Change("A", path, len(data)) for path, data in contents.items()),
        submissions=(Submission(folder, track_of(folder), own),),
    )


def _loader(data: bytes) -> Callable[[int], bytes]:
    return lambda limit: data[:limit]
