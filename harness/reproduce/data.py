"""Shows a run its data read-only, in a way that its reads can be told from everybody else's.

The view is a folder of hard links (copies where the file system forbids links and the files are small): only the
sandbox opens files through it, so an event on it was caused by the submission. Where neither works the originals are
shown and ``exclusive`` is False: then a read is evidence, no proof. The view for the replay has no training shards at
all.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from harness.data import DataError
from harness.data.shards import shard_tokens
from harness.sandbox import Bind, Blame, RunnerError

DATASETS = "/data/datasets"
TOKENIZERS = "/data/tokenizers"
_COPY_LIMIT = 1 << 30


@dataclass(frozen=True)
class Shard:
    """One shard: bytes and tokens."""

    name: str
    size: int
    tokens: int


@dataclass(frozen=True)
class DataView:
    """What a run sees under /data. ``watched`` is the host folder whose reads tell what was read."""

    dataset: str
    tokenizer: str | None
    train: tuple[Shard, ...]
    validation: tuple[Shard, ...]
    training_binds: tuple[Bind, ...]
    evaluation_binds: tuple[Bind, ...]
    watched: Path
    exclusive: bool

    def environment(self) -> dict[str, str]:
        """Return the variables by which scripts of this challenge find their data."""
        found = {"DATA_PATH": f"{DATASETS}/{self.dataset}"}
        if self.tokenizer:
            found["TOKENIZER_PATH"] = f"{TOKENIZERS}/{self.tokenizer}"
        return found


def read_shard(path: Path) -> Shard:
    """Read a shard's header and compare it with the file's size.

    Raises:
        RunnerError: the file is no shard, or is cut short (blame: data).
    """
    try:
        return Shard(path.name, path.stat().st_size, shard_tokens(path))
    except DataError as error:
        raise RunnerError(Blame.DATA, f"{error}; prepare the data again with 'pgolf data'") from error


def prepare_view(root: Path, dataset: str, tokenizer: str | None, state: Path) -> DataView:
    """Build the view of ``root/datasets/<dataset>`` and ``root/tokenizers/<tokenizer>`` below ``state``.

    Raises:
        RunnerError: a folder, shard or tokenizer is missing or damaged (blame: data).
    """
    source = root / "datasets" / dataset
    if not source.is_dir():
        raise RunnerError(Blame.DATA, f"no dataset folder {source}: prepare it with 'pgolf data'")
    train = sorted(source.glob("fineweb_train_*.bin"))
    validation = sorted(source.glob("fineweb_val_*.bin"))
    if not train or not validation:
        raise RunnerError(Blame.DATA, f"{source} lacks fineweb_train_*.bin or fineweb_val_*.bin: run 'pgolf data'")
    shards = {path.name: read_shard(path) for path in (*train, *validation)}
    extra = [p for p in sorted(source.iterdir()) if p.is_file() and p.name not in shards]
    view = state / "view" / dataset
    linked = all([_link(path, view / path.name) for path in (*train, *validation, *extra)])
    shown = view if linked else source
    files = {path.name: Bind(shown / path.name, f"{DATASETS}/{dataset}/{path.name}") for path in (*train, *validation)}
    others = tuple(Bind(shown / path.name, f"{DATASETS}/{dataset}/{path.name}") for path in extra)
    if tokenizer is not None:
        model = root / "tokenizers" / tokenizer
        if not model.is_file():
            raise RunnerError(Blame.DATA, f"no tokenizer {model}: prepare it with 'pgolf data'")
        others += (Bind(model, f"{TOKENIZERS}/{tokenizer}"),)
    for bind in (*files.values(), *others):
        _check_readable(bind.source)
    evaluation = tuple(files[path.name] for path in validation) + others
    return DataView(
        dataset=dataset,
        tokenizer=tokenizer,
        train=tuple(shards[path.name] for path in train),
        validation=tuple(shards[path.name] for path in validation),
        training_binds=(*(files[path.name] for path in train), *evaluation),
        evaluation_binds=evaluation,
        watched=shown,
        exclusive=linked,
    )


def _link(source: Path, target: Path) -> bool:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.stat().st_size == source.stat().st_size:
        return True
    try:
        os.link(source.resolve(), target)
    except OSError:
        if source.stat().st_size > _COPY_LIMIT or shutil.disk_usage(target.parent).free < 4 * source.stat().st_size:
            return False
        shutil.copyfile(source, target)
        target.chmod(0o644)
    return True


def _check_readable(path: Path) -> None:
    if os.geteuid() == 0 and not path.stat().st_mode & stat.S_IROTH:
        raise RunnerError(Blame.DATA, f"{path} cannot be read by the sandbox's user: chmod a+r it")
