"""The verdict model: the one thing that rules produce and that reports render.

The JSON form (schema ``pgolf.verdict/1``) is in ``checks/verdict.schema.json``; keys are only ever added.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, is_dataclass, replace
from typing import Any

SCHEMA = "pgolf.verdict/1"
_SCALARS = frozenset({str, int, float, bool, type(None)})


class Status(str, enum.Enum):
    """Outcome of one rule on one submission."""

    FAIL = "fail"
    WARN = "warn"
    UNKNOWN = "unknown"
    PASS = "pass"
    NOT_APPLICABLE = "not-applicable"


class Group(str, enum.Enum):
    """What a rule protects; decides how a failing rule weighs in the verdict."""

    PACKAGE = "package"
    LIMITS = "limits"
    EVALUATION = "evaluation"
    EVIDENCE = "evidence"
    INTEGRITY = "integrity"


class Outcome(str, enum.Enum):
    """Verdict on a submission or a pull request."""

    COMPLIANT = "compliant"
    VIOLATION = "violation"
    INCOMPLETE = "incomplete"
    UNDETERMINED = "undetermined"


class Recommendation(str, enum.Enum):
    """What the reviewer is advised to do."""

    MERGE = "merge"
    REQUEST_CHANGES = "request-changes"
    CLOSE = "close"
    HUMAN_REVIEW = "human-review"


@dataclass(frozen=True)
class Evidence:
    """A place that a person can open.

    ``file`` is relative to the repository (or to the folder reviewed); ``train_gpt.py!unpacked`` is the unpacked source
    of a packed script. ``line`` is 1-based, 0 when the fact has no line (a missing file, a byte count).
    ``role`` places the entry in the order that was found: source, adapt, score, reset, report, clock; empty otherwise.
    """

    file: str
    line: int = 0
    end_line: int = 0
    function: str = ""
    what: str = ""
    excerpt: str = ""
    role: str = ""


@dataclass(frozen=True)
class Waiver:
    """A reviewer's decision that a finding does not block, echoed in every report."""

    rule: str
    by: str
    why: str
    until: str
    pr: int | None = None


@dataclass(frozen=True)
class Finding:
    """What one rule says about one submission.

    ``summary`` states the fact in a sentence or two; ``clears`` says what would make the finding go away. ``numbers``
    holds what a report may draw, by name (docs/json.md lists them).
    """

    rule: str
    status: Status
    title: str
    summary: str
    group: Group
    blocking: bool = False
    evidence: tuple[Evidence, ...] = ()
    sources: tuple[str, ...] = ()
    clears: str = ""
    waiver: Waiver | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the finding as JSON values."""
        return _plain(self)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class SubmissionVerdict:
    """One record folder judged. ``facts`` holds plain JSON values (see the contract)."""

    path: str
    track: str | None
    script: str | None
    packed: bool
    verdict: Outcome
    recommendation: Recommendation
    facts: Mapping[str, Any] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True)
class Target:
    """What was reviewed: a folder, a checkout or a pull request at a commit.

    ``repository`` is GitHub's "owner/name" where the head commit can be opened; None when there is none to link to.
    """

    path: str
    pr: int | None = None
    head: str | None = None
    base: str | None = None
    created: str | None = None
    title: str | None = None
    repository: str | None = None


@dataclass(frozen=True)
class RulebookRef:
    """Which rule set judged.

    ``limits`` repeats the numbers that reports draw (``artifact_cap_bytes``, ``train_cap_seconds``,
    ``eval_cap_seconds``, ``seeds``), under the names that they have in the rulebook's ``[constants]``.
    """

    name: str
    version: str
    as_of: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The whole review of one target."""

    tool_version: str
    rulebook: RulebookRef
    target: Target
    verdict: Outcome
    recommendation: Recommendation
    findings: tuple[Finding, ...] = ()
    submissions: tuple[SubmissionVerdict, ...] = ()
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as the JSON document of the contract."""
        data = _plain(self)
        version = data.pop("tool_version")
        return {"schema": SCHEMA, "tool": {"name": "pgolf", "version": version}, **data}


def verdict_from_json(data: Mapping[str, Any]) -> Verdict:
    """Rebuild a verdict from its JSON document; unknown keys are ignored.

    Raises:
        ValueError: the document is not of schema ``pgolf.verdict/1`` or lacks a required key.
    """
    if data.get("schema") != SCHEMA:
        raise ValueError(f"not a {SCHEMA} document: schema is {data.get('schema')!r}")
    try:
        return Verdict(
            tool_version=str(data["tool"]["version"]),
            rulebook=RulebookRef(**_known(RulebookRef, data["rulebook"])),
            target=Target(**_known(Target, data["target"])),
            verdict=Outcome(data["verdict"]),
            recommendation=Recommendation(data["recommendation"]),
            findings=tuple(_finding(f) for f in data["findings"]),
            submissions=tuple(_submission(s) for s in data["submissions"]),
            notes=tuple(data.get("notes", ())),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"verdict document is incomplete: {error}") from error


def conclude(findings: Iterable[Finding]) -> tuple[Outcome, Recommendation]:
    """Weigh findings into a verdict and a recommendation (contract, "verdict")."""
    live = [f for f in findings if f.waiver is None]
    failing = {f.group for f in live if f.status is Status.FAIL}
    if failing & {Group.EVALUATION, Group.LIMITS, Group.INTEGRITY}:
        return Outcome.VIOLATION, Recommendation.REQUEST_CHANGES
    if failing:
        return Outcome.INCOMPLETE, Recommendation.REQUEST_CHANGES
    if any(f.status is Status.UNKNOWN and f.group is Group.EVALUATION for f in live):
        return Outcome.UNDETERMINED, Recommendation.HUMAN_REVIEW
    return Outcome.COMPLIANT, Recommendation.MERGE


def waive(finding: Finding, waiver: Waiver) -> Finding:
    """Return the finding marked as waived; it no longer blocks."""
    return replace(finding, waiver=waiver, blocking=False)


def _finding(data: Mapping[str, Any]) -> Finding:
    values = _known(Finding, data)
    values["status"] = Status(values["status"])
    values["group"] = Group(values["group"])
    values["evidence"] = tuple(Evidence(**_known(Evidence, e)) for e in values.get("evidence", ()))
    values["sources"] = tuple(values.get("sources", ()))
    if values.get("waiver") is not None:
        values["waiver"] = Waiver(**_known(Waiver, values["waiver"]))
    return Finding(**values)


def _submission(data: Mapping[str, Any]) -> SubmissionVerdict:
    values = _known(SubmissionVerdict, data)
    values["verdict"] = Outcome(values["verdict"])
    values["recommendation"] = Recommendation(values["recommendation"])
    values["findings"] = tuple(_finding(f) for f in values["findings"])
    return SubmissionVerdict(**values)


def _known(cls: type, data: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in data.items() if k in cls.__dataclass_fields__}  # type: ignore[attr-defined]


def _plain(value: Any) -> Any:
    if type(value) in _SCALARS:
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if is_dataclass(value):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
