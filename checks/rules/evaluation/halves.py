"""One finding from what the logs and what the code say about the same rule."""

from __future__ import annotations

from dataclasses import replace

from checks.verdict import Finding, Status

_ORDER = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.PASS, Status.NOT_APPLICABLE)


def together(logs: Finding, code: Finding | None) -> Finding:
    """The graver of the two; what the other one found wrong is added to it."""
    if code is None:
        return logs
    first, second = sorted((code, logs), key=lambda f: _ORDER.index(f.status))
    if second.status not in (Status.FAIL, Status.WARN):
        return first
    known = {(e.file, e.line) for e in first.evidence}
    extra = tuple(e for e in second.evidence if (e.file, e.line) not in known)
    return replace(first, summary=f"{first.summary} {second.summary}", evidence=(*first.evidence, *extra))
