"""Whether the score is the artifact's.

Read back, replayed alone, nothing hidden beside it, no training data, no network.
"""

from __future__ import annotations

from checks.rules.base import Verdicts
from checks.verdict import Finding, Group
from harness.reproduce.judging.facts import Reproduction, at_line, in_record, of_plan, seeds_text
from harness.reproduce.record import SeedRecord

_NO_MODE = (
    "Let the script evaluate an artifact alone (RUN_STAGES=eval or EVAL_ARTIFACT=path), so that it can be replayed."
)


def roundtrip(case: Reproduction) -> Finding:
    """Decide whether the score is that of the artifact (rule roundtrip)."""
    say = Verdicts("roundtrip", Group.EVALUATION, case.rulebook)
    tolerance = float(case.rulebook.rule("roundtrip").numbers["replay_tolerance_bpb"])
    scored = [r for r in case.records if r.printed is not None and r.printed.val_bpb is not None]
    if not scored:
        return say.unknown("No run printed a score.", [of_plan("the plan")], "A run that ends with a score.")
    for record in scored:
        if breach := _breach(record, tolerance):
            evidence = [in_record(record, breach), at_line(record, _score_line(record), "the score that it printed")]
            return say.fail(
                f"Seed {record.seed}: {breach}.", evidence, "Evaluate the model that was read back from the file."
            )
    replayed = [r for r in scored if r.replay is not None and r.replay.end.status == 0 and r.replay.val_bpb is not None]
    if len(replayed) == len(scored):
        return say.passed(
            "Code, artifact and validation data alone give the printed score again in a fresh sandbox "
            f"(within {tolerance:g} bpb, {seeds_text(replayed)}).",
            [at_line(r, r.replay.score_line, "the replayed score", "replay.log") for r in replayed if r.replay],
        )
    failed = [r for r in scored if r not in replayed]
    if case.plan.replay:
        return say.unknown(
            f"The replay from the artifact did not give a score ({seeds_text(failed)}).",
            [at_line(r, 0, "the replay's log", "replay.log") for r in failed],
            "Make the evaluation run from the artifact alone.",
        )
    unseen = [r for r in failed if r.artifact is not None and r.artifact.read_back is None]
    if unseen:
        why = (
            "file events were lost" if unseen[0].end.events_lost else "the artifact was written again after it was read"
        )
        return say.unknown(
            f"Whether the file that was left is the one evaluated cannot be seen: {why} ({seeds_text(unseen)}).",
            [in_record(r, why) for r in unseen],
            _NO_MODE,
        )
    return say.unknown(
        "The artifact was opened for reading after it was written, but the script has no mode that evaluates it alone: "
        "that the weights evaluated are the ones read cannot be seen from outside.",
        [in_record(r, f"read back at second {r.artifact.read_back or 0.0:.1f}") for r in failed if r.artifact],
        _NO_MODE,
    )


def hidden_state(case: Reproduction) -> Finding:
    """Decide whether anything besides the artifact reached evaluation (rule hidden-state-transfer)."""
    say = Verdicts("hidden-state-transfer", Group.EVALUATION, case.rulebook)
    with_artifact = [r for r in case.records if r.artifact is not None]
    if not with_artifact:
        return say.unknown("No artifact was found.", [of_plan("the plan")], "A run that writes an artifact.")
    proven = [r for r in with_artifact if _replays(r, case)]
    hidden = [r for r in with_artifact if r.hidden_reads and r not in proven]
    if hidden:
        first = hidden[0]
        names = ", ".join(f"{name} ({size:,} bytes)" for name, size in sorted(first.hidden_reads.items())[:5])
        return say.fail(
            f"Seed {first.seed}: files besides the artifact that training wrote were read in evaluation: {names}.",
            [
                in_record(r, f"read after the artifact was written: {', '.join(sorted(r.hidden_reads)[:5])}")
                for r in hidden
            ],
            "Put everything that evaluation needs into the artifact, or delete it before evaluation.",
        )
    if len(proven) == len(with_artifact):
        return say.passed(
            "In a fresh sandbox that held code, artifact and validation data only, the score was the same "
            f"({seeds_text(proven)}).",
            [at_line(r, r.replay.score_line, "the replayed score", "replay.log") for r in proven if r.replay],
        )
    return say.unknown(
        "No other file was read, but what stays in memory between training and evaluation cannot be seen from outside.",
        [in_record(r, "no file besides the artifact was read after it was written") for r in with_artifact],
        _NO_MODE,
    )


def training_data(case: Reproduction) -> Finding:
    """Decide whether training shards were read after the clock (rule train-data-at-eval)."""
    say = Verdicts("train-data-at-eval", Group.EVALUATION, case.rulebook)
    with_artifact = [r for r in case.records if r.artifact is not None]
    if not with_artifact:
        return say.unknown("No artifact was found.", [of_plan("the plan")], "A run that writes an artifact.")
    late = {r.seed: _late(r) for r in with_artifact if _late(r)}
    if late:
        readers = [r for r in with_artifact if r.seed in late]
        text = f"Training shards were opened after the artifact was written ({seeds_text(readers)}): "
        text += ", ".join(late[readers[0].seed][:3])
        evidence = [
            in_record(r, f"{', '.join(late[r.seed][:5])} after second {r.artifact.written:.1f}")
            for r in readers
            if r.artifact
        ]
        clears = "Read training data before the training clock stops."
        if all(r.exclusive_view for r in readers):
            return say.fail(f"{text}.", evidence, clears)
        return say.unknown(f"{text}; other programs could open the same files on this machine.", evidence, clears)
    lost = [r for r in with_artifact if r.end.events_lost]
    held = [r for r in with_artifact if r.held_after_training and not _replays(r, case)]
    if lost or held:
        why = (
            "file events were lost" if lost else "training shards stayed mapped after training, so reads leave no trace"
        )
        return say.unknown(
            f"It cannot be decided whether training data was read in evaluation: {why} ({seeds_text(lost or held)}).",
            [in_record(r, ", ".join(r.held_after_training[:3]) or why) for r in lost or held],
            "Close the training shards when training ends.",
        )
    return say.passed(
        "No training shard was opened after the artifact was written.",
        [in_record(r, f"{len(r.train_reads)} shards read, the last before the artifact") for r in with_artifact],
    )


def network(case: Reproduction) -> Finding:
    """Say that there was no network (rule network)."""
    say = Verdicts("network", Group.EVALUATION, case.rulebook)
    if case.plan.provider == "none":
        return say.unknown(
            "The run was not isolated, so it could use the network.", [of_plan("isolation: none")], "Run it isolated."
        )
    if not case.finished:
        return say.unknown("No run ended well without a network.", [of_plan("the plan")], "A run that ends well.")
    return say.passed(f"Trained and evaluated with no network but its own loopback ({seeds_text(case.finished)}).")


def _breach(record: SeedRecord, tolerance: float) -> str:
    """Return what proves that the score is not the artifact's, empty when nothing does."""
    if record.artifact is None:
        return "a score was printed, but no artifact was written"
    if not record.train_reads and not record.end.events_lost:
        return "a score was printed, but no training shard was ever opened"
    replay = record.replay
    printed = record.printed.val_bpb if record.printed else None
    if replay is not None and replay.end.status == 0 and replay.val_bpb is not None and printed is not None:
        if abs(replay.val_bpb - printed) > tolerance:
            return f"{printed:.4f} bpb was printed, the artifact alone gives {replay.val_bpb:.4f}"
        return ""
    if record.artifact.read_back is None and not (record.end.events_lost or record.artifact.rewritten):
        return "the artifact was never opened for reading after it was written, so another model was evaluated"
    return ""


def _replays(record: SeedRecord, case: Reproduction) -> bool:
    replay = record.replay
    tolerance = float(case.rulebook.rule("roundtrip").numbers["replay_tolerance_bpb"])
    printed = record.printed.val_bpb if record.printed else None
    if replay is None or replay.end.status != 0 or replay.val_bpb is None or printed is None:
        return False
    return abs(replay.val_bpb - printed) <= tolerance


def _late(record: SeedRecord) -> list[str]:
    written = record.artifact.written if record.artifact else 0.0
    return [f"{name} at second {last:.1f}" for name, (_, last) in sorted(record.train_reads.items()) if last > written]


def _score_line(record: SeedRecord) -> int:
    return record.printed.score_line if record.printed else 0
