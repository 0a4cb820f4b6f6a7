"""The verdict as SARIF 2.1.0 for code scanning: findings with locations, code flows, stable fingerprints, suppressions.

GitHub shows at most 5,000 results, 100 locations a result and 10 tags a rule, and tracks an alert from push to push by
``primaryLocationLineHash``; ours holds no line number, so that an alert survives lines that move.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from typing import Any

from checks.verdict import Evidence, Finding, Group, Status, Verdict
from reports import outline
from reports.escaping import sarif as escape
from reports.escaping.json import dumps
from reports.escaping.plain import shorten

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_SHOWN = (Status.FAIL, Status.WARN, Status.UNKNOWN)
_LEVELS = {Status.FAIL: "error", Status.WARN: "warning"}
_SEVERITIES = {Status.FAIL: "error", Status.WARN: "warning", Status.UNKNOWN: "recommendation"}
_MAX_RESULTS = 5_000
_MAX_LOCATIONS = 100


def render(verdict: Verdict) -> str:
    """Return the SARIF log with one run."""
    shown = [(folder, f) for folder, f in _findings(verdict) if f.status in _SHOWN][:_MAX_RESULTS]
    rules = sorted({f.rule for _, f in shown})
    seen: Counter[str] = Counter()
    run = {
        "tool": {
            "driver": {
                "name": "pgolf",
                "semanticVersion": escape.plain(verdict.tool_version),
                "rules": [_rule(code, [f for _, f in shown if f.rule == code]) for code in rules],
            }
        },
        "automationDetails": {"id": "pgolf/"},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {
            "%SRCROOT%": {"description": {"text": "The root of the repository or folder reviewed."}}
        },
        "invocations": [
            {
                "executionSuccessful": True,
                "toolExecutionNotifications": [
                    {"level": "note", "message": {"text": escape.message(note)}} for note in verdict.notes[:1_000]
                ],
            }
        ],
        "results": [_result(folder, f, rules.index(f.rule), seen) for folder, f in shown],
        "properties": {
            "verdict": verdict.verdict.value,
            "recommendation": verdict.recommendation.value,
            "rulebook": escape.plain(outline.rule_set(verdict)),
        },
    }
    target = verdict.target
    if target.repository and target.head:
        repository = f"https://github.com/{escape.uri(target.repository)}"
        run["versionControlProvenance"] = [{"repositoryUri": repository, "revisionId": escape.plain(target.head)}]
    return dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def fingerprint(folder: str, finding: Finding) -> str:
    """Return what identifies a finding from push to push: rule, folder, file, function and code, not line numbers."""
    first = _primary(finding)
    code = " ".join(first.excerpt.split())
    parts = (finding.rule, folder, first.file, first.function, code)
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _findings(verdict: Verdict) -> Iterator[tuple[str, Finding]]:
    yield from (("", finding) for finding in verdict.findings)
    for submission in verdict.submissions:
        yield from ((submission.path, finding) for finding in submission.findings)


def _rule(code: str, findings: list[Finding]) -> dict[str, Any]:
    first = findings[0]
    worst = next(status for status in _SHOWN if any(f.status is status for f in findings))
    return {
        "id": escape.plain(code),
        "shortDescription": {"text": escape.message(first.title) or escape.plain(code)},
        "help": {"text": f"Explained by: pgolf rules {escape.message(code)}"},
        "properties": {"tags": [first.group.value], "problem.severity": _SEVERITIES[worst]},
    }


def _result(folder: str, finding: Finding, index: int, seen: Counter[str]) -> dict[str, Any]:
    identity = fingerprint(folder, finding)
    seen[identity] += 1
    text = finding.summary + (f" Clears it: {finding.clears}" if finding.clears else "")
    # SARIF 3.27.10: a level only goes with kind "fail"; an undecided rule is "open" and has none.
    undecided = finding.status is Status.UNKNOWN
    result: dict[str, Any] = {
        "ruleId": escape.plain(finding.rule),
        "ruleIndex": index,
        "kind": "open" if undecided else "fail",
        "level": "none" if undecided else _LEVELS[finding.status],
        "message": {"text": escape.message(text) or escape.plain(finding.rule)},
        "locations": [_location(_primary(finding))],
        "partialFingerprints": {
            "primaryLocationLineHash": f"{identity}:{seen[identity]}",
            "pgolfFinding/v1": f"{identity}:{seen[identity]}",
        },
        "properties": {
            "status": finding.status.value,
            "group": finding.group.value,
            "blocking": finding.blocking,
            "submission": escape.plain(folder),
            "sources": [escape.plain(s) for s in finding.sources[:50]],
        },
    }
    others = [e for e in finding.evidence[:_MAX_LOCATIONS] if e is not _primary(finding)]
    if others:
        result["relatedLocations"] = [{"id": i, **_location(e)} for i, e in enumerate(others, 1)]
    events = outline.ordered_events(finding)[:_MAX_LOCATIONS]
    if len(events) > 1:
        steps = [
            {"location": _location(e), "executionOrder": i, "kinds": [escape.plain(e.role)], "importance": "essential"}
            for i, e in enumerate(events, 1)
        ]
        said = {"text": "The order of events that was found."}
        result["codeFlows"] = [{"message": said, "threadFlows": [{"locations": steps}]}]
    if finding.waiver is not None:
        waiver = finding.waiver
        why = f"Waived by {waiver.by} until {waiver.until}: {waiver.why}"
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": escape.plain(why)}]
    return result


def _primary(finding: Finding) -> Evidence:
    """The place that the finding is shown at: where state is adapted if an order was found, else the first."""
    fallback = finding.evidence[0] if finding.evidence else Evidence(file="README.md")
    if finding.group is not Group.EVALUATION:
        return fallback
    return next((e for e in finding.evidence if e.role == "adapt"), fallback)


def _location(evidence: Evidence) -> dict[str, Any]:
    packed = "!" in evidence.file
    path = evidence.file.split("!", 1)[0]
    # Code scanning needs a line; a fact about a whole file, or about the unpacked source, is shown at its first.
    line = evidence.line if evidence.line > 0 and not packed else 1
    region: dict[str, Any] = {"startLine": line}
    if evidence.end_line > line and not packed:
        region["endLine"] = evidence.end_line
    if evidence.excerpt:
        region["snippet"] = {"text": escape.plain(shorten(evidence.excerpt, 4_000))}
    location: dict[str, Any] = {
        "physicalLocation": {"artifactLocation": {"uri": escape.uri(path), "uriBaseId": "%SRCROOT%"}, "region": region}
    }
    words = ": ".join(w for w in (evidence.role, evidence.what, outline.place(evidence) if packed else "") if w)
    if words:
        location["message"] = {"text": escape.message(words)}
    if evidence.function:
        name = escape.plain(evidence.function)
        location["logicalLocations"] = [{"name": name, "fullyQualifiedName": name, "kind": "function"}]
    return location
