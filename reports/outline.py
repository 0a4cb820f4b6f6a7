"""What every report says and in which order, before any format: sections, words and facts as plain, unescaped text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from checks.verdict import Evidence, Finding, Outcome, Recommendation, Status, SubmissionVerdict, Verdict
from reports.facts import RunFacts, SubmissionFacts, number

OUTCOMES = {
    Outcome.COMPLIANT: "Compliant",
    Outcome.VIOLATION: "Violation",
    Outcome.INCOMPLETE: "Incomplete",
    Outcome.UNDETERMINED: "Undetermined",
}
RECOMMENDATIONS = {
    Recommendation.MERGE: "merge",
    Recommendation.REQUEST_CHANGES: "request changes",
    Recommendation.CLOSE: "close",
    Recommendation.HUMAN_REVIEW: "human review",
}
_WHY = {
    Outcome.COMPLIANT: "every rule that applies was checked and none was found broken",
    Outcome.VIOLATION: "a rule of evaluation, limits or integrity is not met, with the evidence below",
    Outcome.INCOMPLETE: "something that the package or its evidence needs is not there yet",
    Outcome.UNDETERMINED: "nothing was found broken, but a validity rule could not be decided",
}
DISPUTE = (
    "Something wrong here? Reply with the rule's code and the line that shows it. Every finding names its evidence so "
    "that it can be checked; a maintainer can waive any of them, and the waiver is shown in the next report."
)
METHOD = "The submission was read, not executed."
MEASURED = "The submission was run, and measured from outside."


@dataclass(frozen=True)
class Section:
    """Findings of one kind; ``folded`` ones are for the reader who asks."""

    key: str
    heading: str
    findings: tuple[Finding, ...]
    folded: bool = False


@dataclass(frozen=True)
class Part:
    """Findings that are shown together; ``submission`` is None for those of the pull request as a whole."""

    submission: SubmissionVerdict | None
    findings: tuple[Finding, ...]


def method(verdict: Verdict) -> str:
    """Return how the verdict was reached: by reading, or (``pgolf reproduce``) by running."""
    return MEASURED if any(s.facts.get("measured") for s in verdict.submissions) else METHOD


def why(outcome: Outcome) -> str:
    """Return in a few words what an outcome of a submission means."""
    return _WHY[outcome]


def why_overall(verdict: Verdict) -> str:
    """Return in a few words what the outcome of the whole review means."""
    return _WHY[verdict.verdict] if verdict.submissions else "no record folder was found, so nothing was judged as one"


def all_findings(verdict: Verdict) -> tuple[Finding, ...]:
    """Return the findings of the pull request and of every submission."""
    return verdict.findings + tuple(f for s in verdict.submissions for f in s.findings)


def sections(findings: Iterable[Finding]) -> tuple[Section, ...]:
    """Group findings into what is not met, undecided, to look at, waived and met; empty groups are left out."""
    findings = tuple(findings)
    live = tuple(f for f in findings if f.waiver is None)

    def of(status: Status) -> tuple[Finding, ...]:
        ordered = sorted(live, key=lambda f: not f.blocking)
        return tuple(f for f in ordered if f.status is status)

    every = (
        Section("fail", "Not met", of(Status.FAIL)),
        Section("unknown", "Could not be decided", of(Status.UNKNOWN)),
        Section("warn", "Worth a look", of(Status.WARN)),
        Section("waived", "Waived by a maintainer", tuple(f for f in findings if f.waiver is not None)),
        Section("pass", "Checked and met", of(Status.PASS), folded=True),
        Section("not-applicable", "Does not apply", of(Status.NOT_APPLICABLE), folded=True),
    )
    return tuple(s for s in every if s.findings)


def parts(verdict: Verdict) -> tuple[Part, ...]:
    """Return what is shown together: a single submission with the findings of its pull request, or each on its own."""
    if len(verdict.submissions) == 1:
        only = verdict.submissions[0]
        return (Part(only, verdict.findings + only.findings),)
    whole = (Part(None, verdict.findings),) if verdict.findings else ()
    return whole + tuple(Part(s, s.findings) for s in verdict.submissions)


def failing_rules(findings: Iterable[Finding]) -> tuple[str, ...]:
    """Return the codes of the rules that block, each once."""
    return tuple(dict.fromkeys(f.rule for f in findings if f.blocking and f.waiver is None))


def tally(findings: Iterable[Finding]) -> str:
    """Return the counts in words: "2 not met · 1 undecided · 14 met"."""
    words = {"fail": "not met", "unknown": "undecided", "warn": "to look at", "waived": "waived", "pass": "met"}
    return (
        " · ".join(f"{len(s.findings)} {words[s.key]}" for s in sections(findings) if s.key in words) or "no findings"
    )


def next_steps(verdict: Verdict) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return what to do, blocking findings first: (what clears them, codes of the rules that the one step clears)."""
    open_ = [
        f for f in all_findings(verdict) if f.waiver is None and f.clears and f.status in (Status.FAIL, Status.UNKNOWN)
    ]
    steps: dict[str, list[str]] = {}
    for finding in sorted(open_, key=lambda f: (not f.blocking, f.status is not Status.FAIL)):
        rules = steps.setdefault(finding.clears, [])
        if finding.rule not in rules:
            rules.append(finding.rule)
    return tuple((clears, tuple(rules)) for clears, rules in steps.items())


def ordered_events(finding: Finding) -> tuple[Evidence, ...]:
    """Return the evidence that has a place in the order of events, in the order that the rule gave."""
    return tuple(e for e in finding.evidence if e.role)


def target_name(verdict: Verdict) -> str:
    """Return what was reviewed, for a heading."""
    name = f"PR {verdict.target.pr}" if verdict.target.pr is not None else verdict.target.path
    return f"{name} at {verdict.target.head[:12]}" if verdict.target.head else name


def rule_set(verdict: Verdict) -> str:
    """Return which rules judged, with their date, and which program."""
    as_of = f"as of {verdict.rulebook.as_of}" if verdict.rulebook.as_of else "all rules"
    rules = f"{verdict.rulebook.name}, version {verdict.rulebook.version} ({as_of})"
    return f"Rules: {rules}. Tool: pgolf {verdict.tool_version}."


def title(finding: Finding) -> str:
    """Return the finding's title; that of an undecided rule asks, because the title names the breach."""
    return f"Undecided: {finding.title}?" if finding.status is Status.UNKNOWN else finding.title


def place(evidence: Evidence, folder: str = "") -> str:
    """Return "file:line" or "file:line-end", relative to ``folder``; the file alone when the fact has no line."""
    file = relative(evidence.file, folder)
    if evidence.line <= 0:
        return file
    end = f"-{evidence.end_line}" if evidence.end_line > evidence.line else ""
    return f"{file}:{evidence.line}{end}"


def relative(path: str, folder: str) -> str:
    """Return ``path`` as seen from ``folder``, or unchanged when it lies elsewhere."""
    return path[len(folder) + 1 :] if folder and path.startswith(folder + "/") and len(path) > len(folder) + 1 else path


def limit(verdict: Verdict, name: str) -> float | None:
    """Return one of the rulebook's limits as the verdict carries it."""
    return number(verdict.rulebook.limits.get(name))


def fact_rows(
    submission: SubmissionVerdict, facts: SubmissionFacts, limits: Mapping[str, float]
) -> list[tuple[str, str]]:
    """Return the facts that a reader wants first, as (name, value)."""
    rows = [
        ("Track", submission.track or "not recognised"),
        (
            "Script",
            (relative(submission.script or "none found", submission.path)) + (" (packed)" if submission.packed else ""),
        ),
        ("Claimed val_bpb", bpb(facts.claimed_val_bpb)),
        ("Scores in the logs", _scores(facts)),
        ("Artifact", _artifact(facts, number(limits.get("artifact_cap_bytes")))),
        ("Training", _clock([r.train_seconds for r in facts.runs], number(limits.get("train_cap_seconds")))),
        ("Evaluation", _clock([r.eval_seconds for r in facts.runs], number(limits.get("eval_cap_seconds")))),
        ("Hardware", _hardware(facts.runs)),
        ("Parameters", f"{facts.model_params:,}" if facts.model_params is not None else ""),
        ("Record", _record(facts)),
    ]
    return [(name, value) for name, value in rows if value]


RUN_HEADERS = ("log", "seed", "val_bpb", "train", "eval", "artifact", "steps", "final score")


def run_row(run: RunFacts) -> tuple[str, ...]:
    """Return one row of the table of runs (``RUN_HEADERS``)."""
    return (
        run.log.rsplit("/", 1)[-1] + (f" (run {run.index + 1})" if run.index else ""),
        "" if run.seed is None else str(run.seed),
        bpb(run.val_bpb),
        seconds(run.train_seconds),
        seconds(run.eval_seconds),
        "" if run.artifact_bytes is None else f"{run.artifact_bytes:,}",
        "" if run.steps is None else f"{run.steps:,}",
        "yes" if run.complete else f"no: {run.reason}" if run.reason else "no",
    )


def bpb(value: float | None) -> str:
    """Return bits per byte with the digits that scores are compared by."""
    return "" if value is None else f"{value:.5f}".rstrip("0").ljust(6, "0")


def seconds(value: float | None) -> str:
    """Return a duration in seconds."""
    return "" if value is None else f"{value:,.1f} s"


def _scores(facts: SubmissionFacts) -> str:
    if not facts.runs:
        return "no run found in any log"
    scored = [
        f"{bpb(r.val_bpb)} (seed {r.seed if r.seed is not None else '?'})" for r in facts.complete_runs if r.val_bpb
    ]
    listed = ", ".join(scored[:5]) + (f" and {len(scored) - 5} more" if len(scored) > 5 else "")
    count = f"{len(facts.complete_runs)} of {len(facts.runs)} runs complete"
    return f"{listed}; {count}" if listed else count


def _artifact(facts: SubmissionFacts, cap: float | None) -> str:
    sizes = [run.artifact_bytes for run in facts.runs if run.artifact_bytes is not None]
    if not sizes:
        return ""
    largest = max(sizes)
    text = f"{largest:,} bytes" if len(set(sizes)) == 1 else f"{min(sizes):,} to {largest:,} bytes"
    if cap is None:
        return text
    margin = int(cap) - largest
    return f"{text}; {margin:,} under the cap" if margin >= 0 else f"{text}; {-margin:,} over the cap of {int(cap):,}"


def _clock(values: list[float | None], cap: float | None) -> str:
    known = [v for v in values if v is not None]
    if not known:
        return ""
    low, high = seconds(min(known)), seconds(max(known))
    text = high if low == high else f"{low} to {high}"
    return f"{text} (limit {cap:,.0f} s)" if cap is not None else text


def _hardware(runs: Iterable[RunFacts]) -> str:
    seen = {f"{r.world_size or '?'} x {r.gpu or 'unknown GPU'}" for r in runs if r.world_size or r.gpu}
    return ", ".join(sorted(seen)[:3])


def _record(facts: SubmissionFacts) -> str:
    record = facts.record
    if record.val_bpb is None:
        return ""
    text = bpb(record.val_bpb) + (f" (PR {record.pr})" if record.pr is not None else "")
    return text + (f"; p {record.p_lower:.3g} for lower" if record.p_lower is not None else "")
