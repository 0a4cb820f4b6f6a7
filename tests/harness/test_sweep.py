"""Sweeps: every head judged, kept, taken up again; deaths counted. Agreement: as the rulings' README counts it."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import pytest

from checks import reading
from checks.verdict import (
    Evidence,
    Finding,
    Group,
    Outcome,
    Recommendation,
    RulebookRef,
    Status,
    SubmissionVerdict,
    Target,
    Verdict,
)
from harness import agreement, sweep, sweep_summary
from harness.bounded import Limits
from harness.errors import UsageFault
from harness.target_git import Repository
from tests.harness.repositories import FOLDER, Repo, record_files
from tests.harness.test_cli import pgolf


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    repo = Repo(tmp_path / "repo")
    for number in (7, 11):
        head = repo.branch(f"b{number}", record_files(f"records/track_10min_16mb/2026-04-01_{number}"))
        repo.git("update-ref", f"refs/pull/{number}/head", head)
    repo.git("update-ref", "refs/pull/9/head", repo.branch("tool", {"tool.py": b"print(1)\n"}))
    return repo


def run(repo: Repo, folder: Path, jobs: int = 2, limits: Limits | None = None) -> list[sweep.Reviewed]:
    repository = Repository(repo.path)
    plan = sweep.Sweep(repository, folder, jobs, limits=limits or Limits())
    items = sweep.pull_requests(repository, "refs/pull/*/head")
    return sorted(plan.run(items), key=lambda r: r.item.pr or 0)


def test_every_head_is_judged_and_kept(repo: Repo, tmp_path: Path) -> None:
    first = run(repo, tmp_path / "out")
    assert [r.item.pr for r in first] == [7, 9, 11]
    assert [len(r.verdict.submissions) for r in first if r.verdict] == [1, 0, 1]
    assert all(not r.cached and not r.error and r.peak_bytes > 0 for r in first)
    second = run(repo, tmp_path / "out")
    assert all(r.cached for r in second)
    assert [r.verdict for r in second] == [r.verdict for r in first]
    repo.git("checkout", "-q", "b7")
    repo.git("update-ref", "refs/pull/7/head", repo.commit({"more.txt": b"x"}, "pushed again"))
    repo.git("checkout", "-q", "main")
    assert [r.cached for r in run(repo, tmp_path / "out")] == [False, True, True]
    assert len(list((tmp_path / "out/verdicts").glob("pr-7.*.json"))) == 1


def test_a_damaged_kept_verdict_is_judged_again(repo: Repo, tmp_path: Path) -> None:
    run(repo, tmp_path / "out")
    for path in (tmp_path / "out/verdicts").glob("pr-7.*.json"):
        path.write_text("{")
    assert [r.cached for r in run(repo, tmp_path / "out")] == [False, True, True]


def test_deaths_and_time_outs_are_counted_and_not_kept(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_front", lambda *a: os.abort())
    results = run(repo, tmp_path / "out")
    assert [len(r.deaths) for r in results] == [1, 0, 1]
    assert all(r.verdict is not None for r in results)
    assert sweep_summary.statistics_of(results)["steps_that_died"] == 2
    assert [r.cached for r in run(repo, tmp_path / "out")] == [False, True, False]


def test_folders_at_a_commit_are_judged_without_a_pull_request(repo: Repo, tmp_path: Path) -> None:
    commit = repo.commit(record_files(), "merged")
    plan = sweep.Sweep(Repository(repo.path), tmp_path / "out")
    (done,) = plan.run([sweep.Item("merged", commit, folders=(FOLDER,))])
    assert done.verdict is not None
    assert [s.path for s in done.verdict.submissions] == [FOLDER]
    assert done.verdict.findings == () and done.verdict.target.pr is None


def test_the_command_writes_summaries_and_the_agreement(repo: Repo, tmp_path: Path) -> None:
    row = {"pr": 7, "head_sha": repo.git("rev-parse", "b7"), "created": "2026-04-01T10:00:00Z", "record_dirs": [],
           "ruling": "valid", "ruled": [], "seen": [], "evidence": []}  # fmt: skip
    gone = {**row, "pr": 8, "head_sha": "0" * 40}
    rulings = tmp_path / "rulings.jsonl"
    rulings.write_text(json.dumps(row) + "\n" + json.dumps(gone) + "\n")
    out = tmp_path / "out"
    done = pgolf(
        "sweep",
        "--git-dir",
        repo.path,
        "--jobs",
        "1",
        "--output",
        out,
        "--refs",
        "refs/pull/*/head",
        "--rulings",
        rulings,
    )
    assert done.returncode == 0, done.stderr
    assert "false alarms" in done.stdout and "Not judged: 1" in done.stdout
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [r["pr"] for r in rows] == ["7", "8", "9", "11"]
    assert rows[2]["verdict"] == "no submission"
    summary = json.loads((out / "summary.json").read_text())
    assert summary["statistics"]["items"] == 4 and summary["statistics"]["failed"] == 1
    assert json.loads((out / "agreement.json").read_text())["totals"]["false alarms"] == {"count": 0, "of": 1}


GROUPS = {
    "two-pass-rescore": Group.EVALUATION,
    "slot": Group.EVALUATION,
    "offline-val-tuning": Group.EVALUATION,
    "size-cap": Group.LIMITS,
    "seeds": Group.EVIDENCE,
    "hidden": Group.INTEGRITY,
    "missing-files": Group.PACKAGE,
}


def verdict(*found: str, line: int = 0, file: str = "r/train_gpt.py!unpacked") -> Verdict:
    """A verdict with findings given as "code" (fails) or "code?" (unknown)."""
    findings = tuple(
        Finding(
            rule=code.rstrip("?"),
            status=Status.UNKNOWN if code.endswith("?") else Status.FAIL,
            title="",
            summary="",
            group=GROUPS[code.rstrip("?")],
            evidence=(Evidence(file, line, line),),
        )
        for code in found
    )
    part = SubmissionVerdict("r", None, None, False, Outcome.VIOLATION, Recommendation.CLOSE, {}, findings)
    return Verdict("0", RulebookRef("b", "1"), Target("x"), Outcome.VIOLATION, Recommendation.CLOSE, (), (part,))


def compared(ruling: str, found: Verdict, ruled: str = "", seen: str = "", **more: object) -> agreement.Compared:
    row = {
        "pr": 1,
        "head_sha": "a",
        "record_dirs": [],
        "ruling": ruling,
        "ruled": ruled.split(),
        "seen": seen.split(),
        "evidence": [],
    }
    return agreement.Compared(agreement._ruling({**row, **more}, 1), found)


@pytest.mark.parametrize(
    ("case", "caught", "exact"),
    [
        (compared("invalid", verdict("two-pass-rescore"), "two-pass-rescore"), True, True),
        (compared("invalid", verdict("two-pass-rescore"), "two-pass-rescore size-cap"), True, False),
        (compared("invalid", verdict("size-cap"), "two-pass-rescore", "size-cap"), True, False),
        (compared("invalid", verdict("seeds"), "seeds"), False, True),
        (compared("invalid", verdict("slot"), "two-pass-rescore"), False, False),
        (compared("invalid", verdict("two-pass-rescore?"), "two-pass-rescore"), False, False),
        (compared("invalid", verdict("size-cap"), "size-cap offline-val-tuning significance"), True, True),
    ],
)
def test_caught_and_exact(case: agreement.Compared, caught: bool, exact: bool) -> None:
    assert (case.caught, case.exact) == (caught, exact)


def test_only_unseen_evaluation_and_integrity_codes_are_false_alarms() -> None:
    found = verdict("two-pass-rescore", "slot", "hidden", "size-cap", "seeds")
    assert compared("valid", found, seen="slot").false_alarms == ["hidden", "two-pass-rescore"]


def test_rows_whose_head_changed_after_the_ruling_do_not_count_as_invalid() -> None:
    assert not compared("invalid", verdict(), "slot", head_matches_ruling=False).ruling.invalid
    assert compared("invalid", verdict(), "slot").ruling.invalid


@pytest.mark.parametrize(
    ("line", "file", "where", "at", "hit"),
    [
        (100, "r/train_gpt.py!unpacked", "eval_val", 105, True),
        (100, "r/train_gpt.py", "eval_val", 94, False),
        (100, "r/README.md", "eval_val", 100, False),
        (10, "r/README.md", "README.md", 13, True),
        (10, "r/train_gpt.py", "README.md", 10, False),
        (0, "r/train_gpt.py", "eval_val", 3, False),
    ],
)
def test_line_hits(line: int, file: str, where: str, at: int, hit: bool) -> None:
    evidence = [{"function": where, "line": at}, {"function": "no line", "line": 0}]
    case = compared("invalid", verdict("slot", line=line, file=file), "slot", evidence=evidence)
    assert case.line_hit is hit


def test_totals_count_each_measure_over_its_own_rows() -> None:
    rows = [
        compared("invalid", verdict("slot", line=10), "slot", evidence=[{"function": "f", "line": 10}]),
        compared("invalid", verdict("slot?"), "slot"),
        compared("invalid", verdict("offline-val-tuning"), "offline-val-tuning"),
        compared("valid", verdict("slot")),
        compared("valid-not-record", verdict()),
        compared("not-ready", verdict("missing-files"), "missing-files"),
    ]
    assert agreement.totals(rows) == {
        "caught": (2, 3), "exact": (1, 2), "false alarms": (1, 2), "undecided": (1, 6), "line hits": (1, 1),
    }  # fmt: skip
    text = agreement.tables(rows)
    assert "Misses (invalid, not caught or not exact): 1" in text
    assert "slot is unknown" in text


@pytest.mark.parametrize("content", ["{", '{"pr": 1}', "[1]", '{"pr": 1, "head_sha": "a", "record_dirs": 3}'])
def test_a_file_that_holds_no_rulings_is_a_usage_error(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rulings.jsonl"
    path.write_text(content)
    with pytest.raises(UsageFault):
        agreement.read_rulings(path)
