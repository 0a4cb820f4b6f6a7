"""Records -> the verdict document, the same that reviews write."""

from __future__ import annotations

from typing import Any

from checks.verdict import Finding, Recommendation, RulebookRef, SubmissionVerdict, Target, Verdict, conclude
from harness.reproduce.judging import evaluation, evidence, limits
from harness.reproduce.judging.facts import Reproduction, score_of
from harness.reproduce.record import SeedRecord

_JUDGES = (
    evidence.failures,
    limits.training_clock,
    limits.evaluation_clock,
    limits.untimed_work,
    limits.size,
    limits.hardware,
    evaluation.roundtrip,
    evaluation.hidden_state,
    evaluation.training_data,
    evaluation.network,
    evidence.seeds,
    evidence.claim,
    evidence.record_beaten,
)


def findings(case: Reproduction) -> tuple[Finding, ...]:
    """Return what every judge says."""
    return tuple(judge(case) for judge in _JUDGES)


def judge(case: Reproduction, tool_version: str) -> Verdict:
    """Return the verdict on a reproduction; its facts hold the measured runs."""
    found = findings(case)
    outcome, recommendation = conclude(found)
    if case.plan.rehearsal and recommendation is Recommendation.MERGE:
        recommendation = Recommendation.HUMAN_REVIEW  # a toy run recommends nothing
    ref = RulebookRef(
        case.rulebook.name, case.rulebook.version, str(case.rulebook.as_of) if case.rulebook.as_of else None
    )
    facts: dict[str, Any] = {
        "claimed_val_bpb": case.submission.claims.val_bpb,
        "runs": [_facts(record, case) for record in case.records],
        "code_bytes": max((r.script_bytes for r in case.records), default=None),
        "configuration": {
            name: {"value": value, "from": case.plan.configuration_from.get(name, "pgolf reproduce")}
            for name, value in case.plan.environment.items()
        },
        "measured": True,
        "rehearsal": case.plan.rehearsal,
    }
    submission = SubmissionVerdict(
        path=case.plan.target,
        track=case.submission.track,
        script=case.plan.script,
        packed=False,
        verdict=outcome,
        recommendation=recommendation,
        facts=facts,
        findings=found,
    )
    return Verdict(
        tool_version=tool_version,
        rulebook=ref,
        target=Target(case.plan.target),
        verdict=outcome,
        recommendation=recommendation,
        submissions=(submission,),
        notes=(*case.plan.notes, *case.weaker),
    )


def _facts(record: SeedRecord, case: Reproduction) -> dict[str, Any]:
    printed, artifact = record.printed, record.artifact
    return {
        "log": f"seeds/{record.seed}/output.log",
        "seed": record.seed,
        "val_bpb": score_of(record),
        "val_loss": printed.val_loss if printed else None,
        "train_seconds": round(record.clocks.training, 3),
        "eval_seconds": round(record.clocks.evaluation, 3),
        "artifact_bytes": artifact.size + record.script_bytes if artifact else None,
        "code_bytes": record.script_bytes,
        "model_bytes": artifact.size if artifact else None,
        "steps": record.clocks.steps,
        "world_size": printed.world_size if printed and case.plan.gpus else None,
        "gpu": case.gpu,
        "complete": record.end.status == 0,
        "val_tokens": printed.val_tokens if printed else None,
        "bytes_per_token": None,
        "printed_val_bpb": printed.val_bpb if printed else None,
        "replayed_val_bpb": record.replay.val_bpb if record.replay else None,
    }
