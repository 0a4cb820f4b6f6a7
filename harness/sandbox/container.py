"""The container provider: an existing image run by Docker or Podman with ``--network none`` and read-only inputs.

For machines where bubblewrap is not allowed. The engine enforces memory and process limits; the writable folder is a
host folder whose size the harness watches, so the disk limit may be overshot by what is written in a quarter of a
second.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox import environment
from harness.sandbox.confinement import WORKSPACE, Blame, Confinement, RunnerError
from harness.sandbox.disk import Disk, folder_disk

_ENGINE_SECONDS = 60.0


@dataclass
class ContainedProgram:
    """A created container. ``release`` starts it; ``kill`` removes it with all it holds."""

    engine: str
    name: str
    process: subprocess.Popen[bytes]
    output: int
    exited: int
    folder: Path
    _gate: int
    shared_memory: Path | None = None

    def release(self) -> None:
        """Start the container: the waiting shell goes on to ``engine start``."""
        os.write(self._gate, b"\n")
        os.close(self._gate)
        self._gate = -1

    def returncode(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self.process.poll()

    def pids(self) -> list[int]:
        """Return nothing: the engine counts and limits the processes."""
        return []

    def disk(self) -> Disk:
        """Return what the workspace holds."""
        return folder_disk(self.folder)

    def kill(self) -> float:
        """Kill and remove the container; return the seconds until the engine said that it is gone."""
        began = time.monotonic()
        _engine(self.engine, "rm", "--force", "--volumes", self.name)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=_ENGINE_SECONDS)
        return time.monotonic() - began

    def close(self) -> None:
        """Delete the workspace."""
        for descriptor in (self.output, self.exited, self._gate):
            if descriptor >= 0:
                os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)


class Container:
    """Starts programs in an image that holds Python, torch and torchrun on its PATH."""

    name = "container"

    def __init__(self, image: str, engine: str | None = None) -> None:
        self.image = image
        found = engine or next((e for e in ("docker", "podman") if shutil.which(e)), None)
        if found is None:
            raise RunnerError(Blame.SANDBOX, "neither docker nor podman is installed")
        self.engine = found

    def start(self, confinement: Confinement) -> ContainedProgram:
        """Create the container and hold it before its first instruction.

        Raises:
            RunnerError: the engine refused (blame: sandbox).
        """
        folder = Path(tempfile.mkdtemp(prefix="pgolf-workspace-"))
        folder.chmod(0o777)
        (folder / "tmp").mkdir(mode=0o777)
        for name, target in confinement.links.items():
            (folder / name).symlink_to(target)
        name = f"pgolf-{secrets.token_hex(8)}"
        _engine(self.engine, *create_words(confinement, self.image, name, folder))
        read, write = os.pipe()
        gate_read, gate = os.pipe()
        attach = ["sh", "-c", 'read gate && exec "$@" </dev/null', "sh", self.engine, "start", "--attach", name]
        process = subprocess.Popen(attach, stdin=gate_read, stdout=write, stderr=write)
        os.close(write)
        os.close(gate_read)
        return ContainedProgram(self.engine, name, process, read, os.pidfd_open(process.pid), folder, gate)


def create_words(confinement: Confinement, image: str, name: str, folder: Path) -> list[str]:
    """Return the engine's words that create the container."""
    limits = confinement.limits
    words = ["create", "--name", name, "--network", "none", "--read-only", "--init", "--cap-drop", "ALL"]
    words += ["--security-opt", "no-new-privileges", "--user", f"{environment.USER_ID}:{environment.USER_ID}"]
    words += ["--pids-limit", str(limits.processes), "--memory", str(limits.memory_bytes)]
    words += ["--shm-size", str(limits.memory_bytes // 2), "--ulimit", "core=0:0"]
    words += ["--ulimit", f"nofile={limits.open_files}:{limits.open_files}", "--workdir", WORKSPACE]
    words += ["--mount", f"type=bind,source={folder},target={WORKSPACE}"]
    for bind in confinement.read_only:
        words += ["--mount", f"type=bind,source={bind.source},target={bind.target},readonly"]
    if confinement.gpu:
        words += ["--gpus", "all"]
    for key, value in {**environment.base_environment(), **confinement.environment}.items():
        if key != "PATH":  # the image's own
            words += ["--env", f"{key}={value}"]
    return [*words, image, *confinement.command]


def _engine(engine: str, *words: str) -> None:
    try:
        done = subprocess.run([engine, *words], capture_output=True, timeout=_ENGINE_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RunnerError(Blame.SANDBOX, f"{engine} {words[0]} did not work: {error}") from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip()[:500]
        raise RunnerError(Blame.SANDBOX, f"{engine} {words[0]} failed: {said}")
