"""What the log reader yields on the archive: ``PGOLF_ARCHIVE=repo.git python -m tests.submission.logs_coverage``.

"contains" is decided by plain words in the log outside its embedded source, not by the reader's own patterns.
An argument N reads every N-th pull request only.
"""

from __future__ import annotations

import re
import sys
import time
from collections import Counter

from tabulate import tabulate

from checks.submission.log_source import find_sources
from checks.submission.logs import is_log, read_log
from tests.submission.archive import added_blobs, pull_requests

CONTAINS = {
    "seed": re.compile(rb"(?i)\bseed\s?[:=]\s?\d"),
    "val_bpb": re.compile(rb"(?m)^(?!.*(?:step|diag|pre-quant|pre_quant|running|chunk|\d+/\d+)).*val_bpb[:=]\s?[\d.]"),
    "artifact_bytes": re.compile(rb"(?i)Total submission size.*:\s*[\d,]+"),
    "train_seconds": re.compile(rb"train_time:\s?[\d.]"),
}


def main() -> None:
    """Print the table of facts, then the counts of runs and of crashes."""
    every = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    counts: Counter[str] = Counter()
    spent = 0.0
    for _, path, data in added_blobs(pull_requests(every)):
        if not is_log(path, data[:65536]):
            continue
        begin = time.perf_counter()
        runs = read_log(path, data, {})
        spent += time.perf_counter() - begin
        counts["logs"] += 1
        counts["megabytes"] += len(data)
        counts["runs"] += len(runs)
        counts["complete"] += sum(r.complete for r in runs)
        body = _without_sources(data)
        for fact, words in CONTAINS.items():
            if words.search(body):
                counts[f"{fact} contained"] += 1
                printed = [r for r in runs if fact in r.lines]
                counts[f"{fact} final"] += bool(printed)
    rows = [
        (
            fact,
            counts[f"{fact} contained"],
            counts[f"{fact} final"],
            f"{counts[f'{fact} final'] / max(counts[f'{fact} contained'], 1):.1%}",
        )
        for fact in CONTAINS
    ]
    print(tabulate(rows, headers=["fact", "logs that contain it", "read", "fraction"]))
    print(f"{counts['logs']} logs, {counts['megabytes'] / 1e6:.0f} MB in {spent:.1f} s, no crash;", end=" ")
    print(f"{counts['runs']} runs, {counts['complete']} complete, the others with a reason")


def _without_sources(data: bytes) -> bytes:
    kept, at = [], 0
    for source in find_sources(data):
        kept.append(data[at : source.start])
        at = source.end
    return b"".join([*kept, data[at:]])


if __name__ == "__main__":
    main()
