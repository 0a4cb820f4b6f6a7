"""A review says the same in every process: nothing of it follows the order of a set, which changes with the hash seed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import rules
from tests.rules import pages
from tests.rules.test_pages import pull_request

ROOT = Path(__file__).resolve().parents[2]
CODES = ("ngram-target-only", "val-calibration")


def findings() -> list[list[object]]:
    """What is said of the violating examples of some pages, with the evidence in its order."""
    said: list[list[object]] = []
    for rule in rules():
        if rule.code in CODES:
            for example in pages.read(rule.page).examples:
                if example.kind == "violating":
                    verdict = judge(pull_request(example), rulebook.load(), Options())
                    said += [
                        [f.rule, f.summary, [(e.file, e.line, e.what) for e in f.evidence]]
                        for s in verdict.submissions
                        for f in s.findings
                    ]
    return said


@pytest.mark.parametrize("seed", ["1", "2"])
def test_the_same_words_whatever_the_hash_seed(seed: str) -> None:
    ask = "import json; from tests.rules.test_same_words import findings; print(json.dumps(findings()))"
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    there = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(there.stdout) == json.loads(json.dumps(findings()))
