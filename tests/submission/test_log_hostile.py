"""Logs are hostile input: no content may crash the reader or keep it busy."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from checks.submission.log_source import find_sources
from checks.submission.logs import MAX_LINES, is_log, read_log
from tests.submission import log_samples as sample

WORDS = st.sampled_from(
    [
        *sample.BASELINE.splitlines(),
        *sample.PHASED.splitlines(),
        "import os",
        "=" * 100,
        "{" * 50,
        '{"val_bpb": NaN}',
        "val_bpb:1e999",
    ]
)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=3000))
def test_any_bytes(data: bytes) -> None:
    is_log("x.log", data)
    read_log("x.log", data, {"train_gpt.py": data})


@settings(max_examples=60, deadline=None)
@given(st.lists(WORDS, max_size=80))
def test_any_order_of_real_lines(lines: list[str]) -> None:
    for run in read_log("x.log", "\n".join(lines).encode(), {}):
        assert run.complete == (not run.reason)
        assert run.val_bpb is None or run.complete


def test_a_line_of_fifty_megabytes() -> None:
    data = b"seed:1\n" + b"val_bpb:" * 6_500_000 + b"\n" + (sample.training() + sample.ROUNDTRIP).encode()
    (run,) = read_log("x.log", data, {})
    assert run.val_bpb == 1.20001234


def test_more_lines_than_are_read_is_said() -> None:
    (run,) = read_log("x.log", b"seed:1\nstep:1/2 train_loss:1.0\n" + b"\n" * MAX_LINES, {})
    assert any("lines were read" in note for note in run.notes)


def test_many_beginnings_of_a_source_stay_linear() -> None:
    assert find_sources(b"import os\n" * 200_000) == ()
    assert len(find_sources(b"import os\nseed:1\n" * 100_000)) == 0


def test_numbers_beyond_any_range() -> None:
    nines = "9" * 400
    step = f"step:{nines}/1 train_loss:1e999 train_time:{nines}ms"
    text = f"seed:{nines}\n{step}\nval_bpb:{nines}\nCode size: {nines} bytes\n"
    for run in read_log("x.log", text.encode(), {}):
        assert run.seed is None and run.code_bytes is None and run.val_bpb is None


def test_a_final_score_survives_floods_of_others() -> None:
    flood = "".join(f"probe_{i} val_loss:3.0 val_bpb:1.5\n" for i in range(5000))
    (run,) = read_log("x.log", ("seed:1\n" + sample.training() + flood + sample.ROUNDTRIP).encode(), {})
    assert run.val_bpb == 1.20001234 and len(run.scores) <= 2500


def test_shuffled_binary_noise_between_lines() -> None:
    noise = random.Random(1)
    parts = [line.encode() + b"\n" + noise.randbytes(40) + b"\n" for line in sample.BASELINE.splitlines()]
    read_log("x.log", b"".join(parts), {})
