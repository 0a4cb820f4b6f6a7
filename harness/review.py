"""Reviews one target: reads it, judges it in a bounded child, applies the reviewer's configuration."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from checks import rulebook as rulebooks
from checks.judge import Options, judge, weigh
from checks.rules.registry import rules
from checks.submission.model import PullRequest
from checks.verdict import Finding, Outcome, Status, Verdict, verdict_from_json
from harness import bounded, config
from harness.errors import InternalFault, UsageFault
from harness.target import Target, read_target
from harness.version import __version__

MAX_ATTEMPTS = 12
BLOCKING = 1
UNDETERMINED = 3


@dataclass(frozen=True)
class Request:
    """What to review and how; None and empty mean "not said"."""

    target: Target
    as_of: dt.date | None = None
    record: float | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    rulebook: Path | None = None
    config: Path | None = None
    fail_on: str | None = None


def review(request: Request) -> Verdict:
    """Return the verdict on a target.

    Raises:
        UsageFault: the target, an option or the configuration cannot be used.
        InternalFault: judging failed in every way that was tried.
    """
    settings = _settings(request)
    rulebook = _rulebook(settings)
    options = Options(
        as_of=request.as_of,
        record_bpb=request.record if request.record is not None else settings.record,
        chosen=frozenset(r.code for r in rules() if settings.runs(r.code)),
        environment=request.environment,
        tool_version=__version__,
    )
    pull_request = read_target(request.target)
    verdict = judge_bounded(pull_request, rulebook, options)
    return _decide(verdict, settings, dt.datetime.now(dt.timezone.utc).date())


def judge_bounded(
    pull_request: PullRequest, rulebook: rulebooks.Rulebook, options: Options, limits: bounded.Limits | None = None
) -> Verdict:
    """Judge in a child; when it dies, judge again without the step that killed it.

    Raises:
        InternalFault: the child failed outside any step, or too often.
    """
    more = max(0, len(pull_request.submissions) - 1)
    limits = limits or bounded.Limits(wall_seconds=120 + 30 * more, cpu_seconds=60 + 15 * more)
    skip: dict[str, str] = dict(options.skip)
    for _ in range(MAX_ATTEMPTS):
        outcome = bounded.run(work(pull_request, rulebook, replace(options, skip=dict(skip))), limits)
        if not outcome.failure:
            return verdict_from_json(outcome.value)
        if not (step := step_to_skip(outcome, skip)):
            break
        skip[step] = outcome.failure
    raise InternalFault(f"judging failed: {outcome.failure} {outcome.bug[-400:]} (our bug: please report it)")


def work(pull_request: PullRequest, rulebook: rulebooks.Rulebook, options: Options) -> bounded.Work:
    """Return the work of a child: judge and hand the verdict over as JSON values."""
    return lambda announce: judge(pull_request, rulebook, options, announce).to_json()


def step_to_skip(outcome: bounded.Outcome, skip: Mapping[str, str]) -> str:
    """Return the step that a next attempt has to leave out; empty when another attempt would be no use."""
    return "" if outcome.bug or not outcome.stage or outcome.stage in skip else outcome.stage


def exit_status(verdict: Verdict) -> int:
    """Return the contract's exit status: 1 blocking, 3 undetermined, else 0 (no submission included)."""
    findings = [*verdict.findings, *(f for s in verdict.submissions for f in s.findings)]
    if any(f.blocking for f in findings):
        return BLOCKING
    return UNDETERMINED if verdict.submissions and verdict.verdict is Outcome.UNDETERMINED else 0


def _settings(request: Request) -> config.Config:
    """Return the configuration: the file's entries, overridden by the command line's."""
    known = {rule.code for rule in rules()}
    for code in (*request.select, *request.ignore):
        if code not in known:
            raise UsageFault(f"there is no rule {code!r}: `pgolf rules` lists them")
    target = request.target
    path = request.config or config.find(Path.cwd(), target.path or target.git_dir)
    try:
        settings = config.load(path, known)
    except config.ConfigError as error:
        raise UsageFault(str(error)) from error
    return replace(
        settings,
        select=request.select or settings.select,
        ignore=tuple(dict.fromkeys((*settings.ignore, *request.ignore))),
        rulebook=request.rulebook or settings.rulebook,
        fail_on=request.fail_on or settings.fail_on or "fail",
    )


def _rulebook(settings: config.Config) -> rulebooks.Rulebook:
    try:
        return rulebooks.load(settings.rulebook) if settings.rulebook else rulebooks.load()
    except rulebooks.RulebookError as error:
        raise UsageFault(str(error)) from error


def _decide(verdict: Verdict, settings: config.Config, today: dt.date) -> Verdict:
    pr = verdict.target.pr

    def decided(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
        return tuple(_blocking(f, settings.fail_on or "fail") for f in settings.apply(findings, pr, today))

    submissions = tuple(replace(s, findings=decided(s.findings)) for s in verdict.submissions)
    notes = (*verdict.notes, *settings.notes(), *settings.expired(today))
    return weigh(replace(verdict, findings=decided(verdict.findings), submissions=submissions, notes=notes))


_EXTRA: Mapping[str, Callable[[Finding], bool]] = {
    "fail": lambda f: False,
    "warn": lambda f: f.status is Status.WARN,
    "unknown": lambda f: f.status is Status.UNKNOWN,
}


def _blocking(finding: Finding, fail_on: str) -> Finding:
    if finding.waiver is None and _EXTRA[fail_on](finding):
        return replace(finding, blocking=True)
    return finding
