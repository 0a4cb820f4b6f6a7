"""What a cluster's node runs for one seed: ``python -m harness.reproduce.node OUTPUT SEED``.

Reads the plan and the site from the output folder, checks the machine, and writes the seed's record there: the same
way as the local launcher. SIGTERM (Slurm's time limit, preemption, scancel) kills the sandbox and leaves no record,
so that a requeued task starts anew.
"""

from __future__ import annotations

import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

from checks import rulebook
from harness.reproduce.bundle import PRIVATE, read_json
from harness.reproduce.data import prepare_view
from harness.reproduce.launchers import Site
from harness.reproduce.launchers.local import provider_of
from harness.reproduce.machine import read_machine, shortcomings
from harness.reproduce.plan import plan_from_json, with_seeds
from harness.reproduce.progress import Lines
from harness.reproduce.record import read_record, write_json
from harness.reproduce.seed import Workshop, require_isolation, run_seed
from harness.sandbox import Blame, RunnerError
from harness.sandbox.processes import available_bytes


def main(output: Path, seed: int) -> int:
    """Run a seed; return 0 when its record is there, 1 when it could not be run."""
    plan = plan_from_json(read_json(output / "plan.json"))
    if not plan.rehearsal:
        plan = replace(plan, memory_bytes=available_bytes() * 9 // 10)
    site = Site.from_json(read_json(output / PRIVATE / "site.json"))
    folder = output / "seeds" / str(seed)
    if read_record(folder, plan.digest) is not None:
        print(f"seed {seed} is finished already")  # noqa: T201 (the job's log)
        return 0
    state = output / PRIVATE / f"seed-{seed}"
    state.mkdir(parents=True, exist_ok=True)
    machine = read_machine(output)
    impossible, weaker = shortcomings(machine, with_seeds(plan, (seed,)), rulebook.load())
    write_json(state / "machine.json", {"machine": machine.to_json(), "weaker": weaker})
    try:
        if impossible:
            raise RunnerError(Blame.MACHINE, "; ".join(impossible))
        provider = provider_of(site)
        require_isolation(provider)
        view = prepare_view(site.data, plan.dataset, plan.tokenizer, state)
        run_seed(plan, seed, Workshop(provider, view, output / "submission", folder), Lines())
    except RunnerError as error:
        print(f"{error.blame.value}: {error}", file=sys.stderr)  # noqa: T201 (the job's log)
        return 1
    except KeyboardInterrupt:
        print("interrupted: nothing runs any more; the seed can be run again", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _terminated(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
