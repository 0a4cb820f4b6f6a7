"""Runs seeds as a Slurm job array: one readable script, one task a seed, requeued and resumed.

The script is written beside the results and submitted with ``sbatch --parsable``; the states come from ``squeue``
and, when a task has left the queue, ``sacct`` or ``scontrol``. The only thing read back is the JSON record that the
harness itself wrote on the node: nothing that a job wrote is ever unpickled (submitit's ``job.result()`` does that).
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from harness.reproduce.bundle import PRIVATE
from harness.reproduce.launchers import Site
from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan
from harness.reproduce.record import read_record, write_json
from harness.sandbox import Blame, RunnerError

_POLL_SECONDS = 5.0
_TOOL_SECONDS = 60
_GONE_PATIENCE = 30.0
_BAD = ("FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE", "LAUNCH_FAILED")


class Slurm:
    """The launcher for a cluster. Output, data and this program must be visible on the nodes under the same paths.

    Partition and account come from sbatch's own variables (SBATCH_PARTITION, SBATCH_ACCOUNT); ``poll_seconds`` is how
    often the queue is asked.
    """

    def __init__(self, poll_seconds: float = _POLL_SECONDS) -> None:
        self._poll = poll_seconds

    def run(self, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        """Submit the seeds and wait for their records.

        Raises:
            RunnerError: Slurm is missing, refuses the job, or a task ended without a record (blame: machine).
            KeyboardInterrupt: the job was cancelled.
        """
        if not seeds:
            return
        for tool in ("sbatch", "squeue", "scontrol"):
            if shutil.which(tool) is None:
                raise RunnerError(Blame.MACHINE, f"{tool} is not installed on this machine")
        folder = site.output / PRIVATE
        write_json(folder / "site.json", site.to_json())
        script = folder / "job.sh"
        script.write_text(job_script(plan, seeds, site), encoding="utf-8")
        job = _tool("sbatch", "--parsable", str(script)).split(";")[0].strip()
        if not job.isdigit():
            raise RunnerError(Blame.MACHINE, f"sbatch answered {job[:100]!r}")
        progress.phase(seeds[0], f"submitted as Slurm job {job}")
        try:
            self._wait(job, plan, seeds, site, progress)
        except BaseException:
            subprocess.run(["scancel", job], check=False, capture_output=True, timeout=_TOOL_SECONDS)
            raise

    def _wait(self, job: str, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        shown: dict[int, str] = {}
        gone_since: dict[int, float] = {}
        waiting = set(range(len(seeds)))
        while waiting:
            queue = _queue(job)
            for task in sorted(waiting):
                seed = seeds[task]
                state = queue.get(task, "")
                if state and shown.get(task) != state:
                    shown[task] = state
                    progress.phase(seed, f"Slurm {state.lower()}")
                if state:
                    gone_since.pop(task, None)
                    continue
                if read_record(site.output / "seeds" / str(seed), plan.digest) is not None:
                    waiting.discard(task)
                    progress.phase(seed, "record is here")
                    continue
                since = gone_since.setdefault(task, time.monotonic())
                ended = final_state(job, task)
                if ended.startswith(_BAD) or time.monotonic() - since > _GONE_PATIENCE:
                    said = _tail(site.output / PRIVATE / f"slurm-{job}_{task}.log")
                    raise RunnerError(
                        Blame.MACHINE, f"seed {seed}: Slurm task {job}_{task} ended {ended or 'lost'}: {said}"
                    )
            if waiting:
                time.sleep(self._poll)


def job_script(plan: Plan, seeds: tuple[int, ...], site: Site) -> str:
    """Return the job script: an array over the seeds, one whole node each, requeued when the node fails."""
    folder = site.output / PRIVATE
    minutes = int(plan.caps.whole_run * (2 if plan.replay else 1) / 60) + 15
    lines = [
        "#!/bin/bash",
        "# Written by pgolf reproduce. Each task runs one seed; requeued, it does not repeat a finished one.",
        f"#SBATCH --job-name=pgolf-{plan.digest[:8]}",
        f"#SBATCH --array=0-{len(seeds) - 1}",
        "#SBATCH --nodes=1",
        "#SBATCH --ntasks=1",
        "#SBATCH --requeue",
        "#SBATCH --open-mode=append",
        f"#SBATCH --time={minutes}",
        "#SBATCH --signal=B:TERM@60",
        f"#SBATCH --output={folder}/slurm-%A_%a.log",
        *([f"#SBATCH --gpus-per-node={plan.gpus}", "#SBATCH --exclusive"] if plan.gpus else []),
        "",
        "set -euo pipefail",
        f"SEEDS=({' '.join(map(str, seeds))})",
        f"cd {shlex.quote(str(Path(__file__).resolve().parents[3]))}",
        f"exec {shlex.quote(sys.executable)} -m harness.reproduce.node {shlex.quote(str(site.output))} "
        '"${SEEDS[$SLURM_ARRAY_TASK_ID]}"',
    ]
    return "\n".join(lines) + "\n"


def final_state(job: str, task: int) -> str:
    """Return the state of a task that has left the queue, by accounting or else by the controller.

    Empty when unknown.
    """
    for words in (
        ("sacct", "--noheader", "--parsable2", "--allocations", "--format=State", f"--jobs={job}_{task}"),
        ("scontrol", "show", "job", "--oneliner", f"{job}_{task}"),
    ):
        try:
            text = _tool(*words)
        except RunnerError:
            continue
        if words[0] == "sacct" and text.strip():
            return text.split()[0]
        for word in text.split():
            if word.startswith("JobState="):
                return word.removeprefix("JobState=")
    return ""


def _queue(job: str) -> Mapping[int, str]:
    """Return array task -> state of what is still queued or running."""
    try:
        text = _tool("squeue", "--noheader", "--array", f"--jobs={job}", "--format=%K %T")
    except RunnerError as error:
        if "Invalid job id" in str(error):  # squeue forgets a job some minutes after its end
            return {}
        raise
    states = {}
    for line in text.splitlines():
        task, _, state = line.strip().partition(" ")
        if task.isdigit() and state not in ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"):
            states[int(task)] = state
    return states


def _tool(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunnerError(Blame.MACHINE, f"{words[0]} did not work: {error}") from error
    if done.returncode != 0:
        raise RunnerError(Blame.MACHINE, f"{words[0]} failed: {done.stderr.strip()[:300]}")
    return done.stdout


def _tail(path: Path) -> str:
    try:
        return path.read_bytes()[-500:].decode("utf-8", "replace").strip()
    except OSError:
        return "it left no log"
