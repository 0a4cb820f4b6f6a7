"""Writes a SkyPilot task for a cloud machine; nothing is launched from here.

The task runs ``pgolf reproduce`` with the local launcher on the machine, so everything that holds there holds here.
JSON is YAML, so the file needs no YAML library and nothing of a submission can break out of a quoted string.
"""

from __future__ import annotations

import json
import shlex
from typing import Any

from harness.reproduce.bundle import PRIVATE
from harness.reproduce.launchers import Site
from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan
from harness.sandbox import Blame, RunnerError

REMOTE = "~/pgolf"


class SkyPilot:
    """The launcher that stops after writing ``state/skypilot.yaml``."""

    def run(self, plan: Plan, seeds: tuple[int, ...], site: Site, progress: Progress) -> None:
        """Write the task.

        Raises:
            RunnerError: always: it says how to launch the task (blame: user, who has to do so).
        """
        path = site.output / PRIVATE / "skypilot.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(render_task(task(plan, seeds, site)), encoding="utf-8")
        raise RunnerError(
            Blame.USER,
            f"the task is written, nothing was launched: sky launch -c pgolf {path}; then fetch {REMOTE}/output "
            f"(rsync -a pgolf:pgolf/output/ {site.output}/) and check it with pgolf reproduce --verify {site.output}",
        )


def task(plan: Plan, seeds: tuple[int, ...], site: Site) -> dict[str, Any]:
    """Return the task (https://docs.skypilot.co/en/latest/reference/yaml-spec.html)."""
    words = [
        "pgolf",
        "reproduce",
        f"{REMOTE}/submission",
        "--seeds",
        ",".join(map(str, seeds)),
        "--gpus",
        str(plan.gpus),
    ]
    words += ["--data", f"{REMOTE}/data", "--output", f"{REMOTE}/output", "--progress", "log"]
    for name, value in sorted(plan.environment.items()):
        words += ["--env", f"{name}={value}"]
    run = " ".join(word if word.startswith(REMOTE) else shlex.quote(word) for word in words)
    return {
        "name": f"pgolf-{plan.digest[:8]}",
        "resources": {"accelerators": f"H100:{plan.gpus}", "disk_size": 256, "use_spot": False},
        "num_nodes": 1,
        "workdir": None,
        "file_mounts": {f"{REMOTE}/submission": str(site.output / "submission")},
        "setup": (
            "sudo apt-get update -q && sudo apt-get install -y -q bubblewrap\n"
            "pip install 'parameter-golf-harness[repro]'\n"
            f"pgolf data --output {REMOTE}/data\n"
        ),
        "run": run + "\n",
    }


def render_task(found: dict[str, Any]) -> str:
    """Return the task as YAML; keys without a value are left out.

    Raises:
        ValueError: the task lacks a key, or a value is of the wrong kind.
    """
    kept = {key: value for key, value in found.items() if value is not None}
    validate(kept)
    head = "# Written by pgolf reproduce. Launch: sky launch -c pgolf THIS_FILE\n"
    return head + "".join(f"{key}: {json.dumps(value)}\n" for key, value in kept.items())


def validate(found: dict[str, Any]) -> None:
    """Check a task against the part of SkyPilot's schema that is used here.

    Raises:
        ValueError: the task lacks a key, has an unknown one, or a value is of the wrong kind.
    """
    kinds: dict[str, type] = {
        "name": str,
        "resources": dict,
        "num_nodes": int,
        "workdir": str,
        "file_mounts": dict,
        "setup": str,
        "run": str,
    }
    for key, value in found.items():
        if key not in kinds:
            raise ValueError(f"SkyPilot knows no key {key!r}")
        if not isinstance(value, kinds[key]):
            raise ValueError(f"{key} must be {kinds[key].__name__}")
    if missing := {"resources", "run"} - set(found):
        raise ValueError(f"the task lacks {', '.join(sorted(missing))}")
    name, _, count = str(found["resources"].get("accelerators", "")).partition(":")
    if not name or not count.isdigit() or int(count) < 1:
        raise ValueError("resources.accelerators must be NAME:COUNT")
