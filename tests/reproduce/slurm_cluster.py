"""A real Slurm cluster of one node from Debian's packages, started and stopped by the tests (needs root)."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_TOOLS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol")


def missing() -> str:
    """Return why no cluster can be started here, empty when one can."""
    lacking = [tool for tool in _TOOLS if shutil.which(tool, path=_path()) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)} (apt-get install slurm-wlm munge)"
    return "" if os.geteuid() == 0 else "slurmd and munged need root"


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[dict[str, str]]:
    """Start munged, slurmctld and slurmd; yield the environment in which Slurm's tools find them."""
    folder.chmod(0o755)
    for path in folder.parents:
        if str(path).startswith("/tmp/") and path != Path("/tmp"):
            path.chmod(0o755)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    configuration = folder / "slurm.conf"
    host = socket.gethostname().split(".")[0]
    configuration.write_text(
        f"""ClusterName=pgolf
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={_port()}
SlurmdPort={_port()}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=2
MailProg=/bin/true
KillWait=5
MinJobAge=300
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
    )
    environment = {**os.environ, "SLURM_CONF": str(configuration), "PATH": _path()}
    munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", f"--key-file={key}"]
    munged += [
        f"--pid-file={folder}/munged.pid",
        f"--log-file={folder}/munged.log",
        f"--seed-file={folder}/munged.seed",
    ]
    running: list[subprocess.Popen[bytes]] = []
    log = (folder / "daemons.log").open("wb")
    try:
        for words in (
            munged,
            ["slurmctld", "-D", "-f", str(configuration)],
            ["slurmd", "-D", "-f", str(configuration)],
        ):
            running.append(subprocess.Popen(words, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL))
            if words is munged:
                _until(lambda: (folder / "munge.socket").exists(), "munged")
        _until(
            lambda: "idle" in _ask(environment, "sinfo", "--noheader", "--format=%T"),
            (folder / "daemons.log").read_text(),
        )
        yield environment
    finally:
        for process in reversed(running):
            process.terminate()
        for process in reversed(running):
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        log.close()


def _ask(environment: dict[str, str], *words: str) -> str:
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=30, check=False).stdout


def _until(ready, what: str) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 30
    while not ready():
        if time.monotonic() > deadline:
            raise TimeoutError(f"the cluster did not come up: {what[-2000:]}")
        time.sleep(0.2)


def _port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
