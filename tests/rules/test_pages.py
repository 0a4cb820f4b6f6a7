"""Runs every example of every rule's page, both ways: what is marked must be found, and nothing else may be.

Select with ``-k``: ``pytest tests/rules -k "evaluation and slot"``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import Rule, rules
from checks.submission.files import record_folders, track_of
from checks.submission.model import Change, PullRequest, SourceFile, Submission
from checks.verdict import Finding, Group, Status
from tests.rules import pages
from tests.rules.pages import Example, Expected, Page

MINIMUM = 3
JUDGED = {Status.FAIL, Status.WARN, Status.UNKNOWN}


def _examples() -> Iterator[tuple[Rule, Example]]:
    for rule in rules():
        if rule.page.exists():
            yield from ((rule, example) for example in pages.read(rule.page).examples)


def _name(rule: Rule, example: Example) -> str:
    return f"{rule.group.value}-{rule.code}-{example.kind}-{example.shape}"


EXAMPLES = [pytest.param(rule, example, id=_name(rule, example)) for rule, example in _examples()]
PAGES = [pytest.param(rule, id=f"{rule.group.value}-{rule.code}-page") for rule in rules()]


@pytest.mark.parametrize("rule", PAGES)
def test_every_rule_has_a_whole_page(rule: Rule) -> None:
    assert rule.page.exists(), f"{rule.code} has no page {rule.page.name} beside it"
    page = pages.read(rule.page)
    assert (page.code, page.title) == (rule.code, rulebook.load().rule(rule.code).title)
    assert page.sections == pages.SECTIONS
    for kind in ("violating", "legal"):
        assert sum(e.kind == kind for e in page.examples) >= MINIMUM, f"fewer than {MINIMUM} {kind} shapes"
    assert not [e.shape for e in page.examples if e.kind == "legal" and any(x.code == rule.code for x in e.expected)]
    assert not [
        e.shape for e in page.examples if e.kind == "violating" and not any(x.code == rule.code for x in e.expected)
    ]


def test_every_code_of_the_rulebook_has_a_rule() -> None:
    assert {rule.code for rule in rules()} == set(rulebook.load().rules)


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_example(rule: Rule, example: Example) -> None:
    asked = {r.code for r in rules() if r.group is Group.EVALUATION} if rule.group is Group.EVALUATION else {rule.code}
    request = pull_request(example)
    verdict = judge(request, rulebook.load(), Options(record_bpb=example.facts.get("record"), chosen=asked))
    findings = [*verdict.findings, *(f for s in verdict.submissions for f in s.findings)]
    if not request.submissions:
        findings += _without_folder(rule, request)
    found = [f for f in findings if f.status in JUDGED]
    missing = [e for e in example.expected if not any(_meets(f, e, example) for f in found)]
    stray = [f for f in found if not any(e.code == f.rule and e.status == f.status.value for e in example.expected)]
    assert not missing, "not found:\n" + "\n".join(map(str, missing)) + "\nfound:\n" + "\n".join(map(_show, findings))
    assert not stray, "not expected:\n" + "\n".join(map(_show, stray))


def pull_request(example: Example) -> PullRequest:
    """Build the pull request of an example, as the target reader would hand it over."""
    tree = example.tree()
    changes = [Change("A", path, len(text.encode())) for path, text in tree.items()]
    changes += [Change(*row.split(" ", 1)) for row in example.facts.get("changes", ())]
    files = {path: SourceFile(path, len(text.encode()), "file", _loader(text)) for path, text in tree.items()}
    folders = record_folders(c.path for c in changes if c.status == "A")
    return PullRequest(
        path=example.folder,
        created=example.created,
        title=example.facts.get("title"),
        changes=tuple(changes),
        submissions=tuple(_submission(folder, files) for folder in folders),
    )


def _submission(folder: str, files: dict[str, SourceFile]) -> Submission:
    own = {p[len(folder) + 1 :]: f for p, f in files.items() if p.startswith(f"{folder}/")}
    return Submission(folder, track_of(folder), {p: replace(f, path=p) for p, f in own.items()})


def _loader(text: str) -> Callable[[int], bytes]:
    return lambda limit: text.encode()[:limit]


def _without_folder(rule: Rule, request: PullRequest) -> list[Finding]:
    from checks.rules.base import PullRequestCase

    check = rule.check_pull_request
    return [check(PullRequestCase(request, rulebook.load()))] if check else []


def _meets(finding: Finding, expected: Expected, example: Example) -> bool:
    if (finding.rule, finding.status.value) != (expected.code, expected.status):
        return False
    if not expected.file:
        return True
    path = expected.file.removeprefix("/") if expected.file.startswith("/") else f"{example.folder}/{expected.file}"
    return any(e.file in (path, f"{path}!unpacked") and e.line == expected.line for e in finding.evidence)


def _show(finding: Finding) -> str:
    places = ", ".join(f"{Path(e.file).name}:{e.line}" for e in finding.evidence[:8])
    return f"  {finding.status.value} {finding.rule}: {finding.summary} [{places}]"


def test_markers_are_taken_off(tmp_path: Path) -> None:
    page = tmp_path / "rule.md"
    page.write_text(
        "# seeds: x\n\n## Why\n\n## What it looks for\n\n## Violating\n\n### one\n\n"
        "```python train_gpt.py\na = 1  # error: [seeds, slot]\nb = 2  # a comment\n```\n\n"
        "```expect\nwarn hardware\n```\n",
        encoding="utf-8",
    )
    read: Page = pages.read(page)
    assert read.examples[0].files["train_gpt.py"] == "a = 1\nb = 2  # a comment\n"
    assert read.examples[0].expected == (
        Expected("seeds", "fail", "train_gpt.py", 1),
        Expected("slot", "fail", "train_gpt.py", 1),
        Expected("hardware", "warn"),
    )


@pytest.mark.parametrize("block", ["```toml facts\nwrong = 1\n```", "```expect\nfails seeds\n```", "```python\nx\n```"])
def test_a_malformed_block_is_refused(tmp_path: Path, block: str) -> None:
    page = tmp_path / "rule.md"
    page.write_text(f"# seeds: x\n\n## Violating\n\n### one\n\n{block}\n", encoding="utf-8")
    with pytest.raises(pages.PageError):
        pages.read(page)
