"""The numbers of the original submission, reproduced."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("torch", reason="running the reference needs the repro extra")

from harness.commands.reference import command
from harness.errors import UsageFault
from harness.reference.golden import original_windows, read_golden, verify

GOLDEN = Path(__file__).parent.parent / "data" / "golden_slim.npz"


def test_every_comparison_is_within_tolerance() -> None:
    found = verify(GOLDEN)
    assert {c.name for c in found} >= {"logits", "qat_grad", "quantised integers", "newton_schulz", "ttt val_bpb"}
    assert [c for c in found if not c.passed] == []


def _altered(tmp_path: Path, name: str, factor: float) -> Path:
    with np.load(GOLDEN) as archive:
        arrays = dict(archive)
    arrays[name] = (arrays[name] * factor).astype(arrays[name].dtype)
    np.savez(tmp_path / "altered.npz", **arrays)
    shutil.copyfile(GOLDEN.with_suffix(".json"), tmp_path / "altered.json")
    return tmp_path / "altered.npz"


@pytest.mark.parametrize(
    ("name", "fails"),
    [
        ("logits", "logits"),
        ("qat_grad.skip_weights", "qat_grad"),
        ("quant.blocks.0.mlp.fc.weight.q", "quantised integers"),
    ],
)
def test_a_deviation_is_found_and_exits_1(tmp_path: Path, name: str, fails: str) -> None:
    path = _altered(tmp_path, name, 1.01 if "quant" not in name else -1)
    result = CliRunner().invoke(command, ["verify", "--golden", str(path)], standalone_mode=False)
    assert result.return_value == 1
    assert fails in result.output.rsplit("not:", 1)[1]


def test_a_wrong_evaluation_number_is_found(tmp_path: Path) -> None:
    shutil.copyfile(GOLDEN, tmp_path / "g.npz")
    data = json.loads(GOLDEN.with_suffix(".json").read_text())
    data["eval"]["ttt"]["val_bpb"] *= 1.001
    (tmp_path / "g.json").write_text(json.dumps(data))
    assert [c.name for c in verify(tmp_path / "g.npz") if not c.passed] == ["ttt val_bpb"]


def test_what_is_no_golden_pair_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no archive")
    with pytest.raises(UsageFault, match="no golden pair"):
        read_golden(tmp_path / "x.npz")


def test_the_originals_windows_score_the_tail_again() -> None:
    windows = original_windows(100, 40, 10)
    scored = np.concatenate([np.arange(first, end) for _, first, end in windows])
    assert set(scored) == set(range(100))
    assert len(scored) > 100
