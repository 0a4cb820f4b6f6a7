"""What an author says of the part of the split that a score is over: said of the claimed score, or of another."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks.submission import told_part

CLAIM = 1.18765


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({"val_bpb": CLAIM, "validation_tokens": 1_048_576}, [(1_048_576, True)]),
        ({"validation": {"eval_tokens": 1_048_576, "mean_bpb": 1.187654}}, [(1_048_576, True)]),
        ({"val_bpb": CLAIM, "ablation": {"eval_tokens": 1_048_576, "bpb": 1.21}}, []),
        ({"val_bpb": CLAIM, "train_tokens": 524_288, "eval_tokens": True}, []),
        ({"note": "val_bpb computed on the first 5M tokens of validation rather than full val"}, [(5_000_000, True)]),
        ({"note": "val_bpb on the first 5M tokens of validation is 1.2"}, []),
        ({"note": "val_bpb is not over the first 5M tokens of validation, not the full one either"}, []),
        ({"blurb": "Run with iters=1200, val_max_tokens=8000000: val_bpb=1.18765."}, [(8_000_000, True)]),
        ({"blurb": "Smoke run with val_max_tokens=8000000; the full run gives val_bpb=1.18765."}, []),
        ({"blurb": "Run with val_max_tokens=8000000: val_bpb=1.21."}, []),
        ({"blurb": "Run with val_max_tokens=0: val_bpb=1.18765."}, []),
        ({"val_bpb": CLAIM, "val_max_tokens": 1_048_576}, [(1_048_576, True)]),
        ({"ablation_note": "bpb over a 1M-token subset instead of the full split"}, []),
    ],
)
def test_a_count_counts_with_the_claimed_score(data: dict[str, Any], found: list[tuple[int, bool]]) -> None:
    parts = told_part.of_json(data, json.dumps(data, indent=1), "submission.json", CLAIM)
    assert [(p.tokens, p.sure) for p in parts] == found


@pytest.mark.parametrize(
    ("readme", "found"),
    [
        ("1M-token slice, 3 seeds:\n- Mean BPB: 1.18765", [1_000_000]),
        ("| Mixture val_bpb (5M-token subset) | 1.1877 |", [5_000_000]),
        ("On a 1M-token subset 1.18765, over the full split 1.2000", []),
        ("1M-token subset, ablation: 1.18765", []),
        ("1M-token slice:\n\n- Mean BPB: 1.2", []),
    ],
)
def test_words_of_the_readme_stand_with_the_claimed_score(readme: str, found: list[int]) -> None:
    parts = told_part.of_readme(readme, "README.md", CLAIM)
    assert [p.tokens for p in parts] == found
    assert not any(p.sure for p in parts)


def test_a_hostile_document_is_bounded() -> None:
    deep: dict[str, Any] = {"val_bpb": CLAIM}
    for _ in range(500):
        deep = {"a": deep, "eval_tokens": 7}
    wide = {"rows": [{"eval_tokens": n + 1, "bpb": CLAIM} for n in range(100_000)]}
    for data in (deep, wide):
        assert len(told_part.of_json(data, "", "submission.json", CLAIM)) <= 20
    assert told_part.of_readme("9" * 100_000 + "M-token subset " + str(CLAIM), "README.md", CLAIM) == ()
