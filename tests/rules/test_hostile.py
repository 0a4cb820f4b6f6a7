"""Rules on hostile READMEs and thousands of runs: a finding and never a traceback; quadratic work would not end."""

from __future__ import annotations

import pytest

from checks.rules.base import Case
from checks.rules.counted import counted
from checks.rules.registry import rules
from checks.verdict import Status
from tests.rules.test_counted import case, run

READMES = {
    "one long line of machines": "8xA100 " * 50_000,
    "many lines of scores": "val_bpb 1.2345 mean seed 7 eval 612 s over 600\n" * 8_000,
    "dumps without end": "dump of validation log-probs\n" * 12_000,
    "nothing but dots": "." * 390_000,
    "steps": "step 122 ms " * 30_000,
    "no text": "\x00\xff\u202e" * 1000,
}


@pytest.mark.parametrize("readme", READMES.values(), ids=READMES.keys())
def test_readme_is_judged(readme: str) -> None:
    found = case([run(1, 1.05, details={"stalls": (), "step_ms": 100.0})], readme, val_bpb=1.05)
    assert all(isinstance(f, Status) for f in _statuses(found))


def test_thousands_of_runs_are_judged() -> None:
    runs = [run(n % 97, 1.0 + (n * 7919 % 10_007) / 1e5, f"log{n}.txt") for n in range(5_000)]
    found = case(runs, val_bpb=1.0123, seeds=tuple(range(97)))
    assert counted(found).runs
    assert all(isinstance(f, Status) for f in _statuses(found))


def _statuses(found: Case) -> list[Status]:
    return [rule.check(found).status for rule in rules() if rule.check is not None and rule.group.value != "evaluation"]
