"""Real pull requests of openai/parameter-golf, judged from git objects (PGOLF_ARCHIVE: path of the bare repository)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from checks.verdict import Recommendation, Status, Verdict
from harness.review import Request, exit_status, review
from harness.target import Target, read_target

ARCHIVE = os.environ.get("PGOLF_ARCHIVE")
pytestmark = [
    pytest.mark.archive,
    pytest.mark.skipif(not ARCHIVE, reason="PGOLF_ARCHIVE does not name the fetched openai/parameter-golf repository"),
]


def target(pr: int) -> Target:
    return Target(git_dir=Path(ARCHIVE or ""), ref=f"refs/pull/{pr}/head")


@pytest.fixture(scope="module")
def pr_1002() -> Verdict:
    return review(Request(target(1002)))


def summaries(verdict: Verdict, status: Status = Status.FAIL) -> dict[str, str]:
    found = [*verdict.findings, *(f for s in verdict.submissions for f in s.findings)]
    return {f.rule: f.summary for f in reversed(found) if f.status is status}


def test_what_a_careful_reader_finds_in_1002(pr_1002: Verdict) -> None:
    failing = summaries(pr_1002)
    assert "2 record folders" in failing["multiple-folders"]
    assert "run.sh" in failing["outside-records"] and "train_gpt_v2.py" in failing["outside-records"]
    assert "no training log" in failing["missing-files"]
    assert "seed 3" in failing["claim-mismatch"]
    assert {"seeds", "significance"} <= failing.keys()
    assert "1.1194" in failing["significance"]
    warned = summaries(pr_1002, Status.WARN)
    assert "NUM_LAYERS=12 (default 10)" in warned["config-mix"]
    assert "16,116,204" in warned["size-cap"] and "15,899,385" in warned["size-cap"]
    assert "122 ms" in warned["train-time-cap"] and "44 s" in warned["train-time-cap"]
    assert pr_1002.recommendation is Recommendation.REQUEST_CHANGES
    assert exit_status(pr_1002) == 1


def test_the_facts_of_1002(pr_1002: Verdict) -> None:
    first, second = pr_1002.submissions
    assert first.facts["claimed_val_bpb"] == 1.1594
    assert first.facts["model_params"] == 30_240_353
    assert first.facts["configuration"]["NUM_LAYERS"]["value"] == "12"
    assert [(r["seed"], r["complete"]) for r in first.facts["runs"]] == [(1, True), (1, False)]
    assert second.facts["runs"] == []


def test_the_adaptation_of_1002_is_cleared_with_the_lines_that_show_it(pr_1002: Verdict) -> None:
    for submission in pr_1002.submissions:
        found = next(f for f in submission.findings if f.rule == "ttt-adapt-before-score")
        assert found.status is Status.PASS
        lines = {e.role: e.line for e in found.evidence}
        assert 0 < lines["score"] < lines["adapt"]


@pytest.mark.parametrize("pr", [72, 756])
def test_tooling_and_notes_are_no_submission(pr: int) -> None:
    verdict = review(Request(target(pr)))
    assert verdict.submissions == ()
    assert exit_status(verdict) == 0


@pytest.mark.parametrize(
    ("pr", "folder"),
    [
        (63, "records/track_10min_16mb/2026-03-19_Seq2048_FP16Emb_TunedLR"),
        (1204, "records/track_10min_16mb/2026-03-31_ParallelResiduals_MiniDepthRecurrence"),
    ],
)
def test_a_merged_head_is_compared_with_where_it_branched_off(pr: int, folder: str) -> None:
    found = read_target(target(pr))
    assert [s.path for s in found.submissions] == [folder]
