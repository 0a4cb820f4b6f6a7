"""The behaviour that any sandbox provider must show; each test is run against every provider that works here."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from harness.sandbox import (
    WORKSPACE,
    Action,
    Bind,
    Bubblewrap,
    Confined,
    Confinement,
    Ending,
    FileEvent,
    Limits,
    Provider,
    RunnerError,
    Stop,
    Unconfined,
    supervise,
)
from harness.sandbox.processes import holding

LIMITS = Limits(wall_seconds=20, memory_bytes=1 << 30, disk_bytes=32 << 20, processes=64, output_bytes=1 << 20)


@dataclass
class Seen:
    """Keeps all that an observer is told, and what the workspace held at the end."""

    lines: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    events: list[FileEvent] = field(default_factory=list)
    files: dict[str, bytes] = field(default_factory=dict)
    stop_when: str = ""
    confined: Confined | None = None

    def started(self, at: float, confined: Confined) -> None:
        self.confined = confined

    def line(self, at: float, text: str) -> None:
        self.times.append(at)
        self.lines.append(text)

    def file(self, at: float, event: FileEvent) -> None:
        self.events.append(event)

    def tick(self, at: float) -> Stop | None:
        return Stop.TRAINING if self.stop_when and self.stop_when in self.lines else None

    def ended(self, at: float, confined: Confined) -> None:
        for path in confined.folder.iterdir():
            if path.is_file() and not path.is_symlink():
                self.files[path.name] = path.read_bytes()[:4096]


def bubblewrap_works() -> str:
    try:
        confined = Bubblewrap().start(Confinement(("true",), LIMITS))
    except RunnerError as error:
        return str(error)
    confined.kill()
    confined.close()
    return ""


NO_BUBBLEWRAP = bubblewrap_works()
confining = pytest.mark.skipif(bool(NO_BUBBLEWRAP), reason=NO_BUBBLEWRAP)


@pytest.fixture(params=["bubblewrap", "none"])
def provider(request: pytest.FixtureRequest) -> Provider:
    if request.param == "none":
        return Unconfined()
    if NO_BUBBLEWRAP:
        pytest.skip(NO_BUBBLEWRAP)
    return Bubblewrap()


def run(
    provider: Provider,
    script: str,
    limits: Limits = LIMITS,
    binds: tuple[Bind, ...] = (),
    watches: dict[str, Path] | None = None,
    seen: Seen | None = None,
    environment: dict[str, str] | None = None,
) -> tuple[Ending, Seen, bytes]:
    seen = seen or Seen()
    for bind in binds:
        if bind.source.exists():
            bind.source.chmod(0o755)  # pytest's own folders are closed to the sandbox's user
    log = io.BytesIO()
    confinement = Confinement(("sh", "-c", script), limits, binds, environment or {}, {"link": f"{WORKSPACE}/tmp"})
    ending = supervise(provider, confinement, log, seen, watches)
    return ending, seen, log.getvalue()


def python(code: str) -> str:
    return f"exec python3 - <<'END'\n{code}\nEND"


def test_runs_and_reports_status_output_and_files(provider: Provider) -> None:
    ending, seen, log = run(provider, "echo one; echo two >&2; echo kept > result; exit 7")
    assert ending.status == 7 and ending.stopped is None
    assert seen.lines == ["one", "two"] and log == b"one\ntwo\n"
    assert seen.files == {"result": b"kept\n"}
    assert FileEvent("workspace", "result", Action.WRITTEN) in seen.events


def test_environment_is_clean(provider: Provider, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    _, seen, _ = run(provider, "env", environment={"SEED": "42"})
    assert "SEED=42" in seen.lines
    assert not any("hunter2" in line for line in seen.lines)


def test_lines_carry_the_time_at_which_they_came(provider: Provider) -> None:
    _, seen, _ = run(provider, "echo a; sleep 0.5; echo b")
    assert 0.45 < seen.times[1] - seen.times[0] < 1.5


def test_a_daemon_is_dead_afterwards_and_does_not_hold_the_run_open(provider: Provider) -> None:
    ending, seen, _ = run(provider, "(setsid sh -c 'trap \"\" TERM HUP; sleep 300' &) ; echo done")
    assert ending.status == 0 and ending.wall_seconds < 5
    assert seen.confined is not None and seen.confined.pids() == []


def test_a_program_that_ignores_sigterm_is_killed_at_the_wall_clock(provider: Provider) -> None:
    limits = Limits(wall_seconds=0.5, memory_bytes=1 << 30, disk_bytes=1 << 20)
    ending, seen, _ = run(provider, "trap '' TERM INT HUP; while :; do sleep 0.05; done", limits)
    assert ending.stopped is Stop.WALL and ending.status is None
    assert ending.wall_seconds < 3 and ending.kill_seconds < 2
    assert seen.confined is not None and seen.confined.pids() == []


def test_the_observer_can_stop_a_run(provider: Provider) -> None:
    ending, _, _ = run(provider, "echo halt; sleep 60", seen=Seen(stop_when="halt"))
    assert ending.stopped is Stop.TRAINING and ending.wall_seconds < 3


def test_output_is_capped(provider: Provider) -> None:
    ending, _, log = run(provider, "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")
    assert ending.stopped is Stop.OUTPUT
    assert len(log) == LIMITS.output_bytes


def test_a_flood_of_lines_does_not_keep_the_harness_from_its_clock(provider: Provider) -> None:
    limits = Limits(
        wall_seconds=20, memory_bytes=1 << 30, disk_bytes=1 << 20, output_bytes=1 << 30, output_lines=20_000
    )
    ending, seen, _ = run(provider, "yes ''", limits)
    assert ending.stopped is Stop.OUTPUT and ending.wall_seconds < 10
    assert len(seen.lines) < 20_000 + (1 << 20)


def test_an_endless_line_is_cut(provider: Provider) -> None:
    _, seen, _ = run(provider, python("print('x' * 500_000 + 'end'); print('after')"))
    assert [len(line) for line in seen.lines] == [65536, 5]


def test_bytes_that_are_no_text_do_not_break_the_harness(provider: Provider) -> None:
    _, seen, log = run(provider, r"printf '\377\376\000\033[2Jx\n'")
    assert len(seen.lines) == 1 and log == b"\xff\xfe\x00\x1b[2Jx\n"


def test_a_full_disk_stops_the_run(provider: Provider) -> None:
    ending, _, _ = run(provider, "dd if=/dev/zero of=big bs=1M count=500 2>/dev/null; echo rc $?; sleep 5")
    assert ending.stopped is Stop.DISK
    assert ending.peak_disk_bytes <= LIMITS.disk_bytes + (1 << 20)


def test_memory_is_limited(provider: Provider) -> None:
    limits = Limits(wall_seconds=20, memory_bytes=150 << 20, disk_bytes=1 << 20)
    ending, _, _ = run(provider, python("import time\nx = bytearray(300 << 20)\ntime.sleep(20)"), limits)
    assert ending.stopped is Stop.MEMORY and ending.wall_seconds < 5


@confining
def test_a_fork_bomb_meets_the_process_limit() -> None:
    script = "for i in $(seq 200); do sleep 3 & done; wait"
    ending, seen, _ = run(Bubblewrap(), script)
    assert any("fork" in line.lower() for line in seen.lines) or ending.stopped is Stop.PROCESSES
    assert seen.confined is not None and seen.confined.pids() == []


@confining
def test_only_standard_descriptors_reach_the_program() -> None:
    _, seen, _ = run(Bubblewrap(), python("import os\nprint(sorted(int(f) for f in os.listdir('/proc/self/fd')))"))
    assert seen.lines == ["[0, 1, 2, 3]"]  # 3 is the listing itself


@confining
def test_there_is_no_network() -> None:
    code = """
import socket
for address in (("1.1.1.1", 53), ("10.0.0.1", 80)):
    try:
        socket.create_connection(address, timeout=2)
        print("connected")
    except OSError as error:
        print(type(error).__name__, error.errno)
print([name for _, name in socket.if_nameindex()])
"""
    _, seen, _ = run(Bubblewrap(), python(code))
    assert "connected" not in seen.lines and seen.lines[-1] == "['lo']"


@confining
def test_loopback_works_because_torchrun_needs_it() -> None:
    code = """
import socket
server = socket.create_server(("localhost", 0))
socket.create_connection(server.getsockname())
print("ok", socket.gethostbyname(socket.gethostname()))
"""
    _, seen, _ = run(Bubblewrap(), python(code))
    assert seen.lines == ["ok 127.0.0.1"]


@confining
def test_inputs_are_read_only_and_nothing_else_of_the_host_is_there(tmp_path: Path) -> None:
    (tmp_path / "input").write_text("original")
    outside = tmp_path.parent / "canary"
    outside.write_text("canary")
    script = f"""
echo x > /in/input; rm -f /in/input; echo x > /in/new; chmod 777 /in
touch /root-file /usr/x /etc/x /dev/x /proc/sys/kernel/core_pattern
cat {outside}; ls /root /home /var /work 2>/dev/null
id -u; ls /
"""
    _, seen, _ = run(Bubblewrap(), script, binds=(Bind(tmp_path, "/in"),))
    assert (tmp_path / "input").read_text() == "original" and not (tmp_path / "new").exists()
    assert "canary" not in seen.lines
    assert "61001" in seen.lines
    assert not {"root-file", "home", "var", "boot"} & set(seen.lines)


@confining
def test_there_are_no_privileges_to_gain() -> None:
    script = "grep -E 'CapEff|CapBnd|NoNewPrivs' /proc/self/status; mount -t tmpfs x /workspace/tmp && echo mounted"
    _, seen, _ = run(Bubblewrap(), script)
    assert "mounted" not in seen.lines
    assert any(line.split() == ["CapEff:", "0000000000000000"] for line in seen.lines)
    assert any(line.split() == ["NoNewPrivs:", "1"] for line in seen.lines)


@confining
def test_reads_of_a_watched_folder_are_seen_through_the_bind(tmp_path: Path) -> None:
    (tmp_path / "shard.bin").write_bytes(b"tokens")
    (tmp_path / "other.bin").write_bytes(b"tokens")
    script = "ls /data >/dev/null; cat /data/shard.bin >/dev/null"
    _, seen, _ = run(Bubblewrap(), script, binds=(Bind(tmp_path, "/data"),), watches={"data": tmp_path})
    read = {event.path for event in seen.events if event.tree == "data" and event.action is Action.READ}
    assert read == {"shard.bin"}


@confining
def test_files_in_folders_made_during_the_run_are_seen() -> None:
    script = "mkdir -p a/b; sleep 0.3; echo x > a/b/c; cat a/b/c >/dev/null; echo y > /dev/shm/hidden"
    _, seen, _ = run(Bubblewrap(), script)
    assert FileEvent("workspace", "a/b/c", Action.WRITTEN) in seen.events
    assert FileEvent("workspace", "a/b/c", Action.READ) in seen.events
    assert FileEvent("workspace", "a/b/c", Action.CLOSED) in seen.events
    assert FileEvent("shm", "hidden", Action.WRITTEN) in seen.events


@confining
def test_mappings_and_open_files_are_found(tmp_path: Path) -> None:
    (tmp_path / "shard.bin").write_bytes(b"tokens" * 1000)
    code = (
        "import mmap, time\nf = open('/data/shard.bin')\nm = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\nf.close()"
    )

    held: set[str] = set()

    class Look(Seen):
        def tick(self, at: float) -> Stop | None:
            assert self.confined is not None
            held.update(holding(self.confined.pids(), "/data/"))
            return Stop.TRAINING if held else None

    seen = Look()
    run(Bubblewrap(), python(code + "\ntime.sleep(20)"), binds=(Bind(tmp_path, "/data"),), seen=seen)
    assert held == {"/data/shard.bin"}


@confining
def test_a_broken_setup_is_the_sandboxs_fault(tmp_path: Path) -> None:
    with pytest.raises(RunnerError, match="could not set up") as caught:
        run(Bubblewrap(), "true", binds=(Bind(tmp_path / "missing", "/in"),))
    assert caught.value.blame.value == "sandbox"


@confining
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_it_works_for_an_ordinary_user_too(tmp_path: Path) -> None:
    """A user without privileges gets the same walls from a user namespace."""

    interpreter = shutil.which("python3", path="/usr/bin")
    root = Path(__file__).parents[2]
    if interpreter is None or not _readable_by_all(root):
        pytest.skip("needs a system Python and a checkout that other users can read")
    words = ["setpriv", "--reuid=61002", "--regid=61002", "--clear-groups", interpreter, "-c", AS_USER, str(root)]
    done = subprocess.run(words, capture_output=True, text=True, cwd="/", check=False)
    assert done.stdout.splitlines() == ["1 []", "61001", "['made']"], done.stderr


AS_USER = """
import io, os, sys
sys.path.insert(0, sys.argv[1])
from harness.sandbox import Bubblewrap, Confinement, Limits, supervise

class Seen:
    def started(self, at, confined): self.confined = confined
    def line(self, at, text): self.lines.append(text)
    def file(self, at, event): pass
    def tick(self, at): return None
    def ended(self, at, confined): self.files = [p.name for p in confined.folder.iterdir() if p.name != "tmp"]

seen = Seen()
seen.lines = []
limits = Limits(wall_seconds=20, memory_bytes=1 << 30, disk_bytes=1 << 20)
script = "id -u; echo x > made; (sleep 99 &); unshare -Ur true 2>/dev/null && echo nested"
ending = supervise(Bubblewrap(), Confinement(("sh", "-c", script), limits), io.BytesIO(), seen)
print(ending.status, seen.confined.pids())
print(*seen.lines)
print(seen.files)
"""


def _readable_by_all(path: Path) -> bool:
    return all(parent.stat().st_mode & 0o005 == 0o005 for parent in (path, *path.parents))


@confining
def test_killing_waits_for_nobody_who_ignores_it() -> None:
    limits = Limits(wall_seconds=0.6, memory_bytes=1 << 30, disk_bytes=1 << 20)
    ending, _, _ = run(Bubblewrap(), "for i in $(seq 40); do (trap '' TERM; sleep 60) & done; wait", limits)
    assert ending.stopped is Stop.WALL
    assert ending.kill_seconds < 30  # they would sleep for 60
