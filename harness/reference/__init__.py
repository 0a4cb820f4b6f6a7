"""The bundled reference submission: where it lies, and its settings at toy scale.

Submodules: ``script`` imports train_gpt.py, ``golden`` compares it with recorded numbers, ``run`` starts it,
``scaffold`` makes a new submission from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import reference_submission as _folder

REFERENCE_FOLDER = Path(next(iter(_folder.__path__)))

TOY: Mapping[str, str] = MappingProxyType(
    {
        "NUM_LAYERS": "4",
        "MODEL_DIM": "64",
        "NUM_HEADS": "4",
        "NUM_KV_HEADS": "2",
        "XSA_LAST_N": "2",
        "BIGRAM_VOCAB_SIZE": "512",
        "BIGRAM_DIM": "64",
        "TRAIN_SEQ_LEN": "128",
        "TRAIN_BATCH_TOKENS": "8192",
        "MAX_WALLCLOCK_SECONDS": "15",
        "WARMDOWN_ITERS": "60",
        "WARMUP_STEPS": "2",
        "VAL_LOSS_EVERY": "0",
        "TRAIN_LOG_EVERY": "20",
        "EVAL_STRIDE": "64",
        "TTT_CHUNK_TOKENS": "8192",
        "TTT_BATCH_SEQS": "16",
        "TTT_EPOCHS": "1",
        "DEVICE": "cpu",
    }
)
"""Trains, quantises, round-trips and evaluates with TTT on the bundled sample in well under 90 s on 2 cores."""
