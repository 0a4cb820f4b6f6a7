"""What the harness costs a run, and how fast it kills.

    python benchmarks/reproduce_overhead.py --pairs 5 --iterations 60
    python benchmarks/reproduce_overhead.py --pairs 8 --light 10

Overhead: the reference at toy scale by torchrun with two processes, alone and through the sandbox with clocks, file
events, artifact and record, in turns (A B B A ...) so that a drift of the machine falls on both. Goal: under 2 % of the
wall time. ``--light SECONDS`` takes a script of one process that prints and works half of the time instead: less at the
mercy of a busy machine. The harness's own CPU seconds are given beside it; they are the steadiest figure there.
Kill: from the decision to stop until no process of the run is left, for a run of many processes that ignore signals.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from checks import rulebook
from checks.submission.files import read_folder
from checks.submission.model import Submission
from harness.data import BUNDLED_SAMPLE
from harness.reproduce.data import prepare_view
from harness.reproduce.plan import Plan, make_plan
from harness.reproduce.progress import Quiet
from harness.reproduce.rehearsal import toy_settings
from harness.reproduce.seed import Workshop, run_seed
from harness.reproduce.subject import read_subject, script_bytes, stage
from harness.sandbox import Bubblewrap, Confined, Confinement, FileEvent, Limits, Stop, supervise
from harness.sandbox.environment import base_environment

REFERENCE = Path(__file__).parents[1] / "reference_submission"
LIGHT = """import os, sys, time
with open(os.environ["DATA_PATH"] + "/fineweb_train_000000.bin", "rb") as file:
    file.read()
began, step, seconds = time.monotonic(), 0, float(os.environ["LIGHT_SECONDS"])
while time.monotonic() - began < seconds:
    until = time.process_time() + 0.025
    while time.process_time() < until:
        sum(range(1000))
    time.sleep(0.025)
    step += 1
    spent = time.monotonic() - began
    print(f"step:{step}/100000 train_loss:2.0 train_time:{1000 * spent:.0f}ms", flush=True)
with open("final_model.ptz", "wb") as file:
    file.write(os.urandom(1 << 24))
with open("final_model.ptz", "rb") as file:
    file.read()
print("final_exact val_loss:2.00000000 val_bpb:1.20000000")
"""


class Plain(Bubblewrap):
    """The sandbox with plain Python in place of torchrun, for the light script."""

    def start(self, confinement: Confinement) -> Confined:
        """Set the program up."""
        return super().start(replace(confinement, command=("python", confinement.command[-1])))


def make(base: Path, iterations: int, light: float) -> tuple[Plan, Workshop]:
    """Stage the reference (or the light script) and plan one toy run without a replay."""
    folder = REFERENCE
    if light:
        folder = base / "light"
        folder.mkdir()
        (folder / "train_gpt.py").write_text(LIGHT)
    files, _ = read_folder(folder)
    subject = read_subject(Submission("reference_submission", None, files))
    sources = script_bytes(subject)
    settings = toy_settings(next(iter(sources.values())).decode()) | {"ITERATIONS": str(iterations)}
    settings |= {"LIGHT_SECONDS": str(light)}
    plan = make_plan(
        subject,
        sources,
        stage(subject, base / "submission"),
        rulebook.load(),
        seeds=(42,),
        gpus=8,
        rehearsal=True,
        provider="bubblewrap",
        launcher="local",
        memory_bytes=8 << 30,
        overrides=settings,
    )
    view = prepare_view(BUNDLED_SAMPLE.root, plan.dataset, plan.tokenizer, base / "state")
    provider = Plain() if light else Bubblewrap()
    return replace(plan, replay={}), Workshop(provider, view, base / "submission", base / "seed")


def alone(plan: Plan, base: Path, light: float) -> float:
    """Run the script without the harness; return wall seconds."""
    with tempfile.TemporaryDirectory(dir=base) as folder:
        variables = {
            **base_environment(),
            **plan.environment,
            **BUNDLED_SAMPLE.environment(),
            "SEED": "42",
            "RUN_ID": "seed42",
            "OMP_NUM_THREADS": "1",
            "HOME": folder,
            "TMPDIR": folder,
            "TORCHINDUCTOR_CACHE_DIR": f"{folder}/inductor",
            "TRITON_CACHE_DIR": f"{folder}/triton",
        }
        script = str(base / "submission" / plan.script)
        words = ["python", script] if light else [*plan.command()[:-1], script]
        with Path(folder, "output.log").open("wb") as log:
            began = time.perf_counter()
            subprocess.run(
                [f"{sys.prefix}/bin/{words[0]}", *words[1:]],
                env=variables,
                cwd=folder,
                stdout=log,
                stderr=log,
                check=True,
            )
            return time.perf_counter() - began


def harnessed(plan: Plan, shop: Workshop) -> tuple[float, float]:
    """Run the same through the harness; return wall seconds of all that it does for a seed, and its own CPU seconds."""
    began, used = time.perf_counter(), time.process_time()
    record = run_seed(plan, 42, shop, Quiet())
    spent, used = time.perf_counter() - began, time.process_time() - used
    if record.end.status != 0:
        raise SystemExit(f"the run failed: {record.problem} {record.last_lines}")
    return spent, used


class StopAtOnce:
    """Stops a run at its first tick after all its processes are there."""

    def started(self, at: float, confined: Confined) -> None:
        """Keep the program."""
        self.confined = confined

    def line(self, at: float, text: str) -> None:
        """Ignore output."""

    def file(self, at: float, event: FileEvent) -> None:
        """Ignore files."""

    def tick(self, at: float) -> Stop | None:
        """Stop when the processes are there."""
        return Stop.TRAINING if len(self.confined.pids()) > 200 else None

    def ended(self, at: float, confined: Confined) -> None:
        """Ignore the end."""


def kill_seconds(base: Path) -> float:
    """Return the seconds from the decision to stop until none of 200 deaf processes is left."""
    script = "for i in $(seq 200); do (trap '' TERM INT HUP; setsid sleep 600) & done; wait"
    limits = Limits(wall_seconds=60, memory_bytes=4 << 30, disk_bytes=1 << 20)
    with (base / "kill.log").open("wb") as log:
        return supervise(Bubblewrap(), Confinement(("sh", "-c", script), limits), log, StopAtOnce()).kill_seconds


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--light", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        base.chmod(0o755)
        plan, shop = make(base, asked.iterations, asked.light)
        without: list[float] = []
        within: list[float] = []
        own: list[float] = []
        for pair in range(asked.pairs):
            for turn in (0, 1) if pair % 2 == 0 else (1, 0):
                if turn:
                    wall, used = harnessed(plan, shop)
                    within.append(wall)
                    own.append(used)
                else:
                    without.append(alone(plan, base, asked.light))
        kills = [kill_seconds(base) for _ in range(asked.kills)]
    ratios = [b / a for a, b in zip(without, within, strict=True)]
    result = {
        "pairs": asked.pairs,
        "alone_seconds": [round(t, 2) for t in without],
        "harnessed_seconds": [round(t, 2) for t in within],
        "overhead_of_medians_percent": round(100 * (statistics.median(within) / statistics.median(without) - 1), 2),
        "overhead_of_minima_percent": round(100 * (min(within) / min(without) - 1), 2),
        "harness_cpu_seconds": [round(t, 2) for t in own],
        "harness_cpu_percent_of_wall_alone": round(100 * statistics.median(own) / statistics.median(without), 2),
        "pair_ratios": [round(r, 4) for r in ratios],
        "kill_milliseconds": {
            "median": round(1000 * statistics.median(kills), 1),
            "max": round(1000 * max(kills), 1),
            "processes": 200,
        },
        "machine": {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "kernel": platform.release()},
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
