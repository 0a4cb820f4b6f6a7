"""No isolation at all, for a user's own code on a machine where nothing better works.

The program still gets a clean environment, a folder of its own, limits and a certain end, but it can read the machine
and use the network. The runner refuses this provider unless the user says that the code is their own.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox import environment
from harness.sandbox.bubblewrap import limit_words
from harness.sandbox.confinement import WORKSPACE, Blame, Confinement, RunnerError
from harness.sandbox.disk import Disk, folder_disk

_MARK = "PGOLF_RUN"
_PATIENCE_SECONDS = 10.0


@dataclass
class OpenProgram:
    """A program of the user's own. Daemons are found by a mark in their environment."""

    mark: str
    process: subprocess.Popen[bytes]
    output: int
    exited: int
    folder: Path
    _gate: int
    shared_memory: Path | None = None

    def release(self) -> None:
        """Start the program: the waiting shell goes on to it."""
        os.write(self._gate, b"\n")
        os.close(self._gate)
        self._gate = -1

    def returncode(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self.process.poll()

    def pids(self) -> list[int]:
        """Return every process that carries the run's mark."""
        wanted = f"{_MARK}={self.mark}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                try:
                    if wanted in (folder / "environ").read_bytes().split(b"\0"):
                        found.append(int(folder.name))
                except OSError:
                    continue
        return found

    def disk(self) -> Disk:
        """Return what the workspace holds."""
        return folder_disk(self.folder)

    def kill(self) -> float:
        """Kill everything that carries the mark; return the seconds until nothing was left."""
        began = time.monotonic()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while left := self.pids():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() - began > _PATIENCE_SECONDS:
                raise RunnerError(Blame.SANDBOX, f"processes {left} survived SIGKILL; the machine needs a look")
            time.sleep(0.001)
        return time.monotonic() - began

    def close(self) -> None:
        """Delete the workspace."""
        for descriptor in (self.output, self.exited, self._gate):
            if descriptor >= 0:
                os.close(descriptor)
        shutil.rmtree(self.folder, ignore_errors=True)


def _inside(folder: Path, root: Path, target: str) -> Path:
    """Return where a path of the inside stands on the host."""
    if target == WORKSPACE or target.startswith(f"{WORKSPACE}/"):
        return folder / target[len(WORKSPACE) + 1 :]
    return root / target.lstrip("/")


class Unconfined:
    """Starts programs as they are."""

    name = "none"

    def start(self, confinement: Confinement) -> OpenProgram:
        """Start a shell that waits for ``release`` before it becomes the program."""
        folder = Path(tempfile.mkdtemp(prefix="pgolf-workspace-"))
        (folder / "tmp").mkdir()
        mark = secrets.token_hex(16)

        root = folder / ".root"
        for bind in confinement.read_only:
            link = _inside(folder, root, bind.target)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(bind.source)
        tops = {WORKSPACE.split("/")[1], *(bind.target.split("/")[1] for bind in confinement.read_only)}
        path = re.compile(rf"(?<![\w./-])/(?:{'|'.join(map(re.escape, sorted(tops)))})(?:/[^\s:=]*)?(?![\w.-])")

        def here(text: str) -> str:
            """Return the text with the inside's paths replaced by the host's."""
            return path.sub(lambda match: str(_inside(folder, root, match[0])), text)

        for name, target in confinement.links.items():
            (folder / name).symlink_to(here(target))
        variables = {**environment.base_environment(), **confinement.environment}
        read, write = os.pipe()
        gate_read, gate = os.pipe()
        words = ["sh", "-c", 'read gate && exec "$@" </dev/null', "sh", *limit_words(confinement.limits)]
        process = subprocess.Popen(
            [*words, *(here(word) for word in confinement.command)],
            stdin=gate_read,
            stdout=write,
            stderr=write,
            cwd=folder,
            env={**{name: here(value) for name, value in variables.items()}, _MARK: mark},
            start_new_session=True,
        )
        os.close(write)
        os.close(gate_read)
        return OpenProgram(mark, process, read, os.pidfd_open(process.pid), folder, gate)
