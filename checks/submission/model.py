"""The facts about a submission that rules read. Everything here is data; nothing here reads a disk.

All strings come from the submission and are hostile: renderers escape them, rules only compare them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class SourceFile:
    """One file of a submission.

    ``path`` is relative to the repository (or the folder reviewed), with ``/``; ``kind`` is "file", "symlink" or
    "missing" (listed, but its content cannot be had). ``load(limit)`` returns at most ``limit`` bytes.
    """

    path: str
    size: int
    kind: str
    load: Callable[[int], bytes] = field(compare=False, repr=False)
    sha: str = ""

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rsplit("/", 1)[-1]

    def read(self, limit: int) -> bytes:
        """Return the content, cut at ``limit`` bytes."""
        return self.load(limit)


@dataclass(frozen=True)
class Change:
    """One path that the pull request touches. ``status`` is git's letter: A, M, D, R, T."""

    status: str
    path: str
    size: int = 0
    old_path: str = ""


@dataclass(frozen=True)
class ToldPart:
    """A number of tokens that the author says a score is over, at ``place`` ("file:line").

    ``sure``: it is said of the claimed score; ``words``: in words, not as a field of submission.json.
    """

    tokens: int
    place: str
    sure: bool
    words: bool = False


@dataclass(frozen=True)
class Claims:
    """What the author says: submission.json, README and title. ``from_`` maps each fact to "file:line".

    ``unclaimed`` is the "file:line" where the author says that there is no score; ``withdrawn``: there was one.
    ``stated_labels``: values of submission.json that look like a result line's label, ``final_sliding_window_exact``.
    """

    val_bpb: float | None = None
    val_loss: float | None = None
    bytes_total: int | None = None
    seeds: tuple[int, ...] = ()
    track: str | None = None
    non_record: bool = False
    name: str = ""
    author: str = ""
    github_id: str = ""
    readme_val_bpb: tuple[float, ...] = ()
    title_val_bpb: float | None = None
    json_keys: tuple[str, ...] = ()
    json_error: str = ""
    from_: Mapping[str, str] = field(default_factory=dict)
    bytes_code: int | None = None
    seed_scores: Mapping[int, float] = field(default_factory=dict)
    hardware: str = ""
    date: str = ""
    json_path: str = ""
    readme_path: str = ""
    unclaimed: str = ""
    withdrawn: bool = False
    told_parts: tuple[ToldPart, ...] = ()
    stated_labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Score:
    """One pair of val_loss and val_bpb that a log printed. ``label`` is the line's prefix, e.g. ``legal_ttt_exact``.

    ``tokens``: how many the line says were scored.
    """

    label: str
    line: int
    val_bpb: float
    val_loss: float | None = None
    exact: bool = False
    eval_seconds: float | None = None
    step: int | None = None
    tokens: int | None = None


@dataclass(frozen=True)
class Run:
    """One run found in a log (a log may hold several). Times in seconds, sizes in bytes, ``lines``: fact -> line.

    ``settings`` holds printed NAME (upper case) -> value of the configuration; ``scores`` all scores in order;
    ``curve`` rows (step, loss, train seconds); ``ttt_curve`` rows (chunk, running val_bpb).
    """

    log: str
    index: int = 0
    first_line: int = 1
    last_line: int = 0
    seed: int | None = None
    val_bpb: float | None = None
    val_loss: float | None = None
    train_seconds: float | None = None
    eval_seconds: float | None = None
    artifact_bytes: int | None = None
    code_bytes: int | None = None
    model_bytes: int | None = None
    steps: int | None = None
    world_size: int | None = None
    gpu: str | None = None
    complete: bool = False
    reason: str = ""
    val_tokens: int | None = None
    bytes_per_token: float | None = None
    train_shards: int | None = None
    model_params: int | None = None
    source_bytes: int | None = None
    source_matches: bool | None = None
    scores: tuple[Score, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)
    curve: tuple[tuple[int, float, float], ...] = ()
    ttt_curve: tuple[tuple[int, float], ...] = ()
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """One value of the effective configuration and where it came from ("default train_gpt.py:52", "README.md:31", …).

    ``conflicts`` are other values that a log or a command gives, with their place; ``default`` is what the script uses
    when nobody sets it.
    """

    value: str
    from_: str
    conflicts: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    default_from: str = ""


@dataclass(frozen=True)
class RunCommand:
    """One way the author says the script is run. ``environment`` holds NAME -> value of assignments and exports,
    ``flags`` the options that it gives to the script, as ``--name`` -> value ("" for a switch).

    ``rank`` orders several commands: the lowest is the headline's, the rest are ablations, smoke tests or other seeds.
    """

    file: str
    line: int
    text: str = ""
    script: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    launcher: str = ""
    nproc: int | None = None
    rank: int = 0
    why: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)
    flags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Submission:
    """One record folder: its files by path relative to the folder, its track and what was read from it."""

    path: str
    track: str | None
    files: Mapping[str, SourceFile]
    script: str | None = None
    scripts: tuple[str, ...] = ()
    claims: Claims = field(default_factory=Claims)
    runs: tuple[Run, ...] = ()
    configuration: Mapping[str, Setting] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    commands: tuple[RunCommand, ...] = ()


@dataclass(frozen=True)
class PullRequest:
    """The whole target: what it changes and the record folders that it adds.

    ``subjects``: those of the commits to these folders, newest first. ``loose``: where it adds none, the Python files
    that it changes, by path in the repository; no submission of its own.
    """

    path: str
    pr: int | None = None
    head: str | None = None
    base: str | None = None
    created: dt.datetime | None = None
    title: str | None = None
    changes: tuple[Change, ...] = ()
    submissions: tuple[Submission, ...] = ()
    loose: Submission | None = None
    notes: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
