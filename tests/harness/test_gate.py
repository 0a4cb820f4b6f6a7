"""pgolf gate and pgolf comment --from-json, as a workflow calls them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from harness.errors import UsageFault
from reports import FORMATS, stored

LOG = """train_seed1.log
seed:1
step:100/100 val_loss:1.9 val_bpb:1.2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A record folder that lacks most of what a record needs, with a log that speaks to the runner."""
    path = tmp_path_factory.mktemp("repo") / "records" / "track_10min_16mb" / "2026-04-01_Small"
    path.mkdir(parents=True)
    (path / "README.md").write_text("# Small\n\n::error::forged\n", encoding="utf-8")
    (path / "submission.json").write_text('{"author": "@x", "name": "::error::n", "val_bpb": 1.1}', encoding="utf-8")
    (path / "train_gpt.py").write_text("import os\nprint('hello')\n", encoding="utf-8")
    (path / "train_seed1.log").write_text(LOG + "::error::forged\n", encoding="utf-8")
    return path


def gate(folder: Path, tmp_path: Path, *options: str, actions: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    if actions:
        environment |= {"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": str(tmp_path / "output"),
                        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}  # fmt: skip
    arguments = [sys.executable, "-m", "harness", "gate", str(folder), *options]
    return subprocess.run(arguments, capture_output=True, text=True, env=environment, cwd=tmp_path, check=False)


def test_in_actions(folder: Path, tmp_path: Path) -> None:
    done = gate(folder, tmp_path, "--output", str(tmp_path / "out"))
    assert done.returncode == 1, done.stderr
    rows = done.stdout.splitlines()
    assert rows
    assert all(row.startswith(("::error ", "::warning ", "::notice ")) for row in rows)
    assert not [row for row in rows if row.startswith("::error::")]
    assert (tmp_path / "summary.md").read_text(encoding="utf-8").startswith("<!-- pgolf:review/1")
    assert "recommendation=request-changes" in (tmp_path / "output").read_text(encoding="utf-8").splitlines()
    assert {p.name for p in (tmp_path / "out").iterdir()} == {f.filename for f in FORMATS.values() if f.filename}
    document = json.loads((tmp_path / "out" / "verdict.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, stored.schema(), jsonschema.Draft202012Validator)


def test_other_formats_are_printed_between_stop_commands(folder: Path, tmp_path: Path) -> None:
    rows = gate(folder, tmp_path, "--format", "markdown").stdout.splitlines()
    token = rows[0].removeprefix("::stop-commands::")
    assert len(token) == 32
    assert rows[-1] == f"::{token}::"


def test_outside_actions_it_is_a_review(folder: Path, tmp_path: Path) -> None:
    done = gate(folder, tmp_path, actions=False)
    assert done.returncode == 1
    assert "What to do next" in done.stdout
    assert "\x1b" not in done.stdout
    assert gate(folder, tmp_path, "--quiet", actions=False).stdout == ""


def test_a_submission_cannot_waive_its_own_findings(folder: Path, tmp_path: Path) -> None:
    text = 'ignore = ["missing-files", "seeds"]\n'
    (folder / "pgolf.toml").write_text(text, encoding="utf-8")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "harness", "gate", ".", "--format", "json"],
            capture_output=True, text=True, cwd=folder, check=False,
        )  # fmt: skip
    finally:
        (folder / "pgolf.toml").unlink()
    found = [f["rule"] for f in json.loads(done.stdout)["submissions"][0]["findings"]]
    assert "seeds" in found


def test_rulebook_file_with_another_cap(folder: Path, tmp_path: Path) -> None:
    from checks.rulebook import BUNDLED

    other = tmp_path / "small.toml"
    text = BUNDLED.read_text(encoding="utf-8").replace("artifact_cap_bytes = 16_000_000", "artifact_cap_bytes = 10")
    other.write_text(text, encoding="utf-8")
    done = gate(folder, tmp_path, "--rulebook", str(other), "--format", "json", actions=False)
    assert json.loads(done.stdout)["rulebook"]["limits"]["artifact_cap_bytes"] == 10
    other.write_text("[challenge]\n", encoding="utf-8")
    done = gate(folder, tmp_path, "--rulebook", str(other), actions=False)
    assert done.returncode == 2
    assert "small.toml" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_comment_from_a_stored_verdict(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from harness.commands.comment import command

    gate(folder, tmp_path, "--output", str(tmp_path / "out"), "--quiet", actions=False)
    stored_verdict = str(tmp_path / "out" / "verdict.json")
    assert command.main(["--from-json", stored_verdict, "--pr", "12"], standalone_mode=False) == 0
    assert "Review of PR 12" in capsys.readouterr().out
    for wrong in (["--head", "1" * 40], ["--repository", "not a repository"]):
        with pytest.raises(UsageFault):
            command.main(["--from-json", stored_verdict, *wrong], standalone_mode=False)
    with pytest.raises(UsageFault, match="go with --from-json"):
        command.main([str(folder), "--pr", "12"], standalone_mode=False)
