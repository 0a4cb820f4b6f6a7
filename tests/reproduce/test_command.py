"""``pgolf reproduce`` from the command line: the rehearsal of the reference, refusals, and exit statuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from harness.commands.reproduce import command
from harness.errors import UsageFault
from harness.sandbox import RunnerError
from tests.reproduce.workshop import make_data, no_sandbox, submission_of

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "reference_submission"
WHY_NOT = no_sandbox()
sandboxed = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


def pgolf(*words: str, timeout: float = 280) -> subprocess.CompletedProcess[str]:
    arguments = [sys.executable, "-m", "harness", "reproduce", *words]
    return subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False)


@sandboxed
def test_the_reference_is_rehearsed_and_its_bundle_checks(tmp_path: Path) -> None:
    """The whole way with torchrun and two processes, one seed."""
    pytest.importorskip("torch")
    out = tmp_path / "out"
    done = pgolf(str(REFERENCE), "--rehearse", "--seeds", "42", "--output", str(out), "--progress", "log")
    assert done.returncode == 0, done.stdout + done.stderr
    verdict = json.loads((out / "verdict.json").read_text())
    status = {f["rule"]: f["status"] for f in verdict["submissions"][0]["findings"]}
    for rule in ("broken-script", "roundtrip", "hidden-state-transfer", "train-data-at-eval", "network"):
        assert status[rule] == "pass", rule
    for rule in ("train-time-cap", "size-cap", "claim-mismatch", "significance"):
        assert status[rule] == "not-applicable", rule
    record = json.loads((out / "seeds" / "42" / "record.json").read_text())
    assert record["replay"]["val_bpb"] == pytest.approx(record["printed"]["val_bpb"], abs=1e-4)
    assert "seed 42: training" in done.stderr and "seed 42: replay" in done.stderr
    checked = pgolf("--verify", str(out))
    assert checked.returncode == 0 and "every byte checks" in checked.stdout
    (out / "review.md").write_text("all is well")
    checked = pgolf("--verify", str(out))
    assert checked.returncode == 1 and "WRONG 'review.md' changed" in checked.stdout


def test_a_dry_run_prints_the_plan_and_runs_nothing(tmp_path: Path) -> None:
    submission_of("honest", tmp_path / "toy")
    make_data(tmp_path / "data")
    words = [str(tmp_path / "toy"), "--dry-run", "--data", str(tmp_path / "data"), "--output", str(tmp_path / "out")]
    done = CliRunner().invoke(command, words, standalone_mode=False)
    assert done.return_value == 0 and done.exception is None
    assert "GPU hours" in done.output and "torchrun --standalone --nproc_per_node=8" in done.output
    assert not (tmp_path / "out").exists()


def test_without_isolation_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    submission_of("honest", tmp_path / "toy")
    monkeypatch.setenv("PATH", str(tmp_path))
    words = [str(tmp_path / "toy"), "--rehearse", "--output", str(tmp_path / "out"), "--seeds", "1"]
    with pytest.raises(RunnerError, match=r"bubblewrap is not installed.*--own-code"):
        CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)
    assert not (tmp_path / "out" / "seeds" / "1" / "record.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([str(REFERENCE)], "--data ROOT is missing"),
        (["--rehearse"], "what to review"),
        ([str(REFERENCE), "--rehearse", "--own-code", "--container", "x"], "give one of them"),
        ([str(REFERENCE), "--rehearse", "--seeds", "a,b"], "whole numbers"),
        ([str(REFERENCE), "--rehearse", "--env", "x"], "NAME=VALUE"),
    ],
)
def test_usage(words: list[str], message: str) -> None:
    from click import ClickException

    with pytest.raises((UsageFault, ClickException), match=message):
        CliRunner().invoke(command, words, standalone_mode=False, catch_exceptions=False)


def test_an_error_is_one_line_that_names_the_fault(tmp_path: Path) -> None:
    done = pgolf("--verify", str(tmp_path))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("pgolf: usage error:")
    assert "Traceback" not in done.stderr
