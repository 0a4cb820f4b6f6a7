"""Verdicts that every renderer is tested with: one of each outcome, with the facts that a real review yields."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

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
    Waiver,
    waive,
)

FOLDER = "records/track_10min_16mb/2026-03-24_12L_TTT"
SCRIPT = f"{FOLDER}/train_gpt.py"
HEAD = "8f803e96c525aaaabbbbccccddddeeeeffff0000"
RULEBOOK = RulebookRef(
    "parameter-golf",
    "2026-05-03",
    limits={"artifact_cap_bytes": 16_000_000, "train_cap_seconds": 600.0, "eval_cap_seconds": 600.0, "seeds": 3},
)
TARGET = Target(
    path="refs/pull/4242/head",
    pr=4242,
    head=HEAD,
    base="0" * 40,
    created="2026-03-24T10:00:00Z",
    title="12 layers with score-first TTT, 1.1594",
    repository="openai/parameter-golf",
)


def run(
    seed: int | None, bpb: float | None, *, artifact: int = 15_899_385, complete: bool = True, **more: Any
) -> dict[str, Any]:
    curve = [
        [
            step,
            3.2 * math.exp(-step / 900) + 1.92 + 0.01 * math.sin(step + (seed or 5)) + 0.004 * (seed or 5) % 0.1,
            step * 0.11,
        ]
        for step in range(0, 5401, 600)
    ]
    ttt = [[chunk, 1.17 - 0.01 * (1 - math.exp(-chunk / 300))] for chunk in range(0, 1893, 200)]
    facts = {
        "log": f"{FOLDER}/train_seed{seed}.log",
        "index": 0,
        "seed": seed,
        "val_bpb": bpb,
        "val_loss": bpb * 1.6884 if bpb else None,
        "train_seconds": 599.9,
        "eval_seconds": 412.5 if complete else None,
        "artifact_bytes": artifact,
        "code_bytes": 78_582,
        "model_bytes": artifact - 78_582,
        "steps": 5400,
        "world_size": 8,
        "gpu": "NVIDIA H100 80GB HBM3",
        "complete": complete,
        "reason": "" if complete else "the log ends at TTT chunk 1111 of 1893",
        "val_tokens": 62_021_632,
        "bytes_per_token": 2.4359,
        "lines": {"val_bpb": 412},
        "scores": [{"label": "val", "line": 10 + s, "step": s * 1000, "val_bpb": 1.4 - 0.03 * s} for s in range(1, 6)],
        "curve": curve,
        "ttt_curve": ttt if complete else ttt[:6],
    }
    return {**facts, **more}


def facts(runs: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {
        "claimed_val_bpb": 1.1594,
        "runs": runs,
        "code_bytes": 78_582,
        "model_params": 30_240_353,
        "configuration": {
            "NUM_LAYERS": {"value": "12", "from": "README.md:31"},
            "TTT_ENABLED": {"value": "1", "from": "README.md:31"},
            "VOCAB_SIZE": {"value": "1024", "from": "default train_gpt.py:52"},
        },
        **more,
    }


def passed(rule: str, group: Group, summary: str) -> Finding:
    return Finding(rule, Status.PASS, rule.replace("-", " ").capitalize(), summary, group)


PASSES = (
    passed("network", Group.LIMITS, "No import or call reaches the network."),
    passed(
        "roundtrip",
        Group.EVALUATION,
        "The score is taken from the decompressed artifact (`eval_val` after `load_state_dict`).",
    ),
    passed("slot", Group.EVALUATION, "No parameter is optimised on tokens that the same window scores."),
    Finding(
        "lossy-normalisation",
        Status.NOT_APPLICABLE,
        "Lossy normalisation",
        "The tokenizer is the standard one.",
        Group.EVALUATION,
    ),
)
SIZE = Finding(
    "size-cap",
    Status.FAIL,
    "The artifact is over the size cap",
    "Run 1 reports 16,116,204 bytes, 116,204 over the cap of 16,000,000 (decimal).",
    Group.LIMITS,
    blocking=True,
    evidence=(
        Evidence(
            f"{FOLDER}/train_seed1.log",
            2210,
            what="logged total",
            excerpt="Total submission size int6+lzma: 16116204 bytes",
        ),
    ),
    sources=("README (launch)", "#1809", "#1835"),
    clears="A complete log of a run whose code and model together are at most 16,000,000 bytes.",
)
ORDER = Finding(
    "ttt-adapt-before-score",
    Status.FAIL,
    "Validation tokens are trained on before they are scored",
    "`ttt_adapt` trains on all validation tokens, then `eval_val` scores the same tokens with the adapted weights.",
    Group.EVALUATION,
    blocking=True,
    evidence=(
        Evidence(
            SCRIPT,
            210,
            210,
            "main",
            "val tokens are read",
            "val_tokens = load_validation_tokens(args.val_files)",
            "source",
        ),
        Evidence(
            SCRIPT,
            1180,
            1186,
            "ttt_adapt",
            "optimizer step on val_tokens",
            "for epoch in range(args.ttt_epochs):\n    loss = model(x, y)\n    loss.backward()\n    optimizer.step()",
            "adapt",
        ),
        Evidence(
            SCRIPT,
            1240,
            1240,
            "main",
            "the same tokens are scored",
            "val_loss, val_bpb = eval_val(args, model, val_tokens)",
            "score",
        ),
        Evidence(
            SCRIPT,
            1242,
            1242,
            "main",
            "printed as the final score",
            'log0(f"final_ttt val_bpb:{val_bpb:.4f}")',
            "report",
        ),
    ),
    sources=("README 2026-03-20", "#402", "#677"),
    clears="Score every chunk under inference mode, then train on it; report the losses taken before.",
)
SEEDS = Finding(
    "seeds",
    Status.FAIL,
    "Too few complete runs",
    "1 complete run; a record needs 3 with different seeds.",
    Group.EVIDENCE,
    blocking=True,
    evidence=(Evidence(f"{FOLDER}/train_seed1.log", 0, what="the only log"),),
    sources=("README 2026-03-19",),
    clears="Logs of three complete runs with different seeds.",
)
CONFIG = Finding(
    "config-mix",
    Status.WARN,
    "The defaults do not build the claimed model",
    "The script builds 10 layers by default; the log shows 12. Eight variables have to be set.",
    Group.EVIDENCE,
    evidence=(
        Evidence(SCRIPT, 52, 52, "Hyperparameters", "default", 'num_layers = int(os.environ.get("NUM_LAYERS", 10))'),
    ),
    clears="Make the submitted values the defaults.",
)
MIXTURE = Finding(
    "unnormalised-mixture",
    Status.UNKNOWN,
    "The mixture may not be a distribution",
    "The mixing weights come from `ngram_state.c`, which this review does not read.",
    Group.EVALUATION,
    evidence=(Evidence(f"{FOLDER}/ngram_state.c", 0, what="C source, 412 lines"),),
    sources=("#886", "#1017"),
    clears="A Python reference of the mixture, or a test that its probabilities sum to 1 over the vocabulary.",
)
WAIVER = Waiver(
    "outside-records", "maintainer@example.org", "the typo fix in data/README.md was asked for", "2026-12-31", 4242
)
OUTSIDE = Finding(
    "outside-records",
    Status.FAIL,
    "Changes outside the record folder",
    "Two files outside `records/` are changed.",
    Group.PACKAGE,
    blocking=True,
    evidence=(Evidence("data/README.md", 0, what="modified"),),
    sources=("README (launch)", "#53"),
    clears="Take the change to data/README.md out of this pull request.",
)
NUMBERS = {
    "record_bpb": 1.1194,
    "record_pr": 1019,
    "mean_bpb": 1.1598,
    "mean_low": 1.1580,
    "mean_high": 1.1616,
    "p_lower": 0.98,
    "p_margin": 0.99,
    "target_bpb": 1.1164,
}
SIGNIFICANCE = Finding(
    "significance",
    Status.FAIL,
    "The record is not beaten",
    "Mean 1.1598 of 2 runs. It is not lower than the record of #1019 (1.1194).",
    Group.EVIDENCE,
    blocking=True,
    evidence=(Evidence(f"{FOLDER}/train_seed1.log", 412, what="seed 1: 1.1677"),),
    clears="Show a mean lower by 0.005 nats with p < 0.01, or file the submission as non-record.",
    numbers=NUMBERS,
)


def violation() -> Verdict:
    runs = [
        run(1, 1.1677, artifact=16_116_204),
        run(1, None, complete=False, index=1, log=f"{FOLDER}/train_seed1.log"),
        run(2, 1.1594, train_seconds=603.1),
    ]
    submission = SubmissionVerdict(
        FOLDER,
        "10min_16mb",
        SCRIPT,
        False,
        Outcome.VIOLATION,
        Recommendation.REQUEST_CHANGES,
        facts(runs),
        (SIZE, ORDER, SEEDS, SIGNIFICANCE, CONFIG, MIXTURE, *PASSES),
    )
    return Verdict(
        "0.1.0",
        RULEBOOK,
        TARGET,
        Outcome.VIOLATION,
        Recommendation.REQUEST_CHANGES,
        (OUTSIDE,),
        (submission,),
        ("ngram_state.c was not read: only Python is analysed.",),
    )


def compliant() -> Verdict:
    runs = [run(seed, bpb) for seed, bpb in ((1337, 1.1152), (42, 1.1149), (7, 1.1157))]
    numbers = {
        **NUMBERS,
        "mean_bpb": 1.11527,
        "mean_low": 1.1142,
        "mean_high": 1.1163,
        "p_lower": 1e-4,
        "p_margin": 0.004,
    }
    significance = replace(
        SIGNIFICANCE,
        status=Status.PASS,
        blocking=False,
        summary="The mean beats the record.",
        clears="",
        numbers=numbers,
    )
    submission = SubmissionVerdict(
        FOLDER,
        "10min_16mb",
        SCRIPT,
        True,
        Outcome.COMPLIANT,
        Recommendation.MERGE,
        facts(runs, claimed_val_bpb=1.1153),
        (significance, *PASSES),
    )
    waived = waive(OUTSIDE, WAIVER)
    return Verdict("0.1.0", RULEBOOK, TARGET, Outcome.COMPLIANT, Recommendation.MERGE, (waived,), (submission,))


def incomplete() -> Verdict:
    finding = replace(
        SEEDS,
        rule="missing-files",
        title="Required files are missing",
        group=Group.PACKAGE,
        evidence=(Evidence(FOLDER),),
        summary="No training log and no submission.json.",
    )
    empty = SubmissionVerdict(
        FOLDER, None, None, False, Outcome.INCOMPLETE, Recommendation.REQUEST_CHANGES, {}, (finding,)
    )
    target = Target(path="my-submission")
    return Verdict(
        "0.1.0",
        replace(RULEBOOK, as_of="2026-04-01", limits={}),
        target,
        Outcome.INCOMPLETE,
        Recommendation.REQUEST_CHANGES,
        (),
        (empty,),
    )


def undetermined() -> Verdict:
    first = SubmissionVerdict(
        FOLDER,
        "10min_16mb",
        SCRIPT,
        True,
        Outcome.UNDETERMINED,
        Recommendation.HUMAN_REVIEW,
        facts([run(1, 1.12)]),
        (MIXTURE, *PASSES),
    )
    second = replace(
        first,
        path="records/track_non_record_16mb/2026-03-24_Extra",
        track="non_record_16mb",
        facts={},
        findings=PASSES,
        verdict=Outcome.COMPLIANT,
        recommendation=Recommendation.MERGE,
    )
    return Verdict("0.1.0", RULEBOOK, TARGET, Outcome.UNDETERMINED, Recommendation.HUMAN_REVIEW, (), (first, second))


SAMPLES = {f.__name__: f for f in (violation, compliant, incomplete, undetermined)}
