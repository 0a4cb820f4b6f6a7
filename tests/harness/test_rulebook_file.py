"""Another rulebook file: it works without code, and says clearly what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.rulebook import BUNDLED, RulebookError, load

TEXT = BUNDLED.read_text(encoding="utf-8")


def write(folder: Path, text: str) -> Path:
    path = folder / "other.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_another_challenge(tmp_path: Path) -> None:
    text = TEXT.replace("artifact_cap_bytes = 16_000_000", "artifact_cap_bytes = 8_000_000")
    text = text.replace('name = "parameter-golf"', 'name = "small-golf"')
    assert text != TEXT
    book = load(write(tmp_path, text))
    assert (book.name, book.constants["artifact_cap_bytes"]) == ("small-golf", 8_000_000)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[challenge]", "[chalenge]", "challenge"),
        ("artifact_cap_bytes = 16_000_000", 'artifact_cap_bytes = "16 MB"', "'artifact_cap_bytes' must be a number"),
        ("artifact_cap_bytes = 16_000_000", "artefact_cap_bytes = 16_000_000", "lacks 'artifact_cap_bytes'"),
        ("[rules.seeds]", "[rules.seed]", r"\[rules.seeds\] is missing.*and 1 more"),
        ("fail_seconds = 601.0", "", r"\[rules.train-time-cap\] lacks 'fail_seconds'"),
        ("val_bpb = 1.2244", "val_bpb = -1.0", "must be above 0"),
        ("val_bpb = 1.2244", 'val_bpb = "low"', "malformed entry"),
        ("[challenge]", "[challenge", "no valid TOML"),
    ],
)
def test_clear_errors(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TEXT
    with pytest.raises(RulebookError, match=says) as error:
        load(write(tmp_path, TEXT.replace(old, new)))
    assert "other.toml" in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match="cannot be read"):
        load(tmp_path / "absent.toml")
