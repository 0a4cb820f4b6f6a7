"""bpb-accounting where no log gives the loss: the code proves the reference's counting, or the rule stays unknown."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from checks import rulebook
from checks.judge import Options, judge
from checks.program.program import Program
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation.bpb_accounting import by_logs
from checks.rules.registry import rules
from checks.submission.model import Claims, PullRequest, Run, Score, SourceFile, Submission
from checks.verdict import Finding, Group, Status
from tests.rules import pages
from tests.rules.test_pages import pull_request

LOSS = re.compile(r"val_loss[:=] ?[\d.]+ ")
PAGE = next(rule.page for rule in rules() if rule.code == "bpb-accounting")
EXAMPLES = {e.shape: e for e in pages.read(PAGE).examples if e.kind in ("violating", "legal")}
SHAPE = "The reference's evaluation as a function"


def test_the_reference_is_proved() -> None:
    finding = judged()
    assert finding.status is Status.PASS
    assert [e.excerpt.strip() for e in finding.evidence if e.role == "score"][:2] == [
        "val_loss_sum += batch_loss.to(torch.float64) * batch_token_count",
        "val_byte_count += token_bytes.to(torch.float64).sum()",
    ]


SUMMED = 'batch_loss = F.cross_entropy(model.forward_logits(x)[0], {}, reduction="sum")'


@pytest.mark.parametrize(("of", "proved"), [("tgt_ids", True), ("tgt_ids[64:]", False), ("prev_ids", False)])
def test_a_loss_summed_by_cross_entropy(of: str, proved: bool) -> None:
    text = EXAMPLES[SHAPE].files["train_gpt.py"]
    start = text.index("            batch_loss = ")
    end = text.index("            val_token_count += ")
    ids = "            prev_ids = x.reshape(-1)\n            tgt_ids = y.reshape(-1)\n"
    views = f"            batch_token_count = y.numel()\n{ids}"
    loss = f"            {SUMMED.format(of)}\n            val_loss_sum += batch_loss.to(torch.float64)\n"
    later = f"{ids}            token_bytes"
    finding = judged(text, (text[:start] + views + loss + text[end:]).replace(later, "            token_bytes"))
    assert (finding.status is Status.PASS) is proved


@pytest.mark.parametrize(
    "shape", [s for s, e in EXAMPLES.items() if e.kind == "violating" and "train_gpt.py" in e.files]
)
def test_a_miscount_is_not_proved(shape: str) -> None:
    assert judged(shape=shape).status is not Status.PASS


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('base_bytes[tid] = len(piece.encode("utf-8"))', 'base_bytes[tid] = len(piece.encode("utf-8")) + 1'),
        ('base_bytes[tid] = len(piece.encode("utf-8"))', "base_bytes[tid] = 4"),
        ("base_bytes[tid] = 1\n", "base_bytes[tid] = 6\n"),
        ("            piece = piece[1:]\n", ""),
        ("boundary[tid] = False", "boundary[tid] = True"),
        ("torch.tensor(base_bytes, ", "torch.tensor(base_bytes * 2, "),
        ("~is_boundary_token_lut[prev_ids]", "~is_boundary_token_lut[tgt_ids]"),
        (" & ~is_boundary_token_lut[prev_ids]", ""),
        ("tgt_ids = y.reshape(-1)", "tgt_ids = x.reshape(-1)"),
        ("batch_token_count = float(y.numel())", "batch_token_count = float(y.numel() - 64)"),
        ("/ val_byte_count.item()", "/ (val_byte_count.item() + 1000000)"),
        ("val_loss.item() / math.log(2.0)", "val_loss.item() / math.log(2.2)"),
        ("float(bits_per_token * tokens_per_byte)", "float(bits_per_token * tokens_per_byte**2)"),
        ("float(bits_per_token * tokens_per_byte)", "float(bits_per_token * tokens_per_byte * 0.5)"),
        ("    val_loss, val_bpb = eval_val(", "    base_bytes_lut *= 2\n    val_loss, val_bpb = eval_val("),
        ("    val_loss, val_bpb = eval_val(", "    base_bytes_lut.mul_(2)\n    val_loss, val_bpb = eval_val("),
        ("    val_loss, val_bpb = eval_val(", "    base_bytes_lut[5] = 9\n    val_loss, val_bpb = eval_val("),
        (
            "            val_byte_count += token_bytes",
            "            token_bytes = token_bytes * 2\n            val_byte_count += token_bytes",
        ),
        ("    val_loss = val_loss_sum /", "    val_byte_count += val_token_count\n    val_loss = val_loss_sum /"),
        ("    val_loss = val_loss_sum /", "    val_loss_sum.mul_(0.5)\n    val_loss = val_loss_sum /"),
        ("    val_loss = val_loss_sum /", "    val_byte_count = val_byte_count * 2\n    val_loss = val_loss_sum /"),
        ('print(f"final_int8', 'print(f"another_int8'),
    ],
)
def test_another_counting_is_not_proved(old: str, new: str) -> None:
    assert judged(old, new).status is not Status.PASS


@pytest.mark.parametrize(("share", "status"), [(0.98, Status.WARN), (1.015, Status.UNKNOWN)])
def test_bytes_of_an_unknown_tokenizer_are_weighed_with_its_token_count(share: float, status: Status) -> None:
    book = rulebook.load()
    tokens = 70_000_000
    ratio = share * int(book.constants["canonical_validation_bytes"]) / tokens
    run = Run(
        "log", val_bpb=1.1, val_loss=1.1 * math.log(2) * ratio, bytes_per_token=ratio, val_tokens=tokens, complete=True
    )
    submission = Submission("x", None, {}, claims=Claims(val_bpb=1.1), runs=(run,))
    case = Case(submission, PullRequest("."), Program(), book)
    finding = by_logs(case, Verdicts("bpb-accounting", Group.EVALUATION, book))
    assert finding.status is status and f"{share:.1%} of the canonical bytes" in finding.summary


@pytest.mark.parametrize(("other", "status"), [(0.02351826, Status.PASS), (0.0236, Status.UNKNOWN)])
def test_a_loss_beside_the_same_exact_score_in_another_log_counts(other: float, status: Status) -> None:
    book = rulebook.load()
    head = Run("seed42.log", val_bpb=0.02351826, val_tokens=62_021_632, complete=True)
    pair = Score("sliding_exact", 9, other, val_loss=other * math.log(2) * 2.4359, exact=True)
    detail = Run("detail.log", scores=(pair,), val_tokens=62_021_632)
    submission = Submission("x", None, {}, claims=Claims(val_bpb=0.0235), runs=(head, detail))
    case = Case(submission, PullRequest("."), Program(), book)
    assert by_logs(case, Verdicts("bpb-accounting", Group.EVALUATION, book)).status is status


def judged(old: str = "", new: str = "", shape: str = SHAPE) -> Finding:
    """The rule's finding on an example, changed once, whose logs are without losses."""
    example = EXAMPLES[shape]
    text = example.files["train_gpt.py"]
    if old:
        assert text.count(old) == 1
        text = text.replace(old, new)
    request = pull_request(replace(example, files={**example.files, "train_gpt.py": text}))
    submission = request.submissions[0]
    files = {path: unpaired(file) for path, file in submission.files.items()}
    request = replace(request, submissions=(replace(submission, files=files),))
    verdict = judge(request, rulebook.load(), Options(chosen={"bpb-accounting"}))
    return next(f for f in verdict.submissions[0].findings if f.rule == "bpb-accounting")


def unpaired(file: SourceFile) -> SourceFile:
    """A log without losses; any other file as it is."""
    if Path(file.path).suffix != ".log":
        return file
    data = LOSS.sub("", file.read(1 << 22).decode()).encode()
    return replace(file, size=len(data), load=lambda limit: data[:limit])


@pytest.mark.parametrize(
    ("named", "tokens", "status"),
    [("sp1024", None, Status.FAIL), ("sp8192", None, Status.PASS), ("sp1024", 40_540_160, Status.PASS)],
)
def test_bytes_per_token_are_those_of_the_tokenizer_that_the_log_names(
    named: str, tokens: int | None, status: Status
) -> None:
    book, ratio = rulebook.load(), 3.7266
    run = Run(
        "log", val_bpb=1.1, val_loss=1.1 * math.log(2) * ratio, bytes_per_token=ratio, val_tokens=tokens, complete=True,
        details={"tokenizer": named},
    )  # fmt: skip
    submission = Submission("x", None, {}, claims=Claims(val_bpb=1.1), runs=(run,))
    case = Case(submission, PullRequest("."), Program(), book)
    assert by_logs(case, Verdicts("bpb-accounting", Group.EVALUATION, book)).status is status
    own = {"own.model": SourceFile("own.model", 1, "file", lambda limit: b"")}
    case = replace(case, submission=replace(submission, files=own))
    assert by_logs(case, Verdicts("bpb-accounting", Group.EVALUATION, book)).status is Status.PASS
