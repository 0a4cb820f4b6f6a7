"""The rehearsal: the whole way at toy scale on the CPU, with the bundled sample and two processes.

It proves the machinery and that the script runs by its own command, isolated and without a network; it proves nothing
about score, time or size.
"""

from __future__ import annotations

from collections.abc import Mapping

TOY: Mapping[str, str] = {
    "DEVICE": "cpu",
    "COMPILE": "0",
    "ITERATIONS": "6",
    "WARMUP_STEPS": "1",
    "WARMDOWN_ITERS": "2",
    "MAX_WALLCLOCK_SECONDS": "60",
    "TRAIN_BATCH_TOKENS": "2048",
    "TRAIN_SEQ_LEN": "256",
    "TRAIN_LOG_EVERY": "1",
    "VAL_LOSS_EVERY": "6",
    "VAL_BATCH_SIZE": "32768",
    "NUM_LAYERS": "2",
    "MODEL_DIM": "32",
    "NUM_HEADS": "2",
    "NUM_KV_HEADS": "1",
    "MLP_MULT": "2",
    "ROPE_DIMS": "8",
    "XSA_LAST_N": "1",
    "BIGRAM_VOCAB_SIZE": "256",
    "BIGRAM_DIM": "16",
    "EVAL_STRIDE": "256",
    "EVAL_BATCH_SEQS": "64",
    "TTT_CHUNK_TOKENS": "32768",
    "TTT_EPOCHS": "1",
    "TTT_BATCH_SEQS": "32",
}
"""Sizes of a toy, by the names that scripts of this challenge use."""

MEMORY_BYTES = 8 << 30


def toy_settings(script: str) -> dict[str, str]:
    """Return the toy sizes that a script reads."""
    return {name: value for name, value in TOY.items() if f'"{name}"' in script or f"'{name}'" in script}
