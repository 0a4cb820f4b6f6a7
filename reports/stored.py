"""Reads a verdict document that someone else wrote, so that trusted code can render it again.

The document may come from a pull request's workflow and is hostile until it has the shape of the schema, a bounded size
and depth, and the pull request and commit that the caller knows from elsewhere.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib import resources
from typing import Any

from checks.verdict import Verdict, verdict_from_json

MAX_BYTES = 20_000_000
_MAX_DEPTH = 40
_REPOSITORY = r"[\w-][\w.-]*/[\w-][\w.-]*"


class StoredVerdictError(Exception):
    """The document cannot be used; the message says why in one line."""


def schema() -> dict[str, Any]:
    """Return the JSON schema of ``pgolf.verdict/1``."""
    text = resources.files("checks").joinpath("verdict.schema.json").read_text(encoding="utf-8")
    document: dict[str, Any] = json.loads(text)
    return document


def read(data: bytes, *, pr: int | None = None, head: str | None = None, repository: str | None = None) -> Verdict:
    """Return the verdict in ``data``, with the given pull request and repository written over its own.

    Args:
        data: the JSON document.
        pr: number of the pull request that the verdict must be about; None leaves it open.
        head: full hash of the head commit that the verdict must be about; None leaves it open.
        repository: GitHub's "owner/name" to link to; None leaves the document's.

    Raises:
        StoredVerdictError: too large, too deep, no JSON, not of the schema, or about something else.
    """
    if len(data) > MAX_BYTES:
        raise StoredVerdictError(f"the verdict has {len(data):,} bytes; at most {MAX_BYTES:,} are read")
    document = _parse(data)
    error = next(_validator().iter_errors(document), None)
    if error is not None:
        place = "/".join(str(step)[:60] for step in error.absolute_path) or "the document"
        raise StoredVerdictError(f"not a pgolf.verdict/1 document: {place} fails {error.validator!r}")
    try:
        verdict = verdict_from_json(document)
    except ValueError as problem:
        raise StoredVerdictError(f"not a pgolf.verdict/1 document: {problem}") from problem
    if pr is not None and verdict.target.pr not in (None, pr):
        raise StoredVerdictError(f"the verdict is about PR {verdict.target.pr}, not about PR {pr}")
    if head is not None and verdict.target.head != head:
        raise StoredVerdictError("the verdict is about another commit than the head of the pull request")
    if repository is not None and not re.fullmatch(_REPOSITORY, repository, re.ASCII):
        raise StoredVerdictError(f"{repository!r} is no repository: give it as owner/name")
    target = verdict.target
    return replace(verdict, target=replace(target, pr=pr or target.pr, repository=repository or target.repository))


def _parse(data: bytes) -> Any:
    try:
        document = json.loads(data.decode("utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise StoredVerdictError(f"the verdict is no readable JSON: {str(error)[:200]}") from error
    level = [document]
    for _ in range(_MAX_DEPTH):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return document
    raise StoredVerdictError(f"the verdict is nested too deep; at most {_MAX_DEPTH} levels are read")


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


@functools.cache
def _validator() -> Any:
    import jsonschema  # 100 ms, needed for documents from elsewhere only

    return jsonschema.Draft202012Validator(schema())
