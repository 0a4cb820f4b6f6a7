"""Quantisation, packing and the entropy coder: lossless, small, and plain errors on damage."""

from __future__ import annotations

import io
from types import ModuleType
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="running the reference needs the repro extra")
zstandard = pytest.importorskip("zstandard")


@pytest.fixture(scope="module")
def weights() -> dict[str, Any]:
    """Weights of the shapes of two blocks, with rows of unequal spread as training makes them."""
    torch.manual_seed(0)
    shapes = {
        "tok_emb.weight": (1024, 128), "bigram.embed.weight": (512, 64), "bigram.proj.weight": (128, 64),
        "skip_weights": (1, 128), "blocks.0.attn.c_q.weight": (128, 128), "blocks.1.attn.c_k.weight": (128, 128),
        "blocks.0.attn.c_k.weight": (128, 128), "blocks.0.mlp.fc.weight": (1024, 128),
        "blocks.0.mlp.proj.weight": (128, 1024),
    }  # fmt: skip
    return {name: torch.randn(shape) * torch.rand(shape[0], 1).exp() for name, shape in shapes.items()}


@pytest.fixture(scope="module")
def quantised(script: ModuleType, weights: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    tensors, kinds = script.quantize_state(weights, 2, 4)
    return tensors, kinds


def test_kinds(quantised: tuple[dict[str, Any], dict[str, str]]) -> None:
    _, kinds = quantised
    assert kinds["blocks.0.mlp.fc.weight"] == kinds["bigram.embed.weight"] == "int4"
    assert kinds["blocks.0.attn.c_q.weight"] == kinds["blocks.0.attn.c_k.weight"] == "int6"
    assert kinds["tok_emb.weight"] == kinds["blocks.1.attn.c_k.weight"] == "passthrough_fp16"
    assert kinds["skip_weights"] == kinds["bigram.proj.weight"] == "passthrough"


@pytest.mark.parametrize("codec", ["rans", "packed"])
def test_the_artifact_gives_the_same_weights(script: ModuleType, quantised: Any, codec: str) -> None:
    tensors, kinds = quantised
    cpu = torch.device("cpu")
    back, back_kinds = script.decode_artifact(script.encode_artifact(tensors, kinds, codec))
    assert back_kinds == kinds
    expected, found = script.dequantize_state(tensors, kinds, cpu), script.dequantize_state(back, back_kinds, cpu)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


def test_the_artifact_is_smaller_than_int8_storage(script: ModuleType, quantised: Any) -> None:
    tensors, kinds = quantised
    stored = io.BytesIO()
    torch.save({"w": tensors, "m": kinds}, stored)
    original = len(zstandard.ZstdCompressor(level=22).compress(stored.getvalue()))
    assert len(script.encode_artifact(tensors, kinds, "rans")) < 0.97 * original


@pytest.mark.parametrize("codec", ["rans", "packed"])
def test_damage_is_a_plain_error(script: ModuleType, quantised: Any, codec: str) -> None:
    blob = script.encode_artifact(*quantised, codec)
    for bad in (b"", b"PGQ1", blob[:-7], b"XXXX" + blob[4:], blob + b"\0", blob[:40] + bytes(8) + blob[48:]):
        with pytest.raises(script.InputError, match="cannot be read"):
            script.decode_artifact(bad)


def test_a_flipped_bit_of_the_entropy_code_is_noticed(script: ModuleType, quantised: Any) -> None:
    blob = bytearray(script.encode_artifact(*quantised, "rans"))
    blob[-20_000] ^= 16
    with pytest.raises(script.InputError, match=r"damaged|words|broadcast|shape"):
        script.decode_artifact(bytes(blob))


@pytest.mark.parametrize("n", [0, 1, 1023, 1024, 5000])
def test_the_entropy_coder_inverts(script: ModuleType, n: int) -> None:
    rng = np.random.default_rng(n)
    tables = rng.integers(0, 3, n).astype(np.uint16)
    symbols = np.minimum(rng.geometric(0.3, n), 255).astype(np.uint8)
    counts = np.bincount(tables.astype(np.int64) * 256 + symbols, minlength=768).reshape(3, 256)
    freqs = script.frequency_tables(counts)
    assert set(freqs.sum(axis=1)) <= {0, 1 << script.RANS_BITS}
    assert ((freqs > 0) == (counts > 0)).all()
    assert (script.rans_decode(script.rans_encode(symbols, tables, freqs), tables, freqs) == symbols).all()


def test_pruning_takes_the_smallest_of_large_matrices_only(script: ModuleType) -> None:
    state = {"large": torch.randn(300, 300), "small": torch.randn(100, 100)}
    pruned = script.prune_smallest(state, 0.03)
    assert torch.equal(pruned["small"], state["small"])
    zero = pruned["large"] == 0
    assert zero.float().mean().item() == pytest.approx(0.03, abs=1e-3)
    assert state["large"][zero].abs().max() <= state["large"][~zero].abs().min()


def test_weights_that_are_not_numbers_are_refused(script: ModuleType) -> None:
    with pytest.raises(script.InputError, match="NaN"):
        script.quantize_rows(torch.full((100, 100), float("nan")), 7)
