"""Runs the toy submissions of ``tests/data/cheats`` through the real sandbox, clocks and judges, without torchrun."""

from __future__ import annotations

import math
import random
import struct
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

from checks import rulebook
from checks.submission.files import read_folder
from checks.submission.model import Submission
from checks.verdict import Finding
from harness.reproduce.caps import Caps
from harness.reproduce.data import prepare_view
from harness.reproduce.judging.facts import Reproduction
from harness.reproduce.judging.verdict import findings
from harness.reproduce.plan import REPLAY_MODES, Plan
from harness.reproduce.progress import Quiet
from harness.reproduce.record import SeedRecord
from harness.reproduce.seed import Workshop, run_seed
from harness.reproduce.subject import read_subject, stage
from harness.sandbox import Bubblewrap, Confinement, Provider, RunnerError, Unconfined
from harness.sandbox.bubblewrap import Confined

CHEATS = Path(__file__).parents[1] / "data" / "cheats"
CAPS = Caps(train=1.0, train_tolerated=1.02, train_fail=1.2, evaluate=3.0, evaluate_tolerated=3.1, untimed=0.7)
CAPS = replace(CAPS, setup=5.0, validation=0.3, export=5.0, grace=0.5)


class WithoutTorchrun(Bubblewrap):
    """The bubblewrap provider, with plain Python in place of torchrun, which takes seconds to start."""

    def start(self, confinement: Confinement) -> Confined:
        return super().start(replace(confinement, command=("python", confinement.command[-1])))


class OwnCode(Unconfined):
    """The same without isolation."""

    def start(self, confinement: Confinement):  # type: ignore[no-untyped-def]
        return super().start(replace(confinement, command=("python", confinement.command[-1])))


@dataclass(frozen=True)
class Seen:
    """A run and what is said of it."""

    plan: Plan
    record: SeedRecord
    folder: Path
    findings: dict[str, Finding]

    def status(self, rule: str) -> str:
        return self.findings[rule].status.value


def no_sandbox() -> str:
    """Return why bubblewrap does not work here, empty when it does."""
    from harness.reproduce.seed import require_isolation

    try:
        require_isolation(Bubblewrap())
    except RunnerError as error:
        return str(error)
    return ""


def streams() -> dict[str, list[int]]:
    """Return made-up tokens of two training shards and a validation shard."""
    dice = random.Random(0)
    weights = [1 / (n + 1) for n in range(64)]
    sizes = {"train_000000": 20_000, "train_000001": 20_000, "val_000000": 5_000}
    return {name: dice.choices(range(64), weights, k=count) for name, count in sizes.items()}


def honest_score() -> float:
    """Compute what an honest toy submission scores: bits per byte of unigram counts, two bytes a token."""
    made = streams()
    counts = Counter(made["train_000000"] + made["train_000001"])
    total = sum(counts.values()) + 64
    val = made["val_000000"]
    return -sum(math.log2((counts[token] + 1) / total) for token in val) / len(val) / 2.0


def make_data(root: Path) -> Path:
    """Write the shards."""
    folder = root / "datasets" / "fineweb10B_sp1024"
    folder.mkdir(parents=True)
    for name, stream in streams().items():
        count = len(stream)
        header = struct.pack("<256i", 20240520, 1, count, *[0] * 253)
        (folder / f"fineweb_{name}.bin").write_bytes(header + struct.pack(f"<{count}H", *stream))
    return root


def submission_of(name: str, folder: Path) -> Submission:
    """Make a record folder of a cheat."""
    folder.mkdir(parents=True)
    (folder / "train_gpt.py").write_bytes((CHEATS / f"{name}.py").read_bytes())
    (folder / "toy.py").write_bytes((CHEATS / "toy.py").read_bytes())
    (folder / "README.md").write_text(f"# {name}\n")
    (folder / "submission.json").write_text('{"author": "us", "name": "toy", "val_bpb": 2.0}')
    files, _ = read_folder(folder)
    return read_subject(Submission("records/track_10min_16mb/toy", "10min_16mb", files))


def run_cheat(
    name: str, base: Path, environment: dict[str, str] | None = None, provider: Provider | None = None
) -> Seen:
    """Run a cheat as if on the rules' own machine, with caps of a few seconds, and judge it."""
    submission = submission_of(name, base / "records" / name)
    code = base / "submission"
    digests = stage(submission, code)
    text = (CHEATS / f"{name}.py").read_text()
    plan = Plan(
        target=submission.path,
        script="train_gpt.py",
        files=digests,
        environment=environment or {},
        configuration_from={},
        seeds=(42,),
        gpus=8,
        nproc=8,
        rehearsal=False,
        replay=REPLAY_MODES["RUN_STAGES"] if "RUN_STAGES" in text else {},
        dataset="fineweb10B_sp1024",
        tokenizer=None,
        caps=CAPS,
        provider="bubblewrap",
        launcher="local",
        memory_bytes=1 << 30,
        disk_bytes=32 << 20,
        expected_seconds=1.0,
    )
    data = make_data(base / "data") if not (base / "data").exists() else base / "data"
    view = prepare_view(data, plan.dataset, plan.tokenizer, base / "state")
    folder = base / "seeds" / "42"
    record = run_seed(plan, 42, Workshop(provider or WithoutTorchrun(), view, code, folder), Quiet())
    case = Reproduction(plan, (record,), submission, rulebook.load())
    return Seen(plan, record, folder, {finding.rule: finding for finding in findings(case)})
