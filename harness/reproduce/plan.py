"""What will be run, decided before anything runs: printed first, written to the bundle, and the key of resuming."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from checks.rulebook import Rulebook
from checks.submission.model import Submission
from harness.reproduce.caps import Caps, rehearsal_caps, rule_caps
from harness.sandbox import Blame, RunnerError

REPLAY_MODES: Mapping[str, Mapping[str, str]] = {
    "RUN_STAGES": {"RUN_STAGES": "eval"},
    "EVAL_ARTIFACT": {"EVAL_ARTIFACT": "{artifact}"},
}
"""How a script can be asked to evaluate an artifact and not to train: the variable that it must read -> what is set.

The artifact stands read-only where training left it, relative to the working folder; ``{artifact}`` is its absolute
path.
"""

SCRIPT_FOLDER = "/submission"
_OURS = re.compile(
    r"SEED|DATA_PATH|DATA_DIR|TOKENIZER_PATH|RUN_ID|RUN_STAGES|EVAL_ARTIFACT|(?:LOCAL_|GROUP_|NODE_)?RANK|(?:LOCAL_)?WORLD_SIZE"
    r"|MASTER_\w+|PATH|HOME|TMPDIR|USER|LD_\w+|PYTHON\w*|TORCHINDUCTOR_CACHE_DIR|TRITON_CACHE_DIR|CUDA_VISIBLE_DEVICES"
    r"|NCCL_SOCKET_IFNAME"
)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,80}")
_GIB = 1 << 30


@dataclass(frozen=True)
class Plan:
    """A reproduction of one submission. ``environment`` is the submission's own effective configuration.

    ``nproc`` processes are started by torchrun; ``gpus`` is 0 on the CPU. ``replay``: the script can evaluate an
    artifact alone, so the score is taken again in a fresh sandbox that holds code, artifact and validation data only.
    """

    target: str
    script: str
    files: Mapping[str, str]
    environment: Mapping[str, str]
    configuration_from: Mapping[str, str]
    seeds: tuple[int, ...]
    gpus: int
    nproc: int
    rehearsal: bool
    replay: Mapping[str, str]
    dataset: str
    tokenizer: str | None
    caps: Caps
    provider: str
    launcher: str
    memory_bytes: int
    disk_bytes: int
    expected_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Identify what a finished seed was run with: two plans with one digest give interchangeable seeds."""
        left_out = ("seeds", "launcher", "expected_seconds", "notes", "memory_bytes")
        kept = {k: v for k, v in self.to_json().items() if k not in left_out}
        return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()

    def command(self) -> tuple[str, ...]:
        """Return the words that start a run."""
        return ("torchrun", "--standalone", f"--nproc_per_node={self.nproc}", f"{SCRIPT_FOLDER}/{self.script}")

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        data = asdict(self)
        data["seeds"] = list(self.seeds)
        data["notes"] = list(self.notes)
        return {"schema": "pgolf.plan/1", **data}


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Rebuild a plan.

    Raises:
        ValueError: the document is no plan.
    """
    if data.get("schema") != "pgolf.plan/1":
        raise ValueError("not a pgolf.plan/1 document")
    values = {k: v for k, v in data.items() if k in Plan.__dataclass_fields__}
    try:
        values |= {
            "caps": Caps(**values["caps"]),
            "seeds": tuple(values["seeds"]),
            "notes": tuple(values["notes"]),
        }
        return Plan(**values)
    except (KeyError, TypeError) as error:
        raise ValueError(f"plan document is incomplete: {error}") from error


def make_plan(
    submission: Submission,
    sources: Mapping[str, bytes],
    digests: Mapping[str, str],
    rulebook: Rulebook,
    *,
    seeds: tuple[int, ...],
    gpus: int,
    rehearsal: bool,
    provider: str,
    launcher: str,
    memory_bytes: int,
    overrides: Mapping[str, str] | None = None,
) -> Plan:
    """Plan a reproduction.

    Args:
        submission: what is to be run, with its effective configuration and claims.
        sources: script path -> bytes.
        digests: path -> sha256 of every staged file.
        rulebook: the caps and the number of GPUs.
        seeds: the runs.
        gpus: GPUs to use; must divide the rules' 8. Ignored when rehearsing.
        rehearsal: toy scale on the CPU with two processes.
        provider: name of the sandbox provider.
        launcher: name of the launcher.
        memory_bytes: memory that the runs may use.
        overrides: variables that the user sets besides the configuration.

    Raises:
        RunnerError: there is no script, or the number of GPUs is impossible.
    """
    if submission.script is None:
        raise RunnerError(Blame.SUBMISSION, "there is no training script to run")
    world = int(rulebook.constants["world_size"])
    if not rehearsal and (gpus < 1 or world % gpus):
        raise RunnerError(Blame.USER, f"--gpus must divide {world}: gradient accumulation keeps the mathematics then")
    text = sources[submission.script].decode("utf-8", "replace")
    chosen = {
        name: setting
        for name, setting in submission.configuration.items()
        if _NAME.fullmatch(name) and not _OURS.fullmatch(name) and not setting.from_.startswith("default")
    }
    environment = {name: setting.value for name, setting in chosen.items()} | dict(overrides or {})
    caps = rehearsal_caps() if rehearsal else rule_caps(rulebook, world / gpus)
    notes = []
    if not rehearsal and gpus != world:
        notes.append(
            f"{gpus} instead of {world} GPUs: gradient accumulation keeps the mathematics and the clocks are "
            f"stretched by {world / gpus:g}; such a run can test the score, never the time limits"
        )
        if "MAX_WALLCLOCK_SECONDS" in text:
            wallclock = _number(submission, environment, "MAX_WALLCLOCK_SECONDS", caps.train * gpus / world)
            environment["MAX_WALLCLOCK_SECONDS"] = f"{wallclock * world / gpus:g}"
    mode = next((name for name in REPLAY_MODES if f'"{name}"' in text or f"'{name}'" in text), None)
    replay = REPLAY_MODES[mode] if mode else {}
    if not replay:
        notes.append(
            f"the script reads none of {', '.join(REPLAY_MODES)}, so it cannot be evaluated from the artifact alone: "
            "that the score is the artifact's can then be refuted, not proven"
        )
    data = submission.configuration.get("DATA_PATH")
    tokenizer = submission.configuration.get("TOKENIZER_PATH")
    return Plan(
        target=submission.path,
        script=submission.script,
        files=dict(digests),
        environment=environment,
        configuration_from={name: setting.from_ for name, setting in chosen.items()},
        seeds=seeds,
        gpus=0 if rehearsal else gpus,
        nproc=2 if rehearsal else gpus,
        rehearsal=rehearsal,
        replay=replay,
        dataset=Path(data.value).name if data else "fineweb10B_sp1024",
        tokenizer=Path(tokenizer.value).name if tokenizer else "fineweb_1024_bpe.model",
        caps=caps,
        provider=provider,
        launcher=launcher,
        memory_bytes=memory_bytes,
        disk_bytes=(2 if rehearsal else 32) * _GIB,
        expected_seconds=_expected(submission, caps, replay, rehearsal),
        notes=tuple(notes),
    )


def with_seeds(plan: Plan, seeds: tuple[int, ...]) -> Plan:
    """Return the plan for other seeds."""
    return replace(plan, seeds=seeds)


def render_plan(plan: Plan) -> str:
    """Return the plan and its cost as text for the terminal; all values of the submission are quoted."""
    hours = plan.expected_seconds * len(plan.seeds) / 3600
    worst = plan.caps.whole_run * (2 if plan.replay else 1) * len(plan.seeds) / 3600
    settings = [
        f"{name}={value!r} ({plan.configuration_from.get(name, 'set here')})"
        for name, value in sorted(plan.environment.items())
    ]
    lines = [
        f"target      {plan.target!r}",
        f"script      {plan.script!r} ({len(plan.files)} files)",
        f"command     {' '.join(plan.command())}",
        f"settings    {', '.join(settings) or '(defaults)'}",
        f"data        {plan.dataset!r}, tokenizer {plan.tokenizer!r}",
        f"seeds       {', '.join(map(str, plan.seeds))}",
        f"isolation   {plan.provider}; launcher {plan.launcher}",
        f"clocks      training {plan.caps.train:g} s, evaluation {plan.caps.evaluate:g} s"
        + (", then a replay from the artifact" if plan.replay else ""),
        f"cost        about {hours:.2f} h"
        + (f" = {hours * plan.gpus:.1f} GPU hours" if plan.gpus else "")
        + f" (at most {worst:.2f} h before everything is stopped)",
    ]
    return "\n".join([*lines, *(f"note        {note}" for note in plan.notes)])


def _number(submission: Submission, environment: Mapping[str, str], name: str, default: float) -> float:
    setting = submission.configuration.get(name)
    try:
        return float(environment.get(name) or (setting.value if setting else default))
    except ValueError:
        return default


def _expected(submission: Submission, caps: Caps, replay: Mapping[str, str], rehearsal: bool) -> float:
    """Estimate a seed's wall time: measured evaluation times of the submission's logs, else the cap."""
    if rehearsal:
        return 40.0 * (2 if replay else 1)
    evaluated = [run.eval_seconds for run in submission.runs if run.eval_seconds]
    evaluation = max(evaluated, default=caps.evaluate)
    return 300.0 + caps.train + 60.0 + (2 if replay else 1) * evaluation
