"""Training: processes agree, warm-up leaves no trace, a checkpoint goes on, the whole run works from the outside."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from checks.submission.logs import read_log
from harness.data import BUNDLED_SAMPLE
from harness.data.shards import read_tokens, write_shard
from harness.reference import REFERENCE_FOLDER
from tests.reference.conftest import losses, run_script


def test_defaults_build_the_claimed_model(script: ModuleType) -> None:
    config = script.Hyperparameters().gpt_config()
    assert config["num_layers"] == 12
    assert sum(p.numel() for p in script.GPT(**config).parameters()) == 30_240_353


def test_the_script_is_smaller_than_the_original(script: ModuleType) -> None:
    assert Path(str(script.__file__)).stat().st_size < 78_582


def test_one_process_and_two_agree(tmp_path: Path) -> None:
    settings = {"run_stages": "train", "iterations": 20, "warmdown_iters": 10}
    one = run_script(tmp_path / "one", 1, **settings)
    two = run_script(tmp_path / "two", 2, **settings)
    assert one.returncode == two.returncode == 0, one.stderr + two.stderr
    a, b = losses(one.stdout.splitlines()), losses(two.stdout.splitlines())
    assert len(a) == len(b) >= 11
    assert "qat:enabled" in one.stdout and "world_size:2 grad_accum_steps:4" in two.stdout
    assert a == pytest.approx(b, abs=1e-4)


def test_warm_up_leaves_no_trace(script: ModuleType, make_run: Any) -> None:
    seen = []
    for warmup_steps in (0, 2):
        run, val = make_run(warmup_steps=warmup_steps)
        script.Trainer(run, val).train()
        seen.append(losses(run.lines))
    assert seen[0] == seen[1]
    assert [line for line in run.lines if "graph:qat" in line]


def test_a_checkpoint_goes_on_as_if_never_stopped(script: ModuleType, make_run: Any) -> None:
    import torch

    run, val = make_run(checkpoint_every=3)
    whole = script.Trainer(run, val).train()
    straight = losses(run.lines)
    again, val = make_run(checkpoint_every=3)
    script.write_tensors("kept.pt", {"x": 1, "config": again.args.gpt_config()})
    trainer = script.Trainer(again, val)
    again.args.iterations = 6
    saved = torch.load("checkpoint.pt", weights_only=True)
    assert saved["progress"][0] == 6
    run3, val3 = make_run(checkpoint_every=3, iterations=4)
    script.Trainer(run3, val3).train()  # leaves the checkpoint of step 3
    resumed, val4 = make_run(resume="checkpoint.pt", checkpoint_every=0)
    resumed.args.warmdown_iters = 4
    assert trainer.step == 0
    state = script.Trainer(resumed, val4).train()
    if losses(run3.lines)[:3] == straight[:3]:  # the schedule of the first three steps does not depend on iterations
        assert losses(resumed.lines) == straight[3:]
        assert all(torch.equal(whole[name], state[name]) for name in whole)


def test_a_run_from_the_outside(tmp_path: Path) -> None:
    for split in ("train", "val"):
        tokens = read_tokens(BUNDLED_SAMPLE.dataset / f"fineweb_{split}_000000.bin")
        write_shard(tmp_path / "data" / f"fineweb_{split}_000000.bin", tokens[:5000])
    done = run_script(tmp_path, 1, run_id="r", data_path="data", ttt_chunk_tokens=1024, iterations=3)
    assert done.returncode == 0, done.stderr
    log = (tmp_path / "logs" / "r.txt").read_text()
    assert log.startswith('"""12L INT4 bQAT')
    for pattern in (
        r"^seed:42$",
        r"^world_size:1 grad_accum_steps:8$",
        r"^model_params:\d+$",
        r"^val_loader:shards pattern=.* tokens:\d+$",
        r"^step:3/3 train_loss:\S+ train_time:\d+ms step_avg:\S+ms$",
        r"^Code size: \d+ bytes$",
        r"^Serialized model int4/int6\+rans: \d+ bytes$",
        r"^Total submission size int4/int6\+rans: \d+ bytes$",
        r"^final_int4_int6_roundtrip_exact val_loss:\S+ val_bpb:\S+$",
        r"^  ttt_chunk \[1/5\] bpb=\S+ time=\S+s$",
        r"^legal_ttt_exact val_loss:\S+ val_bpb:\S+$",
    ):
        assert re.search(pattern, log, re.MULTILINE), pattern
    script = (REFERENCE_FOLDER / "train_gpt.py").read_bytes()
    (run,) = read_log("train.log", (tmp_path / "logs" / "r.txt").read_bytes(), {"train_gpt.py": script})
    assert run.complete and run.seed == 42 and run.world_size == 1 and run.source_matches
    assert run.code_bytes == len(script) and run.steps == 3 and run.val_bpb and run.eval_seconds and run.train_seconds
    size = int(re.findall(r"^Serialized model int4.*: (\d+) bytes", log, re.MULTILINE)[0])
    assert (tmp_path / "final_model.ptz").stat().st_size == size == run.model_bytes


def test_the_clock_stops_the_run(script: ModuleType, make_run: Any) -> None:
    run, val = make_run(max_wallclock_seconds=1.0, iterations=100_000, train_log_every=1000)
    script.Trainer(run, val).train()
    line = next(line for line in run.lines if line.startswith("stopping_early: wallclock_cap"))
    assert int(re.findall(r"train_time:(\d+)ms", line)[0]) < 1500
    assert any(line.startswith("qat:enabled") for line in run.lines)
