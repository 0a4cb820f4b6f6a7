"""Runs one seed in the sandbox, replays its artifact, and writes its folder.

Used by every launcher on the machine that runs.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from checks.submission.logs import read_log
from checks.submission.model import Run
from harness.reproduce import artifact as artifacts
from harness.reproduce import record as records
from harness.reproduce.caps import rehearsal_caps
from harness.reproduce.clocks import read_clocks
from harness.reproduce.data import DataView
from harness.reproduce.digest import sha256
from harness.reproduce.observer import Progress, RunObserver
from harness.reproduce.plan import SCRIPT_FOLDER, Plan
from harness.reproduce.progress import Quiet
from harness.reproduce.record import End, Printed, Replay, SeedRecord
from harness.reproduce.timeline import DATA
from harness.sandbox import WORKSPACE, Bind, Blame, Confinement, Ending, Limits, Provider, RunnerError, Stop, supervise

_LOG_LIMIT = 64 << 20
_PROCESSES = 32_768  # threads count: eight ranks with their compile workers have thousands
_LAST_LINES = 12


@dataclass(frozen=True)
class Workshop:
    """Where a run finds its things on this machine. ``code`` is the staged submission, ``folder`` the seed's own."""

    provider: Provider
    view: DataView
    code: Path
    folder: Path


def run_seed(plan: Plan, seed: int, shop: Workshop, progress: Progress) -> SeedRecord:
    """Run a seed; the record and its files are in ``shop.folder`` afterwards.

    Raises:
        RunnerError: the sandbox could not be set up; nothing is recorded, the seed can be repeated.
        KeyboardInterrupt: the user interrupted; nothing runs any more, the seed can be repeated.
    """
    shutil.rmtree(shop.folder, ignore_errors=True)
    shop.folder.mkdir(parents=True)
    started = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
    observer = RunObserver(seed, plan.caps, progress, shop.folder / "artifact")
    ending = _phase(plan, seed, shop, observer, "output.log", shop.view.training_binds, {})
    if ending.stopped is Stop.INTERRUPTED:
        raise KeyboardInterrupt
    replay = None
    if plan.replay and observer.artifact is not None and ending.status == 0:
        replay = _replay(plan, seed, shop, observer.artifact, progress)
    record = _record(plan, seed, shop, started, observer, ending, replay)
    timeline = "".join(json.dumps(mark) + "\n" for mark in observer.timeline.to_json())
    (shop.folder / "timeline.jsonl").write_text(timeline, encoding="utf-8")
    records.write_json(shop.folder / records.NAME, record.to_json())
    return record


def confinement(plan: Plan, seed: int, binds: tuple[Bind, ...], view: DataView, more: dict[str, str]) -> Confinement:
    """Return what a phase of a seed runs and sees."""
    environment = {**plan.environment, **view.environment(), "SEED": str(seed), "RUN_ID": f"seed{seed}", **more}
    if plan.rehearsal:
        environment["OMP_NUM_THREADS"] = "1"
    limits = Limits(
        wall_seconds=plan.caps.whole_run,
        memory_bytes=plan.memory_bytes,
        disk_bytes=plan.disk_bytes,
        processes=_PROCESSES,
        output_bytes=_LOG_LIMIT,
    )
    return Confinement(plan.command(), limits, binds, environment, {"data": "/data"}, gpu=plan.gpus > 0)


def _phase(
    plan: Plan,
    seed: int,
    shop: Workshop,
    observer: RunObserver,
    log: str,
    data: tuple[Bind, ...],
    more: dict[str, str],
) -> Ending:
    binds = (Bind(shop.code, SCRIPT_FOLDER), *data)
    with (shop.folder / log).open("wb") as sink:
        what = confinement(plan, seed, binds, shop.view, more)
        return supervise(shop.provider, what, sink, observer, {DATA: shop.view.watched, "code": shop.code})


def _replay(plan: Plan, seed: int, shop: Workshop, found: artifacts.Artifact, progress: Progress) -> Replay:
    name = Path(found.path).name
    inside = f"{WORKSPACE}/{found.path}"
    variables = {key: value.format(artifact=inside) for key, value in plan.replay.items()}
    binds = (*shop.view.evaluation_binds, Bind(shop.folder / "artifact" / name, inside))
    observer = RunObserver(seed, plan.caps, progress, shop.folder / "replay", replay=True)
    ending = _phase(plan, seed, shop, observer, "replay.log", binds, variables)
    if ending.stopped is Stop.INTERRUPTED:
        raise KeyboardInterrupt
    run = _last_run(shop, "replay.log")
    scores = observer.timeline.scores
    value = run.val_bpb if run is not None and run.val_bpb is not None else scores[-1].val_bpb if scores else None
    line = run.lines.get("val_bpb", 0) if run is not None else 0
    return Replay(_end(ending), value, scores[-1].at if scores else ending.wall_seconds, line)


def _record(
    plan: Plan, seed: int, shop: Workshop, started: str, seen: RunObserver, ending: Ending, replay: Replay | None
) -> SeedRecord:
    timeline, found = seen.timeline, seen.artifact
    train = {shard.name for shard in shop.view.train}
    reads = {
        name: (history.first_read or 0.0, history.last_read or 0.0)
        for name, history in timeline.reads(DATA, train).items()
    }
    written = found.written if found else None
    before = [at for pair in reads.values() for at in pair if written is None or at <= written]
    code_read = timeline.reads("code")
    hidden = artifacts.hidden_reads(timeline, found.path, found.written) if found else {}
    changed = tuple(name for name, digest in plan.files.items() if sha256(shop.code / name) != digest)
    blame, problem = _failure(ending, seen)
    run = _last_run(shop, "output.log")
    return SeedRecord(
        seed=seed,
        plan=plan.digest,
        started=started,
        end=_end(ending),
        clocks=read_clocks(timeline, written, before),
        printed=_printed(run) if run else None,
        artifact=found,
        script_bytes=(shop.code / plan.script).stat().st_size,
        code_read={name: (shop.code / name).stat().st_size for name in code_read if (shop.code / name).is_file()},
        train_reads=reads,
        held_after_training=tuple(sorted(seen.held_after_training)),
        hidden_reads={name: seen.left_behind.get(name, 0) for name in hidden},
        exclusive_view=shop.view.exclusive,
        replay=replay,
        code_changed=changed,
        blame=blame.value if blame else None,
        problem=problem,
        last_lines=_tail(shop.folder / "output.log"),
    )


def _failure(ending: Ending, seen: RunObserver) -> tuple[Blame | None, str]:
    """Say whose fault a failed run was."""
    if ending.stopped is Stop.MACHINE_MEMORY:
        return Blame.MACHINE, "the machine ran out of memory; free some, or give the run less of it"
    if ending.stopped is not None:
        return Blame.SUBMISSION, f"stopped by the harness after {ending.wall_seconds:.1f} s: {ending.stopped.value}"
    if ending.status == 0:
        return (Blame.SUBMISSION, seen.problem) if seen.problem else (None, "")
    return Blame.SUBMISSION, f"ended with exit status {ending.status}"


def _end(ending: Ending) -> End:
    return End(
        ending.status,
        ending.stopped.value if ending.stopped else None,
        ending.wall_seconds,
        ending.kill_seconds,
        ending.output_bytes,
        ending.peak_memory_bytes,
        ending.peak_disk_bytes,
        ending.events_lost,
    )


def _last_run(shop: Workshop, log: str) -> Run | None:
    """Read the log that the harness captured (never one that the submission wrote) with the reader that reviews use."""
    data = (shop.folder / log).read_bytes()
    runs = read_log(log, data, {})
    return runs[-1] if runs else None


def _printed(run: Run) -> Printed:
    return Printed(
        seed=run.seed,
        val_bpb=run.val_bpb,
        val_loss=run.val_loss,
        train_seconds=run.train_seconds,
        eval_seconds=run.eval_seconds,
        artifact_bytes=run.artifact_bytes,
        code_bytes=run.code_bytes,
        model_bytes=run.model_bytes,
        steps=run.steps,
        world_size=run.world_size,
        val_tokens=run.val_tokens,
        score_line=run.lines.get("val_bpb", 0),
        size_line=run.lines.get("artifact_bytes", 0),
        time_line=run.lines.get("train_seconds", 0),
    )


def _tail(path: Path) -> tuple[str, ...]:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size - 8192, 0))
        lines = file.read().decode("utf-8", "replace").splitlines()
    return tuple("".join(c if c.isprintable() else "�" for c in line)[:300] for line in lines[-_LAST_LINES:])


def require_isolation(provider: Provider) -> None:
    """Run an empty program with the interpreter that will train, to see whether the machine lets the provider work.

    Raises:
        RunnerError: it does not (blame: sandbox); the message says what to do.
    """
    limits = Limits(wall_seconds=60, memory_bytes=1 << 30, disk_bytes=1 << 20)
    script = "command -v torchrun >/dev/null || { echo no torchrun here; exit 1; }; exec python -c 'print(42)'"
    seen, said = RunObserver(0, rehearsal_caps(), Quiet(), Path("/nonexistent"), replay=True), io.BytesIO()
    try:
        ending = supervise(provider, Confinement(("sh", "-c", script), limits), said, seen)
    except RunnerError as error:
        message = f"{error}. Without isolation nothing is run, unless the code is your own: --own-code"
        raise RunnerError(error.blame, message) from error
    text = said.getvalue().decode("utf-8", "replace").strip()
    if ending.status != 0 or text != "42":
        raise RunnerError(Blame.SANDBOX, f"Python does not run in the sandbox (status {ending.status}): {text[-300:]}")
