"""partial-val where no log counts the validation tokens: the code proves that all are scored, or the rule stays unknown."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.rules.registry import rules
from checks.submission.model import PullRequest, SourceFile
from checks.verdict import Finding, Status
from tests.rules import pages
from tests.rules.pages import Example
from tests.rules.test_pages import pull_request

COUNT = re.compile(r"^.*val_loader.*tokens.*$", re.MULTILINE)
PAGE = next(rule.page for rule in rules() if rule.code == "partial-val")
EXAMPLES = [e for e in pages.read(PAGE).examples if e.kind in ("violating", "legal")]
TRIM = "usable = (val.numel() - 1) // SEQ * SEQ"
PROVED = {
    "Trimmed to whole rows, as the reference does",
    "Every rank a slice, the sums gathered",
    "Windows with their context before them: the losses from a name on",
}


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda e: e.shape)
def test_no_log_counts_the_tokens(example: Example) -> None:
    finding = judged(pull_request(example))
    if example.kind == "violating":
        assert finding.status is not Status.PASS
    else:
        assert finding.status in (Status.PASS, Status.UNKNOWN)
    if example.shape in PROVED:
        assert finding.status is Status.PASS
        assert any(e.role == "score" for e in finding.evidence)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("sorted(glob.glob(pattern))]", "sorted(glob.glob(pattern))[:1]]"),
        ("usable = (val.numel() - 1) // SEQ * SEQ", "usable = min((val.numel() - 1) // SEQ * SEQ, 1 << 20)"),
        ("usable = (val.numel() - 1) // SEQ * SEQ", "usable = (val.numel() - 1) // 10 // SEQ * SEQ"),
        ("usable = (val.numel() - 1) // SEQ * SEQ", "usable = int(0.1 * val.numel()) // SEQ * SEQ"),
        ("val[:usable].view(-1, SEQ)", "val[:usable].view(-1, SEQ)[::8]"),
        (TRIM, f"held = val.numel() // 2\n    val = val[held:]\n    {TRIM}"),
        (TRIM, f"held = val.numel() // 16\n    val = val[:held]\n    {TRIM}"),
        ("            nll += model", "            if nbytes > 1e6:\n                break\n            nll += model"),
    ],
    ids=["one file", "a minimum", "a tenth", "a share", "every eighth row", "a half", "a sixteenth", "a break"],
)
def test_a_part_is_not_proved_whole(old: str, new: str) -> None:
    example = next(e for e in EXAMPLES if e.shape == "Trimmed to whole rows, as the reference does")
    text = example.files["train_gpt.py"]
    assert text.count(old) == 1
    finding = judged(pull_request(replace(example, files={**example.files, "train_gpt.py": text.replace(old, new)})))
    assert finding.status is not Status.PASS


def test_rows_that_a_name_splits_are_proved() -> None:
    example = next(e for e in EXAMPLES if e.shape == "Trimmed to whole rows, as the reference does")
    text = example.files["train_gpt.py"].replace(TRIM, f"{TRIM}\n    end = usable + 1")
    assert text.count("val[1 : usable + 1]") == 1
    files = {**example.files, "train_gpt.py": text.replace("val[1 : usable + 1]", "val[:end][1:]")}
    assert judged(pull_request(replace(example, files=files))).status is Status.PASS


def test_a_score_that_another_script_printed_is_not_proved() -> None:
    example = next(e for e in EXAMPLES if e.shape == "Trimmed to whole rows, as the reference does")
    text = example.files["train_gpt.py"]
    assert "final_int8" in text
    other = {**example.files, "train_gpt.py": text.replace("final_int8", "mine_int8")}
    assert judged(pull_request(replace(example, files=other))).status is not Status.PASS


def judged(request: PullRequest) -> Finding:
    """The rule's finding on a pull request whose logs are without the number of tokens."""
    submission = request.submissions[0]
    files = {path: uncounted(file) for path, file in submission.files.items()}
    request = replace(request, submissions=(replace(submission, files=files),))
    verdict = judge(request, rulebook.load(), Options(chosen={"partial-val"}))
    return next(f for f in verdict.submissions[0].findings if f.rule == "partial-val")


def uncounted(file: SourceFile) -> SourceFile:
    """A log without the line that counts the validation tokens; any other file as it is."""
    if Path(file.path).suffix != ".log":
        return file
    data = COUNT.sub("", file.read(1 << 22).decode()).encode()
    return replace(file, size=len(data), load=lambda limit: data[:limit])


def test_code_that_is_not_in_the_folder_is_named() -> None:
    example = next(e for e in EXAMPLES if e.shape == "Trimmed to whole rows, as the reference does")
    text = "from prepare import evaluate_bpb, train\n\nprint(f'val_bpb:{evaluate_bpb(train()):.4f}')\n"
    request = pull_request(replace(example, files={**example.files, "train_gpt.py": text}))
    verdict = judge(request, rulebook.load(), Options(chosen={"slot"}))
    finding = next(f for f in verdict.submissions[0].findings if f.rule == "slot")
    assert finding.status is Status.UNKNOWN
    assert "imports prepare, which is not in the folder" in finding.summary
    assert [(e.line, e.what) for e in finding.evidence] == [(1, "imports prepare")]
