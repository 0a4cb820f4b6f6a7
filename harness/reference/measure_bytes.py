"""Bytes of the stored model: the reference's codecs beside the original's int8 + torch.save + zstd level 22.

    python -m harness.reference.measure_bytes WEIGHTS.pt

WEIGHTS.pt is final_model.pt or checkpoint.pt of a run. All three store the same quantised tensors; each is read back,
and the weights that it gives are compared bit by bit, so the score cannot differ.
"""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path
from typing import Any

import click

from harness.reference.script import load_script


def original_bytes(tensors: dict[str, Any], kinds: dict[str, str]) -> bytes:
    """How train_gpt.py of PR #1002 stores quantised tensors: an int8 an integer, pickled by torch, zstd level 22."""
    import torch
    import zstandard

    meta = {name: kind if kind.startswith("passthrough") else {"type": kind} for name, kind in kinds.items()}
    buffer = io.BytesIO()
    torch.save({"w": tensors, "m": meta}, buffer)
    return zstandard.ZstdCompressor(level=22).compress(buffer.getvalue())


def main(path: Path) -> None:
    """Print a table: codec, bytes, share of the original's bytes, seconds to write and to read."""
    import torch
    from tabulate import tabulate

    script = load_script()
    saved = torch.load(path, map_location="cpu", weights_only=True)
    state = saved.get("state") or saved.get("ema") or saved["model"]
    if isinstance(state, (tuple, list)):
        state = state[0]
    state = script.prune_smallest({name: t.float() for name, t in state.items()}, 0.03)
    tensors, kinds = script.quantize_state(state, saved["config"]["num_layers"], 4)
    expected = script.dequantize_state(tensors, kinds, torch.device("cpu"))
    start = time.perf_counter()
    base = len(original_bytes(tensors, kinds))
    rows: list[tuple[Any, ...]] = [
        ("original: int8, zstd 22", base, "100.00%", f"{time.perf_counter() - start:.1f}", "")
    ]
    for codec in ("packed", "rans"):
        start = time.perf_counter()
        blob = script.encode_artifact(tensors, kinds, codec)
        written = time.perf_counter()
        back = script.dequantize_state(*script.decode_artifact(blob), torch.device("cpu"))
        read = time.perf_counter()
        if not all(torch.equal(back[name], expected[name]) for name in expected):
            raise AssertionError(f"{codec} does not give the same weights")
        rows.append((codec, len(blob), f"{len(blob) / base:.2%}", f"{written - start:.1f}", f"{read - written:.1f}"))
    click.echo(tabulate(rows, headers=("stored as", "bytes", "of original", "write s", "read s"), intfmt=","))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
