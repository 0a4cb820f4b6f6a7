"""Bad data, settings, machines and disks: an error that names what is wrong, and nothing is lost."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="running the reference needs the repro extra")

from harness.data import BUNDLED_SAMPLE  # noqa: E402
from harness.data.shards import write_shard  # noqa: E402
from tests.reference.conftest import run_script  # noqa: E402


def _shard(
    path: Path, magic: int = 20240520, version: int = 1, claimed: int = 100, real: int = 100, order: str = "<"
) -> Path:
    header = np.zeros(256, dtype=f"{order}i4")
    header[:3] = (magic, version, claimed)
    path.write_bytes(header.tobytes() + np.full(real, 5, dtype=f"{order}u2").tobytes())
    return path


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"magic": 7}, "no token shard"),
        ({"order": ">"}, "big-endian"),
        ({"version": 2}, "version 2"),
        ({"real": 99}, "get it again"),
        ({"claimed": 0, "real": 0}, "0 tokens"),
    ],
)
def test_shards(script: ModuleType, tmp_path: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(script.InputError, match=says):
        script.open_shard(_shard(tmp_path / "fineweb_train_000000.bin", **settings))


def test_a_shard_without_a_header(script: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "x.bin").write_bytes(b"\0" * 10)
    with pytest.raises(script.InputError, match="too few"):
        script.open_shard(tmp_path / "x.bin")


def test_tokens_of_another_vocabulary(script: ModuleType, tmp_path: Path, make_run: Any) -> None:
    write_shard(tmp_path / "fineweb_train_000000.bin", [5, 2000] * 4000)
    with pytest.raises(script.InputError, match="token 2000 is outside"):
        run, val = make_run(train_files=str(tmp_path / "fineweb_train_*.bin"))
        script.Trainer(run, val).train()


def test_no_shards(script: ModuleType, make_run: Any) -> None:
    with pytest.raises(script.InputError, match="no shard matches"):
        make_run(val_files="/nowhere/fineweb_val_*.bin")


def test_a_tokenizer_that_does_not_match(script: ModuleType, make_run: Any, tmp_path: Path) -> None:
    with pytest.raises(script.InputError, match="VOCAB_SIZE=512"):
        make_run(vocab_size=512)
    with pytest.raises(script.InputError, match="no tokenizer"):
        make_run(tokenizer_path="/nowhere/x.model")
    (tmp_path / "x.model").write_bytes(b"not a model")
    with pytest.raises(script.InputError, match="no SentencePiece model"):
        make_run(tokenizer_path=str(tmp_path / "x.model"))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"train_batch_tokens": 500}, "TRAIN_BATCH_TOKENS"),
        ({"num_heads": 3}, "NUM_HEADS"),
        ({"rope_dims": 99}, "ROPE_DIMS"),
        ({"export_codec": "zip"}, "EXPORT_CODEC"),
        ({"run_stages": "train,dance"}, "RUN_STAGES"),
        ({"device": "tpu"}, "DEVICE"),
        ({"tie_embeddings": False}, "TIE_EMBEDDINGS"),
    ],
)
def test_settings(script: ModuleType, make_run: Any, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(script.InputError, match=says):
        make_run(**settings)


def test_a_world_size_that_does_not_divide_8(
    script: ModuleType, make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(script.InputError, match="WORLD_SIZE=3 must divide 8"):
        make_run()


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_no_cuda_where_it_is_asked_for_is_one_line_and_status_2(tmp_path: Path) -> None:
    done = run_script(tmp_path, device="cuda")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("train_gpt.py: rank 0 finds no GPU")
    assert "Traceback" not in done.stderr


def test_a_full_disk_keeps_the_earlier_file(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    script.write_atomic("final_model.ptz", b"earlier")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(script.InputError, match="No space left"):
        script.write_atomic("final_model.ptz", b"later")
    assert (tmp_path / "final_model.ptz").read_bytes() == b"earlier"
    assert [p.name for p in tmp_path.iterdir()] == ["final_model.ptz"]


def test_a_model_of_other_settings_is_not_exported(script: ModuleType, make_run: Any) -> None:
    run, _ = make_run()
    script.write_tensors("final_model.pt", {"state": {}, "config": {"num_layers": 99}})
    with pytest.raises(script.InputError, match="another model"):
        script.export(run)


def test_no_artifact_to_evaluate(script: ModuleType, make_run: Any) -> None:
    run, val = make_run()
    with pytest.raises(script.InputError, match=r"final_model\.ptz"):
        script.evaluate(run, val)


def test_the_bundled_shards_are_sound(script: ModuleType) -> None:
    for path in BUNDLED_SAMPLE.dataset.glob("*.bin"):
        assert script.open_shard(path).max() < 1024
