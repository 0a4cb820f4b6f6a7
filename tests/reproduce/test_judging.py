"""What is made of records: claims against measurements, fewer GPUs, sizes, and whose fault a failure was."""

from __future__ import annotations

from dataclasses import replace

import pytest

from checks import rulebook
from checks.submission.model import Claims, Run, Submission
from harness.reproduce.artifact import Artifact
from harness.reproduce.caps import rule_caps
from harness.reproduce.clocks import Clocks
from harness.reproduce.judging.evaluation import roundtrip, training_data
from harness.reproduce.judging.evidence import claim, record_beaten, seeds, tolerance_bpb
from harness.reproduce.judging.facts import Reproduction, score_of
from harness.reproduce.judging.limits import evaluation_clock, hardware, size, training_clock, untimed_work
from harness.reproduce.judging.verdict import judge
from harness.reproduce.plan import Plan
from harness.reproduce.record import End, Printed, Replay, SeedRecord, record_from_json
from reports import github, html, junit, markdown, sarif, terminal

RULES = rulebook.load()
CLOCKS = Clocks(
    setup=120.0,
    warmup=60.0,
    training=600.05,
    training_wall=640.0,
    validation=39.95,
    validations=4,
    pauses_plausible=True,
    export=20.0,
    evaluation=450.0,
    headline=430.0,
    training_end=760.0,
    started=True,
    printed_training=600.0,
    steps=7000,
)
END = End(0, None, 1300.0, 0.01, 10_000, 1 << 30, 1 << 20, False)
PRINTED = Printed(42, 1.12, 1.891, 600.0, 430.0, 15_900_000, 60_000, 15_840_000, 7000, 8, 62_021_632, 100, 90, 80)
PLAN = Plan(
    target="records/track_10min_16mb/x",
    script="train_gpt.py",
    files={},
    environment={},
    configuration_from={},
    seeds=(1, 2, 3),
    gpus=8,
    nproc=8,
    rehearsal=False,
    replay={},
    dataset="fineweb10B_sp1024",
    tokenizer=None,
    caps=rule_caps(RULES),
    provider="bubblewrap",
    launcher="local",
    memory_bytes=1,
    disk_bytes=1,
    expected_seconds=1.0,
)


def record(seed: int = 42, bpb: float = 1.12, **changes: object) -> SeedRecord:
    made = SeedRecord(
        seed=seed,
        plan=PLAN.digest,
        started="2026-05-01T00:00:00+00:00",
        end=END,
        clocks=CLOCKS,
        printed=replace(PRINTED, seed=seed, val_bpb=bpb, val_loss=bpb * 1.6884),
        artifact=Artifact("final_model.ptz", 15_840_000, "0" * 64, 780.0, 781.0, "named"),
        script_bytes=60_000,
        code_read={"train_gpt.py": 60_000},
        train_reads={"fineweb_train_000000.bin": (60.0, 700.0)},
        held_after_training=(),
        hidden_reads={},
        exclusive_view=True,
        replay=None,
        code_changed=(),
        blame=None,
        problem="",
        last_lines=(),
    )
    return replace(made, **changes)  # type: ignore[arg-type]


def case(
    *records: SeedRecord, claimed: float | None = 1.12, own: tuple[float, ...] = (), **changes: object
) -> Reproduction:
    runs = tuple(Run(f"train_{i}.log", seed=i, val_bpb=score, steps=7000, complete=True) for i, score in enumerate(own))
    submission = Submission("records/x", "10min_16mb", {}, claims=Claims(val_bpb=claimed), runs=runs)
    return replace(Reproduction(PLAN, records, submission, RULES), **changes)  # type: ignore[arg-type]


def three(*scores: float) -> tuple[SeedRecord, ...]:
    return tuple(record(seed, score) for seed, score in enumerate(scores, 1))


def test_records_survive_their_json() -> None:
    whole = record(replay=Replay(END, 1.12, 400.0, 3))
    assert record_from_json(whole.to_json()) == whole


@pytest.mark.parametrize(
    ("scores", "claimed", "own", "status"),
    [
        ((1.1201, 1.1195, 1.1204), 1.12, (1.1199, 1.1203, 1.1198), "pass"),
        ((1.1301, 1.1295, 1.1304), 1.12, (1.1199, 1.1203, 1.1198), "fail"),
        ((1.1101, 1.1095, 1.1104), 1.12, (1.1199, 1.1203, 1.1198), "warn"),
        ((1.1220,), 1.12, (), "unknown"),
        ((1.2200,), 1.12, (), "fail"),
        ((1.12,), None, (), "unknown"),
    ],
)
def test_score_against_claim(
    scores: tuple[float, ...], claimed: float | None, own: tuple[float, ...], status: str
) -> None:
    assert claim(case(*three(*scores), claimed=claimed, own=own)).status.value == status


def test_tolerance_is_welchs_and_grows_with_the_spread() -> None:
    assert tolerance_bpb([1.12], [1.12]) == 0.0
    tight, wide = tolerance_bpb([1.1200, 1.1201, 1.1202], [1.12]), tolerance_bpb([1.120, 1.121, 1.122], [1.12])
    assert wide == pytest.approx(10 * tight)
    # sd 0.0001, df 2: t(0.995) = 9.925; 9.925 * 0.0001 * sqrt(1/3 + 1)
    assert tight == pytest.approx(9.925e-4 * (4 / 3) ** 0.5, rel=1e-3)


def test_fewer_gpus_show_the_score_and_no_time_limit() -> None:
    slow = replace(CLOCKS, training=4800.0, printed_training=4800.0)
    few = case(
        *(replace(r, clocks=slow) for r in three(1.1201, 1.1195, 1.1204)),
        own=(1.1199, 1.1203, 1.1198),
        plan=replace(PLAN, gpus=1, nproc=1, caps=rule_caps(RULES, 8)),
        weaker=("1 of 8 GPUs",),
    )
    assert claim(few).status.value == "pass"
    assert training_clock(few).status.value == evaluation_clock(few).status.value == "not-applicable"
    assert "1 of 8 GPUs" in hardware(few).summary


def test_a_worse_score_with_fewer_steps_elsewhere_refutes_nothing() -> None:
    short = replace(CLOCKS, steps=5000)
    few = case(
        *(replace(r, clocks=short) for r in three(1.1401, 1.1395, 1.1404)),
        own=(1.12, 1.1203, 1.1198),
        weaker=("1 of 8",),
    )
    finding = claim(few)
    assert finding.status.value == "unknown" and "5000 steps" in finding.summary


@pytest.mark.parametrize(("seconds", "status"), [(600.05, "pass"), (600.5, "warn"), (601.5, "fail")])
def test_training_clock(seconds: float, status: str) -> None:
    assert training_clock(case(record(clocks=replace(CLOCKS, training=seconds)))).status.value == status


def test_training_that_may_hide_in_validation_is_unknown() -> None:
    doubtful = replace(CLOCKS, training=500.0, training_wall=1200.0, validation=700.0, pauses_plausible=False)
    assert training_clock(case(record(clocks=doubtful))).status.value == "unknown"


@pytest.mark.parametrize(
    ("evaluation", "headline", "status"), [(450.0, 430.0, "pass"), (700.0, 450.0, "warn"), (700.0, 650.0, "fail")]
)
def test_evaluation_clock(evaluation: float, headline: float, status: str) -> None:
    clocks = replace(CLOCKS, evaluation=evaluation, headline=headline)
    assert evaluation_clock(case(record(clocks=clocks))).status.value == status


def test_work_between_the_clocks_is_named() -> None:
    assert untimed_work(case(record(clocks=replace(CLOCKS, export=300.0)))).status.value == "warn"
    assert untimed_work(case(record(clocks=replace(CLOCKS, warmup=900.0)))).status.value == "warn"
    assert untimed_work(case(record())).status.value == "pass"


@pytest.mark.parametrize(
    ("model", "script", "helpers", "printed", "status"),
    [
        (15_840_000, 60_000, {}, 15_900_000, "pass"),
        (15_990_000, 60_000, {}, 16_050_000, "fail"),
        (15_990_000, 60_000, {}, 15_999_000, "warn"),
        (15_930_000, 60_000, {"ngram.py": 30_000}, 15_990_000, "warn"),
    ],
)
def test_weight(model: int, script: int, helpers: dict[str, int], printed: int, status: str) -> None:
    made = record()
    assert made.artifact is not None and made.printed is not None
    made = replace(
        made,
        artifact=replace(made.artifact, size=model),
        script_bytes=script,
        code_read={"train_gpt.py": script, **helpers},
        printed=replace(made.printed, artifact_bytes=printed, code_bytes=printed - model),
    )
    assert size(case(made)).status.value == status


def test_a_printed_size_below_what_is_weighed_is_a_lie() -> None:
    made = record(printed=replace(PRINTED, artifact_bytes=12_000_000))
    finding = claim(case(made))
    assert finding.status.value == "fail" and "15,900,000" in finding.summary


def test_a_printed_clock_behind_the_harness_is_a_lie() -> None:
    made = record(clocks=replace(CLOCKS, training=700.0, printed_training=599.0))
    assert "printed 599.0 s of training and took 700.0 s" in claim(case(made)).summary


def test_another_seed_than_the_one_set_is_a_lie() -> None:
    assert claim(case(record(7, printed=replace(PRINTED, seed=42)))).status.value == "fail"


def test_the_record_is_tested_with_the_measured_runs() -> None:
    better = case(*three(1.0501, 1.0500, 1.0499), record_bpb=1.08)
    worse = case(*three(1.0901, 1.0900, 1.0899), record_bpb=1.08)
    assert record_beaten(better).status.value == "pass"
    assert record_beaten(worse).status.value == "fail"
    assert record_beaten(case(record(), record_bpb=1.08)).status.value == "unknown"


def test_too_few_seeds_are_unknown() -> None:
    assert seeds(case(*three(1.12, 1.12))).status.value == "unknown"
    assert seeds(case(*three(1.12, 1.12, 1.12))).status.value == "pass"


def test_the_replayed_score_is_the_one_that_counts() -> None:
    assert score_of(record(replay=Replay(END, 1.1203, 400.0, 3))) == 1.1203
    assert score_of(record(train_reads={})) is None
    assert score_of(record(artifact=None)) is None


@pytest.mark.parametrize(
    ("changes", "lost", "status", "words"),
    [
        ({"read_back": None}, False, "fail", "never opened for reading"),
        ({"read_back": None}, True, "unknown", "events were lost"),
        ({"read_back": None, "rewritten": True}, False, "unknown", "written again"),
        ({}, False, "unknown", "has no mode"),
    ],
)
def test_roundtrip_accuses_only_on_proof(changes: dict[str, object], lost: bool, status: str, words: str) -> None:
    made = record()
    assert made.artifact is not None
    made = replace(made, artifact=replace(made.artifact, **changes), end=replace(END, events_lost=lost))  # type: ignore[arg-type]
    finding = roundtrip(case(made))
    assert finding.status.value == status and words in finding.summary


@pytest.mark.parametrize(("replayed", "status"), [(1.1201, "pass"), (1.1301, "fail"), (None, "unknown")])
def test_a_replay_decides(replayed: float | None, status: str) -> None:
    end = END if replayed else replace(END, status=1)
    made = record(replay=Replay(end, replayed, 400.0, 3))
    assert roundtrip(case(made, plan=replace(PLAN, replay={"RUN_STAGES": "eval"}))).status.value == status


def test_late_reads_accuse_only_through_the_runs_own_view() -> None:
    late = record(train_reads={"fineweb_train_000000.bin": (60.0, 900.0)})
    assert training_data(case(late)).status.value == "fail"
    assert training_data(case(replace(late, exclusive_view=False))).status.value == "unknown"
    assert training_data(case(record(end=replace(END, events_lost=True)))).status.value == "unknown"


def test_a_crash_of_the_machine_is_not_the_submissions_fault() -> None:
    broken = record(
        end=replace(END, status=None, stopped="machine nearly out of memory"), blame="machine", problem="oom"
    )
    verdict = judge(case(broken), "0")
    finding = next(f for f in verdict.submissions[0].findings if f.rule == "broken-script")
    assert finding.status.value == "unknown" and "not by the submission's fault" in finding.summary


def test_measured_findings_appear_in_every_report() -> None:
    lying = record(clocks=replace(CLOCKS, training=700.0, printed_training=599.0), last_lines=("\x1b[2J::error::x",))
    verdict = judge(case(lying), "0")
    for render in (terminal.render, markdown.render, html.render, sarif.render, junit.render, github.render):
        assert "train-time-cap" in render(verdict), render.__module__
