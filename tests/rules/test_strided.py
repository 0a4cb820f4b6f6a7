"""How far apart the windows of a chunk are taken says nothing of where they are: what is legal stays so, and what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import rules
from checks.verdict import Status
from tests.rules import pages
from tests.rules.test_pages import pull_request

CODE = "two-pass-rescore"
PAGE = next(rule.page for rule in rules() if rule.code == CODE)
WINDOWS = "            for i in chunks[c]:\n"
EXAMPLES = [e for e in pages.read(PAGE).examples if WINDOWS in e.files.get("train_gpt.py", "")]
FEWER = "            for i in chunks[c][::apart]:\n"
LOOP, DONE = "        for c in range(len(chunks)):\n", '    print(f"final_'
FIRST, NEXT = "        apart = 1\n", "            apart = max(apart, math.ceil(1000 / (c + 1)))\n"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.shape)
def test_a_stride_places_no_tokens(example: pages.Example) -> None:
    text = example.files["train_gpt.py"]
    assert all(text.count(part) == 1 for part in (WINDOWS, LOOP, DONE))
    text = text.replace(WINDOWS, FEWER).replace(LOOP, FIRST + LOOP).replace(DONE, NEXT + DONE)
    request = pull_request(replace(example, files={**example.files, "train_gpt.py": text}))
    verdict = judge(request, rulebook.load(), Options(chosen={CODE}))
    found = next(f.status for f in verdict.submissions[0].findings if f.rule == CODE)
    assert found is (Status.FAIL if example.kind == "violating" else Status.PASS)
