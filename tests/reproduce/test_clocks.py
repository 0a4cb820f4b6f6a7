"""The clocks, from made-up timelines: what counts as training, what is left out, and what a lying line cannot do."""

from __future__ import annotations

import pytest

from harness.reproduce.clocks import charged_so_far, read_clocks
from harness.reproduce.timeline import Timeline
from harness.sandbox import Action, FileEvent


def timeline(*lines: tuple[float, str], end: float = 0.0) -> Timeline:
    made = Timeline()
    for at, text in lines:
        made.line(at, text)
    made.end = end or lines[-1][0]
    return made


def train(step: int, seconds: float, total: int = 100) -> str:
    return f"step:{step}/{total} train_loss:2.0 train_time:{seconds * 1000:.0f}ms step_avg:1.00ms"


def validate(step: int, seconds: float, total: int = 100) -> str:
    return f"step:{step}/{total} val_loss:2.0 val_bpb:1.2 train_time:{seconds * 1000:.0f}ms step_avg:1.00ms"


def test_an_honest_run() -> None:
    made = timeline(
        (90.0, "warmup_step:20/20"),
        (100.5, train(1, 0.5)),
        (350.0, train(50, 250.0)),
        (370.0, validate(50, 250.0)),  # 20 s of validation
        (720.0, train(100, 600.0)),
        (740.0, validate(100, 600.0)),
        (740.1, "stopping_early: wallclock_cap train_time:600000ms step:100/100"),
        (760.0, "Serialized model int8+zlib: 15000000 bytes"),
        (980.0, "final_int8_zlib_roundtrip_exact val_loss:2.0 val_bpb:1.17000000"),
        end=985.0,
    )
    clocks = read_clocks(made, artifact_written=755.0, train_reads=[30.0, 700.0])
    assert clocks.setup == pytest.approx(100.0)
    assert clocks.warmup == pytest.approx(70.0)
    assert clocks.training == pytest.approx(600.1)
    assert (clocks.validation, clocks.validations) == (pytest.approx(40.0), 2)
    assert clocks.pauses_plausible
    assert clocks.export == pytest.approx(14.9)
    assert clocks.evaluation == pytest.approx(225.0)
    assert clocks.printed_training == pytest.approx(600.0)


def test_a_printed_clock_that_runs_slow_saves_nothing() -> None:
    made = timeline((1.0, train(1, 0.5)), (700.0, train(50, 300.0)), (1400.0, train(100, 599.0)))
    assert read_clocks(made, 1401.0, []).training == pytest.approx(1399.5)
    assert charged_so_far(made, 1400.0) == pytest.approx(1399.5)


def test_training_called_validation_is_not_plausible() -> None:
    made = timeline(
        (1.0, train(1, 1.0)),
        (120.0, validate(20, 100.0)),
        (240.0, validate(40, 200.0)),
        (900.0, validate(60, 300.0)),  # 560 s unaccounted for, the others 20 s
        (1000.0, train(100, 400.0)),
    )
    clocks = read_clocks(made, 1001.0, [])
    assert clocks.training_wall == pytest.approx(1000.0)
    assert not clocks.pauses_plausible


def test_one_long_validation_is_compared_with_the_final_evaluation() -> None:
    lines = ((1.0, train(1, 1.0)), (400.0, validate(50, 100.0)), (700.0, train(100, 400.0)))
    quick = timeline(*lines, (720.0, "final_exact val_loss:2.0 val_bpb:1.1"))
    slow = timeline(*lines, (1000.0, "final_exact val_loss:2.0 val_bpb:1.1"))
    assert not read_clocks(quick, 701.0, []).pauses_plausible
    assert read_clocks(slow, 701.0, []).pauses_plausible


def test_reading_training_data_after_the_stop_line_is_training() -> None:
    made = timeline((1.0, train(1, 1.0)), (600.0, train(100, 600.0)), (600.1, "stopping_early: wallclock_cap"))
    assert read_clocks(made, 700.0, [0.5, 650.0]).training == pytest.approx(650.0)


def test_without_step_lines_everything_until_the_artifact_is_training() -> None:
    made = timeline((1.0, "hello"), (900.0, "final_exact val_loss:2.0 val_bpb:1.1"))
    clocks = read_clocks(made, 800.0, [2.0])
    assert not clocks.started
    assert clocks.training == pytest.approx(800.0)


def test_a_claimed_first_step_cannot_move_the_start_before_the_line_above_it() -> None:
    made = timeline((500.0, "warmup done"), (501.0, train(1, 400.0)), (600.0, train(100, 499.0)))
    assert read_clocks(made, 601.0, []).setup == pytest.approx(500.0)


def test_a_file_closed_at_exit_was_not_read_then() -> None:
    """A mapping holds its descriptor until the process ends: the close is no read, where data is concerned."""
    made = Timeline()
    made.file(1.0, FileEvent("data", "fineweb_train_0.bin", Action.OPENED))
    made.file(99.0, FileEvent("data", "fineweb_train_0.bin", Action.CLOSED))
    assert made.reads("data")["fineweb_train_0.bin"].last_read == 1.0


def test_an_appended_log_is_not_read_and_a_mapped_artifact_is() -> None:
    made = Timeline()
    for at, name, action in (
        (1.0, "run.txt", Action.OPENED),
        (1.1, "run.txt", Action.WRITTEN),
        (2.0, "final.ptz", Action.WRITTEN),
        (3.0, "final.ptz", Action.OPENED),
        (4.0, "final.ptz", Action.CLOSED),
    ):
        made.file(at, FileEvent("workspace", name, action))
    assert set(made.reads("workspace")) == {"final.ptz"}
    assert made.files["workspace", "final.ptz"].read_after_write


def test_a_rewritten_file_must_be_read_again() -> None:
    made = Timeline()
    for at, action in ((1.0, Action.WRITTEN), (2.0, Action.READ), (3.0, Action.WRITTEN)):
        made.file(at, FileEvent("workspace", "final.ptz", action))
    assert not made.files["workspace", "final.ptz"].read_after_write
