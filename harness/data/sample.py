"""The small data set: real English of a free licence in the challenge's format, bundled; or the same from other text.

The bundled text and its licence are described in ``bundled/SOURCE.md``.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.data import BUNDLED_SAMPLE, DataError, DataRoot
from harness.data.shards import shard_tokens, write_shard

DOCUMENT_CHARACTERS = 3000
"""About the length of a FineWeb document: a longer text is cut at the next paragraph."""


@dataclass(frozen=True)
class SampleSummary:
    """What a sample holds: tokens a split, and where it lies."""

    data: DataRoot
    train_tokens: int
    val_tokens: int


def install_sample(output: Path, *, force: bool = False) -> SampleSummary:
    """Copy the bundled sample below ``output``.

    Raises DataError where a file of that name with other content is there (unless ``force``), or a copy is damaged.
    """
    expected: dict[str, str] = json.loads((BUNDLED_SAMPLE.root / "sha256.json").read_text(encoding="utf-8"))
    for relative in expected:
        target = output / relative
        if target.exists() and not force and _sha256(target) != expected[relative]:
            raise DataError(
                f"{target} exists with other content: choose another --output, or pass --force to replace it"
            )
    for relative, digest in expected.items():
        source, target = BUNDLED_SAMPLE.root / relative, output / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists() or _sha256(target) != digest:
            shutil.copyfile(source, target)
        if _sha256(target) != digest:
            raise DataError(f"{target} is not what was bundled: reinstall the package, or free space on the disk")
    return summary(DataRoot(output))


def build_sample(
    documents: Sequence[str], output: Path, *, vocab_size: int = 1024, val_share: float = 0.06, force: bool = False
) -> SampleSummary:
    """Train a tokenizer on ``documents`` and write one training and one validation shard.

    As in the challenge: SentencePiece BPE with byte fallback, split digits and NFKC; every document begins with BOS
    (id 1); the validation split is the first documents of a fixed shuffle. Raises DataError.
    """
    import sentencepiece

    data = DataRoot(output, f"sp{vocab_size}")
    if data.dataset.exists() and not force:
        raise DataError(f"{data.dataset} exists: choose another --output, or pass --force to replace it")
    if len(documents) < 2:
        raise DataError("at least two documents are needed: one to train on and one to validate on")
    shuffled = list(documents)
    random.Random(1024).shuffle(shuffled)
    n_val = max(1, round(val_share * len(shuffled)))
    data.tokenizer.parent.mkdir(parents=True, exist_ok=True)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(line for text in shuffled[n_val:] for line in text.split("\n") if line),
            model_prefix=str(data.tokenizer.with_suffix("")),
            model_type="bpe",
            vocab_size=vocab_size,
            character_coverage=0.999,
            byte_fallback=True,
            split_digits=True,
            normalization_rule_name="nmt_nfkc",
            add_dummy_prefix=False,
            pad_id=0,
            bos_id=1,
            eos_id=2,
            unk_id=3,
            num_threads=1,
            minloglevel=2,
        )
    except RuntimeError as error:
        raise DataError(f"SentencePiece cannot make {vocab_size} pieces of this text: {error}") from error
    data.tokenizer.with_suffix(".vocab").unlink(missing_ok=True)
    tokenizer = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    for split, texts in (("val", shuffled[:n_val]), ("train", shuffled[n_val:])):
        tokens = [token for ids in tokenizer.encode(texts) for token in (tokenizer.bos_id(), *ids)]
        write_shard(data.dataset / f"fineweb_{split}_000000.bin", tokens)
    return summary(data)


def read_documents(files: Iterable[Path]) -> list[str]:
    """Cut text files at paragraph ends into documents of about DOCUMENT_CHARACTERS. Raises DataError."""
    documents: list[str] = []
    for path in files:
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} is no readable UTF-8 text: {error}") from error
        document = ""
        for line in text.splitlines():
            if not line.strip():
                continue
            document += ("\n" if document else "") + " ".join(line.split())
            if len(document) > DOCUMENT_CHARACTERS:
                documents.append(document)
                document = ""
        if document:
            documents.append(document)
    return documents


def summary(data: DataRoot) -> SampleSummary:
    """Count the tokens of each split by the headers of its shards. Raises DataError."""
    counts = [
        sum(shard_tokens(path) for path in sorted(data.dataset.glob(f"fineweb_{s}_*.bin"))) for s in ("train", "val")
    ]
    return SampleSummary(data, *counts)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
