"""Every way to cheat that we could think of, run for real and defeated; and honest runs, which must come out clean."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import threading
from pathlib import Path

import pytest

from harness.reproduce.judging.facts import score_of
from harness.sandbox import Stop
from tests.reproduce.workshop import CAPS, CHEATS, OwnCode, Seen, honest_score, no_sandbox, run_cheat

WHY_NOT = no_sandbox()
pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def true_score(seen: Seen) -> None:
    """The score is the one of the honest model, whatever was attempted."""
    assert score_of(seen.record) == pytest.approx(honest_score(), abs=1e-6)


def test_an_honest_run_is_not_accused(tmp_path: Path) -> None:
    seen = run_cheat("honest", tmp_path)
    assert not [f for f in seen.findings.values() if f.status.value == "fail" and f.rule != "claim-mismatch"]
    true_score(seen)
    assert seen.status("train-time-cap") == seen.status("eval-time-cap") == seen.status("size-cap") == "pass"
    assert seen.status("train-data-at-eval") == seen.status("network") == "pass"
    assert seen.status("roundtrip") == seen.status("hidden-state-transfer") == "unknown"
    assert "no mode" in seen.findings["roundtrip"].summary


def test_an_honest_run_that_can_be_replayed_is_proven(tmp_path: Path) -> None:
    seen = run_cheat("honest_stages", tmp_path)
    assert seen.status("roundtrip") == seen.status("hidden-state-transfer") == "pass"
    assert seen.record.replay is not None and seen.record.replay.val_bpb == score_of(seen.record)
    true_score(seen)


def test_the_clocks_of_an_honest_run_agree_with_what_it_prints(tmp_path: Path) -> None:
    clocks = run_cheat("honest", tmp_path).record.clocks
    assert clocks.printed_training is not None
    assert clocks.training == pytest.approx(clocks.printed_training, abs=0.1)
    assert clocks.steps == 4


@pytest.mark.parametrize(
    ("name", "words"),
    [("fake_score", "no artifact was written"), ("fake_score_beside_an_artifact", "no training shard was ever opened")],
)
def test_a_fake_score(tmp_path: Path, name: str, words: str) -> None:
    seen = run_cheat(name, tmp_path)
    assert seen.status("roundtrip") == "fail" and words in seen.findings["roundtrip"].summary
    assert score_of(seen.record) is None


def test_a_clock_that_runs_slow(tmp_path: Path) -> None:
    seen = run_cheat("slow_clock", tmp_path)
    printed = seen.record.clocks.printed_training
    assert printed is not None and printed < CAPS.train
    assert seen.record.clocks.training > CAPS.train_fail
    assert seen.status("train-time-cap") == "fail"


def test_training_that_never_stops_and_ignores_signals(tmp_path: Path) -> None:
    seen = run_cheat("never_stops", tmp_path)
    assert seen.record.end.stopped == Stop.TRAINING.value
    assert seen.record.end.wall_seconds < 6 and seen.record.end.kill_seconds < 1
    assert seen.status("train-time-cap") == "fail"
    assert seen.record.blame == "submission"


def test_training_hidden_between_the_clocks(tmp_path: Path) -> None:
    seen = run_cheat("hides_training_in_export", tmp_path)
    assert seen.status("train-time-cap") == "fail"
    assert seen.record.clocks.training > 1.5


def test_a_daemon(tmp_path: Path) -> None:
    seen = run_cheat("daemon", tmp_path)
    assert seen.record.end.status == 0 and seen.record.end.wall_seconds < 6
    alive = [p for p in Path("/proc").glob("[0-9]*/cmdline") if b"pgolf-cheat-daemon" in _bytes(p)]
    assert alive == []


def test_writing_outside(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    canary.write_text("untouched")
    canary.chmod(0o666)
    seen = run_cheat("writes_outside", tmp_path, {"CHEAT_CANARY": str(canary)})
    assert canary.read_text() == "untouched"
    assert b"written outside: []" in (seen.folder / "output.log").read_bytes()
    assert seen.record.code_changed == ()
    original = (CHEATS / "writes_outside.py").read_bytes()
    assert (tmp_path / "submission" / "train_gpt.py").read_bytes() == original
    assert not (tmp_path / "escape").exists() and not Path("/escape").exists()


def test_a_socket(tmp_path: Path) -> None:
    calls: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(10)
    name = f"pgolf-{os.getpid()}"
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0" + name)
    abstract.listen()

    def listen() -> None:
        try:
            calls.append(server.accept()[0].recv(10))
        except OSError:
            return

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    seen = run_cheat("opens_socket", tmp_path, {"CHEAT_PORT": str(server.getsockname()[1]), "CHEAT_ABSTRACT": name})
    server.close()
    abstract.close()
    assert b"reached: []" in (seen.folder / "output.log").read_bytes()
    assert calls == []
    assert seen.status("network") == "pass"


def test_training_data_read_after_the_clock(tmp_path: Path) -> None:
    seen = run_cheat("reads_training_data_late", tmp_path)
    assert seen.status("train-data-at-eval") == "fail"
    assert "fineweb_train_000000.bin" in seen.findings["train-data-at-eval"].summary


def test_training_data_kept_mapped(tmp_path: Path) -> None:
    seen = run_cheat("keeps_training_data_mapped", tmp_path)
    assert seen.status("train-data-at-eval") == "unknown"
    assert seen.record.held_after_training == ("/data/datasets/fineweb10B_sp1024/fineweb_train_000000.bin",)


def test_a_model_that_was_never_in_the_artifact(tmp_path: Path) -> None:
    seen = run_cheat("evaluates_memory", tmp_path)
    assert seen.status("roundtrip") == "fail"
    assert "never opened for reading" in seen.findings["roundtrip"].summary


def test_a_model_in_memory_after_a_look_at_the_artifact(tmp_path: Path) -> None:
    seen = run_cheat("evaluates_memory_after_a_look", tmp_path)
    assert seen.status("roundtrip") == "fail"
    assert "the artifact alone gives" in seen.findings["roundtrip"].summary
    assert seen.record.printed is not None and score_of(seen.record) != seen.record.printed.val_bpb


def test_a_full_disk(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    seen = run_cheat("fills_disk", tmp_path)
    assert seen.record.end.stopped == Stop.DISK.value
    assert seen.record.end.peak_disk_bytes <= seen.plan.disk_bytes
    assert free - shutil.disk_usage(tmp_path).free < 1 << 30
    assert seen.status("broken-script") == "fail" and "disk limit" in seen.findings["broken-script"].summary


def test_two_gigabytes_of_output(tmp_path: Path) -> None:
    seen = run_cheat("floods_output", tmp_path)
    assert seen.record.end.stopped == Stop.OUTPUT.value
    assert (seen.folder / "output.log").stat().st_size <= 64 << 20
    assert seen.status("broken-script") == "fail"


def test_its_own_script_and_log_replaced(tmp_path: Path) -> None:
    seen = run_cheat("replaces_its_files", tmp_path)
    true_score(seen)
    assert b"changed /submission" not in (seen.folder / "output.log").read_bytes()
    for name, digest in seen.plan.files.items():
        assert hashlib.sha256((tmp_path / "submission" / name).read_bytes()).hexdigest() == digest


def test_words_to_the_harness(tmp_path: Path) -> None:
    seen = run_cheat("writes_to_the_harness", tmp_path)
    true_score(seen)
    assert b"wrote to" not in (seen.folder / "output.log").read_bytes()
    assert seen.record.end.status == 0 and seen.record.seed == 42


def test_bytes_hidden_beside_the_artifact(tmp_path: Path) -> None:
    seen = run_cheat("hides_bytes", tmp_path)
    assert seen.status("hidden-state-transfer") == "fail"
    assert "optimizer_state.tmp.pkl" in seen.findings["hidden-state-transfer"].summary


def test_bytes_hidden_in_shared_memory(tmp_path: Path) -> None:
    seen = run_cheat("hides_bytes_in_shared_memory", tmp_path)
    assert seen.status("roundtrip") == "fail" and seen.status("hidden-state-transfer") == "fail"
    assert "/dev/shm/nccl-topology" in seen.findings["hidden-state-transfer"].summary


def test_without_isolation_the_verdict_says_so(tmp_path: Path) -> None:
    from dataclasses import replace

    from checks import rulebook
    from harness.reproduce.judging.evaluation import network
    from harness.reproduce.judging.facts import Reproduction
    from tests.reproduce.workshop import submission_of

    seen = run_cheat("honest_stages", tmp_path, provider=OwnCode())
    true_score(seen)
    plan = replace(seen.plan, provider="none")
    case = Reproduction(plan, (seen.record,), submission_of("honest", tmp_path / "again"), rulebook.load())
    assert network(case).status.value == "unknown"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
