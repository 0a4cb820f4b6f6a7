"""Measured against claimed: score, time, size and seed; enough runs; the record; and runs that failed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace

from checks.program.program import Program
from checks.rules.base import Case, Verdicts
from checks.rules.evidence import significance
from checks.submission.model import Claims, PullRequest, Run
from checks.verdict import Evidence, Finding, Group
from harness.reproduce.judging.facts import Reproduction, at_line, in_record, of_plan, seeds_text
from harness.reproduce.record import SeedRecord

_CONFIDENCE = 0.99


def claim(case: Reproduction) -> Finding:
    """Compare what was measured with what was claimed and printed (rule claim-mismatch)."""
    say = Verdicts("claim-mismatch", Group.EVIDENCE, case.rulebook)
    lies = [lie for record in case.records for lie in _lies(record, case)]
    if lies:
        text = " ".join(f"{what}." for what, _ in lies[:3])
        return say.fail(text, [evidence for _, evidence in lies], "Print what happens.")
    if case.plan.rehearsal:
        return say.not_applicable("A rehearsal at toy scale has no claim to compare its score with.")
    measured = case.measured()
    if not measured:
        return say.unknown("No score was measured.", [of_plan("the plan")], "A run that ends with a score.")
    return _score(case, say, measured)


def _score(case: Reproduction, say: Verdicts, measured: dict[int, float]) -> Finding:
    claimed = case.submission.claims.val_bpb
    own = {r.seed: r.val_bpb for r in case.submission.runs if r.complete and r.val_bpb is not None}
    if claimed is None and own:
        claimed = statistics.fmean(own.values())
    if claimed is None:
        return say.unknown(
            "The submission claims no score.", [of_plan(case.plan.target)], "State val_bpb in submission.json."
        )
    mean = statistics.fmean(measured.values())
    numbers = case.rulebook.rule("claim-mismatch").numbers
    floor = float(numbers["reproduction_floor_bpb"])
    spread = tolerance_bpb(list(measured.values()), list(own.values()))
    tolerance = max(spread, floor)
    gap = mean - claimed
    evidence = [in_record(r, f"val_bpb {measured[r.seed]:.5f}") for r in case.finished if r.seed in measured]
    evidence.append(Evidence("plan.json", what=f"claimed val_bpb {claimed:.5f}"))
    text = (
        f"Measured {mean:.5f} (mean of {len(measured)}), claimed {claimed:.5f}: {gap:+.5f} bpb, where the seeds' "
        f"spread allows {tolerance:.5f}."
    )
    steps = _steps_short(case)
    if not spread and floor < abs(gap) <= float(numbers["single_run_bpb"]):
        return say.unknown(f"{text} One run without a known spread can be that far off.", evidence, "Run more seeds.")
    if gap > tolerance and (case.weaker or steps):
        return say.unknown(
            f"{text} The machine differs from the rules' own{steps}, so the difference does not refute the claim.",
            evidence,
            "Run on 8xH100 SXM.",
        )
    if gap > tolerance:
        return say.fail(f"{text} The claim is not reproduced.", evidence, "Claim the mean of runs that reproduce.")
    if gap < -tolerance:
        return say.warn(f"{text} The runs are better than claimed.", evidence, "Say which configuration was run.")
    return say.passed(text, evidence)


def tolerance_bpb(measured: Sequence[float], claimed: Sequence[float]) -> float:
    """Return how far two means of such seeds lie apart by chance: Welch's t at 99 %, 0 with too few scores.

    With one group of a single score, the other's spread stands for both.
    """
    groups = [g for g in (measured, claimed) if len(g) > 1]
    if not groups:
        return 0.0
    freedom = sum(len(g) - 1 for g in groups)
    pooled = sum(statistics.variance(g) * (len(g) - 1) for g in groups) / freedom
    from scipy.special import stdtrit  # scipy.stats costs half a second to import

    wide = float(stdtrit(freedom, 0.5 + _CONFIDENCE / 2))
    return wide * math.sqrt(pooled * (1 / max(len(measured), 1) + 1 / max(len(claimed), 1)))


def seeds(case: Reproduction) -> Finding:
    """Count the complete runs (rule seeds)."""
    say = Verdicts("seeds", Group.EVIDENCE, case.rulebook)
    wanted = int(case.rulebook.constants["seeds"])
    complete = case.finished
    if case.plan.rehearsal:
        return say.not_applicable(f"A rehearsal: {len(complete)} of {len(case.plan.seeds)} toy runs ended well.")
    evidence = [in_record(r, f"exit status {r.end.status}") for r in case.records] or [of_plan("the plan")]
    if len(complete) < wanted:
        return say.unknown(
            f"{len(complete)} complete runs were measured, the rules ask for {wanted}.", evidence, "Run more seeds."
        )
    return say.passed(f"{len(complete)} complete runs were measured.", evidence)


def record_beaten(case: Reproduction) -> Finding:
    """Test the measured runs against the record with the rule that reviews use (rule significance)."""
    say = Verdicts("significance", Group.EVIDENCE, case.rulebook)
    if case.plan.rehearsal:
        return say.not_applicable("A rehearsal at toy scale is not compared with the record.")
    measured = case.measured()
    if len(measured) < 2:
        return say.unknown(f"{len(measured)} measured scores allow no test.", [of_plan("the plan")], "Run more seeds.")
    by_seed = {record.seed: record for record in case.finished}
    runs = tuple(_as_run(by_seed[seed], value) for seed, value in measured.items())
    bare = replace(case.submission, files={}, claims=Claims(), runs=runs, path="seeds")
    pull_request = PullRequest(case.plan.target, created=case.created)
    return significance.check(Case(bare, pull_request, Program(), case.rulebook, record_bpb=case.record_bpb))


def failures(case: Reproduction) -> Finding:
    """Report runs that did not end well (rule broken-script)."""
    say = Verdicts("broken-script", Group.PACKAGE, case.rulebook)
    changed = [r for r in case.records if r.code_changed]
    if changed:
        return say.fail(
            f"Files of the submission changed during the run: {', '.join(changed[0].code_changed)}.",
            [in_record(r, ", ".join(r.code_changed)) for r in changed],
            "Do not write to the submission's own files.",
        )
    broken = [r for r in case.records if r.problem]
    theirs = [r for r in broken if r.blame == "submission"]
    if theirs:
        text = "; ".join(f"seed {r.seed} {r.problem}" for r in theirs[:3])
        evidence = [
            Evidence(f"seeds/{r.seed}/output.log", what=r.problem, excerpt="\n".join(r.last_lines[-6:])) for r in theirs
        ]
        return say.fail(
            f"A run did not end well: {text}.", evidence, "Make the script run to its end by its own command."
        )
    if broken:
        return say.unknown(
            f"A run did not end well, and not by the submission's fault: {broken[0].problem}.",
            [in_record(r, r.problem) for r in broken],
            "Run again.",
        )
    if not case.records:
        return say.unknown("Nothing was run.", [of_plan("the plan")], "Run it.")
    return say.passed(f"All runs ended well ({seeds_text(case.records)}).")


def _lies(record: SeedRecord, case: Reproduction) -> list[tuple[str, Evidence]]:
    """Return what a run printed that is not what happened."""
    printed, found = record.printed, []
    if printed is None:
        return []
    numbers = case.rulebook.rule("claim-mismatch").numbers
    slack = max(float(numbers["clock_slack_seconds"]), float(numbers["clock_slack_share"]) * record.clocks.training)
    said = record.clocks.printed_training
    if record.clocks.started and said is not None and record.clocks.training - said > slack:
        what = f"Seed {record.seed} printed {said:.1f} s of training and took {record.clocks.training:.1f} s"
        found.append((what, at_line(record, printed.time_line, "the time that it printed")))
    if printed.seed is not None and printed.seed != record.seed:
        what = f"Seed {record.seed} was set, the run says that it used {printed.seed}"
        found.append((what, in_record(record, "the seed that was set")))
    size = record.artifact.size if record.artifact else None
    if size is not None and printed.artifact_bytes is not None:
        total = size + (printed.code_bytes or record.script_bytes)
        if total > printed.artifact_bytes:
            what = (
                f"Seed {record.seed} printed {printed.artifact_bytes:,} bytes in all; artifact and code weigh {total:,}"
            )
            found.append((what, at_line(record, printed.size_line, "the size that it printed")))
    return found


def _steps_short(case: Reproduction) -> str:
    """Say that the runs made fewer steps than the submission's own logs, empty when they did not."""
    own = [r.steps for r in case.submission.runs if r.complete and r.steps]
    here = [r.clocks.steps for r in case.finished if r.clocks.steps]
    if not own or not here or min(here) >= 0.98 * min(own):
        return ""
    return f" and made {min(here)} steps where the submission's logs have {min(own)}"


def _as_run(record: SeedRecord, score: float) -> Run:
    printed = record.printed
    loss = printed.val_loss if printed else None
    per_token = loss / (score * math.log(2)) if loss and score else None
    return Run(
        log=f"seeds/{record.seed}/output.log",
        seed=record.seed,
        val_bpb=score,
        val_loss=loss,
        train_seconds=record.clocks.training,
        eval_seconds=record.clocks.evaluation,
        artifact_bytes=(record.artifact.size + record.script_bytes) if record.artifact else None,
        code_bytes=record.script_bytes,
        model_bytes=record.artifact.size if record.artifact else None,
        steps=record.clocks.steps,
        complete=True,
        bytes_per_token=per_token,
        lines={"val_bpb": printed.score_line if printed else 0},
    )
