"""Where a fact stands: evidence entries for claims, runs and files, with paths in the repository."""

from __future__ import annotations

import re
from collections.abc import Iterator

from checks.rules.base import Case
from checks.submission.model import Run, SourceFile, Submission
from checks.verdict import Evidence

README_LIMIT = 400_000
MAX_LINE = 4_000
_README = re.compile(r"readme(\.(md|txt|rst))?$", re.IGNORECASE)


def path_of(submission: Submission, name: str) -> str:
    """Return a file of the record folder by its path in the repository."""
    prefix = "" if submission.path in ("", ".") else submission.path.rstrip("/") + "/"
    return name if prefix and name.startswith(prefix) else prefix + name


def at(case: Case, name: str, line: int = 0, what: str = "", role: str = "", excerpt: str = "") -> Evidence:
    """Return an entry for a line of a file of the record folder (line 0: the file as such)."""
    return Evidence(path_of(case.submission, name), line, line, what=what, role=role, excerpt=excerpt)


def of_folder(case: Case, what: str) -> Evidence:
    """Return an entry for the record folder itself: something it lacks."""
    return Evidence(case.submission.path, what=what)


def of_claim(case: Case, fact: str, what: str) -> Evidence:
    """Return an entry for something the author states; ``fact`` is a key of ``Claims.from_``."""
    place = case.submission.claims.from_.get(fact, "")
    name, _, line = place.rpartition(":")
    if not line.isdigit():
        name, line = place, "0"
    if not name:
        return of_folder(case, what)
    return at(case, name, int(line), what)


def of_run(case: Case, run: Run, fact: str, what: str, role: str = "") -> Evidence:
    """Return an entry for a number that a run printed; the run's first line when the fact's own is unknown."""
    return at(case, run.log, run.lines.get(fact, run.first_line), what, role)


def readmes(submission: Submission) -> tuple[SourceFile, ...]:
    """Return the README files at the top of the record folder."""
    return tuple(f for path, f in submission.files.items() if "/" not in path and _README.match(path))


def readme_lines(case: Case) -> Iterator[tuple[str, int, str]]:
    """Yield (file, line number, text) of the README, bounded in size and line length."""
    for file in readmes(case.submission):
        text = file.read(README_LIMIT).decode("utf-8", "replace")
        for number, line in enumerate(text.splitlines(), 1):
            yield file.name, number, line[:MAX_LINE]


def name_run(run: Run) -> str:
    """Return how a summary names a run: its log, and its place in it when there are several."""
    where = run.log if run.index == 0 else f"{run.log} (run {run.index + 1})"
    return where if run.seed is None else f"{where}, seed {run.seed}"
