"""The verdict as the JSON document of the contract (``checks/verdict.schema.json``)."""

from __future__ import annotations

from checks.verdict import Verdict
from reports.escaping.json import dumps


def render(verdict: Verdict) -> str:
    """Return the document: ASCII only, finite numbers, keys in the order of the model."""
    return dumps(verdict.to_json())
