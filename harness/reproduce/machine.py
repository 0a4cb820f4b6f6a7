"""Checks the machine before anything runs.

GPUs, driver, NVLink, memory, disk, versions. GPU facts come from nvidia-ml-py.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from checks.rulebook import Rulebook
from harness.reproduce.plan import Plan
from harness.sandbox.processes import available_bytes

_PACKAGES = ("torch", "triton", "numpy", "sentencepiece", "zstandard", "nvidia-ml-py", "parameter-golf-harness")
_TOOL_SECONDS = 10
_WRITTEN_PER_SEED = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """One GPU. ``nvlinks`` counts active links.

    ``memory_bytes`` is the total; ``busy`` lists pids of compute processes.
    """

    name: str
    uuid: str
    memory_bytes: int
    used_bytes: int
    nvlinks: int
    power_limit_watts: float
    busy: tuple[int, ...] = ()


@dataclass(frozen=True)
class Machine:
    """What a run ran on. ``problem`` says why the GPUs could not be asked."""

    hostname: str
    kernel: str
    cpu_count: int
    memory_bytes: int
    available_bytes: int
    free_disk_bytes: int
    driver: str
    cuda_driver: str
    gpus: tuple[Gpu, ...]
    python: str
    packages: Mapping[str, str]
    tools: Mapping[str, str]
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the facts as JSON values."""
        return asdict(self)


def read_machine(output: Path) -> Machine:
    """Ask the machine; ``output`` is a folder of the disk on which the bundle will be written."""
    gpus, driver, cuda, problem = _gpus()
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return Machine(
        hostname=platform.node(),
        kernel=platform.release(),
        cpu_count=os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        available_bytes=available_bytes(),
        free_disk_bytes=shutil.disk_usage(output).free,
        driver=driver,
        cuda_driver=cuda,
        gpus=gpus,
        python=platform.python_version(),
        packages=packages,
        tools={"bwrap": _version("bwrap"), "docker": _version("docker"), "sbatch": _version("sbatch")},
        problem=problem,
    )


def shortcomings(machine: Machine, plan: Plan, rulebook: Rulebook) -> tuple[list[str], list[str]]:
    """Return (what makes the plan impossible here, what the run cannot prove here)."""
    impossible: list[str] = []
    weaker: list[str] = []
    needed = len(plan.seeds) * _WRITTEN_PER_SEED
    if machine.free_disk_bytes < needed:
        impossible.append(f"{machine.free_disk_bytes >> 30} GiB of disk are free, {needed >> 30} GiB are needed")
    if machine.available_bytes < plan.memory_bytes // 2:
        impossible.append(f"only {machine.available_bytes >> 30} GiB of memory are free")
    if plan.gpus == 0:
        return impossible, ["on the CPU at toy scale: neither score, time nor size say anything of the submission"]
    if len(machine.gpus) < plan.gpus:
        found = machine.problem or f"{len(machine.gpus)} GPUs found"
        impossible.append(f"the plan needs {plan.gpus} GPUs: {found}; use --gpus N for fewer, or --rehearse")
        return impossible, weaker
    used = machine.gpus[: plan.gpus]
    wanted = str(rulebook.constants["gpu"])
    if busy := [gpu.uuid for gpu in used if gpu.busy]:
        impossible.append(f"other programs run on GPU {', '.join(busy)}: times measured beside them mean nothing")
    names = sorted({gpu.name for gpu in used})
    world = int(rulebook.constants["world_size"])
    if any(wanted not in name for name in names) or len(names) > 1:
        weaker.append(
            f"the rules ask for {world}x{wanted} SXM, this is {plan.gpus}x{' and '.join(names)}: "
            "no time limit can be shown"
        )
    elif plan.gpus == world and any("PCIE" in name.upper() or gpu.nvlinks == 0 for gpu in used for name in [gpu.name]):
        weaker.append(f"the GPUs have no NVLink: not {wanted} SXM, so no time limit can be shown")
    if plan.gpus != world:
        weaker.append(f"{plan.gpus} of {world} GPUs: the score can be shown, no time limit can")
    return impossible, weaker


def _gpus() -> tuple[tuple[Gpu, ...], str, str, str]:
    try:
        import pynvml
    except ImportError:
        return (), "", "", "nvidia-ml-py is not installed (pip install parameter-golf-harness[repro])"
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), "", "", f"no NVIDIA driver answers ({error})"
    try:
        driver = str(pynvml.nvmlSystemGetDriverVersion())
        cuda = pynvml.nvmlSystemGetCudaDriverVersion_v2()
        handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        return tuple(_gpu(pynvml, handle) for handle in handles), driver, f"{cuda // 1000}.{cuda % 1000 // 10}", ""
    except pynvml.NVMLError as error:
        return (), "", "", f"the NVIDIA driver failed to answer ({error})"
    finally:
        pynvml.nvmlShutdown()


def _gpu(pynvml: Any, handle: Any) -> Gpu:
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    links = 0
    for link in range(pynvml.NVML_NVLINK_MAX_LINKS):
        try:
            links += int(pynvml.nvmlDeviceGetNvLinkState(handle, link) == pynvml.NVML_FEATURE_ENABLED)
        except pynvml.NVMLError:
            break
    try:
        watts = pynvml.nvmlDeviceGetEnforcedPowerLimit(handle) / 1000
    except pynvml.NVMLError:
        watts = 0.0
    busy = tuple(int(process.pid) for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle))
    name, uuid = str(pynvml.nvmlDeviceGetName(handle)), str(pynvml.nvmlDeviceGetUUID(handle))
    return Gpu(name, uuid, int(memory.total), int(memory.used), links, watts, busy)


def _version(tool: str) -> str:
    if shutil.which(tool) is None:
        return ""
    try:
        done = subprocess.run([tool, "--version"], capture_output=True, text=True, timeout=_TOOL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return (done.stdout or done.stderr).strip().splitlines()[0][:100] if done.stdout or done.stderr else ""
