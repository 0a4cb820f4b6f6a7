"""What is to run, what it may see, and how much it may use: plain data that every provider understands."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import HarnessError

WORKSPACE = "/workspace"
"""Where the private writable folder stands inside; the only place that can be written."""

CACHE = f"{WORKSPACE}/.cache"
"""Compiler caches (TorchInductor, Triton); they die with the sandbox like everything else in the workspace."""


class Blame(str, enum.Enum):
    """Whose fault a failure was; every failure message says one of these."""

    SUBMISSION = "submission"
    DATA = "data"
    SANDBOX = "sandbox"
    MACHINE = "machine"
    USER = "user"
    HARNESS = "harness"


class RunnerError(HarnessError):
    """A run could not be made. The message says what happened and what to do; ``blame`` says whose fault it was."""

    def __init__(self, blame: Blame, message: str) -> None:
        super().__init__(message)
        self.blame = blame
        self.fault = blame.value


@dataclass(frozen=True)
class Bind:
    """A host path shown read-only inside at ``target``."""

    source: Path
    target: str


@dataclass(frozen=True)
class Limits:
    """Resources of one program with all its descendants.

    ``memory_bytes`` is private memory plus what the workspace and /dev/shm hold, watched from outside;
    ``address_space_bytes`` is a hard limit per process (not for CUDA, which reserves far more than it uses).
    """

    wall_seconds: float
    memory_bytes: int
    disk_bytes: int
    processes: int = 4096
    output_bytes: int = 64 << 20
    output_lines: int = 500_000
    open_files: int = 65536
    address_space_bytes: int | None = None


@dataclass(frozen=True)
class Confinement:
    """A command and everything that it may see. ``links`` are symbolic links made in the workspace: name -> target."""

    command: tuple[str, ...]
    limits: Limits
    read_only: tuple[Bind, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    gpu: bool = False


class Stop(str, enum.Enum):
    """Why a program was stopped from outside."""

    WALL = "wall-clock limit"
    MEMORY = "memory limit"
    MACHINE_MEMORY = "machine nearly out of memory"
    DISK = "disk limit of the writable folder"
    OUTPUT = "output limit"
    PROCESSES = "process limit"
    TRAINING = "training clock"
    EVALUATION = "evaluation clock"
    SETUP = "setup clock"
    INTERRUPTED = "interrupted by the user"
