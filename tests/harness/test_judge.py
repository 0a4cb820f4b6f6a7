"""Judging: what a failing rule, reader or child does to the verdict."""

from __future__ import annotations

import datetime as dt
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from checks import judge as judging
from checks import reading, rulebook
from checks.judge import Options, judge
from checks.rules import registry
from checks.submission.model import PullRequest
from checks.verdict import Finding, Group, Outcome, Recommendation, Status, Verdict
from harness.bounded import Limits
from harness.review import exit_status, judge_bounded
from harness.target import Target, read_target
from tests.harness.repositories import FOLDER, Repo, record_files
from tests.rules import pages

BOOK = rulebook.load()


@pytest.fixture
def pull_request(tmp_path: Path) -> PullRequest:
    repo = Repo(tmp_path / "repo")
    repo.branch("mine", {**record_files(), "notes.txt": b"outside"})
    return read_target(Target(git_dir=repo.path, ref="mine"))


def finding(verdict: Verdict, rule: str) -> Finding:
    return next(f for s in verdict.submissions for f in s.findings if f.rule == rule)


def test_every_rule_speaks_once_and_points_at_something(pull_request: PullRequest) -> None:
    verdict = judge(pull_request, BOOK, Options())
    (submission,) = verdict.submissions
    codes = [f.rule for f in submission.findings]
    assert len(codes) == len(set(codes)) == sum(1 for r in registry.rules() if r.check is not None)
    for found in (*verdict.findings, *submission.findings):
        if found.status in (Status.FAIL, Status.WARN, Status.UNKNOWN):
            assert found.evidence, found.rule
    assert submission.track == "10min_16mb"
    assert submission.script == f"{FOLDER}/train_gpt.py"
    assert submission.facts["claimed_val_bpb"] == 1.2


def test_evidence_names_paths_of_the_repository(pull_request: PullRequest) -> None:
    verdict = judge(pull_request, BOOK, Options())
    files = {e.file for s in verdict.submissions for f in s.findings for e in f.evidence}
    assert files
    assert all(f.startswith(FOLDER) for f in files), files


def broken_rule(code: str, error: Exception) -> registry.Rule:
    def check(case: object) -> Finding:
        raise error

    rule = next(r for r in registry.rules() if r.code == code)
    return replace(rule, check=check)


def test_a_rule_that_raises_is_unknown_and_our_bug(pull_request: PullRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    rules = [broken_rule("size-cap", KeyError("oops")) if r.code == "size-cap" else r for r in registry.rules()]
    monkeypatch.setattr(judging, "rules", lambda: rules)
    found = finding(judge(pull_request, BOOK, Options()), "size-cap")
    assert found.status is Status.UNKNOWN
    assert "Our bug" in found.summary and "KeyError" in found.summary
    assert found.evidence


def test_a_rule_that_kills_the_child_is_unknown(pull_request: PullRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = replace(next(r for r in registry.rules() if r.code == "size-cap"), check=lambda case: os.abort())
    rules = [rule if r.code == "size-cap" else r for r in registry.rules()]
    monkeypatch.setattr(judging, "rules", lambda: rules)
    verdict = judge_bounded(pull_request, BOOK, Options())
    found = finding(verdict, "size-cap")
    assert found.status is Status.UNKNOWN
    assert "SIGABRT" in found.summary
    assert finding(verdict, "seeds").status is not Status.UNKNOWN


@pytest.mark.parametrize("death", [os.abort, lambda: time.sleep(60), lambda: nested(10**7)])
def test_a_program_that_kills_the_child_leaves_the_rest_judged(
    pull_request: PullRequest, monkeypatch: pytest.MonkeyPatch, death: object
) -> None:
    def die(*arguments: object) -> None:
        assert callable(death)
        death()

    monkeypatch.setattr(reading, "_front", die)
    verdict = judge_bounded(pull_request, BOOK, Options(), Limits(wall_seconds=5))
    assert finding(verdict, "broken-script").status is Status.UNKNOWN
    unknown = [f for s in verdict.submissions for f in s.findings if f.status is Status.UNKNOWN]
    assert any(f.group is Group.EVALUATION for f in unknown)
    assert verdict.verdict is not Outcome.COMPLIANT
    assert finding(verdict, "missing-files").status is not Status.UNKNOWN
    assert any("parse could not be read" in n for n in verdict.submissions[0].facts["notes"])


def nested(depth: int) -> int:
    return 0 if depth == 0 else 1 + nested(depth - 1)


def test_a_log_that_kills_the_child_is_a_run_without_a_score(
    pull_request: PullRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_read_log", lambda *a: os.abort())
    verdict = judge_bounded(pull_request, BOOK, Options())
    (run,) = verdict.submissions[0].facts["runs"]
    assert not run["complete"]
    assert "SIGABRT" in run["reason"]


def test_rules_of_a_later_day_do_not_bind(pull_request: PullRequest) -> None:
    verdict = judge(pull_request, BOOK, Options(as_of=dt.date(2026, 1, 1)))
    assert {f.status for s in verdict.submissions for f in s.findings} == {Status.NOT_APPLICABLE}
    assert verdict.rulebook.as_of == "2026-01-01"


def test_only_chosen_rules_are_asked(pull_request: PullRequest) -> None:
    verdict = judge(pull_request, BOOK, Options(chosen={"seeds"}))
    assert [f.rule for s in verdict.submissions for f in s.findings] == ["seeds"]
    assert verdict.findings == ()


def test_a_pull_request_without_a_record_folder_is_no_submission(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.branch("tool", {"tools/check.py": b"print(1)\n"})
    verdict = judge(read_target(Target(git_dir=repo.path, ref="tool")), BOOK, Options())
    assert verdict.submissions == () and verdict.findings == ()
    assert verdict.notes[0] == judging.NO_SUBMISSION
    assert verdict.recommendation is Recommendation.HUMAN_REVIEW
    assert exit_status(verdict) == 0


def test_a_claim_without_a_record_folder_lacks_its_files_and_is_no_submission(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.git("checkout", "-q", "-b", "mine")
    repo.commit({"train_gpt.py": b"print(2)\n"}, "Record: 1.0451 BPB (3-seed mean 1.0461)")
    verdict = judge(read_target(Target(git_dir=repo.path, ref="mine", base="main")), BOOK, Options())
    assert [(f.rule, f.status, f.blocking) for f in verdict.findings] == [("missing-files", Status.FAIL, False)]
    assert verdict.notes[0] == judging.NO_SUBMISSION
    assert verdict.verdict is Outcome.INCOMPLETE
    assert exit_status(verdict) == 0


def test_two_folders_are_judged_each_and_together(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    second = "records/track_non_record_16mb/2026-04-02_Other"
    repo.branch("two", {**record_files(), **record_files(second)})
    verdict = judge(read_target(Target(git_dir=repo.path, ref="two")), BOOK, Options())
    assert [(s.path, s.track) for s in verdict.submissions] == [(FOLDER, "10min_16mb"), (second, "non_record_16mb")]
    assert any(f.rule == "multiple-folders" and f.status is Status.FAIL for f in verdict.findings)


def test_a_breach_in_a_folder_without_any_claim_is_a_note(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    second = "records/track_10min_16mb/2026-03-22_Plan"
    page = Path(judging.__file__).parent / "rules" / "evaluation" / "val_training.md"
    script = pages.read(page).examples[0].files["train_gpt.py"].encode()
    repo.branch("two", {**record_files(), f"{second}/train_gpt.py": script})
    pull_request = read_target(Target(git_dir=repo.path, ref="two"))
    verdict = judge(pull_request, BOOK, Options())
    found = [f for s in verdict.submissions if s.path == second for f in s.findings if f.group is Group.EVALUATION]
    noted = [f for f in found if "note on the code" in f.summary]
    assert noted and all(f.status is Status.WARN and f.evidence[-1].file == second for f in noted)
    only = replace(pull_request, submissions=tuple(s for s in pull_request.submissions if s.path == second))
    for title, status in ((None, Status.WARN), ("Draft", Status.WARN), ("Record: val_bpb 1.0705", Status.FAIL)):
        (alone,) = judge(replace(only, title=title), BOOK, Options()).submissions
        assert {f.rule for f in alone.findings if f.status is status} >= {f.rule for f in noted}
    (alone,) = judge(replace(only, subjects=()), BOOK, Options()).submissions
    assert {f.rule for f in alone.findings if f.status is Status.FAIL} >= {f.rule for f in noted}
