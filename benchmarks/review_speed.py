"""Times `pgolf review` beside a bare libcst parse of the same scripts, alternating in one run, and prints the ratios.

    python benchmarks/review_speed.py --git-dir REPO --ref refs/pull/1002/head [--ref …] [--rounds 5]

Each is a whole process: interpreter start, imports and work; wall clock, CPU seconds (children included), peak memory.
The parse reads the headline script of every record folder as it stands in the pull request (packed ones stay packed).
Also printed: the same for `pgolf --help`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from harness.review import Request, review
from harness.target import Target, read_target

PARSE = "import sys, libcst\nfor path in sys.argv[1:]: libcst.parse_module(open(path, 'rb').read())"


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall clock and CPU, bytes of peak memory."""

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str]) -> Cost:
    """Run a command with its output thrown away and return what it took."""
    started = time.perf_counter()
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[null])
    _, status, usage = os.wait4(pid, 0)
    wall = time.perf_counter() - started
    if os.waitstatus_to_exitcode(status) not in (0, 1, 3):
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def scripts(git_dir: Path, ref: str, folder: Path) -> list[str]:
    """Write the headline script of every record folder into a folder and return the paths."""
    target = Target(git_dir=git_dir, ref=ref)
    submissions = {s.path: s for s in read_target(target).submissions}
    paths = []
    for number, judged in enumerate(review(Request(target)).submissions):
        if judged.script is not None:
            name = judged.script[len(judged.path) + 1 :]
            path = folder / f"script{number}.py"
            path.write_bytes(submissions[judged.path].files[name].read(10**7))
            paths.append(str(path))
    return paths


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--git-dir", type=Path, required=True)
    parser.add_argument("--ref", action="append", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = []
    for ref in options.ref:
        with tempfile.TemporaryDirectory() as folder:
            files = scripts(options.git_dir, ref, Path(folder))
            commands = {
                "parse": [sys.executable, "-c", PARSE, *files],
                "review": [sys.executable, "-m", "harness", "review", "--git-dir", str(options.git_dir), "--ref", ref],
                "help": [sys.executable, "-m", "harness", "--help"],
            }
            costs: dict[str, list[Cost]] = {name: [] for name in commands}
            for _ in range(options.rounds):
                for name, command in commands.items():
                    costs[name].append(measure(command))
        rows += [(f"{ref} ({len(files)} scripts)" if name == "parse" else "", *row(name, costs)) for name in commands]
    headers = ("target", "process", "wall s (median)", "(min)", "CPU s", "peak MiB", "wall", "CPU", "memory")
    print(f"{options.rounds} rounds each, alternating; the last three columns are ratios to the bare parse")
    print(tabulate(rows, headers=headers, floatfmt=".2f"))


def row(name: str, costs: dict[str, list[Cost]]) -> tuple[object, ...]:
    """Return one line of the table: medians, and the median ratio to the parse of the same round."""
    own, bare = costs[name], costs["parse"]

    def ratio(what: str) -> float:
        return statistics.median(getattr(a, what) / getattr(b, what) for a, b in zip(own, bare, strict=True))

    walls = [c.wall for c in own]
    return (
        name,
        statistics.median(walls),
        min(walls),
        statistics.median(c.cpu for c in own),
        statistics.median(c.peak for c in own) / 1024**2,
        ratio("wall"),
        ratio("cpu"),
        ratio("peak"),
    )


if __name__ == "__main__":
    main()
