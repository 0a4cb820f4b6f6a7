"""What the author claims: spellings, wrong types, hostile JSON, and numbers that are no claim."""

from __future__ import annotations

import json
from typing import Any

import pytest

from checks.submission.claims import MAX_JSON, read_claims
from checks.submission.model import Claims, SourceFile
from checks.submission.readme_claims import readme_scores, says_non_record, title_score
from tests.submission.files import folder


def claims(
    data: Any = None, readme: str = "", title: str | None = None, where: str = "records/track_10min_16mb/x"
) -> Claims:
    files: dict[str, str | bytes] = {"README.md": readme} if readme else {}
    if data is not None:
        files["submission.json"] = data if isinstance(data, (str, bytes)) else json.dumps(data, indent=2)
    return read_claims(folder(files), title, where)


def test_usual_keys_with_their_lines() -> None:
    found = claims(
        {"name": "n", "author": "a", "github_id": "g", "val_bpb": 1.1, "val_loss": 1.9, "bytes_total": 15_000_000}
    )
    assert (found.val_bpb, found.val_loss, found.bytes_total) == (1.1, 1.9, 15_000_000)
    assert (found.name, found.author, found.github_id) == ("n", "a", "g")
    assert found.from_["val_bpb"] == "submission.json:5" and found.json_error == ""


@pytest.mark.parametrize(
    "data",
    [
        {"val_bpb": "1.25"},
        {"val_bpb": "~1.25 (3-seed mean)"},
        {"mean_val_bpb": 1.25},
        {"val_bpb_mean": 1.25},
        {"score": 1.25},
        {"results": {"val_bpb": 1.25}},
        {"val_bpb": {"mean": 1.25}},
        {"val_bpb": None, "seed_results": {"42": {"val_bpb": 1.2}, "7": {"val_bpb": 1.3}}},
        {"seed_results": [{"seed": 42, "bpb": 1.2}, {"seed": 7, "bpb": 1.3}]},
        {"val_bpb_seeds": {"seed_42": 1.2, "seed_7": 1.3}},
    ],
)
def test_spellings_of_the_score(data: dict[str, Any]) -> None:
    assert claims(data).val_bpb == pytest.approx(1.25)


@pytest.mark.parametrize("value", [None, "TBD", "pending", True, [], {}, -1, 1e9, "<3-seed mean>", ""])
def test_values_that_are_no_score(value: Any) -> None:
    assert claims({"val_bpb": value}).val_bpb is None


def test_seeds_and_their_scores() -> None:
    found = claims({"val_bpb": 1.1, "seeds": [42, "1337"], "seed_results": {"42": 1.11, "1337": {"val_bpb": 1.09}}})
    assert found.seeds == (42, 1337) and found.seed_scores == {42: 1.11, 1337: 1.09}


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ('{"val_bpb": 1.1,}', "no valid JSON"),
        ("", "no valid JSON"),
        ("[1, 2]", "holds a list"),
        ('{"val_bpb": NaN}', "NaN"),
        ('{"val_bpb": Infinity}', "Infinity"),
        ('{"a": ' * 200_000 + "1" + "}" * 200_000, ""),
        ('{"val_bpb": ' + "9" * 6000 + "}", "no valid JSON"),
        ('{"a": ' + "[" * 60 + "]" * 60 + "}", "levels"),
        (" " * (MAX_JSON + 1), "bytes"),
        (b"\xff\xfe\x00{", "no valid JSON"),
    ],
)
def test_hostile_json_is_an_error_and_never_an_exception(data: str | bytes, error: str) -> None:
    found = claims(data)
    assert found.json_error and error in found.json_error
    assert found.val_bpb is None


def test_byte_order_mark_is_fine() -> None:
    assert claims(b'\xef\xbb\xbf{"val_bpb": 1.1}').val_bpb == 1.1


def test_symlink_is_not_followed() -> None:
    files = {"submission.json": SourceFile("submission.json", 10, "symlink", lambda limit: b'{"val_bpb": 1.0}')}
    found = read_claims(files, None, "records/track_10min_16mb/x")
    assert found.val_bpb is None and "symlink" in found.json_error


def test_renamed_json_and_case() -> None:
    assert read_claims(folder({"submission_ternary.json": '{"val_bpb": 1.2}'}), None, "x").val_bpb == 1.2
    assert (
        read_claims(folder({"Submission.JSON": '{"val_bpb": 1.3}', "old/submission.json": "{}"}), None, "x").val_bpb
        == 1.3
    )


def test_readme_and_title_fill_in_and_say_so() -> None:
    found = claims(readme="# Mine\n\n**val_bpb: 1.1594** (seed 3) | 15.9 MB\n")
    assert found.val_bpb == 1.1594 and found.from_["val_bpb"] == "README.md:3"
    assert claims(title="Record: 11L EMA, val_bpb 1.1233").from_["val_bpb"] == "title"


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("**val_bpb: 1.1594** (seed 3, full TTT) | **15.97 MB**", 1.1594),
        ("# Record: SP8192 + TTT — val_bpb = 1.08014 (3-seed mean)", 1.08014),
        ("# 11L EMA (1.1233 BPB)", 1.1233),
        ("Improves the SOTA by 0.002 BPB.\n\nval_bpb: **1.0956**", 1.0956),
        ("The baseline has val_bpb 1.2244.\n\nOurs: val_bpb 1.2014", 1.2014),
        (
            "| Seed | Pre-quant BPB | TTT BPB | Bytes |\n|---|---|---|---|\n"
            "| Mean | 1.0901 | **1.0812** | 15,900,001 |",
            1.0812,
        ),
        ("- `val_loss:2.3523 val_bpb:1.3932`", 1.3932),
        ("```\nval_bpb: 9.9999\n```\nval_bpb 1.5000", 1.5),
    ],
)
def test_readme_scores_are_claims_and_no_deltas(text: str, first: float) -> None:
    assert readme_scores(text)[0][0] == first


def test_a_deviation_beside_the_score_makes_it_no_comparison() -> None:
    table = "| Seed | NN-only sliding (BPB) | Mixer |\n|---|---|---|\n| Mean | 1.10052 | 0.94290 |\n"
    text = f"# Mixer\n\n**val_bpb = 0.94290** (3-seed mean, std=0.00070)\n\n{table}"
    assert readme_scores(text)[0][0] == 0.94290


@pytest.mark.parametrize(
    ("title", "value"),
    [
        ("Record: 12L INT4 bQAT — val_bpb 1.1588", 1.1588),
        ("[Non-record] Ternary U-Net, 1.1570 BPB", 1.1570),
        ("Improves #549 by 0.0021 BPB", None),
        ("Add a README", None),
        ("Muon 0.97 — 1.0828", 1.0828),
    ],
)
def test_title_scores(title: str, value: float | None) -> None:
    assert title_score(title) == value


def test_non_record_by_its_words() -> None:
    assert claims({"val_bpb": 1.1}, where="records/track_non_record_16mb/x").non_record
    assert claims({"val_bpb": 1.1, "track": "non-record-10min-16mb"}).non_record
    assert claims({"val_bpb": 1.1}, title="[Non-Record] a try").non_record
    assert not claims({"val_bpb": 1.1, "track": "10min_16mb"}, readme="# Record").non_record
    assert not says_non_record("this is not a non-record entry")


OLD_README = "# Old\n\nRetracting the reported 1.13112 BPB.\n"


@pytest.mark.parametrize(
    ("data", "readme", "where", "withdrawn"),
    [
        ({"status": "retracted", "val_bpb": None, "val_bpb_retracted": 1.13}, OLD_README, "submission.json:2", True),
        ({"name": "x - WITHDRAWN"}, OLD_README, "submission.json:2", True),
        ({"name": "x", "val_bpb": None}, "", "submission.json:3", False),
        ({"name": "x", "val_bpb": "TBD"}, "", "submission.json:3", False),
        ({"name": "x", "val_bpb": 0.0}, "", "submission.json:3", False),
        (
            {"name": "x", "val_bpb": -1},
            "# x\n\n**val_bpb: TBD** (3 seeds)\n\nScreened: val_bpb=1.3004\n",
            "submission.json:3",
            False,
        ),
        ({}, "# x\n\n**val_bpb**: _pending H100 validation_\n", "README.md:3", False),
        (
            None,
            "# x\n\nThis is a **non-record analytical submission**: the cache is not normalised.\n",
            "README.md:3",
            False,
        ),
        ({}, "# x\n\n**Status: complete — compute grant pending.**\n\nTarget: 1.07 bpb.\n", "README.md:3", False),
    ],
)
def test_an_author_who_says_that_there_is_no_score(data: Any, readme: str, where: str, withdrawn: bool) -> None:
    found = claims(data, readme)
    assert (found.unclaimed, found.withdrawn) == (where, withdrawn)


@pytest.mark.parametrize(
    ("data", "readme"),
    [
        ({"status": "retracted", "val_bpb": 1.13}, ""),
        ({"name": "x", "val_bpb": None}, "**val_bpb: 1.0820** (3-seed mean)"),
        ({"name": "x", "val_bpb": -1}, "Status: pending review\n\n**val_bpb: 1.0820** (3-seed mean)"),
        ({"name": "x"}, "A model."),
        ({"name": "x"}, "A non-record analysis of caches."),
        (None, "A non-record run on one GPU."),
        (None, ""),
    ],
)
def test_silence_and_scores_are_no_such_statement(data: Any, readme: str) -> None:
    assert claims(data, readme).unclaimed == ""


@pytest.mark.parametrize(
    "line",
    [
        "| Value Residual | arXiv:2410.17897 | –0.020 to –0.040 bpb |",
        "If final median bpb clears 1.076 with p<0.01, submit.",
        "- **~70%**: v4 clears 1.076 bpb",
    ],
)
def test_hopes_and_effects_are_no_claims(line: str) -> None:
    assert readme_scores(f"| Technique | Source | Expected gain |\n|---|---|---|\n{line}") == ()


@pytest.mark.parametrize(
    "text",
    [
        "Alice's winning 1.1234 bpb architecture + 4 new ideas.",
        "Inherited reference numbers from `PR9`:\n- sliding `val_bpb`: `1.1248`\n- total bytes: `15,612,308`",
        "| Metric | SOTA | Ours |\n|---|---|---|\n| **TTT val_bpb** | **1.0808** | **1.0909** |",
        "Keeping it in fp16 avoids nearly all post-quant BPB degradation (~0.007 -> ~0.0005).",
        "A richer context should yield approximately **val_bpb ~1.187** on 8xH100.",
    ],
)
def test_what_others_reached_or_is_hoped_for_is_no_claim(text: str) -> None:
    assert readme_scores(text) == ()


def test_own_numbers_after_inherited_ones_are_claims() -> None:
    text = "Inherited numbers:\n- val_bpb: `1.1248`\n\nOur run:\n- val_bpb: `1.1459`"
    assert readme_scores(text) == ((1.1459, 5),)
    assert readme_scores("This model's 1.1234 bpb beats it.")[0][0] == 1.1234


@pytest.mark.parametrize(
    "text",
    [
        "Built on top of the current #1 submission (10L Int5-MLP, 1.1428 bpb).",
        "Built on the 10-layer stack\n(1.1428 BPB) and adds four things.",
        "- PR #517 (someone): cosine LR scheduling (3 lines that made 0.978 bpb possible)",
        "**Base**: `2026-03-20_Some_Folder_With_A_Rather_Long_Name_Int5MLP_SWA50` — 1.1427 BPB",
        "**Current accepted SOTA to beat:** `2026-04-27_Some_Folder_With_A_Long_Name` at `1.06108` BPB",
        "**Best score achieved:** 1.1428 BPB (merged record, PR #180)",
        "| Mean | **1.0587 (target)** |",
        "- total -0.020 BPB → target ~1.072",
        "| **val_bpb** | ≤1.1180 |",
        "- Roundtrip val_bpb strictly < 1.1524",
        "with and without it the runs differ by 0.00019 BPB",
        "- quantises cleanly (~0.01 BPB gap vs ~0.095 for the other)",
        "| Val BPB (live) | 1.1811 |",
        "DIAGNOSTIC post_ema val_bpb:1.1422",
        "## Smoke test\n\n| Post-quant val_bpb | 2.0485 |",
        "on random init step-0 val_bpb = 3.4871",
    ],
)
def test_anothers_score_a_goal_a_difference_or_a_trial_is_no_claim(text: str) -> None:
    assert readme_scores("| Seed | val_bpb |\n" + text if "Mean" in text else text) == ()
    assert claims({"val_bpb": None}, text).unclaimed


@pytest.mark.parametrize(
    "text",
    [
        "# PR #1787 base + a gate on the output of every head: val_bpb 1.0610",
        "Built on PR #549, this submission with its gates and its wide heads reaches 1.0610 BPB.",
        "**val_bpb: 1.0610** vs SOTA 1.0810 (PR #1493)",
        "Adds a gate to the PR #1736 stack. The mean score of all of three seeds is 1.0610 BPB.",
        "PR 1 of 2\nval_bpb = 1.0610 (one seed)",
        "val_bpb: baseline 1.2244, ours 1.0610",
    ],
)
def test_the_authors_own_score_beside_anothers_is_the_claim(text: str) -> None:
    assert readme_scores(text)[0][0] == 1.061


def test_a_mean_over_seeds_by_another_key_comes_before_prose_and_labelled_numbers_are_not_the_authors() -> None:
    assert claims({"val_bpb_3seed_mean": 0.9962, "val_bpb_3seed_std": 0.0006}, "val_bpb: 1.1").val_bpb == 0.9962
    labelled = claims({"val_bpb": None, "smoke_test": {"val_bpb": 2.9408}}, "final_val_bpb: 2.9408")
    assert labelled.val_bpb is None and labelled.unclaimed


def test_words_that_look_like_a_result_lines_label_are_kept() -> None:
    data = {"evaluation": "final_int6_sliding_window_exact", "name": "A long name", "lane": "SAFE", "val_bpb": 1.05}
    assert claims(data).stated_labels == ("final_int6_sliding_window_exact",)
