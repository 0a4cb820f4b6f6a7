"""Limits by the harness's own clock and scales: training, evaluation, untimed work, bytes, hardware."""

from __future__ import annotations

from checks.rules.base import Verdicts
from checks.verdict import Finding, Group
from harness.reproduce.judging.facts import Reproduction, at_line, in_record, of_plan, seeds_text
from harness.reproduce.record import SeedRecord
from harness.sandbox import Stop


def training_clock(case: Reproduction) -> Finding:
    """Hold the training clock against the cap (rule train-time-cap)."""
    say = Verdicts("train-time-cap", Group.LIMITS, case.rulebook)
    caps = case.plan.caps
    ran = [r for r in case.records if r.clocks.started or r.end.stopped]
    over = [r for r in ran if r.end.stopped == Stop.TRAINING.value or r.clocks.training > caps.train_fail]
    if over and not case.plan.rehearsal:
        evidence = [in_record(r, _training(r)) for r in over]
        evidence += [at_line(r, r.printed.time_line, "the last time that it printed") for r in over if r.printed]
        who = seeds_text(over)
        text = f"Training took longer than {caps.train:g} s by the harness's clock ({who}): {_training(over[0])}."
        if case.times_bind:
            return say.fail(text, evidence, f"Stop training at {caps.train:g} s of wall clock.")
        return say.warn(f"{text} This machine is not the rules' own.", evidence, "Run on 8xH100 SXM.")
    if not case.times_bind:
        return say.not_applicable(_unbound(case))
    if not ran:
        return say.unknown("No run trained.", [of_plan("the plan")], "A run that trains.")
    doubtful = [r for r in ran if r.clocks.training_wall > caps.train_fail and not r.clocks.pauses_plausible]
    if doubtful:
        return say.unknown(
            f"Whether training kept to {caps.train:g} s hangs on a validation pass that took far longer than "
            f"the others ({seeds_text(doubtful)}); training may hide in it.",
            [in_record(r, _training(r)) for r in doubtful],
            "Run again without validation inside the loop.",
        )
    longest = max(ran, key=lambda r: r.clocks.training)
    if longest.clocks.training > caps.train_tolerated:
        return say.warn(
            f"Training took {longest.clocks.training:.1f} s, within a step of the cap.",
            [in_record(longest, _training(longest))],
            "Stop one step earlier.",
        )
    return say.passed(
        f"At most {longest.clocks.training:.1f} s of training.", [in_record(r, _training(r)) for r in ran]
    )


def evaluation_clock(case: Reproduction) -> Finding:
    """Hold the evaluation clock against the cap (rule eval-time-cap)."""
    say = Verdicts("eval-time-cap", Group.LIMITS, case.rulebook)
    caps = case.plan.caps
    stopped = [r for r in case.records if Stop.EVALUATION.value in (r.end.stopped, r.replay and r.replay.end.stopped)]
    over = stopped or [r for r in case.records if r.clocks.headline > caps.evaluate_tolerated]
    if over and not case.plan.rehearsal:
        text = f"Evaluation took longer than {caps.evaluate:g} s by the harness's clock ({seeds_text(over)})."
        evidence = [in_record(r, _evaluation(r)) for r in over]
        if case.times_bind:
            return say.fail(text, evidence, f"Evaluate within {caps.evaluate:g} s.")
        return say.warn(f"{text} This machine is not the rules' own.", evidence, "Run on 8xH100 SXM.")
    if not case.times_bind:
        return say.not_applicable(_unbound(case))
    ran = [r for r in case.records if r.artifact is not None]
    if not ran:
        return say.unknown(
            "No run reached its evaluation.", [of_plan("the plan")], "A run that evaluates its artifact."
        )
    longest = max(ran, key=lambda r: r.clocks.evaluation)
    if longest.clocks.evaluation > caps.evaluate_tolerated:
        return say.warn(
            f"All evaluations together took {longest.clocks.evaluation:.1f} s; the one that gave the headline "
            f"{longest.clocks.headline:.1f} s. Diagnostic passes are not charged.",
            [in_record(longest, _evaluation(longest))],
            "Leave the diagnostic passes out.",
        )
    return say.passed(
        f"At most {longest.clocks.evaluation:.1f} s of evaluation.", [in_record(r, _evaluation(r)) for r in ran]
    )


def untimed_work(case: Reproduction) -> Finding:
    """Look at the time between training and the artifact (rule untimed-work)."""
    say = Verdicts("untimed-work", Group.LIMITS, case.rulebook)
    if case.plan.rehearsal:
        return say.not_applicable(_unbound(case))
    warm = [r for r in case.records if r.clocks.warmup > case.plan.caps.train]
    if warm:
        text = f"{warm[0].clocks.warmup:.1f} s lie between the first read of training data and the first step"
        evidence = [in_record(r, f"{r.clocks.warmup:.1f} s before the first step") for r in warm]
        return say.warn(f"{text}: longer than training may take.", evidence, "Compile in less, or show what is done.")
    long = [r for r in case.records if r.artifact is not None and r.clocks.export > case.plan.caps.untimed]
    if not long:
        return say.passed("Between the end of training and the artifact lies no more than serialisation takes.")
    worst = max(long, key=lambda r: r.clocks.export)
    evidence = [in_record(r, f"{r.clocks.export:.1f} s from training's last sign to the artifact") for r in long]
    text = f"{worst.clocks.export:.1f} s lie between the last sign of training and the artifact; no clock charges them."
    return say.warn(text, evidence, "Do the work inside the training or the evaluation clock.")


def size(case: Reproduction) -> Finding:
    """Weigh artifact and code (rule size-cap)."""
    say = Verdicts("size-cap", Group.LIMITS, case.rulebook)
    cap = int(case.rulebook.constants["artifact_cap_bytes"])
    weighed = [(r, r.artifact.size) for r in case.records if r.artifact is not None]
    if not weighed:
        return say.unknown("No artifact was found, so nothing could be weighed.", [of_plan("the plan")], "An artifact.")
    record, model = max(weighed, key=lambda pair: pair[1])
    helpers = {name: size for name, size in record.code_read.items() if name != case.plan.script}
    code, more = record.script_bytes, sum(helpers.values())
    total = model + code
    path = record.artifact.path if record.artifact else ""
    text = f"{total:,} bytes weighed: {model:,} of {path!r} and {code:,} of the script."
    evidence = [in_record(r, f"artifact {size:,} bytes, script {r.script_bytes:,} bytes") for r, size in weighed]
    if case.plan.rehearsal:
        return say.not_applicable(f"{text} A toy model's size says nothing of the submission's.")
    if total > cap:
        printed = record.printed.artifact_bytes if record.printed else None
        if (
            printed is not None
            and printed <= cap
            and model + (record.printed.code_bytes or 0 if record.printed else 0) <= cap
        ):
            return say.warn(
                f"{text} That is over {cap:,}; the script counts a smaller form of its code ({printed:,} in all).",
                [*evidence, at_line(record, record.printed.size_line if record.printed else 0, "its own sum")],
                "Ship the form of the code that is counted.",
            )
        return say.fail(f"{text} The cap is {cap:,}.", evidence, f"Get under {cap:,} bytes.")
    if total + more > cap:
        names = ", ".join(sorted(helpers))
        return say.warn(
            f"{text} With the other files that the run read ({names}: {more:,} bytes) it is over {cap:,}.",
            evidence,
            "Count every file that the run needs.",
        )
    return say.passed(f"{text} The cap is {cap:,}.", evidence)


def hardware(case: Reproduction) -> Finding:
    """Say what the machine allows to conclude (rule hardware)."""
    say = Verdicts("hardware", Group.LIMITS, case.rulebook)
    if case.times_bind:
        return say.passed(f"Ran on {case.plan.gpus} GPUs of the kind that the rules name.")
    return say.not_applicable(_unbound(case))


def _unbound(case: Reproduction) -> str:
    if case.plan.rehearsal:
        return "A rehearsal at toy scale on the CPU: clocks and sizes say nothing of the submission."
    return "Time limits cannot be shown by this run: " + ("; ".join(case.weaker) or f"{case.plan.gpus} GPUs") + "."


def _training(record: SeedRecord) -> str:
    clocks = record.clocks
    printed = f", printed {clocks.printed_training:.1f} s" if clocks.printed_training is not None else ""
    stopped = ", stopped by the harness" if record.end.stopped == Stop.TRAINING.value else ""
    seen = f"{clocks.training:.1f} s of training and {clocks.validation:.1f} s of validation seen from outside"
    return f"{seen}{printed}{stopped}"


def _evaluation(record: SeedRecord) -> str:
    clocks = record.clocks
    return f"{clocks.evaluation:.1f} s from the artifact to the last final score, {clocks.headline:.1f} s for it"
