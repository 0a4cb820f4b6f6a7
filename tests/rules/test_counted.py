"""Which runs count: complete ones, of the submitted script, that the author cites."""

from __future__ import annotations

from collections.abc import Mapping

from checks import rulebook
from checks.program.program import Program
from checks.rules.base import Case
from checks.rules.counted import behind_claim, counted, with_score
from checks.submission.log_scores import scores_in
from checks.submission.model import Claims, PullRequest, Run, Score, SourceFile, Submission


def run(seed: int, bpb: float, log: str = "", **facts: object) -> Run:
    values: dict[str, object] = {"seed": seed, "val_bpb": bpb, "val_loss": 1.6884 * bpb, "complete": True, **facts}
    return Run(log or f"train_seed{seed}.log", **values)  # type: ignore[arg-type]


def case(runs: list[Run], readme: str = "", **claims: object) -> Case:
    files: Mapping[str, SourceFile] = {
        "README.md": SourceFile("README.md", len(readme), "file", lambda limit: readme.encode()[:limit])
    }
    submission = Submission("records/track_10min_16mb/x", None, files, claims=Claims(**claims), runs=tuple(runs))  # type: ignore[arg-type]
    return Case(submission, PullRequest("."), Program(), rulebook.load())


def seeds(found: Case) -> list[int | None]:
    return [r.seed for r in counted(found).runs]


def test_incomplete_runs_and_second_logs_do_not_count() -> None:
    one = run(1, 1.05)
    found = counted(case([one, run(1, 1.05, "copy.log"), run(2, 1.06, complete=False, reason="stops at step 5")]))
    assert [r.log for r in found.runs] == ["train_seed1.log"]
    assert {why for _, why in found.left_out} == {
        "stops at step 5",
        "it is a second log of the run in train_seed1.log",
    }


def test_the_seeds_of_submission_json_count_when_they_give_the_claim() -> None:
    runs = [run(1, 1.05), run(2, 1.06), run(3, 1.07)]
    assert seeds(case(runs, val_bpb=1.055, seeds=(1, 2))) == [1, 2]
    assert seeds(case(runs, val_bpb=1.06, seeds=(1, 2))) == [1, 2, 3]


def test_a_rerun_replaces_the_run_that_the_claim_leaves_out() -> None:
    runs = [run(1, 1.05), run(2, 1.08, "first.log"), run(2, 1.06, "again.log"), run(3, 1.07)]
    found = counted(case(runs, "1.0500 1.0800 1.0600 1.0700", val_bpb=1.06))
    assert [r.log for r in found.runs] == ["train_seed1.log", "again.log", "train_seed3.log"]


def test_another_script_does_not_count_beside_the_submitted_one() -> None:
    runs = [run(1, 1.05, source_matches=False, source_bytes=77805), run(2, 1.08, source_matches=True)]
    assert seeds(case(runs, val_bpb=1.02)) == [2]
    assert seeds(case(runs, val_bpb=1.05)) == [1, 2]


def test_a_score_cited_for_a_seed_replaces_the_last_one_printed() -> None:
    scores = (Score("final_int6_sliding_window_exact", 9, 1.05, 1.7728), Score("legal_ttt_exact", 12, 1.33, 2.24))
    found = counted(case([run(1, 1.33, scores=scores)], val_bpb=1.05, seed_scores={1: 1.05}))
    assert found.scores == (1.05,)
    assert found.runs[0].lines["val_bpb"] == 9


def test_an_evaluation_log_takes_its_training_from_the_log_of_its_seed() -> None:
    trained = run(1, 1.06, "train.log", complete=False, reason="no final score", train_seconds=599.0)
    found = counted(case([trained, run(1, 1.05, "eval.log")], val_bpb=1.05))
    assert [r.log for r in found.runs] == ["eval.log"]
    assert [r.log for r in found.trained] == ["train.log"]


def test_the_claim_of_one_exact_score_is_judged_by_its_run_alone() -> None:
    runs = [run(1, 1.35172182, "fixed.log"), run(2, 1.29104411), run(3, 1.29310277)]
    assert [r.log for r in behind_claim(case(runs, val_bpb=1.35172182))] == ["fixed.log"]
    assert len(behind_claim(case(runs, val_bpb=1.3517))) == 3
    assert len(behind_claim(case(runs, val_bpb=1.31195623))) == 3


def test_a_loss_on_the_rounded_line_belongs_to_the_exact_score() -> None:
    lines = (
        "final ngram_val_loss:0.5924 ngram_val_bpb:0.3509",
        "final_exact model_bpb:1.48535122 ngram_bpb:0.35085540",
    )
    scores = [s for number, line in enumerate(lines, 1) for s in scores_in(line, number)]
    found = with_score(run(1, 1.48535122, scores=tuple(scores)), scores[-1])
    assert (found.val_bpb, found.val_loss, found.lines["val_loss"]) == (0.3508554, 0.5924, 1)
    other = with_score(run(1, 1.48535122, scores=tuple(scores)), scores[1])
    assert other.val_loss is None


def test_a_run_that_stops_after_its_claimed_score_is_complete() -> None:
    sliding = [Score("final_sliding", 9, v, v * 1.6884, exact=True) for v in (1.15168, 1.15581)]
    ttt = Score("legal_ttt", 20, 1.3874, 2.3426)
    done = run(1, 1.3874, scores=(sliding[0], ttt))
    stopped = run(2, 0.0, scores=(sliding[1],), complete=False, reason="TTT stops at chunk 111 of 1893")
    assert seeds(case([done, stopped], val_bpb=1.1537)) == [1, 2]
    assert [r.val_bpb for r in counted(case([done, stopped], val_bpb=1.1537)).runs] == [1.15168, 1.15581]
    assert seeds(case([done, stopped], val_bpb=1.3874)) == [1]
    assert seeds(case([stopped], val_bpb=1.1390)) == []
