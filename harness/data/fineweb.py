"""Download the challenge's FineWeb export from Hugging Face and verify it.

Counts come from the export's own manifest.json, fingerprints from the rulebook. huggingface_hub resumes what was cut
off, skips what is there and shows progress. Needs the ``repro`` extra and the network.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from harness.data import DataError, DataRoot
from harness.data.shards import read_tokens, shard_tokens

REPOSITORY = os.environ.get("MATCHED_FINEWEB_REPO_ID", "willdepueoai/parameter-golf")
"""The dataset repository that the challenge's own downloader uses, overridden by the same variable."""

REMOTE_ROOT = "datasets"

Fetch = Callable[[str, bool], Path]
"""Bring a file of the repository here, anew if the flag says that the copy here is damaged; returns where it is."""


@dataclass(frozen=True)
class Verification:
    """What was found in an export: counts, and each defect in words."""

    train_shards: int
    train_tokens: int
    val_tokens: int
    val_bytes: int
    defects: tuple[str, ...]


def download(output: Path, variant: str, train_shards: int, fetch: Fetch | None = None) -> DataRoot:
    """Bring the whole validation split, ``train_shards`` training shards and the tokenizer below ``output``.

    Files that are there and whole are kept. Raises DataError where the export has no such variant, has fewer shards,
    or a file cannot be had.
    """
    fetch = fetch or _fetch_from_hub
    data = DataRoot(output, variant)
    manifest = _manifest(fetch)
    name = data.dataset.name
    dataset = next((d for d in manifest.get("datasets", []) if d.get("name") == name), None)
    if dataset is None:
        known = sorted(str(d.get("name", "")).removeprefix("fineweb10B_") for d in manifest.get("datasets", []))
        raise DataError(f"the export has no variant {variant}; it has {', '.join(known)}")
    stats = dataset.get("stats") or {}
    n_train, n_val = int(stats.get("files_train", 0)), int(stats.get("files_val", 0))
    if train_shards > n_train or n_val < 1:
        raise DataError(
            f"{variant} has {n_train} training and {n_val} validation shards; {train_shards} were asked for"
        )
    shards = [f"fineweb_val_{i:06d}.bin" for i in range(n_val)] + [
        f"fineweb_train_{i:06d}.bin" for i in range(train_shards)
    ]
    for shard in shards:
        target = data.dataset / shard
        if not _whole(target):
            _place(fetch(f"{REMOTE_ROOT}/datasets/{name}/{shard}", target.exists()), target)
            shard_tokens(target)
    for remote in _tokenizer_files(manifest, dataset):
        target = output / remote.removeprefix(f"{REMOTE_ROOT}/")
        if not target.is_file():
            _place(fetch(remote, False), target)
    return data


def verify(data: DataRoot, *, expected_train_shards: int | None = None) -> Verification:
    """Check every header and size, the token range, and tokens and bytes of the validation split against the rulebook.

    Raises DataError where there is nothing to check or a shard is damaged.
    """
    from checks import rulebook

    book = rulebook.load()
    train, val = (sorted(data.dataset.glob(f"fineweb_{split}_*.bin")) for split in ("train", "val"))
    if not val:
        raise DataError(f"no validation shard in {data.dataset}")
    counts, val_tokens = [shard_tokens(path) for path in train], sum(shard_tokens(path) for path in val)
    defects = []
    if expected_train_shards is not None and len(train) != expected_train_shards:
        defects.append(f"{len(train)} training shards, {expected_train_shards} expected")
    full = int(book.constants["train_shard_tokens"])
    short = [path.name for path, n in zip(train[:-1], counts[:-1], strict=True) if n != full]
    if short:
        defects.append(f"{len(short)} training shards do not hold {full:,} tokens: {', '.join(short[:3])}")
    fingerprint = next((f for f in book.fingerprints if f.name == data.variant), None)
    if fingerprint is None:
        defects.append(f"the rulebook has no fingerprint of {data.variant}: tokens and bytes are not confirmed")
    elif val_tokens - 1 not in fingerprint.scored_tokens and val_tokens not in fingerprint.scored_tokens:
        defects.append(f"{val_tokens:,} validation tokens; the rulebook knows {fingerprint.scored_tokens}")
    val_bytes = _validation_bytes(data, val)
    canonical = int(book.constants["canonical_validation_bytes"])
    if abs(val_bytes - canonical) > canonical * 1e-4:  # tokenizers differ by some spaces at document starts
        defects.append(f"the validation tokens stand for {val_bytes:,} bytes, {canonical:,} are canonical")
    return Verification(len(train), sum(counts), val_tokens, val_bytes, tuple(defects))


def _validation_bytes(data: DataRoot, shards: Sequence[Path]) -> int:
    """UTF-8 bytes of the text that the validation tokens stand for, a leading space after BOS not counted."""
    import numpy as np
    import sentencepiece

    if not data.tokenizer.is_file():
        raise DataError(f"no tokenizer at {data.tokenizer}: the bytes of the tokens cannot be counted")
    try:
        pieces = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    except (OSError, RuntimeError) as error:
        raise DataError(f"{data.tokenizer} is no SentencePiece model: {error}") from error
    tokens = np.concatenate([read_tokens(path) for path in shards])
    size = pieces.vocab_size()
    if int(tokens.max()) >= size:
        raise DataError(
            f"token {tokens.max()} is outside the {size} pieces of {data.tokenizer}: they do not belong together"
        )
    base, space, boundary = np.zeros(size, np.int64), np.zeros(size, bool), np.zeros(size, bool)
    for token in range(size):
        piece = pieces.id_to_piece(token)
        boundary[token] = pieces.is_control(token) or pieces.is_unknown(token) or pieces.is_unused(token)
        if not boundary[token]:
            space[token] = piece.startswith("\u2581")
            base[token] = 1 if pieces.is_byte(token) else len(piece.removeprefix("\u2581").encode())
    total = int(base[tokens[1:]].sum())
    return total + int((space[tokens[1:]] & ~boundary[tokens[:-1]]).sum())


def _fetch_from_hub(remote: str, fresh: bool) -> Path:
    """A file of the repository from the hub's cache, downloaded with a progress bar where it is not there."""
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError
    except ImportError as error:
        raise DataError("downloading needs huggingface_hub: pip install 'parameter-golf-harness[repro]'") from error
    try:
        return Path(hf_hub_download(repo_id=REPOSITORY, filename=remote, repo_type="dataset", force_download=fresh))
    except (HfHubHTTPError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise DataError(f"cannot get {remote} of {REPOSITORY}: {reason}; run the command again to go on") from error


def _manifest(fetch: Fetch) -> dict[str, Any]:
    path = fetch(f"{REMOTE_ROOT}/manifest.json", False)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the export's manifest.json cannot be read: {error}") from error
    if not isinstance(manifest, dict):
        raise DataError("the export's manifest.json is no object")
    return manifest


def _tokenizer_files(manifest: dict[str, Any], dataset: dict[str, Any]) -> list[str]:
    """Remote paths of the tokenizer's files, kept inside the repository: the manifest comes from outside."""
    entry: dict[str, Any] = next(
        (t for t in manifest.get("tokenizers", []) if t.get("name") == dataset.get("tokenizer_name")), {}
    )
    files = [str(entry[key]) for key in ("model_path", "vocab_path", "path") if entry.get(key)]
    for file in files:
        if PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts:
            raise DataError(f"the manifest names {file!r}, which is outside the export")
    if not files:
        raise DataError("the manifest names no tokenizer for this variant")
    return [file if file.startswith(f"{REMOTE_ROOT}/") else f"{REMOTE_ROOT}/{file}" for file in files]


def _whole(path: Path) -> bool:
    try:
        return shard_tokens(path) > 0
    except DataError:
        return False


def _place(source: Path, target: Path) -> None:
    """Hard-link or copy a file of the cache to its place, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), partial)
        except OSError:
            shutil.copyfile(source, partial)
        partial.replace(target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise DataError(f"cannot write {target}: {error.strerror}") from error
