"""size-cap without a logged size: a model whose content is not there is unknown, never zero bytes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import rules
from checks.submission.model import PullRequest, SourceFile
from checks.verdict import Finding, Status
from tests.rules import pages
from tests.rules.test_pages import pull_request

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 15000000\n"
PAGE = next(rule.page for rule in rules() if rule.code == "size-cap")
UNLOGGED = next(e for e in pages.read(PAGE).examples if e.shape.startswith("No log says"))


@pytest.mark.parametrize(
    ("size", "kind", "content"),
    [(0, "missing", b""), (20, "symlink", b"../elsewhere/a.ptz"), (len(POINTER), "file", POINTER)],
    ids=["missing", "symlink", "lfs"],
)
def test_an_unread_model_is_not_weighed(size: int, kind: str, content: bytes) -> None:
    model = SourceFile("model.ptz", size, kind, lambda limit: content[:limit])
    finding = judged({"model.ptz": model})
    assert finding.status is Status.UNKNOWN
    assert any(e.file.endswith("model.ptz") for e in finding.evidence)
    small = SourceFile("model_seed42.ptz", 1_000_000, "file", lambda limit: b"\0" * min(limit, 1_000_000))
    assert judged({"model.ptz": model, "model_seed42.ptz": small}).status is Status.UNKNOWN


def test_a_model_that_is_there_is_weighed() -> None:
    for size, status in ((15_000_000, Status.PASS), (16_000_001, Status.FAIL)):
        model = SourceFile("model.ptz", size, "file", lambda limit: b"\0" * min(limit, 64))
        assert judged({"model.ptz": model}).status is status


def test_a_stated_size_over_the_cap_stands_beside_an_unread_model() -> None:
    model = SourceFile("model.ptz", 0, "missing", lambda limit: b"")
    assert judged({"model.ptz": model}, bytes_total=16_361_752).status is Status.FAIL


def judged(files: dict[str, SourceFile], **claims: int) -> Finding:
    """The rule's finding on the page's folder without a logged size, with these files and claims in it."""
    request: PullRequest = pull_request(UNLOGGED)
    submission = request.submissions[0]
    old = submission.files["submission.json"]
    data = {k: v for k, v in json.loads(old.read(1 << 20)).items() if "bytes" not in k} | claims
    text = json.dumps(data).encode()
    stated = SourceFile("submission.json", len(text), "file", lambda limit: text[:limit])
    submission = replace(submission, files={**submission.files, "submission.json": stated, **files})
    verdict = judge(replace(request, submissions=(submission,)), rulebook.load(), Options())
    return next(f for f in verdict.submissions[0].findings if f.rule == "size-cap")
