"""The Slurm launcher: the job script it writes, and a real one-node cluster that runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from harness.reproduce.launchers import Site
from harness.reproduce.launchers.slurm import Slurm, job_script
from harness.reproduce.run import Prepared, Request, prepare, reproduce
from harness.sandbox import RunnerError
from tests.reproduce.slurm_cluster import cluster, missing
from tests.reproduce.workshop import make_data, no_sandbox, submission_of

WHY_NOT = missing() or no_sandbox()


class Heard:
    """Keeps what a launcher tells of its course."""

    def __init__(self) -> None:
        self.phases: list[tuple[int, str]] = []

    def phase(self, seed: int, name: str) -> None:
        self.phases.append((seed, name))

    def step(self, *_: object) -> None: ...

    def score(self, *_: object) -> None: ...

    def waiting(self, *_: object) -> None: ...


def prepared(tmp_path: Path, seeds: tuple[int, ...] = (1, 2), name: str = "honest_stages") -> Prepared:
    submission = submission_of(name, tmp_path / "records" / "toy")
    data = make_data(tmp_path / "data")
    (data / "tokenizers").mkdir()
    (data / "tokenizers" / "fineweb_1024_bpe.model").write_bytes(b"none")
    request = Request(submission, tmp_path / "out", seeds, 8, True, "bubblewrap", None, "slurm", data)
    return prepare(request)


def test_the_job_script_is_an_array_over_the_seeds(tmp_path: Path) -> None:
    ready = prepared(tmp_path)
    site = Site(Path("/shared/out put"), Path("/shared/data"), "bubblewrap")
    text = job_script(replace(ready.plan, gpus=8), (7, 8, 9), site)
    directives = [line for line in text.splitlines() if line.startswith("#SBATCH")]
    assert "#SBATCH --array=0-2" in directives and "#SBATCH --requeue" in directives
    assert "#SBATCH --gpus-per-node=8" in directives
    assert "SEEDS=(7 8 9)" in text and "'/shared/out put'" in text
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0


def test_without_slurm_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ready = prepared(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunnerError, match="sbatch is not installed") as caught:
        Slurm().run(ready.plan, (1,), ready.site, Heard())
    assert caught.value.blame.value == "machine"


@pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)
def test_a_real_cluster_runs_two_seeds_fails_cleanly_and_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready = prepared(tmp_path)
    heard, said = Heard(), []
    with cluster(tmp_path) as environment:
        for name in ("SLURM_CONF", "PATH"):
            monkeypatch.setenv(name, environment[name])
        launcher = Slurm(poll_seconds=0.5)
        result = reproduce(ready, launcher, heard, said.append)
        assert [record.seed for record in result.records] == [1, 2]
        assert all(record.end.status == 0 and record.replay is not None for record in result.records)
        assert any(name.startswith("submitted as Slurm job") for _, name in heard.phases)
        assert (1, "record is here") in heard.phases and (2, "record is here") in heard.phases

        again = Heard()
        reproduce(ready, launcher, again, said.append)
        assert again.phases == [] and said[-1] == "already finished: seed 1, 2"

        (ready.site.data / "tokenizers" / "fineweb_1024_bpe.model").unlink()
        broken = prepared_again(ready, (3,))
        with pytest.raises(RunnerError, match=r"Slurm task \d+_0 ended FAILED.*no tokenizer"):
            reproduce(broken, launcher, Heard(), said.append)


def prepared_again(ready: Prepared, seeds: tuple[int, ...]) -> Prepared:
    return prepare(replace(ready.request, seeds=seeds))


@pytest.mark.skipif(bool(no_sandbox()), reason=no_sandbox())
def test_a_terminated_node_leaves_no_process_and_no_record(tmp_path: Path) -> None:
    """What scancel, a time limit or preemption does to a task: SIGTERM."""
    from harness.reproduce.record import write_json
    from harness.reproduce.subject import stage

    ready = prepared(tmp_path, name="never_stops")
    stage(ready.subject, ready.site.output / "submission")
    write_json(ready.site.output / "plan.json", ready.plan.to_json())
    write_json(ready.site.output / "state" / "site.json", ready.site.to_json())
    words = [sys.executable, "-m", "harness.reproduce.node", str(ready.site.output), "1"]
    root = Path(__file__).parents[2]
    with subprocess.Popen(words, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as node:
        assert node.stdout is not None
        for line in node.stdout:
            if line == "seed 1: training\n":
                break
        inside = _descendants(node.pid)
        assert len(inside) > 3
        node.terminate()
        assert "interrupted" in node.stdout.read()
        assert node.wait() == 1
    deadline = time.monotonic() + 2
    while (left := [pid for pid in inside if _running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert left == []
    assert not (ready.site.output / "seeds" / "1" / "record.json").exists()


def _descendants(pid: int) -> list[int]:
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *_descendants(int(child))]
    return found


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z" and os.getpgid(pid) > 0
    except OSError:
        return False
