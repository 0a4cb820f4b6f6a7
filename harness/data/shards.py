"""The challenge's shard format: 256 little-endian int32 (magic 20240520, version 1, token count), then uint16 tokens.

Source: train_gpt.py of openai/parameter-golf. Needs numpy (the ``repro`` extra).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.data import DataError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

MAGIC = 20240520
VERSION = 1
HEADER_BYTES = 1024


def shard_tokens(path: Path) -> int:
    """Tokens of a shard by its header, checked against the size of the file. Raises DataError."""
    import numpy as np

    try:
        header = np.fromfile(path, dtype="<i4", count=256)
        size = path.stat().st_size
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    if header.size != 256:
        raise DataError(f"{path}: {size} bytes are too few for a shard header ({HEADER_BYTES} bytes)")
    if header[0] != MAGIC:
        swapped = int(header.byteswap()[0]) == MAGIC
        raise DataError(f"{path}: " + ("big-endian shard; shards are little-endian" if swapped else "no token shard"))
    if header[1] != VERSION:
        raise DataError(f"{path}: shard version {header[1]}, {VERSION} expected")
    tokens = int(header[2])
    if tokens <= 0 or size != HEADER_BYTES + 2 * tokens:
        raise DataError(f"{path}: {tokens} tokens need {HEADER_BYTES + 2 * tokens} bytes, the file has {size}")
    return tokens


def read_tokens(path: Path) -> npt.NDArray[np.uint16]:
    """Map the tokens of a shard without reading them. uint16 [tokens]. Raises DataError."""
    import numpy as np

    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(shard_tokens(path),))


def write_shard(path: Path, tokens: Sequence[int] | npt.NDArray[np.uint16]) -> None:
    """Write a shard whole or not at all. Raises DataError where a token does not fit 16 bits or the disk is full."""
    import numpy as np

    array = np.asarray(tokens)
    if array.size == 0 or array.min() < 0 or array.max() > 0xFFFF:
        raise DataError(f"{path}: a shard holds at least one token, each between 0 and 65,535")
    header = np.zeros(256, dtype="<i4")
    header[:3] = (MAGIC, VERSION, array.size)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(header.tobytes() + array.astype("<u2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"cannot write {path}: {error.strerror}") from error
