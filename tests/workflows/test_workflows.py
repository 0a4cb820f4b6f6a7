"""The action and the example workflows: audited by zizmor; the posting script runs with a stand-in for GitHub's gh."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

import reports
from checks.verdict import Outcome, Recommendation, RulebookRef, Target, Verdict
from reports.escaping.markdown import MARKER_PREFIX

ROOT = Path(__file__).parents[2]
WORKFLOWS = ROOT / "examples" / "workflows"
HEAD = "ab" * 20
ZIZMOR = shutil.which("zizmor") or shutil.which("zizmor", path=str(Path(sys.executable).parent))

# Answers by what the address contains; what is sent is written down.
GH = """#!{python}
import json, os, pathlib, sys
calls = json.loads(pathlib.Path(os.environ["GH_ANSWERS"]).read_text())
address = next(a for a in sys.argv if a.startswith("repos/"))
with open(os.environ["GH_CALLS"], "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
for part, answer in calls:
    if part in address:
        if answer.startswith("file:"):
            sys.stdout.buffer.write(pathlib.Path(answer[5:]).read_bytes())
        else:
            sys.stdout.write(answer)
        break
"""


def verdict(head: str = HEAD) -> bytes:
    target = Target("checkout", head=head, repository="attacker/repo", title="@octocat")
    outcome = Verdict(
        "0.1.0", RulebookRef("r", "1"), target, Outcome.UNDETERMINED, Recommendation.HUMAN_REVIEW, (), (), ("@octocat",)
    )
    return reports.render("json", outcome).encode()


@pytest.mark.skipif(ZIZMOR is None, reason="zizmor is not installed (pip install .[test])")
def test_zizmor_finds_nothing() -> None:
    files = [str(ROOT / "action.yml"), *map(str, sorted(WORKFLOWS.glob("*.yml")))]
    done = subprocess.run([str(ZIZMOR), "--offline", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_script_is_valid_bash() -> None:
    subprocess.run(["bash", "-n", str(WORKFLOWS / "comment.sh")], check=True)


class Posting:
    """One run of comment.sh: the answers of GitHub, the artifact, and what was sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers: dict[str, str] = {
            "comments?": "",
            "/files?": '"records/x/README.md"\n',
            "/artifacts?name": "5 1000\n",
            "/zip": f"file:{folder / 'artifact.zip'}",
            "/pulls/7": "12\n",
            "/pulls": "7\n",
        }
        self.artifact(verdict())
        for name, text in (
            ("gh", GH.replace("{python}", sys.executable)),
            ("pgolf/bin/python", f'#!/bin/sh\nexec "{sys.executable}" "$@"\n'),
        ):
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    def artifact(self, data: bytes) -> None:
        with zipfile.ZipFile(self.folder / "artifact.zip", "w", zipfile.ZIP_DEFLATED) as file:
            file.writestr("verdict.json", data)

    def run(self) -> tuple[subprocess.CompletedProcess[str], list[list[Any]]]:
        (self.folder / "answers").write_text(json.dumps(list(self.answers.items())), encoding="utf-8")
        calls = self.folder / "calls"
        environment = {
            "PATH": f"{self.folder}:{os.environ['PATH']}", "RUNNER_TEMP": str(self.folder), "REPOSITORY": "o/r",
            "RUN_ID": "3", "HEAD_SHA": HEAD, "HEAD_OWNER": "someone", "HEAD_BRANCH": "main", "GH_TOKEN": "x",
            "GH_ANSWERS": str(self.folder / "answers"), "GH_CALLS": str(calls),
        }  # fmt: skip
        script = str(WORKFLOWS / "comment.sh")
        done = subprocess.run(["bash", script], capture_output=True, text=True, env=environment, check=False, cwd=ROOT)
        sent = [json.loads(row) for row in calls.read_text(encoding="utf-8").splitlines()]
        return done, [c for c in sent if "POST" in c or "PATCH" in c]


@pytest.fixture
def posting(tmp_path: Path) -> Posting:
    if shutil.which("unzip") is None:
        pytest.skip("unzip is not installed")
    return Posting(tmp_path)


def body(sent: list[Any]) -> str:
    return Path(sent[-1].removeprefix("body=@")).read_text(encoding="utf-8")


def test_posts_what_it_rendered_itself(posting: Posting) -> None:
    done, (sent,) = posting.run()
    assert done.returncode == 0, done.stderr
    assert "repos/o/r/issues/7/comments" in sent
    text = body(sent)
    assert text.startswith(f"{MARKER_PREFIX} head={HEAD}")
    assert "PR 7" in text
    assert "attacker/repo" not in text
    assert "@octocat" not in text


def test_updates_its_own_comment(posting: Posting) -> None:
    posting.answers["comments?"] = "99\n100\n"
    _, (sent,) = posting.run()
    assert "PATCH" in sent
    assert "repos/o/r/issues/comments/99" in sent


@pytest.mark.parametrize(
    ("part", "answer"),
    [
        ("/pulls", ""),  # no open pull request is at that commit
        ("/pulls", "7\n8\n"),  # two are
        ("/files?", '"records/x"\n".github/workflows/pgolf-review.yml"\n'),
        ("/pulls/7", "3000\n"),  # more files than GitHub lists
        ("/artifacts?name", "0 0\n"),
        ("/artifacts?name", "5 20000001\n"),
    ],
)
def test_stays_silent(posting: Posting, part: str, answer: str) -> None:
    posting.answers[part] = answer
    done, sent = posting.run()
    assert done.returncode == 0, done.stderr
    assert not sent


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", b"[" * 10_000, verdict("cd" * 20), b" " * 20_000_002],
    ids=["empty", "schema", "deep", "head", "bomb"],
)
def test_refuses_the_artifact(posting: Posting, data: bytes) -> None:
    posting.artifact(data)
    done, sent = posting.run()
    assert done.returncode == 2
    assert "error" in done.stderr
    assert not sent
