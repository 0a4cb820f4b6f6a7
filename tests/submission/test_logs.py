"""What one log yields: families, several runs, truncation, and which score is the headline."""

from __future__ import annotations

import json

import pytest

from checks.submission.logs import distinct_runs, is_log, read_log
from checks.submission.model import Run
from tests.submission import log_samples as sample

SCRIPTS = {"train_gpt.py": sample.SOURCE.encode()}


def one(text: str | bytes, path: str = "train.log") -> Run:
    data = text if isinstance(text, bytes) else text.encode()
    runs = read_log(path, data, SCRIPTS)
    assert len(runs) == 1
    return runs[0]


def test_baseline_facts_come_from_the_log_and_not_from_its_source() -> None:
    run = one(sample.BASELINE)
    assert (run.seed, run.val_bpb, run.val_loss) == (42, 1.20001234, 2.02617)
    assert (run.artifact_bytes, run.model_bytes, run.code_bytes) == (15_850_000, 15_800_000, 50_000)
    assert (run.train_seconds, run.eval_seconds, run.steps) == (600.012, 1.5, 200)
    assert (run.world_size, run.gpu, run.details["gpu_count"]) == (8, "NVIDIA H100 80GB HBM3", 8)
    assert (run.val_tokens, run.train_shards, run.model_params) == (62_021_632, 80, 17_059_912)
    assert run.bytes_per_token == pytest.approx(2.4359, abs=1e-3)
    assert run.complete and run.reason == ""


def test_lines_without_a_number_are_kept_for_the_script_to_recognise() -> None:
    run = one(sample.BASELINE + "\nfinal_eval_mode:standard\n")
    assert run.details["said"]["final_eval_mode:standard"] == sample.BASELINE.count("\n") + 2
    assert not any(character.isdigit() for line in run.details["said"] for character in line)


def test_every_fact_names_its_line() -> None:
    run = one(sample.BASELINE)
    lines = sample.BASELINE.split("\n")
    assert lines[run.lines["val_bpb"] - 1].startswith("final_int8_zlib_roundtrip_exact")
    assert lines[run.lines["artifact_bytes"] - 1].startswith("Total submission size int8+zlib")
    assert lines[run.lines["train_seconds"] - 1].startswith("stopping_early")
    assert lines[run.lines["seed"] - 1] == "seed:42"
    assert lines[run.lines["settings.MAX_WALLCLOCK_SECONDS"] - 1].startswith("train_batch_tokens")


def test_embedded_source_is_compared_with_the_script() -> None:
    run = one(sample.BASELINE)
    assert run.source_bytes == len(sample.SOURCE.encode())
    assert run.source_matches is True and run.details["source_script"] == "train_gpt.py"
    changed = one(sample.header(sample.SOURCE + "# later\n") + sample.training() + sample.ROUNDTRIP)
    assert changed.source_matches is False


def test_windows_line_ends_do_not_change_the_source() -> None:
    run = one(sample.BASELINE.replace("\n", "\r\n"))
    assert run.source_matches is True and run.source_bytes == len(sample.SOURCE.encode())
    assert run.val_bpb == 1.20001234


def test_two_runs_in_one_file_and_the_second_is_cut_off() -> None:
    first = sample.header(seed=1) + sample.training() + sample.export() + sample.ROUNDTRIP + sample.ttt()
    second = sample.header(seed=1) + sample.training(600035) + sample.export(15_700_000) + sample.ROUNDTRIP
    runs = read_log("train_seed1.log", (first + second + sample.ttt(58)).encode(), SCRIPTS)
    assert [r.index for r in runs] == [0, 1]
    assert (runs[0].val_bpb, runs[0].eval_seconds, runs[0].complete) == (1.15000321, 200.4, True)
    assert (runs[1].val_bpb, runs[1].complete) == (None, False)
    assert "TTT stops at chunk 58 of 100, no final score" in runs[1].reason
    assert "1.2000" in runs[1].reason
    assert runs[1].artifact_bytes == 15_750_000
    assert runs[1].first_line == first.count("\n") + 1


def test_ttt_that_only_starts_is_incomplete() -> None:
    text = sample.header() + sample.training() + sample.export() + sample.ROUNDTRIP + "ttt_sliding:start chunks=9\n"
    run = one(text)
    assert not run.complete and "prints no final score" in run.reason


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (sample.header(), "before its first step"),
        (
            sample.header() + sample.training().split("stopping")[0].rsplit("step:200", 1)[0],
            "training stops at step 200 of 20000",
        ),
        (sample.header() + sample.training(), "no score after quantisation"),
        (
            sample.header() + sample.training() + "diagnostic pre-quantization post-ema val_loss:2.1 val_bpb:1.1\n",
            "only diagnostic",
        ),
        (sample.header() + sample.training() + "Traceback (most recent call last):\n", "ends with an error"),
    ],
)
def test_incomplete_runs_say_why(text: str, reason: str) -> None:
    run = one(text)
    assert not run.complete and run.val_bpb is None
    assert reason in run.reason


def test_phased_family_reads_block_settings_and_charges_the_total() -> None:
    run = one(sample.PHASED)
    assert (run.seed, run.val_bpb, run.eval_seconds) == (1234, 1.05989454, 508.8)
    assert (run.artifact_bytes, run.code_bytes) == (15_897_259, 31_999)
    assert (run.details["code_bytes_uncompressed"], run.details["code_bytes_compressed"]) == (157_868, 31_999)
    assert run.settings["TTT_ENABLED"] == "True" and run.settings["SLOT_ENABLED"] == "False"
    assert run.details["gptq"]["hessian_seconds"] == 3.5 and run.details["gptq"]["reserve_seconds"] == 4.0
    assert run.details["gates"] == {
        "gated": 13023303,
        "token_gate": 628130,
        "within_gate": 0,
        "word_gate": 0,
        "agree2plus": 0,
    }
    assert run.details["warmup_seconds"] == 137.6 and run.details["ngram_hint_seconds"] == 168.13
    assert "ngram_hint_outside" not in run.details
    assert run.details["ran"].keys() == {"ttt", "ngram"}
    assert run.val_tokens == 47_851_520 and run.world_size == 8


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("gptq:hessian_collection_time:218732ms", 218.732),
        ("gptq:collected hessians for 33 layers in 199.6s", 199.6),
        ("gptq:collected hessians for 68 layers (4.7s)", 4.7),
        ("gptq:collected hessians for 20 layers post_time:51052ms total_train_time:606117ms", 51.052),
        ("gptq:collected 68 Hessians in 1031ms", 1.031),
        ("GPTQ:collected 67 Hessians and 0 AWQ act stats in 3.5s", 3.5),
        ("gptq:hessians collected n=44 elapsed=10.0s", 10.0),
        ("gptq:calibration done in 1134ms, 66 layers", 1.134),
        ("gptq:collecting hessians from 256 batches (600s)", None),
        ("gptq:hessians from a model of train_time:590000ms", None),
        ("gptq:starting calibration at elapsed=100ms (budget=600000ms)", None),
    ],
)
def test_the_time_of_the_calibration(line: str, seconds: float | None) -> None:
    run = one(sample.header() + sample.training() + line + "\n" + sample.export() + sample.ROUNDTRIP)
    assert run.details.get("gptq", {}).get("hessian_seconds") == seconds


def test_hints_outside_the_timer_are_charged() -> None:
    run = one(sample.PHASED.replace("precompute_outside: False", "precompute_outside: True"))
    assert run.details["ngram_hint_outside"] is True
    assert run.eval_seconds == pytest.approx(508.8 + 168.13)


def test_a_line_that_says_outside_does_not_overrule_the_printed_switch() -> None:
    run = one(sample.PHASED.replace("precompute_done", "precompute_outside_timer_done"))
    assert run.eval_seconds == 508.8 and "ngram_hint_outside" not in run.details


def test_diagnostics_are_listed_and_not_charged() -> None:
    run = one(sample.PHASED)
    counted = [p["label"] for p in run.details["eval_parts"] if p["counts"]]
    assert counted == ["total_eval_time"]
    assert run.details["eval_seconds_all"] == pytest.approx(6.718 + 49.995 + 508.785)


def test_adaptation_before_the_score_is_charged_once() -> None:
    text = (
        sample.header()
        + sample.training()
        + sample.export()
        + "ttt:elapsed=60.9s\nttt_adamw:done elapsed=60.9s\n"
        + sample.ROUNDTRIP
    )
    assert one(text).eval_seconds == pytest.approx(62.4)


@pytest.mark.parametrize(
    "prefix",
    ["[rank0]: ", "[default0]:", "2026-03-28 01:43:08,123 INFO ", "[2026-03-28 01:43:08] ", "\x1b[32m", "[log] "],
)
def test_launcher_prefixes(prefix: str) -> None:
    body = sample.training() + sample.export() + sample.ROUNDTRIP
    run = one("".join(prefix + line + "\n" for line in ("seed:7 world_size:8\n" + body).splitlines()))
    assert (run.seed, run.val_bpb, run.train_seconds, run.artifact_bytes) == (7, 1.20001234, 600.012, 15_850_000)


def test_json_lines() -> None:
    rows = [
        {"seed": 7, "world_size": 8},
        {"step": 10, "train_loss": 5.5, "train_time": 1000},
        {"artifact_bytes": 15_000_000},
        {"event": "final", "val_loss": 2.02617, "val_bpb": 1.20001234},
    ]
    run = one("".join(json.dumps(row) + "\n" for row in rows), "metrics.jsonl")
    assert (run.seed, run.val_bpb, run.artifact_bytes, run.steps) == (7, 1.20001234, 15_000_000, 10)


def test_utf16_log() -> None:
    run = one(sample.BASELINE.encode("utf-16"))
    assert run.val_bpb == 1.20001234 and "UTF-16 log" in run.notes


def test_console_and_log_file_pasted_together_are_one_run() -> None:
    console = sample.BASELINE.split("=" * 100 + "\n")[-1]
    run = one(console + sample.BASELINE)
    assert run.source_matches is True
    assert any("printed again" in note for note in run.notes)
    other = read_log("other.log", sample.BASELINE.encode(), SCRIPTS)
    assert len(distinct_runs([run, *other])) == 1


def test_source_whose_head_is_cut_is_still_taken_out() -> None:
    cut = sample.BASELINE.split("class Hyperparameters", 1)[1]
    run = one("seed:42\nworld_size:8\n    x = 1\nclass Hyperparameters" + cut)
    assert run.val_bpb == 1.20001234 and run.artifact_bytes == 15_850_000
    assert all("log0" not in s.label for s in run.scores)


def test_stall_is_found_with_the_step_time_around_it() -> None:
    run = one(sample.header() + sample.training(stall_at=150) + sample.ROUNDTRIP)
    (stall,) = run.details["stalls"]
    assert (stall["from_step"], stall["to_step"], stall["seconds"]) == (140, 150, 30.0)
    assert run.details["step_ms"] == 100.0


def test_several_scores_on_a_line_and_the_plain_one_wins() -> None:
    run = one(sample.header() + sample.training() + "final_mix ngram_val_bpb:0.3509 val_bpb:1.1000 gain_bpb:0.7491\n")
    assert run.val_bpb == 1.1


def test_curves_are_thinned() -> None:
    steps = "".join(f"step:{i}/20000 train_loss:3.0 train_time:{i * 100}ms\n" for i in range(1, 5000))
    run = one("seed:1\n" + steps + sample.ttt(4000, 4000))
    assert len(run.curve) == 200 and run.curve[-1][0] == 4999
    assert len(run.ttt_curve) == 200


def test_a_result_line_says_how_many_tokens_were_processed() -> None:
    lines = b"[STEP 00079] t=30s/595s loss=4.76\n[EVAL] Validation tokens: 62,022,358\n"
    run = one(lines + b"[EVAL RESULT] BPB: 1.3587 | tokens_processed=6487339\n", "console.txt")
    assert run.complete and run.val_bpb == 1.3587 and run.val_tokens == 62_022_358
    assert run.details["scored_tokens"] == 6_487_339 and run.curve


def test_seed_from_the_file_name_is_said_to_be_that() -> None:
    run = one(sample.training() + sample.ROUNDTRIP, "logs/train_seed2025.log")
    assert run.seed == 2025 and any("file name" in note for note in run.notes)
    assert one(sample.training() + sample.ROUNDTRIP, "eval_s64.log").seed is None


@pytest.mark.parametrize(
    ("path", "head", "expected"),
    [
        ("train.log", b"", True),
        ("logs/train0.txt", b"step:1/20000 train_loss:6.9", True),
        (" train_seed42.txt", b"val_bpb:enabled", True),
        ("run.out", b"anything", True),
        ("metrics.jsonl", b'{"step": 1}', True),
        ("requirements.txt", b"torch\nbrotli  # val_bpb", False),
        ("README.md", b"val_bpb: 1.1", False),
        ("train_gpt.py", b"val_bpb", False),
        ("notes.txt", b"val_bpb", False),
        ("core.log", b"\x7fELF\0\0\0", False),
        ("vocab.txt", b"hello", False),
        ("console.txt", b"Found 80 shards.\n[STEP 00079] t=30s/595s loss=4.7655\n", True),
        ("setup.txt", b"Result of [STEP 2]: no loss\nBPB: 1.2\n", False),
    ],
)
def test_is_log(path: str, head: bytes, expected: bool) -> None:
    assert is_log(path, head) is expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ttt_sliding:start chunks=9 ttt_lr=0.002", {"ttt"}),
        ("ttt_sliding:start chunks=9 ttt_lr=0.002 slot_lr=0.003 slot_steps=5", {"ttt", "slot"}),
        ("slot_sliding:done val_loss=1.86 val_bpb=1.10 elapsed=229.4s", {"slot"}),
        ("final_sliding_window+slot8steps val_loss:1.86 val_bpb:1.10", {"slot"}),
        ("ngram_two_pass: Pass 2 done val_bpb=0.09", {"ngram", "two_pass"}),
        ("prequant_ttt:epoch 1/21 val_bpb=1.08", {"prequant_ttt"}),
        ("ppm_mixer val_bpb:0.97 eval_time:453715ms order=5", {"ppm"}),
        ("post-prequant-ttt val_loss:2.73 val_bpb:1.05", set()),
        ("ttt_enabled:False ttt_lr:0.1", set()),
        ("slot:disabled", set()),
        ("ngram_tilt: enabled=False", set()),
        ("model_params:123 trigram:0", set()),
    ],
)
def test_mechanisms_at_work(line: str, expected: set[str]) -> None:
    run = one(sample.header() + sample.training() + line + "\n" + sample.ROUNDTRIP)
    assert set(run.details.get("ran", {})) == expected


def test_a_switch_with_a_value_of_its_own_is_no_value() -> None:
    header = (
        "seed:1\nworld_size:8\ncont_cache: enabled:0 window:64\ntweo:enabled:True lambda:0.1\nloop:enabled step:5\n"
    )
    run = one(header + sample.training())
    assert {k: run.settings.get(k) for k in ("CONT_CACHE", "CONT_CACHE_ENABLED", "TWEO_ENABLED", "WINDOW", "LOOP")} == {
        "CONT_CACHE": None,
        "CONT_CACHE_ENABLED": "0",
        "TWEO_ENABLED": "True",
        "WINDOW": "64",
        "LOOP": "enabled",
    }


def test_a_reason_in_brackets_is_a_setting_wherever_it_stands() -> None:
    run = one(sample.training() + "gptq:SKIPPED (SKIP_GPTQ=1) - will use naive int6\n")
    assert run.settings["SKIP_GPTQ"] == "1"


def test_settings_with_commas_and_without_spaces() -> None:
    run = one("seed:1\nworld_size:8\nrecur_layers:4,5 lr:0.1, wd:0.2 a:1,b:2 (mode=K)\nttt:start\n" + sample.training())
    assert {k: run.settings[k] for k in ("RECUR_LAYERS", "LR", "WD", "A", "B", "MODE")} == {
        "RECUR_LAYERS": "4,5",
        "LR": "0.1",
        "WD": "0.2",
        "A": "1",
        "B": "2",
        "MODE": "K",
    }
    assert "TTT" not in run.settings


PAIRS = {
    "a rounded twin": "final_roundtrip val_loss:2.0262 val_bpb:1.2000\nfinal_roundtrip_exact val_bpb:1.20001234\n",
    "a value a line": "final_roundtrip_val_loss: 2.0262\nfinal_roundtrip_val_bpb: 1.20001234\n",
    "pretty JSON": '{\n  "val_bpb": 1.20001234,\n  "seed": 42,\n  "val_loss": 2.0262,\n}\n',
}


@pytest.mark.parametrize("text", PAIRS.values(), ids=list(PAIRS))
def test_the_loss_of_a_score_on_another_line(text: str) -> None:
    run = one(sample.header() + sample.training() + sample.export() + text)
    assert (run.val_bpb, run.val_loss) == (1.20001234, 2.0262)
    assert run.bytes_per_token == pytest.approx(2.4359, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    [
        "final_roundtrip_exact val_bpb:1.20001234\nema_val_loss: 2.0262\n",
        "final_roundtrip_exact val_bpb:1.20001234\ntrain_loss: 2.0262\n",
        "val_loss: 2.0262\n" + "\n" * 9 + "final_roundtrip_exact val_bpb:1.20001234\n",
        "other val_loss:2.0262 val_bpb:1.2001\nfinal_roundtrip_exact val_bpb:1.20001234\n",
    ],
)
def test_the_loss_of_another_score_is_not_taken(text: str) -> None:
    run = one(sample.header() + sample.training() + sample.export() + text)
    assert (run.val_bpb, run.val_loss) == (1.20001234, None)


@pytest.mark.parametrize(
    ("line", "tokens"),
    [
        ("Val: 62,021,846 tokens", 62_021_846),
        ("val tokens: 62,021,633", 62_021_633),
        ("val:./data/fineweb10B_sp1024/fineweb_val_*.bin tokens:62021632", 62_021_632),
        ("[eval] Loaded 62,021,846 tokens from fineweb_val_000000.bin", 62_021_846),
        ("eval_tokens=1048576", 1_048_576),
        ("ttt_sliding:start chunks=1893 chunk_tokens=32768 total_windows=969088 stride=64 lr=0.002", 62_021_632),
        ("Loaded 100,000,000 tokens from fineweb_train_000000.bin", None),
        ("Train: 100,000,000 tokens", None),
        ("pass 1 done tokens_scored=7754688 time=52.1s", None),
        ("ttt: doc 100 scored_tokens:123456", None),
    ],
)
def test_the_number_of_validation_tokens(line: str, tokens: int | None) -> None:
    head = "\n".join(x for x in sample.header().split("\n") if "val_loader" not in x)
    assert one(head + line + "\n" + sample.training() + sample.export() + sample.ROUNDTRIP).val_tokens == tokens


def test_the_number_of_tokens_on_the_line_of_the_score() -> None:
    head = "\n".join(x for x in sample.header().split("\n") if "val_loader" not in x)
    score = "sweep rank=8 tokens=1048576 val_loss=2.0262 val_bpb=1.20001234 elapsed=3.4s\n"
    assert one(head + sample.training() + sample.export() + score).val_tokens == 1_048_576


@pytest.mark.parametrize(
    ("line", "size"),
    [
        ("total:15912981B", 15_912_981),
        ("model:15567567 code:53472 total:15621039 (15.62 MB)", 15_621_039),
        ("Code size: 254,613 bytes  |  Total artifact: 15,944,005 bytes", 15_944_005),
        ("budget:15670651/16000000 (15.67/16.00MB) FITS", 15_670_651),
        ("ARTIFACT TOTAL:   15,478,013 / 16,000,000 bytes (OK)", 15_478_013),
        ("final_int8_zlib model_bytes:11125178 code_bytes:64664 total_bytes:11189842 val_bpb:1.2000", 11_189_842),
        ("total_submission_size_int8_zlib:14238642 bytes", 14_238_642),
        ("budget:16216336/16000000 (16.22/16.00MB) OVER", 16_216_336),
        ("budget:16216336/16000000 (15.95/16.00MB) FITS", None),
        ("raw_model:14437775 code:42197 total:14479972", None),
        ("total_tokens:4749312", None),
    ],
)
def test_totals_that_name_the_artifact_in_other_words(line: str, size: int | None) -> None:
    run = one(sample.header() + sample.training() + line + "\n" + sample.ROUNDTRIP)
    assert run.artifact_bytes == size
