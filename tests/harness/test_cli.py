"""The command line as a user meets it: exit status, one clear line, bad input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

import checks
from tests.harness.repositories import FOLDER, Repo, record_files, write_files

SCHEMA = json.loads((Path(str(checks.__file__)).parent / "verdict.schema.json").read_text())


def pgolf(*arguments: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "harness", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    return done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_files(tmp_path, record_files())
    return tmp_path / FOLDER


def verdict_of(folder: Path, *options: str) -> dict[str, object]:
    done = pgolf("review", folder, "--format", "json", *options)
    assert done.returncode in (0, 1, 3), done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    jsonschema.validate(document, SCHEMA)
    return document


def test_help_lists_every_command_and_imports_none() -> None:
    code = (
        "import sys; from harness.cli import cli, COMMANDS; from click.testing import CliRunner\n"
        "out = CliRunner().invoke(cli, ['--help']).output\n"
        "assert all(f'  {name} ' in out for name in COMMANDS), out\n"
        "heavy = {'libcst', 'torch', 'scipy', 'numpy', 'jinja2', 'tabulate', 'checks.judge'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_command_of_the_help_has_help_of_its_own() -> None:
    from click.testing import CliRunner

    from harness.cli import COMMANDS, cli

    for name in COMMANDS:
        result = CliRunner().invoke(cli, [name, "--help"])
        assert result.exit_code == 0, (name, result.output, result.exception)


def test_reviewing_never_imports_torch(folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from harness.review import *; from harness.target import Target\n"
        "from checks.judge import judge; from checks import rulebook; from harness.target import read_target\n"
        f"judge(read_target(Target(path=Path({str(folder)!r}))), rulebook.load(), Options())\n"
        "assert not {'torch', 'triton', 'sentencepiece'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_verdict_as_json_validates_and_sets_the_exit_status(folder: Path) -> None:
    document = verdict_of(folder)
    assert document["schema"] == "pgolf.verdict/1"
    done = pgolf("review", folder)
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    assert done.stderr == ""


def test_quiet_writes_nothing_and_output_writes_files(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = pgolf("review", folder, "--quiet", "--output", out)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert {"verdict.json", "review.md", "report.html", "verdict.sarif"} <= {p.name for p in out.iterdir()}
    jsonschema.validate(json.loads((out / "verdict.json").read_text()), SCHEMA)


def test_fail_on_lets_more_block(folder: Path) -> None:
    only = ("--select", "broken-script,ttt-adapt-before-score")
    plain = pgolf("review", folder, "--quiet", *only).returncode
    strict = pgolf("review", folder, "--quiet", "--fail-on", "unknown", *only).returncode
    assert (plain, strict) in {(0, 0), (3, 1)}


def test_select_and_ignore_are_said_in_the_report(folder: Path) -> None:
    document = verdict_of(folder, "--select", "seeds", "--select", "size-cap", "--ignore", "size-cap")
    (submission,) = document["submissions"]  # type: ignore[misc]
    assert [f["rule"] for f in submission["findings"]] == ["seeds"]
    assert any("size-cap" in note for note in document["notes"])  # type: ignore[attr-defined]


def test_a_variable_of_the_run_can_be_set(folder: Path) -> None:
    document = verdict_of(folder, "--env", "NUM_LAYERS=12")
    (submission,) = document["submissions"]  # type: ignore[misc]
    assert submission["facts"]["configuration"]["NUM_LAYERS"]["value"] == "12"


@pytest.mark.parametrize(
    "arguments",
    [
        ("review",),
        ("review", "/nowhere/at/all"),
        ("review", "."),
        ("review", FOLDER, "--format", "yaml"),
        ("review", FOLDER, "--format", "json", "--format", "html"),
        ("review", FOLDER, "--select", "no-such-rule"),
        ("review", FOLDER, "--record", "best"),
        ("review", FOLDER, "--record", "nan"),
        ("review", FOLDER, "--env", "NOVALUE"),
        ("review", FOLDER, "--as-of", "yesterday"),
        ("review", FOLDER, "--config", "/nowhere.toml"),
        ("review", FOLDER, "--output", "/dev/null/x"),
        ("review", "--git-dir", ".", "--ref", "main"),
        ("rules", "no-such-rule"),
        ("no-such-command",),
    ],
)
def test_a_usage_error_is_one_line_and_status_2(tmp_path: Path, folder: Path, arguments: tuple[str, ...]) -> None:
    assert one_line(pgolf(*arguments, cwd=tmp_path)).startswith("pgolf: usage error: ")


def test_control_characters_of_an_error_are_written_out(tmp_path: Path) -> None:
    line = one_line(pgolf("review", "a\x1b[31m\nb\u202e", cwd=tmp_path))
    assert "\x1b" not in line and "\u202e" not in line
    assert "\\x1b" in line


def test_debug_shows_the_traceback_before_or_after_the_command(tmp_path: Path) -> None:
    for arguments in (("--debug", "review", "x"), ("review", "x", "--debug")):
        done = pgolf(*arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert "Traceback" in done.stderr


def test_rules_are_listed_and_explained() -> None:
    listed = pgolf("rules")
    assert listed.returncode == 0
    assert "size-cap" in listed.stdout and "2026-03-18" in listed.stdout and "limits" in listed.stdout
    page = pgolf("rules", "size-cap")
    assert page.returncode == 0
    assert page.stdout.startswith("size-cap: ") and "#1809" in page.stdout and "```" in page.stdout


DEEP = b'{"val_bpb": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    "content",
    [b"{", b"", b"[]", b"null", b'"text"', DEEP, b'{"val_bpb": NaN}', b'{"val_bpb": Infinity}', b'{"val_bpb": "1.1"}',
     b'{"val_bpb": {"a": 1}, "seeds": 3, "name": [1]}', b'{"val_bpb": 1e999}', b"\xff\xfe\x00\x01", b"\xef\xbb\xbf{}",
     b'{"val_bpb": ' + b"1" * 5_000_000 + b"}", b'{"a": "' + b"x" * 20_000_000 + b'"}'],
)  # fmt: skip
def test_a_bad_submission_json_is_a_finding(folder: Path, content: bytes) -> None:
    (folder / "submission.json").write_bytes(content)
    (submission,) = verdict_of(folder)["submissions"]  # type: ignore[misc]
    assert submission["verdict"] != "compliant"
    assert not [f for f in submission["findings"] if "Our bug" in f["summary"]]


def test_a_log_of_500_mb_is_bounded(folder: Path) -> None:
    with (folder / "train_seed1.log").open("ab") as log:
        log.write(b"step:1/2 train_loss:1.0\n" * 10_000)
        log.truncate(500 * 1024**2)
    (submission,) = verdict_of(folder)["submissions"]  # type: ignore[misc]
    assert any("524288000 bytes" in note for note in submission["facts"]["notes"])


def test_a_line_of_50_mb_is_bounded(folder: Path) -> None:
    with (folder / "train_seed1.log").open("ab") as log:
        log.write(b"step:1 " * (50 * 1024**2 // 7))
    assert verdict_of(folder)["submissions"]


def test_binary_files_links_and_odd_names_are_no_trouble(folder: Path) -> None:
    (folder / "model.bin").write_bytes(os.urandom(100_000))
    (folder / "train_seed2.log").write_bytes(os.urandom(100_000))
    (folder / "train_seed3.log").symlink_to("/etc/passwd")
    (folder / "\x1b[2J\n<script>.py").write_text("x = 1\n")
    os.mkfifo(folder / "train_seed4.log")
    done = pgolf("review", folder)
    assert done.returncode in (1, 3)
    assert "\x1b" not in done.stdout and "root:" not in done.stdout
    assert "root:" not in json.dumps(verdict_of(folder))


def test_a_script_that_crashes_parsers_is_unknown_and_no_pass(folder: Path) -> None:
    (folder / "train_gpt.py").write_text("x = " + "(" * 20_000 + "1" + ")" * 20_000 + "\n")
    (submission,) = verdict_of(folder)["submissions"]  # type: ignore[misc]
    evaluation = [f for f in submission["findings"] if f["rule"] == "ttt-adapt-before-score"]
    assert evaluation[0]["status"] == "unknown"
    assert submission["verdict"] != "compliant"


def test_a_pull_request_from_git_objects(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.branch("mine", record_files())
    repo.branch("tool", {"tools/x.py": b"print(1)\n"})
    done = pgolf("review", "--git-dir", repo.path, "--ref", "mine", "--format", "json")
    assert done.returncode == 1, done.stderr
    jsonschema.validate(json.loads(done.stdout), SCHEMA)
    done = pgolf("review", "--git-dir", repo.path, "--ref", "tool")
    assert done.returncode == 0
    assert "no submission" in done.stdout
    comment = pgolf("comment", "--git-dir", repo.path, "--ref", "mine")
    assert comment.returncode == 0 and comment.stdout.startswith("<!--")


def test_a_broken_pipe_is_no_traceback(folder: Path) -> None:
    command = f"{sys.executable} -m harness review {folder} --format json | head -c 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
