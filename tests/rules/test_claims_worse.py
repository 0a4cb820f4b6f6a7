"""roundtrip: a claim above all that the logs show was made by an evaluation that the folder does not hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from checks.rulebook import load
from checks.rules.evaluation import roundtrip


@pytest.mark.parametrize(
    ("claim", "worse"), [(1.8838, True), (1.8756, False), (1.876, False), (1.87, False), (None, False)]
)
def test_claims_worse(claim: float | None, worse: bool) -> None:
    scores = [SimpleNamespace(val_bpb=1.9, step=100), SimpleNamespace(val_bpb=1.8756, step=None)]
    run = SimpleNamespace(scores=scores, complete=True, val_bpb=1.8756)
    submission = SimpleNamespace(claims=SimpleNamespace(val_bpb=claim), runs=(run,))
    case: Any = SimpleNamespace(submission=submission, rulebook=load())
    assert roundtrip._claims_worse(case) is worse
