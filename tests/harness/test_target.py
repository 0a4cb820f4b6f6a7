"""The three forms of a target, and what may be wrong with each."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from checks.submission.files import record_folders
from checks.submission.model import PullRequest
from harness.errors import UsageFault
from harness.target import Target, read_target
from tests.harness.repositories import FOLDER, Repo, record_files, write_files


@pytest.fixture
def repo(tmp_path: Path) -> Repo:
    return Repo(tmp_path / "repo")


def read_ref(repo: Repo, ref: str, base: str | None = None) -> PullRequest:
    return read_target(Target(git_dir=repo.path, ref=ref, base=base))


def folders(found: PullRequest) -> list[str]:
    return [s.path for s in found.submissions]


def test_a_branch_is_compared_with_where_it_left_the_default_branch(repo: Repo) -> None:
    base = repo.git("rev-parse", "main")
    head = repo.branch("mine", record_files())
    repo.commit({"later.txt": b"x"}, "main goes on")
    found = read_ref(repo, "mine")
    assert (found.head, found.base) == (head, base)
    assert folders(found) == [FOLDER]
    assert {c.path for c in found.changes} == set(record_files())
    assert all(c.status == "A" and c.size > 0 for c in found.changes)
    assert found.submissions[0].files["train_gpt.py"].read(6) == b"import"
    assert found.created == dt.datetime(2026, 4, 1, 10, tzinfo=dt.timezone.utc)
    assert any("first commit" in note for note in found.notes)


def test_a_branch_that_carries_older_folders_along_is_dated_by_the_one_begun_last(repo: Repo) -> None:
    def dated(name: str, files: dict[str, bytes], start: str, day: str) -> None:
        repo.branch(name, files, start)
        repo.git("checkout", "-q", name)
        repo.git("commit", "-q", "--amend", "--no-edit", "--date", f"{day}T10:00:00Z")

    older = {path.replace(FOLDER, f"{FOLDER}-older"): data for path, data in record_files().items()}
    dated("older", older, "main", "2026-03-20")
    dated("mine", record_files(), "older", "2026-04-20")
    dated("mended", {f"{FOLDER}-older/README.md": b"# Mended"}, "mine", "2026-04-22")
    assert read_ref(repo, "mended").created == dt.datetime(2026, 4, 20, 10, tzinfo=dt.timezone.utc)


def test_a_renamed_folder_began_under_its_first_name(repo: Repo) -> None:
    def dated(branch: str, files: dict[str, bytes], start: str, day: str, gone: tuple[str, ...] = ()) -> None:
        repo.branch(branch, files, start)
        repo.git("checkout", "-q", branch)
        for path in gone:
            repo.git("rm", "-q", path)
        repo.git("commit", "-q", "--amend", "--no-edit", "--date", f"{day}T10:00:00Z")

    first = {path.replace(FOLDER, f"{FOLDER}-first"): data for path, data in record_files().items()}
    dated("first", first, "main", "2026-04-16")
    dated("renamed", record_files(), "first", "2026-04-29", tuple(first))
    dated("copied", record_files(), "first", "2026-04-29")
    other = {p: d if p.endswith(".py") else b"new" for p, d in record_files().items()}
    dated("other", other, "first", "2026-04-29", tuple(first))
    assert read_ref(repo, "renamed").created == dt.datetime(2026, 4, 16, 10, tzinfo=dt.timezone.utc)
    for name in ("copied", "other"):
        assert read_ref(repo, name).created == dt.datetime(2026, 4, 29, 10, tzinfo=dt.timezone.utc)


def test_what_the_user_says_of_a_pull_request_wins(repo: Repo) -> None:
    repo.branch("mine", record_files())
    when = dt.datetime(2026, 4, 2, tzinfo=dt.timezone.utc)
    found = read_target(Target(git_dir=repo.path, ref="mine", created=when, title="Record: 1.0", pr=7))
    assert (found.created, found.title, found.pr) == (when, "Record: 1.0", 7)
    assert not any("first commit" in note for note in found.notes)


def test_the_number_comes_from_the_ref(repo: Repo) -> None:
    head = repo.branch("mine", record_files())
    repo.git("update-ref", "refs/pull/12/head", head)
    assert read_ref(repo, "refs/pull/12/head").pr == 12


def test_a_bare_repository_is_read_and_not_written(repo: Repo, tmp_path: Path) -> None:
    repo.branch("mine", record_files())
    bare = tmp_path / "bare.git"
    repo.git("clone", "-q", "--bare", str(repo.path), str(bare))
    before = sorted((str(p), p.stat().st_mtime_ns) for p in bare.rglob("*"))
    found = read_target(Target(git_dir=bare, ref="mine"))
    assert folders(found) == [FOLDER]
    assert found.submissions[0].files["README.md"].read(100).startswith(b"# Example")
    assert sorted((str(p), p.stat().st_mtime_ns) for p in bare.rglob("*")) == before


def test_a_merged_head_is_compared_with_the_first_parent_of_its_merge(repo: Repo) -> None:
    head = repo.branch("mine", record_files())
    repo.commit({"other.txt": b"x"}, "meanwhile")
    repo.git("merge", "-q", "--no-ff", "-m", "merge", "mine")
    repo.commit({"later.txt": b"x"}, "later")
    found = read_ref(repo, "mine")
    assert found.head == head
    assert folders(found) == [FOLDER]
    assert any("already merged" in note for note in found.notes)


def test_a_squashed_head_that_merged_main_again_is_judged_by_its_own_commits(repo: Repo) -> None:
    repo.branch("mine", record_files())
    repo.git("merge", "-q", "--squash", "mine")
    repo.git("commit", "-q", "-m", "squashed")
    repo.git("checkout", "-q", "mine")
    repo.git("merge", "-q", "-m", "take main in", "main")
    repo.git("checkout", "-q", "main")
    found = read_ref(repo, "mine")
    assert folders(found) == [FOLDER]
    assert any("own commits" in note for note in found.notes)


def test_a_head_on_main_itself_is_compared_with_its_parent(repo: Repo) -> None:
    repo.commit(record_files(), "straight to main")
    assert folders(read_ref(repo, "main")) == [FOLDER]


def test_folders_that_the_base_has_are_not_added(repo: Repo) -> None:
    repo.commit(record_files(), "an earlier record")
    repo.branch("edit", {f"{FOLDER}/extra.log": b"step:1"})
    assert folders(read_ref(repo, "edit")) == []


def test_a_checkout_is_read_from_its_head(repo: Repo) -> None:
    repo.branch("mine", record_files())
    repo.git("checkout", "-q", "mine")
    write_files(repo.path, {f"{FOLDER}/train_gpt.py": b"changed, not committed"})
    found = read_target(Target(path=repo.path, base="main"))
    assert folders(found) == [FOLDER]
    assert found.submissions[0].files["train_gpt.py"].read(6) == b"import"
    assert any("not committed" in note for note in found.notes)


def test_hostile_attributes_configuration_and_hooks_do_not_run(repo: Repo, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    files = {".gitattributes": b"* filter=evil diff=evil text eol=crlf\n", **record_files()}
    repo.branch("mine", files)
    for key in (
        "filter.evil.smudge",
        "filter.evil.clean",
        "diff.evil.textconv",
        "diff.external",
        "core.fsmonitor",
        "core.pager",
    ):
        repo.git("config", key, f"touch {mark}; cat")
    hook = repo.path / ".git/hooks/post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    found = read_ref(repo, "mine")
    assert found.submissions[0].files["README.md"].read(1000) == files[f"{FOLDER}/README.md"]
    assert not mark.exists()


def test_a_replaced_object_does_not_hide_the_real_one(repo: Repo) -> None:
    head = repo.branch("mine", record_files())
    harmless = repo.git("rev-parse", "main:train_gpt.py")
    repo.git("replace", repo.git("rev-parse", f"{head}:{FOLDER}/train_gpt.py"), harmless)
    assert read_ref(repo, "mine").submissions[0].files["train_gpt.py"].read(6) == b"import"


def lose(repo: Repo, name: str) -> None:
    sha = repo.git("rev-parse", name)
    (repo.path / ".git/objects" / sha[:2] / sha[2:]).unlink()


def test_a_missing_blob_is_a_missing_file(repo: Repo) -> None:
    head = repo.branch("mine", {**record_files(), f"{FOLDER}/model.ptz": b"weights"})
    lose(repo, f"{head}:{FOLDER}/model.ptz")
    (submission,) = read_ref(repo, "mine").submissions
    assert submission.files["model.ptz"].kind == "missing"
    assert submission.files["model.ptz"].read(10) == b""
    assert submission.files["README.md"].read(9) == b"# Example"
    assert any("model.ptz" in note for note in submission.notes)


def test_a_missing_script_is_the_repository_own_fault(repo: Repo) -> None:
    head = repo.branch("mine", record_files())
    lose(repo, f"{head}:{FOLDER}/train_gpt.py")
    with pytest.raises(UsageFault, match="partial clone"):
        read_ref(repo, "mine")


def test_a_promised_object_is_not_fetched_with_the_repository_own_command(repo: Repo, tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    head = repo.branch("mine", {**record_files(), f"{FOLDER}/model.ptz": b"weights"})
    lose(repo, f"{head}:{FOLDER}/model.ptz")
    for key, value in {
        "core.repositoryformatversion": "1",
        "extensions.partialClone": "origin",
        "remote.origin.promisor": "true",
        "remote.origin.url": f"ext::sh -c 'touch {mark}'",
        "protocol.ext.allow": "always",
        "protocol.allow": "always",
    }.items():
        repo.git("config", key, value)
    files = read_ref(repo, "mine").submissions[0].files
    assert files["model.ptz"].kind == "missing"
    assert files["README.md"].read(9) == b"# Example"
    assert not mark.exists()


def test_odd_names_and_links_come_through_as_text(repo: Repo) -> None:
    names = {f"{FOLDER}/new\nline.py": b"1", f"{FOLDER}/\x1b[31mred.log": b"2", f"{FOLDER}/:(glob)*.md": b"3"}
    write_files(repo.path, names)
    (repo.path / FOLDER / "link.txt").symlink_to("/etc/passwd")
    (repo.path / FOLDER / os.fsdecode(b"latin\xe9.txt")).write_bytes(b"4")
    repo.branch("mine", record_files())
    files = read_ref(repo, "mine").submissions[0].files
    assert files["new\nline.py"].read(9) == b"1"
    assert files["latin\\xe9.txt"].read(9) == b"4"
    assert files[":(glob)*.md"].read(9) == b"3"
    assert (files["link.txt"].kind, files["link.txt"].read(99)) == ("symlink", b"/etc/passwd")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (Target(git_dir=Path("repo"), ref="nowhere"), "no commit at nowhere"),
        (Target(git_dir=Path("repo"), ref="--upload-pack=x"), "no commit at"),
        (Target(git_dir=Path("repo")), "needs --ref"),
        (Target(git_dir=Path("empty"), ref="main"), "no git repository"),
        (Target(git_dir=Path("absent"), ref="main"), "no such folder"),
        (Target(path=Path("empty")), "empty"),
        (Target(path=Path("absent")), "no such folder"),
        (Target(path=Path("repo/README.md")), "not a folder"),
        (Target(path=Path("other")), "not a record folder"),
        (Target(path=Path("repo"), ref="main"), "--git-dir"),
        (Target(path=Path("repo"), git_dir=Path("repo"), ref="main"), "not both"),
        (Target(), "what to review"),
        (Target(path=Path("repo"), base="nowhere"), "no commit at nowhere"),
    ],
)
def test_a_wrong_target_is_one_clear_line(
    repo: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: Target, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    write_files(tmp_path / "other", {"photo.jpg": b"\xff\xd8"})
    with pytest.raises(UsageFault, match=words):
        read_target(target)


def test_a_shallow_clone_says_what_to_fetch(repo: Repo, tmp_path: Path) -> None:
    repo.commit({"x.txt": b"1"}, "second")
    repo.branch("mine", record_files())
    shallow = tmp_path / "shallow"
    repo.git("clone", "-q", "--depth=1", "--no-single-branch", repo.path.as_uri(), str(shallow))
    with pytest.raises(UsageFault, match="fetch-depth: 0"):
        read_target(Target(git_dir=shallow, ref="refs/remotes/origin/mine"))


def test_a_folder_is_read_without_following_links_or_opening_pipes(tmp_path: Path) -> None:
    folder = tmp_path / "records/track_non_record_16mb/x"
    write_files(tmp_path, record_files("records/track_non_record_16mb/x"))
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    (folder / "stolen.log").symlink_to(secret)
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe.log")
    (folder / "dark.log").write_text("x")
    found = read_target(Target(path=folder)).submissions[0]
    assert found.track == "track_non_record_16mb"
    assert (found.files["stolen.log"].kind, found.files["stolen.log"].read(999)) == ("symlink", str(secret).encode())
    assert found.files["up"].kind == "symlink"
    assert (found.files["pipe.log"].kind, found.files["pipe.log"].read(9)) == ("missing", b"")


def test_a_file_that_vanishes_or_turns_into_a_link_reads_as_empty(tmp_path: Path) -> None:
    write_files(tmp_path, record_files("f"))
    files = read_target(Target(path=tmp_path / "f")).submissions[0].files
    (tmp_path / "f/train_gpt.py").unlink()
    (tmp_path / "f/train_gpt.py").symlink_to("/etc/passwd")
    (tmp_path / "f/README.md").unlink()
    assert files["train_gpt.py"].read(100) == b""
    assert files["README.md"].read(100) == b""


@pytest.mark.parametrize(
    ("paths", "expected"),
    [
        (["records/track_a/x/README.md"], []),
        (["records/track_a/x/README.md", "records/track_a/x/sub/t.py"], ["records/track_a/x"]),
        (
            ["records/track_a/x/train.log", "records/track_b/y/submission_1.json"],
            ["records/track_a/x", "records/track_b/y"],
        ),
        (["records/track_a/x/t.py", "other/submission.json"], ["records/track_a/x"]),
        (
            ["records/track_a/x/t.py", "final/submission.json", "final/t.py", "final/seed1.log"],
            ["final", "records/track_a/x"],
        ),
        (
            ["records/track_a/x/t.py", "records/track_a/x/a.log", "old/submission.json", "old/t.py", "old/a.log"],
            ["records/track_a/x"],
        ),
        (
            ["records/track_a/x/t.py", *(f"exp_{e}/{n}" for e in "ab" for n in ("submission.json", "t.py", "s.log"))],
            ["records/track_a/x"],
        ),
        (["other/submission.json", "other/sub/submission.json"], ["other"]),
        (["records/mine/train_gpt.py"], []),
        (["records/mine/train_gpt.py", "records/mine/run.log"], ["records/mine"]),
        (["train_gpt.py", "submission.json"], []),
    ],
)
def test_record_folders_among_paths(paths: list[str], expected: list[str]) -> None:
    assert list(record_folders(paths)) == expected
