"""Times `pgolf review` beside a bare libcst parse of the same scripts, alternating in one run, and prints the ratios.

    python benchmarks/review_speed.py --git-dir REPO --ref refs/pull/1002/head [--ref …] [--rounds 5]
    python benchmarks/review_speed.py --git-dir REPO --every 20 --rounds 1

The first prints each target; the second takes every Nth pull request that has a script and prints the median, the 99th
percentile and the largest over them. Each is a whole process: interpreter start, imports and work; wall clock, CPU
seconds (children included), peak memory. The parse reads the headline script of every record folder as it stands in the
pull request (packed ones stay packed). The first also times `pgolf --help`.

Both find their modules compiled, as pip leaves them: one round that is not counted fills a cache of bytecode, whatever
PYTHONDONTWRITEBYTECODE says (LibCST in site-packages is compiled in any case, a checkout of pgolf may not be).
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tabulate import tabulate

from harness.review import Request, review
from harness.sweep import pull_requests
from harness.target import Target, read_target
from harness.target_git import Repository

PARSE = "import sys, libcst\nfor path in sys.argv[1:]: libcst.parse_module(open(path, 'rb').read())"


@dataclass(frozen=True)
class Cost:
    """What one process took: seconds of wall clock and CPU, bytes of peak memory."""

    wall: float
    cpu: float
    peak: int


def measure(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a command with its output thrown away and return what it took."""
    started = time.perf_counter()
    null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
    pid = os.posix_spawn(command[0], command, environment, file_actions=[null])
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
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--ref", action="append", default=[])
    which.add_argument("--every", type=int)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as bytecode:
        compare(options, {**os.environ, "PYTHONPYCACHEPREFIX": bytecode, "PYTHONDONTWRITEBYTECODE": ""})


def compare(options: argparse.Namespace, environment: Mapping[str, str]) -> None:
    """Measure what was asked for and print it."""
    print(f"load {os.getloadavg()[0]:.1f}; {options.rounds} rounds each, alternating; ratios are to the bare parse")
    if options.every:
        items = pull_requests(Repository(options.git_dir), "refs/pull/*/head")[:: options.every]
        refs = [f"refs/pull/{item.pr}/head" for item in items]
        over([costs for ref in refs if (costs := alternate(options, ref, environment)[1])])
        return
    rows = []
    for ref in options.ref:
        count, costs = alternate(options, ref, environment)
        rows += [(f"{ref} ({count} scripts)" if name == "parse" else "", *row(name, costs)) for name in costs]
    headers = ("target", "process", "wall s (median)", "(min)", "CPU s", "peak MiB", "wall", "CPU", "memory")
    print(tabulate(rows, headers=headers, floatfmt=".2f"))


def alternate(
    options: argparse.Namespace, ref: str, environment: Mapping[str, str]
) -> tuple[int, dict[str, list[Cost]]]:
    """Run the processes in turn; the number of scripts of the target and the costs by process, empty without a script."""
    with tempfile.TemporaryDirectory() as folder:
        files = scripts(options.git_dir, ref, Path(folder))
        if not files:
            return 0, {}
        commands = {
            "parse": [sys.executable, "-c", PARSE, *files],
            "review": [sys.executable, "-m", "harness", "review", "--git-dir", str(options.git_dir), "--ref", ref],
            "help": [sys.executable, "-m", "harness", "--help"],
        }
        costs: dict[str, list[Cost]] = {name: [] for name in commands}
        for counted in [False] + [True] * options.rounds:
            for name, command in commands.items():
                cost = measure(command, environment)
                costs[name] += [cost] * counted
    return len(files), costs


def over(archive: Sequence[dict[str, list[Cost]]]) -> None:
    """Print how parse and review are distributed over many targets, and the ratio of each to its own parse."""
    rows = []
    for name in ("parse", "review"):
        for what, scale in (("cpu", 1), ("wall", 1), ("peak", 1024**2)):
            own = [statistics.median(getattr(c, what) for c in costs[name]) / scale for costs in archive]
            bare = [statistics.median(getattr(c, what) for c in costs["parse"]) / scale for costs in archive]
            ratios = [a / b for a, b in zip(own, bare, strict=True)]
            unit = "MiB" if what == "peak" else "s"
            rows.append((name, f"{what} {unit}", *spread(own), *spread(ratios)))
    headers = (f"{len(archive)} targets", "", "median", "p99", "max", "ratio: median", "p99", "max")
    print(tabulate(rows, headers=headers, floatfmt=".2f"))


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Return median, 99th percentile (nearest rank) and maximum."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, round(0.99 * len(ordered)))], ordered[-1]


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
