"""Reviews many pull requests of one repository in parallel, each in a bounded child, cached and resumable."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import importlib
import json
import os
import pkgutil
import select
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import checks
from checks import rulebook as rulebooks
from checks.judge import Options, judge
from checks.submission.model import PullRequest
from checks.verdict import Verdict, verdict_from_json
from harness import bounded
from harness.errors import HarnessError
from harness.review import MAX_ATTEMPTS, step_to_skip
from harness.target_git import Repository
from harness.target_pull_request import folders_at, read_pull_request
from harness.version import __version__


@dataclass(frozen=True)
class Item:
    """One thing to review: a ref's commit, or ``folders`` as they stand at a commit (no pull request).

    ``created`` is when the pull request was opened, if known from elsewhere.
    """

    name: str
    commit: str
    pr: int | None = None
    created: dt.datetime | None = None
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reviewed:
    """What became of one item. ``verdict`` is None when it failed; ``error`` then says why.

    ``deaths`` are the steps that killed a child, each with how. Seconds and peak bytes are the sum and the maximum over
    the attempts; all are 0 for a cached verdict.
    """

    item: Item
    verdict: Verdict | None = None
    error: str = ""
    deaths: tuple[str, ...] = ()
    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0
    peak_bytes: int = 0
    cached: bool = False


def pull_requests(repository: Repository, pattern: str) -> list[Item]:
    """Return the refs that match a ``git for-each-ref`` pattern, pull requests by number first."""
    items = []
    for ref, commit in repository.refs(pattern):
        parts = ref.split("/")
        number = int(parts[2]) if parts[:2] == ["refs", "pull"] and parts[2].isdigit() else None
        items.append(Item(f"pr-{number}" if number is not None else ref.removeprefix("refs/"), commit, number))
    return sorted(items, key=lambda i: (i.pr is None, i.pr or 0, i.name))


@dataclass(frozen=True)
class Sweep:
    """How a sweep runs: the repository, the rulebook, where verdicts are kept, and the bounds of one review."""

    repository: Repository
    folder: Path
    jobs: int = 1
    rulebook: rulebooks.Rulebook = field(default_factory=rulebooks.load)
    limits: bounded.Limits = field(default_factory=bounded.Limits)
    base: str | None = None

    def run(self, items: Sequence[Item]) -> Iterator[Reviewed]:
        """Yield what became of each item, as they finish; verdicts kept from an earlier sweep come first."""
        store = _Store(self.folder / "verdicts", self._state())
        left = []
        for item in items:
            kept = store.load(item)
            if kept is not None:
                yield Reviewed(item, kept, cached=True)
            else:
                left.append(item)
        if left:
            _preload()
        for done in self._parallel(left):
            if done.verdict is not None and not done.deaths:
                store.save(done.item, done.verdict)
            yield done

    def _parallel(self, items: Sequence[Item]) -> Iterator[Reviewed]:
        waiting = [_Attempts(item) for item in reversed(items)]
        working: dict[int, tuple[bounded.Job, _Attempts]] = {}
        try:
            while waiting or working:
                while waiting and len(working) < self.jobs:
                    attempts = waiting.pop()
                    job = bounded.Job(self._work(attempts), self.limits)
                    working[job.fileno()] = (job, attempts)
                for key, outcome in _finished(working, self.limits):
                    _, attempts = working.pop(key)
                    if attempts.again(outcome):
                        waiting.append(attempts)
                    else:
                        yield attempts.result(outcome)
        finally:
            for job, _ in working.values():
                job.kill("interrupted")

    def _work(self, attempts: _Attempts) -> bounded.Work:
        item, options = attempts.item, Options(skip=dict(attempts.skip), tool_version=__version__)

        def work(announce: Callable[[str], None]) -> dict[str, Any]:
            try:
                pull_request = self._read(item)
            except HarnessError as error:
                return {"error": str(error)}
            return judge(pull_request, self.rulebook, options, announce).to_json()

        return work

    def _read(self, item: Item) -> PullRequest:
        if item.folders:
            return folders_at(self.repository, item.commit, item.folders)
        found = read_pull_request(self.repository, item.commit, self.base)
        return replace(found, path=item.name, pr=item.pr, created=item.created or found.created)

    def _state(self) -> str:
        """Everything beside the item that a verdict depends on: the code of the checks, the rulebook, the base."""
        digest = hashlib.sha256(__version__.encode())
        root = Path(str(checks.__file__)).parent
        for path in sorted(p for p in root.rglob("*") if p.suffix in (".py", ".toml")):
            digest.update(path.read_bytes())
        base = self.repository.resolve(self.base) if self.base else self.repository.default_branch()
        digest.update((base or "").encode())
        return digest.hexdigest()


class _Attempts:
    """One item's attempts: which steps are left out because they killed a child."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.skip: dict[str, str] = {}
        self._outcomes: list[bounded.Outcome] = []

    def again(self, outcome: bounded.Outcome) -> bool:
        """Record how an attempt ended; True when another one makes sense."""
        self._outcomes.append(outcome)
        if not outcome.failure or len(self._outcomes) >= MAX_ATTEMPTS or not (step := step_to_skip(outcome, self.skip)):
            return False
        self.skip[step] = outcome.failure
        return True

    def result(self, last: bounded.Outcome) -> Reviewed:
        value = last.value or {}
        error = value.get("error", "") or (f"{last.failure} {last.bug.strip()[-300:]}".strip() if last.failure else "")
        return Reviewed(
            self.item,
            verdict_from_json(value) if not error else None,
            error,
            tuple(f"{step}: {why}" for step, why in self.skip.items()),
            sum(o.wall_seconds for o in self._outcomes),
            sum(o.cpu_seconds for o in self._outcomes),
            max(o.peak_bytes for o in self._outcomes),
        )


def _finished(
    working: dict[int, tuple[bounded.Job, _Attempts]], limits: bounded.Limits
) -> list[tuple[int, bounded.Outcome]]:
    """Wait until a child has something to say or passes its deadline; return those that ended."""
    nearest = min(job.deadline for job, _ in working.values())
    ready, _, _ = select.select(list(working), [], [], max(0.0, nearest - time.monotonic()))
    ended = []
    for key, (job, _) in working.items():
        outcome = job.advance() if key in ready else None
        if outcome is None and time.monotonic() >= job.deadline:
            outcome = job.kill(bounded.overdue(limits))
        if outcome is not None:
            ended.append((key, outcome))
    return ended


def _preload() -> None:
    """Import everything that judging needs once, so that children inherit it."""
    for module in pkgutil.walk_packages(checks.__path__, "checks."):
        with contextlib.suppress(ImportError):  # only a head start: whoever needs the module will say what is wrong
            importlib.import_module(module.name)


@dataclass(frozen=True)
class _Store:
    """Verdicts of earlier sweeps, one file an item; the name carries a hash of all that the verdict depends on."""

    folder: Path
    state: str

    def load(self, item: Item) -> Verdict | None:
        """Return the kept verdict, None without a usable one."""
        try:
            return verdict_from_json(json.loads(self._path(item).read_bytes()))
        except (OSError, ValueError):
            return None

    def save(self, item: Item, verdict: Verdict) -> None:
        """Keep a verdict in place of the item's earlier ones."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(item)
        for old in self.folder.glob(f"{_file_name(item)}.*.json"):
            old.unlink(missing_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.tmp")
        partial.write_text(json.dumps(verdict.to_json()), encoding="utf-8")
        partial.replace(path)

    def _path(self, item: Item) -> Path:
        created = item.created.isoformat() if item.created else ""
        parts = (self.state, item.commit, str(item.pr), created, *item.folders)
        key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]
        return self.folder / f"{_file_name(item)}.{key}.json"


def _file_name(item: Item) -> str:
    safe = "".join(c if c.isalnum() or c in "-_" else "_" for c in item.name)
    return safe if len(safe) <= 100 else f"{safe[:80]}-{hashlib.sha256(item.name.encode()).hexdigest()[:16]}"
