"""The sample and the FineWeb download (with a made-up hub: no network), and `pgolf reference new`."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

pytest.importorskip("sentencepiece", reason="tokenizers need the repro extra")

import sentencepiece

from harness.commands.data import command
from harness.data import BUNDLED_SAMPLE, DataError, DataRoot
from harness.data.fineweb import download, verify
from harness.data.sample import build_sample, install_sample, read_documents, summary
from harness.data.shards import read_tokens, shard_tokens, write_shard
from harness.errors import UsageFault
from harness.reference.scaffold import new_submission


def test_the_sample_is_small_and_real_text(tmp_path: Path) -> None:
    made = install_sample(tmp_path)
    assert (made.train_tokens, made.val_tokens) == (1_011_121, 68_147)
    assert sum(p.stat().st_size for p in BUNDLED_SAMPLE.root.rglob("*") if p.is_file()) < 3_000_000
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(made.data.tokenizer))
    tokens = read_tokens(made.data.dataset / "fineweb_val_000000.bin")
    assert tokens[0] == pieces.bos_id() == 1
    assert "Irene Adler" in pieces.decode(tokens[:200].tolist())


def test_what_is_there_is_not_overwritten(tmp_path: Path) -> None:
    install_sample(tmp_path)
    install_sample(tmp_path)  # the same files: nothing to do
    shard = DataRoot(tmp_path).dataset / "fineweb_val_000000.bin"
    shard.write_bytes(b"the user's own")
    with pytest.raises(DataError, match="--force"):
        install_sample(tmp_path)
    assert shard.read_bytes() == b"the user's own"
    install_sample(tmp_path, force=True)
    assert shard_tokens(shard) == 68_147


def test_a_sample_of_own_text(tmp_path: Path) -> None:
    text = tmp_path / "own.txt"
    text.write_text("\n\n".join(f"Paragraph {i}: café, naïve – " + "words and more words " * 20 for i in range(60)))
    result = CliRunner().invoke(
        command,
        ["sample", "--text", str(text), "--vocab-size", "320", "--output", str(tmp_path / "d")],
        standalone_mode=False,
    )
    assert result.exception is None, result.output
    data = DataRoot(tmp_path / "d", "sp320")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    assert pieces.vocab_size() == 320
    assert pieces.decode(pieces.encode("né 漢")) == "né 漢"  # byte fallback: nothing is lost
    made = summary(data)
    assert made.train_tokens > made.val_tokens > 0
    with pytest.raises(DataError, match="exists"):
        build_sample(read_documents([text]), tmp_path / "d", vocab_size=320)


def test_text_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no readable UTF-8"):
        read_documents([tmp_path / "x.txt"])


@pytest.mark.parametrize("tokens", [[], [70_000], [-1]])
def test_tokens_that_no_shard_can_hold(tmp_path: Path, tokens: list[int]) -> None:
    with pytest.raises(DataError):
        write_shard(tmp_path / "x.bin", np.array(tokens))


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A local folder in the layout of the dataset repository, with two training shards."""
    root = tmp_path / "hub" / "datasets"
    sample = DataRoot(root)
    manifest = {
        "datasets": [
            {"name": "fineweb10B_sp1024", "tokenizer_name": "sp", "stats": {"files_train": 2, "files_val": 1}},
        ],
        "tokenizers": [{"name": "sp", "model_path": "tokenizers/fineweb_1024_bpe.model"}],
    }
    install_sample(root)
    write_shard(sample.dataset / "fineweb_train_000001.bin", [1, 2, 3])
    (root / "manifest.json").write_text(json.dumps(manifest))
    return tmp_path / "hub"


def test_download_fetches_what_is_missing_only(hub: Path, tmp_path: Path) -> None:
    fetched: list[str] = []
    fresh: list[str] = []

    def fetch(remote: str, anew: bool) -> Path:
        fetched.append(remote)
        fresh.extend([remote] if anew else [])
        return hub / remote

    data = download(tmp_path / "data", "sp1024", 2, fetch)
    assert len(fetched) == 5
    assert summary(data).train_tokens == 1_011_121 + 3
    assert not fresh
    (data.dataset / "fineweb_train_000001.bin").unlink()
    (data.dataset / "fineweb_train_000001.bin").write_bytes(b"cut off")
    fetched.clear()
    download(tmp_path / "data", "sp1024", 2, fetch)
    assert fresh == fetched[1:]
    assert fetched == ["datasets/manifest.json", "datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin"]


def test_download_refuses_what_the_export_has_not(hub: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no variant sp8192; it has sp1024"):
        download(tmp_path / "data", "sp8192", 1, lambda remote, _: hub / remote)
    with pytest.raises(DataError, match="2 training"):
        download(tmp_path / "data", "sp1024", 3, lambda remote, _: hub / remote)
    manifest = hub / "datasets" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("tokenizers/fineweb", "../../etc/fineweb"))
    with pytest.raises(DataError, match="outside the export"):
        download(tmp_path / "data", "sp1024", 1, lambda remote, _: hub / remote)


def test_verification_knows_that_the_sample_is_not_fineweb(tmp_path: Path) -> None:
    data = install_sample(tmp_path).data
    found = verify(data, expected_train_shards=80)
    assert found.val_tokens == 68_147
    assert [word in " ".join(found.defects) for word in ("80 expected", "validation tokens", "canonical")] == [True] * 3
    tokens = read_tokens(data.dataset / "fineweb_val_000000.bin")
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(data.tokenizer))
    documents = np.split(tokens, np.flatnonzero(tokens == 1))[1:]
    text = sum(len(pieces.decode(d[1:].tolist()).encode()) for d in documents)
    assert found.val_bytes == text


def test_a_new_submission(tmp_path: Path) -> None:
    folder = new_submission("My_Idea", tmp_path, author="A. B.", github_id="ab", today=dt.date(2026, 4, 1))
    assert folder.name == "2026-04-01_My_Idea"
    assert {p.name for p in folder.iterdir()} == {"README.md", "submission.json", "train_gpt.py", "requirements.txt"}
    assert json.loads((folder / "submission.json").read_text())["val_bpb"] is None
    with pytest.raises(UsageFault, match="there already"):
        new_submission("My_Idea", tmp_path, today=dt.date(2026, 4, 1))
    for bad in ("../up", "a b", "", "-x", "x" * 81):
        with pytest.raises(UsageFault):
            new_submission(bad, tmp_path)
