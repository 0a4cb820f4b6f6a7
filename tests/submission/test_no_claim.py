"""Folders that claim nothing beside the one that does."""

from __future__ import annotations

import pytest

from checks.submission import no_claim
from checks.submission.claims import read_claims
from checks.submission.model import Run, Score, Submission
from tests.submission.files import folder

SCRIPT = "print('val_bpb:', 1.0)\n"
PACKAGE = {"README.md": "# Mine\n\nval_bpb: 1.0705\n", "submission.json": '{"val_bpb": 1.0705}', "train_gpt.py": SCRIPT}


def submission(name: str, contents: dict[str, str], title: str | None = None, runs: tuple[Run, ...] = ()) -> Submission:
    files = folder(contents)
    path = f"records/track_10min_16mb/{name}"
    return Submission(path, None, files, claims=read_claims(files, title, path), runs=runs)


def test_a_bare_script_beside_the_submission_claims_nothing() -> None:
    bare = submission("2026-03-22_TTT", {"train_gpt.py": SCRIPT, "PLAN.md": "Expected bpb: 1.04\n"})
    whole = submission("2026-03-23_Mine", PACKAGE)
    assert no_claim.left_over(bare, (bare, whole))
    assert not no_claim.left_over(whole, (bare, whole))


@pytest.mark.parametrize(
    ("contents", "words", "silent"),
    [
        ({"train_gpt.py": SCRIPT}, ("Add a sliding window",), True),
        ({"train_gpt.py": SCRIPT}, ("Fix a typo", "Non-record: SLOT (val_bpb=1.1240)"), False),
        ({"train_gpt.py": SCRIPT}, (), False),
        ({"train_gpt.py": SCRIPT, "submission.json": '{"name": "x", "status": "work-in-progress"}'}, ("Draft",), True),
        ({"train_gpt.py": SCRIPT, "submission.json": '{"val_loss": 1.9}'}, ("Draft",), False),
        ({"train_gpt.py": SCRIPT, "submission.json": '{"name"'}, ("Draft",), False),
        ({"train_gpt.py": SCRIPT, "README.md": "# Plan\n\nExpected: 1.08 bpb\n"}, ("Draft",), True),
        ({"train_gpt.py": SCRIPT, "README.md": "# Mine\n\nval_bpb: 1.0821\n"}, ("Draft",), False),
        ({"train_gpt.py": SCRIPT, "run.log": "final val_bpb: 1.1216\n"}, ("Draft",), False),
    ],
)
def test_no_score_named_anywhere_is_none_claimed(
    contents: dict[str, str], words: tuple[str, ...], silent: bool
) -> None:
    assert no_claim.silent(submission("2026-03-22_TTT", contents), words) is silent


def test_a_bare_script_alone_is_the_submission() -> None:
    bare = submission("2026-03-22_TTT", {"train_gpt.py": SCRIPT})
    assert not no_claim.left_over(bare, (bare,))
    assert not no_claim.left_over(bare, (bare, submission("2026-03-23_Other", {"train_gpt.py": SCRIPT})))


@pytest.mark.parametrize(
    ("name", "contents", "runs"),
    [
        ("2026-03-22_TTT", {"train_gpt.py": SCRIPT, "submission.json": '{"name": "x"}'}, ()),
        ("2026-03-22_TTT", {"train_gpt.py": SCRIPT, "results.txt": "final val_bpb: 1.1216\n"}, ()),
        ("2026-03-22_TTT_1.1216", {"train_gpt.py": SCRIPT}, ()),
        ("2026-03-22_TTT", {"train_gpt.py": SCRIPT}, (Run("log", scores=(Score("final", 3, 1.12),)),)),
    ],
)
def test_a_score_anywhere_in_the_folder_is_a_claim(name: str, contents: dict[str, str], runs: tuple[Run, ...]) -> None:
    scored = submission(name, contents, runs=runs)
    assert not no_claim.left_over(scored, (scored, submission("2026-03-23_Mine", PACKAGE)))


@pytest.mark.parametrize(("title", "left"), [("Record: val_bpb 1.071", True), ("Record: val_bpb 1.0402", False)])
def test_a_title_speaks_for_the_folder_that_names_its_score(title: str, left: bool) -> None:
    bare = submission("2026-03-24_TTT", {"train_gpt.py": SCRIPT}, title)
    assert no_claim.left_over(bare, (bare, submission("2026-03-23_Mine", PACKAGE, title))) is left
