"""The verdict as JUnit XML: a suite for each submission, a case for each rule.

A failing rule is a failure. Undecided, waived and inapplicable rules are skipped cases with the reason, so that nothing
counts as passed that was not checked and met.
"""

from __future__ import annotations

from xml.etree import ElementTree as ET

from checks.verdict import Finding, Status, Verdict
from reports import outline
from reports.escaping.xml import character_data as clean

_SKIPPED = {Status.UNKNOWN: "could not be decided", Status.NOT_APPLICABLE: "does not apply"}


def render(verdict: Verdict) -> str:
    """Return the document."""
    suites = ET.Element("testsuites", name="pgolf")
    if verdict.findings:
        _suite(suites, "pull request", verdict.findings)
    for submission in verdict.submissions:
        _suite(suites, submission.path, submission.findings)
    ET.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(suites, encoding="unicode") + "\n"


def _suite(parent: ET.Element, name: str, findings: tuple[Finding, ...]) -> None:
    failures = sum(1 for f in findings if f.status is Status.FAIL and f.waiver is None)
    skipped = sum(1 for f in findings if f.waiver is not None or f.status in _SKIPPED)
    counts = {"tests": str(len(findings)), "failures": str(failures), "errors": "0", "skipped": str(skipped)}
    suite = ET.SubElement(parent, "testsuite", {"name": clean(name), **counts})
    for finding in findings:
        case = ET.SubElement(suite, "testcase", classname=clean(name), name=clean(finding.rule))
        if finding.evidence:
            case.set("file", clean(finding.evidence[0].file))
            if finding.evidence[0].line > 0:
                case.set("line", str(finding.evidence[0].line))
        _outcome(case, finding)


def _outcome(case: ET.Element, finding: Finding) -> None:
    if finding.waiver is not None:
        waiver = finding.waiver
        why = f"waived by {waiver.by} until {waiver.until}: {waiver.why}"
        ET.SubElement(case, "skipped", message=clean(why)).text = clean(_body(finding))
    elif finding.status is Status.FAIL:
        failure = ET.SubElement(case, "failure", type=clean(finding.rule), message=clean(finding.title))
        failure.text = clean(_body(finding))
    elif finding.status in _SKIPPED:
        reason = ET.SubElement(case, "skipped", message=_SKIPPED[finding.status])
        reason.text = clean(_body(finding))
    else:
        ET.SubElement(case, "system-out").text = clean(_body(finding))


def _body(finding: Finding) -> str:
    rows = [finding.summary, *(f"{outline.place(e)} {e.what}".rstrip() for e in finding.evidence[:50])]
    return "\n".join(rows + ([f"Clears it: {finding.clears}"] if finding.clears else []))
