"""Fixtures: the script as a module, and a run of it in this process at the smallest scale."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="running the reference needs the repro extra")

from harness.data import BUNDLED_SAMPLE  # noqa: E402
from harness.reference import REFERENCE_FOLDER  # noqa: E402
from harness.reference.script import load_script  # noqa: E402

SMALL: dict[str, Any] = {
    "num_layers": 3,
    "model_dim": 32,
    "num_heads": 2,
    "num_kv_heads": 1,
    "xsa_last_n": 1,
    "bigram_vocab_size": 128,
    "bigram_dim": 16,
    "train_seq_len": 32,
    "train_batch_tokens": 512,
    "iterations": 6,
    "max_wallclock_seconds": 0.0,
    "warmdown_iters": 4,
    "late_qat_threshold": 0.6,
    "warmup_steps": 0,
    "val_loss_every": 0,
    "train_log_every": 1,
    "eval_stride": 16,
    "ttt_chunk_tokens": 256,
    "ttt_batch_seqs": 4,
    "device": "cpu",
}


@pytest.fixture(scope="session")
def script() -> ModuleType:
    torch.set_num_threads(1)
    return load_script()


@pytest.fixture
def make_run(script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Return a function that builds a Run in a fresh working folder, with a short validation split."""
    monkeypatch.chdir(tmp_path)

    def make(**settings: Any) -> tuple[Any, Any]:
        args = script.Hyperparameters()
        args.train_files = str(BUNDLED_SAMPLE.dataset / "fineweb_train_*.bin")
        args.val_files = str(BUNDLED_SAMPLE.dataset / "fineweb_val_*.bin")
        args.tokenizer_path = str(BUNDLED_SAMPLE.tokenizer)
        for name, value in (SMALL | settings).items():
            setattr(args, name, value)
        run = script.Run(args, "source")
        lines: list[str] = []
        run.log = lambda message, console=True: lines.append(message)
        run.lines = lines
        run.build_model()
        val = script.Validation.load(args, run.device)
        val.tokens, val.total = val.tokens[: 32 * 40 + 1], 32 * 40
        return run, val

    return make


def losses(lines: list[str]) -> list[float]:
    """The training losses that a log holds, in order."""
    return [float(line.split("train_loss:")[1].split()[0]) for line in lines if "train_loss:" in line]


def run_script(folder: Path, nproc: int = 1, **settings: Any) -> subprocess.CompletedProcess[str]:
    """Run the script as a user would, in ``folder``."""
    values = {name.upper(): str(value) for name, value in (SMALL | settings).items()}
    data = BUNDLED_SAMPLE.environment()
    start = [sys.executable] if nproc == 1 else [
        sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}",
    ]  # fmt: skip
    folder.mkdir(exist_ok=True)
    return subprocess.run(
        [*start, str(REFERENCE_FOLDER / "train_gpt.py")],
        cwd=folder, env={**os.environ, **data, "OMP_NUM_THREADS": "1", **values},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
