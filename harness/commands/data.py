"""``pgolf data``: shards and tokenizer."""

from __future__ import annotations

from pathlib import Path

import click

_output = click.option(
    "--output",
    metavar="DIR",
    type=click.Path(path_type=Path),
    default="data",
    show_default=True,
    help="Root of the data.",
)


@click.group("data")
def command() -> None:
    """Prepare shards and tokenizer: the real FineWeb export, or the small bundled sample."""


@command.command("sample")
@_output
@click.option(
    "--text", "files", multiple=True, type=click.Path(path_type=Path), help="Build from this UTF-8 text instead."
)
@click.option(
    "--vocab-size", type=click.IntRange(300, 65535), default=1024, show_default=True, help="With --text: pieces."
)
@click.option("--force", is_flag=True, help="Replace what is there.")
def sample(output: Path, files: tuple[Path, ...], vocab_size: int, force: bool) -> None:
    """Write the small sample: English text of a free licence in shards of the challenge's format, with a tokenizer.

    With --text the sample is built from your own text: SentencePiece BPE with byte fallback, one training shard and one
    validation shard.

    \b
    pgolf data sample --output data
    pgolf data sample --text book.txt --vocab-size 512 --output /tmp/data
    """
    from harness.data.sample import build_sample, install_sample, read_documents

    if files:
        made = build_sample(read_documents(files), output, vocab_size=vocab_size, force=force)
    else:
        made = install_sample(output, force=force)
    click.echo(f"{made.data.dataset}: {made.train_tokens:,} training and {made.val_tokens:,} validation tokens")
    for name, value in made.data.environment().items():
        click.echo(f"export {name}={value}")


@command.command("fineweb")
@_output
@click.option("--variant", default="sp1024", show_default=True, help="Tokenizer of the export, e.g. sp1024.")
@click.option(
    "--train-shards", type=click.IntRange(0), default=80, show_default=True, help="Of 100 million tokens each."
)
@click.option("--verify-only", is_flag=True, help="Check what is there; no network.")
def fineweb(output: Path, variant: str, train_shards: int, verify_only: bool) -> int:
    """Download the real export and verify it: headers, sizes, counts, token and byte fingerprints of the rulebook.

    A download that was cut off goes on where it stopped when the command is run again.

    Exit status: 0 everything checks, 1 a check failed, 2 nothing to check or no network.
    """
    from harness.data import DataRoot
    from harness.data.fineweb import download, verify

    data = DataRoot(output, variant) if verify_only else download(output, variant, train_shards)
    found = verify(data, expected_train_shards=None if verify_only else train_shards)
    click.echo(
        f"{data.dataset}: {found.train_shards} training shards ({found.train_tokens:,} tokens), "
        f"{found.val_tokens:,} validation tokens of {found.val_bytes:,} bytes"
    )
    for defect in found.defects:
        click.echo(f"not as it should be: {defect}")
    return 1 if found.defects else 0
