"""Time and size of every report, rendered from stored verdicts.

``python benchmarks/report_rendering.py verdict.json …`` prints a row for each verdict and format: the least CPU time of
three renderings in a warm process (modules and templates loaded), and the bytes written.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from tabulate import tabulate

import reports
from checks.verdict import Verdict
from reports import stored

REPEATS = 3


def milliseconds(form: str, verdict: Verdict) -> float:
    """Return the least CPU time of a few renderings, in ms."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        reports.render(form, verdict)
        taken.append(time.process_time() - start)
    return min(taken) * 1000


def main(paths: list[str]) -> None:
    """Print the table."""
    rows = []
    for path in paths:
        verdict = stored.read(Path(path).read_bytes())
        name = f"PR {verdict.target.pr}" if verdict.target.pr else Path(path).name
        for form in reports.FORMATS:
            size = len(reports.render(form, verdict).encode())
            rows.append((name, len(verdict.submissions), form, f"{milliseconds(form, verdict):.0f}", f"{size:,}"))
    print(tabulate(rows, headers=("verdict", "folders", "format", "CPU ms", "bytes"), disable_numparse=True))


if __name__ == "__main__":
    main(sys.argv[1:])
