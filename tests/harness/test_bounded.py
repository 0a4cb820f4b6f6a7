"""A child that misbehaves in every way ends with words, and leaves nothing behind."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import bounded
from harness.bounded import Limits, Report


def nested(depth: int) -> int:
    return 0 if depth == 0 else 1 + nested(depth - 1)


def test_the_result_comes_back_with_what_it_cost() -> None:
    outcome = bounded.run(lambda report: {"a": [1, None, "\u2028 ü"]})
    assert outcome.value == {"a": [1, None, "\u2028 ü"]}
    assert not outcome.failure
    assert outcome.peak_bytes > 1_000_000 and outcome.wall_seconds > 0


def test_a_large_result_comes_back() -> None:
    assert len(bounded.run(lambda report: "x" * 5_000_000).value) == 5_000_000


def test_recursion_is_deep() -> None:
    assert bounded.run(lambda report: nested(20_000)).value == 20_000


def test_an_error_is_a_bug_with_its_traceback() -> None:
    def work(report: Report) -> None:
        report("reading")
        raise ValueError("no good")

    outcome = bounded.run(work)
    assert outcome.failure == "it raised an error"
    assert outcome.stage == "reading"
    assert "ValueError: no good" in outcome.bug


def crash(report: Report) -> None:
    report("parse")
    ctypes.string_at(0)


def spin(report: Report) -> None:
    report("loop")
    while True:
        pass


def sleep(report: Report) -> None:
    report("nap")
    time.sleep(60)


def hoard(report: Report) -> None:
    report("hoard")
    bytearray(3 * 1024**3)


def flood(report: Report) -> None:
    while True:
        report("x" * 100_000)


def leave(report: Report) -> None:
    report("leave")
    os._exit(3)


@pytest.mark.parametrize(
    ("work", "words", "stage"),
    [
        (crash, "crashed (SIGSEGV)", "parse"),
        (spin, "more than 1 s of CPU", "loop"),
        (sleep, "longer than 2 s", "nap"),
        (hoard, "2048 MiB of memory", "hoard"),
        (flood, "wrote more than", None),
        (leave, "ended with status 3", "leave"),
    ],
)
def test_a_dead_child_tells_how_and_where(work: bounded.Work, words: str, stage: str | None) -> None:
    limits = Limits(
        wall_seconds=2 if work is sleep else 30, cpu_seconds=1, memory_bytes=2 * 1024**3, output_bytes=10**6
    )
    outcome = bounded.run(work, limits)
    assert words in outcome.failure
    assert stage is None or outcome.stage == stage
    assert outcome.value is None


def test_what_the_child_starts_dies_with_it(tmp_path: Path) -> None:
    mark = tmp_path / "alive"

    def work(report: Report) -> None:
        subprocess.Popen([sys.executable, "-c", f"import time; time.sleep(3); open({str(mark)!r}, 'w')"])
        time.sleep(60)

    started = time.monotonic()
    assert "longer than 1 s" in bounded.run(work, Limits(wall_seconds=1)).failure
    time.sleep(max(0.0, started + 4 - time.monotonic()))
    assert not mark.exists()


def test_the_child_writes_nothing_on_our_streams(capfd: pytest.CaptureFixture[str]) -> None:
    def work(report: Report) -> None:
        os.write(1, b"out")
        os.write(2, b"err")

    bounded.run(work)
    assert capfd.readouterr() == ("", "")
