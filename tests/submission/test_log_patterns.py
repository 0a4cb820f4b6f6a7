"""Every pattern that sees a log line stays fast on lines built to make it backtrack."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from checks.submission import log_lines, log_mechanisms, log_pairs, log_run, log_scores, readme_claims

WORDS = [
    "val_bpb",
    "a",
    "1",
    "0.5",
    ":",
    "=",
    "(",
    "  ",
    "1/",
    "step ",
    "ttt",
    "_",
    "ngram",
    "A=",
    "slot:start ",
    "hints ",
    "code:",
    "size ",
    "hessian",
    "hessian_a",
]
MODULES = (log_lines, log_pairs, log_scores, log_run, readme_claims)
ANCHORED = {"_PREFIX", "STEP", "BLOCK_SETTING", "_MEAN_ROW", "_ADAPTIVE"}
PATTERNS = [(name, p) for m in MODULES for name, p in vars(m).items() if isinstance(p, re.Pattern)]
PATTERNS += [(name, p) for name, p in log_mechanisms._MECHANISMS]


@pytest.mark.parametrize(("name", "pattern"), PATTERNS, ids=[name for name, _ in PATTERNS])
def test_bounded(name: str, pattern: re.Pattern[str]) -> None:
    apply = pattern.match if name in ANCHORED or name.islower() else pattern.search
    for word in WORDS:
        for other in ("", ":", "1", "a"):
            line = ((word + other) * log_lines.MAX_LINE)[: log_lines.MAX_LINE]
            assert min(_seconds(apply, line) for _ in range(2)) < 0.5, line[:40]  # quadratic ones took seconds


def _seconds(apply: Callable[[str], object], line: str) -> float:
    begin = time.process_time()
    apply(line)
    return time.process_time() - begin
