"""The bubblewrap provider.

Namespaces for processes, network, IPC and mounts; every input read-only; one capped writable folder.

The workspace is a tmpfs with a size, so the kernel itself refuses the byte over the disk limit. The harness keeps a
descriptor of it from outside (``/proc/PID/root``): it can watch the folder during the run and read it after
everything inside is dead. Run by root, the program gets an own user id without capabilities; run by a user, an own
user namespace in which no other can be made. Either way the process limit holds, and killing the namespace's first
process kills every daemon with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.sandbox import environment, processes
from harness.sandbox.confinement import WORKSPACE, Blame, Confinement, Limits, RunnerError
from harness.sandbox.disk import Disk, mounted_disk

_SETUP_SECONDS = 10.0
_SHM_SHARE = 2  # /dev/shm may hold half of the memory limit


@dataclass
class Confined:
    """A program set up and not yet started: ``release`` lets it go, ``kill`` ends it and all it started."""

    process: subprocess.Popen[bytes]
    output: int
    exited: int
    folder: Path
    shared_memory: Path | None
    namespace: int
    init: int
    _gate: int
    _pinned: tuple[int, ...]

    def release(self) -> None:
        """Start the program; nothing of it ran before."""
        os.write(self._gate, b"x")
        os.close(self._gate)
        self._gate = -1

    def returncode(self) -> int | None:
        """Return the exit status, None while it runs."""
        return self.process.poll()

    def pids(self) -> list[int]:
        """Return every process inside."""
        return processes.in_namespace(self.namespace)

    def disk(self) -> Disk:
        """Return what the workspace holds."""
        return mounted_disk(self.folder)

    def kill(self) -> float:
        """Kill everything inside; return the seconds until nothing was left.

        Raises:
            RunnerError: something was still running after ten seconds.
        """
        began = time.monotonic()
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.init, signal.SIGKILL)
        try:
            self.process.wait(timeout=_SETUP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
        while left := self.pids():
            if time.monotonic() - began > _SETUP_SECONDS:
                raise RunnerError(Blame.SANDBOX, f"processes {left} survived SIGKILL; the machine needs a look")
            time.sleep(0.001)
        return time.monotonic() - began

    def close(self) -> None:
        """Let go of the workspace; what was not copied out of it is gone."""
        for descriptor in (*self._pinned, self.output, self.exited, self._gate):
            if descriptor >= 0:
                os.close(descriptor)


class Bubblewrap:
    """Starts programs with ``bwrap``."""

    name = "bubblewrap"

    def start(self, confinement: Confinement) -> Confined:
        """Set a program up, stopped before its first instruction.

        Raises:
            RunnerError: bubblewrap is missing or the machine does not let it work (blame: sandbox).
        """
        if shutil.which("bwrap") is None:
            raise RunnerError(Blame.SANDBOX, "bubblewrap is not installed: apt-get install bubblewrap")
        out_read, out_write = os.pipe()
        info_read, info_write = os.pipe()
        gate_read, gate_write = os.pipe()
        files = {path: _memory_file(text) for path, text in environment.ETC_FILES.items()}
        inherited = (info_write, gate_read, *files.values())
        argv = arguments(confinement, files, info_write, gate_read)
        try:
            process = subprocess.Popen(
                argv, stdin=subprocess.DEVNULL, stdout=out_write, stderr=out_write, pass_fds=inherited, env={}
            )
        finally:
            for descriptor in (out_write, *inherited):
                os.close(descriptor)
        try:
            init, namespace = _read_info(process, info_read, out_read)
            pinned = _pin(process, init, out_read)
        except RunnerError:
            process.kill()
            process.wait()
            for descriptor in (out_read, gate_write):
                os.close(descriptor)
            raise
        finally:
            os.close(info_read)
        folder = Path(f"/proc/self/fd/{pinned[0]}")
        shared = Path(f"/proc/self/fd/{pinned[1]}")
        exited = os.pidfd_open(process.pid)
        return Confined(process, out_read, exited, folder, shared, namespace, init, gate_write, pinned)


def arguments(confinement: Confinement, files: dict[str, int], info: int, gate: int) -> list[str]:
    """Return the whole command line.

    ``files``, ``info`` and ``gate`` are descriptors that bwrap inherits and closes.
    """
    limits = confinement.limits
    paths, links = environment.system_paths()
    argv = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    argv += ["--hostname", "localhost", "--new-session", "--die-with-parent"]
    if os.geteuid() != 0:
        argv += ["--unshare-user", "--disable-userns", "--uid", str(environment.USER_ID)]
        argv += ["--gid", str(environment.USER_ID)]
    argv += ["--cap-drop", "ALL"]
    for folder in _parents((*map(str, paths), *files, *(bind.target for bind in confinement.read_only))):
        argv += ["--perms", "0755", "--dir", folder]  # bwrap itself would close them to others
    for path in paths:
        argv += ["--ro-bind", str(path), str(path)]
    for link, target in links.items():
        argv += ["--symlink", target, link]
    for name, descriptor in files.items():
        argv += ["--perms", "0644", "--ro-bind-data", str(descriptor), name]
    argv += ["--proc", "/proc", "--dev", "/dev"]
    if confinement.gpu:
        for node in environment.gpu_nodes():
            argv += ["--dev-bind", str(node), str(node)]
        argv += ["--ro-bind", "/sys", "/sys"]
    argv += ["--perms", "1777", "--size", str(max(limits.memory_bytes // _SHM_SHARE, 1)), "--tmpfs", "/dev/shm"]
    argv += ["--perms", "0777", "--size", str(limits.disk_bytes), "--tmpfs", WORKSPACE]
    argv += ["--perms", "0777", "--dir", f"{WORKSPACE}/tmp"]
    if not any(path.is_relative_to("/tmp") for path in paths):  # else: read-only, TMPDIR holds
        argv += ["--symlink", f"{WORKSPACE}/tmp", "/tmp"]
    for folder in _parents_in_workspace(bind.target for bind in confinement.read_only):
        argv += ["--perms", "0777", "--dir", folder]
    for bind in confinement.read_only:
        argv += ["--ro-bind", str(bind.source), bind.target]
    for name, target in confinement.links.items():
        argv += ["--symlink", target, f"{WORKSPACE}/{name}"]
    argv += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", WORKSPACE, "--clearenv"]
    for name, value in {**environment.base_environment(), **confinement.environment}.items():
        argv += ["--setenv", name, value]
    argv += ["--info-fd", str(info), "--block-fd", str(gate)]
    drop: list[str] = []
    if os.geteuid() == 0:
        for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
            argv += ["--cap-add", capability]
        user = str(environment.USER_ID)
        drop = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups", "--no-new-privs"]
        drop += ["--bounding-set=-all", "--inh-caps=-all", "--"]
    return [*argv, "--", *drop, *limit_words(limits), *confinement.command]


def limit_words(limits: Limits) -> list[str]:
    """Return the ``prlimit`` words that bind a program and its descendants.

    Hard limits, so that none can raise them.
    """
    words = ["prlimit", "--core=0:0"]
    for name, number, value in (
        ("nproc", resource.RLIMIT_NPROC, limits.processes),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        ("fsize", resource.RLIMIT_FSIZE, limits.disk_bytes),
        ("as", resource.RLIMIT_AS, limits.address_space_bytes),
    ):
        if value is not None:
            ours = resource.getrlimit(number)[1]
            bound = value if ours == resource.RLIM_INFINITY else min(value, ours)
            words.append(f"--{name}={bound}:{bound}")
    return [*words, "--"]


def _parents(targets: Iterable[str]) -> list[str]:
    """Return every folder above the targets, outermost first; those of the workspace are made with it."""
    found = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(folder for folder in found if folder != "/" and not folder.startswith((WORKSPACE, "/usr/", "/dev")))


def _parents_in_workspace(targets: Iterable[str]) -> list[str]:
    found = {str(parent) for target in targets for parent in Path(target).parents}
    return sorted(folder for folder in found if folder.startswith(f"{WORKSPACE}/"))


def _memory_file(text: str) -> int:
    descriptor = os.memfd_create("pgolf")
    os.write(descriptor, text.encode())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _read_info(process: subprocess.Popen[bytes], info: int, output: int) -> tuple[int, int]:
    """Wait for bubblewrap's own report: (pid of the first process inside, PID namespace)."""
    text = b""
    deadline = time.monotonic() + _SETUP_SECONDS
    while time.monotonic() < deadline:
        if not select.select([info], [], [], 0.05)[0]:
            continue
        data = os.read(info, 4096)
        if not data:
            break
        text += data
        try:
            report = json.loads(text)
        except ValueError:
            continue
        return int(report["child-pid"]), int(report["pid-namespace"])
    raise _setup_error(process, output)


def _pin(process: subprocess.Popen[bytes], init: int, output: int) -> tuple[int, int]:
    """Open the workspace and /dev/shm from outside as soon as they are mounted."""
    deadline = time.monotonic() + _SETUP_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            workspace = os.open(f"/proc/{init}/root{WORKSPACE}", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            return workspace, os.open(f"/proc/{init}/root/dev/shm", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError:
            time.sleep(0.001)
    raise _setup_error(process, output)


def _setup_error(process: subprocess.Popen[bytes], output: int) -> RunnerError:
    os.set_blocking(output, False)
    try:
        said = os.read(output, 2000).decode("utf-8", "replace").strip()
    except BlockingIOError:
        said = f"no answer within {_SETUP_SECONDS:.0f} s (exit status {process.poll()})"
    return RunnerError(
        Blame.SANDBOX,
        f"bubblewrap could not set up the sandbox: {said}. Unprivileged user namespaces may be switched off here "
        "(Ubuntu 24.04: AppArmor; containers: seccomp); run as root, or give an image with --container",
    )
