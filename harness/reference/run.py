"""Start the reference submission as a user would: its script, in a folder of its own, one process or torchrun."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from harness.data import BUNDLED_SAMPLE, DataRoot
from harness.errors import UsageFault
from harness.reference import REFERENCE_FOLDER, TOY


def environment(data: DataRoot, *, toy: bool, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables of a run: this process's, those of the data, the toy preset where asked, then ``settings``."""
    values = {**os.environ, **data.environment(), **(TOY if toy else {}), **settings}
    values.setdefault("OMP_NUM_THREADS", "1" if toy else str(os.cpu_count() or 1))
    return values


def command(nproc: int) -> list[str]:
    """The command line: python for one process, torchrun on this machine for more. Raises UsageFault."""
    if nproc not in (1, 2, 4, 8):
        raise UsageFault(f"--nproc {nproc} does not divide 8: use 1, 2, 4 or 8")
    script = str(REFERENCE_FOLDER / "train_gpt.py")
    if nproc == 1:
        return [sys.executable, script]
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={nproc}", script]


def run_stages(
    stages: str,
    output: Path,
    *,
    data: Path | None,
    toy: bool,
    nproc: int = 1,
    settings: Mapping[str, str] | None = None,
) -> int:
    """Run stages of the script with ``output`` as working folder, its output passed through; returns its exit status.

    Raises UsageFault where the data is not there.
    """
    root = BUNDLED_SAMPLE if data is None else DataRoot(data)
    if data is None and not toy:
        raise UsageFault("the bundled sample suits the toy preset alone: give --data ROOT, or --preset toy")
    if not root.dataset.is_dir():
        raise UsageFault(f"no shards at {root.dataset}: get them with `pgolf data fineweb` or `pgolf data sample`")
    output.mkdir(parents=True, exist_ok=True)
    values = environment(DataRoot(root.root.resolve()), toy=toy, settings={**(settings or {}), "RUN_STAGES": stages})
    return subprocess.run(command(nproc), cwd=output, env=values, check=False).returncode
