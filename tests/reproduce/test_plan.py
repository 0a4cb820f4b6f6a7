"""Planning and launching: effective configuration, GPUs, machine, container words, cloud task."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from checks import rulebook
from checks.submission.model import Setting, Submission
from harness.reproduce.launchers import Site
from harness.reproduce.launchers.skypilot import SkyPilot, render_task, task, validate
from harness.reproduce.machine import Gpu, Machine, read_machine, shortcomings
from harness.reproduce.plan import Plan, make_plan, plan_from_json, render_plan
from harness.reproduce.progress import Lines, describe
from harness.reproduce.subject import runnable
from harness.reproduce.timeline import Step
from harness.sandbox import Bind, Confinement, Limits, RunnerError
from harness.sandbox.container import create_words
from tests.reproduce.test_judging import PLAN

RULES = rulebook.load()
SCRIPT = b'import os\nx = os.environ.get("MAX_WALLCLOCK_SECONDS", "600")\nstages = os.environ.get("RUN_STAGES")\n'
SETTINGS = {
    "XSA_LAST_N": Setting("4", "README.md:12"),
    "NUM_LAYERS": Setting("11", "default train_gpt.py:3"),
    "SEED": Setting("7", "README.md:12"),
    "LD_PRELOAD": Setting("/tmp/evil.so", "README.md:12"),
    "PATH": Setting("/evil", "README.md:12"),
    "DATA_PATH": Setting("./data/datasets/fineweb10B_sp8192", "README.md:12"),
}


def plan(gpus: int = 8, script: bytes = SCRIPT, **more: object) -> Plan:
    submission = Submission("records/x", "10min_16mb", {}, script="train_gpt.py", configuration=SETTINGS)
    return make_plan(
        submission,
        {"train_gpt.py": script},
        {},
        RULES,
        seeds=(1, 2),
        gpus=gpus,
        rehearsal=False,
        provider="bubblewrap",
        launcher="local",
        memory_bytes=1 << 30,
        **more,  # type: ignore[arg-type]
    )


def test_the_submissions_own_configuration_is_used_and_ours_stays_ours() -> None:
    made = plan(overrides={"TTT_ENABLED": "0"})
    assert made.environment == {"XSA_LAST_N": "4", "TTT_ENABLED": "0"}
    assert made.dataset == "fineweb10B_sp8192"
    assert made.command() == ("torchrun", "--standalone", "--nproc_per_node=8", "/submission/train_gpt.py")


def test_logged_values_correct_the_command_only_where_they_can_be_run() -> None:
    written = {
        "TTT_ENABLED": Setting("1", "README.md:3"),
        "EMA_ENABLED": Setting("1", "default train_gpt.py:5"),
        "NUM_LAYERS": Setting("10", "default train_gpt.py:6"),
        "LATE_QAT": Setting("1", "README.md:3"),
        "OUT_DIR": Setting("", "default train_gpt.py:7"),
    }
    witnessed = {
        "TTT_ENABLED": Setting("True", "train.log:9"),
        "EMA_ENABLED": Setting("False", "train.log:9"),
        "NUM_LAYERS": Setting("12", "train.log:9"),
        "LATE_QAT": Setting("enabled", "train.log:9"),
        "OUT_DIR": Setting("/home/author/runs", "train.log:9"),
    }
    found = {name: setting.value for name, setting in runnable(written, witnessed).items()}
    assert found == {"TTT_ENABLED": "1", "EMA_ENABLED": "0", "NUM_LAYERS": "12", "LATE_QAT": "1", "OUT_DIR": ""}


def test_fewer_gpus_stretch_the_clocks() -> None:
    made = plan(gpus=2)
    assert made.environment["MAX_WALLCLOCK_SECONDS"] == "2400"
    assert (made.caps.train, made.caps.evaluate, made.nproc) == (2400.0, 2400.0, 2)
    assert any("never the time limits" in note for note in made.notes)


@pytest.mark.parametrize("gpus", [0, 3, 16])
def test_gpus_must_divide_eight(gpus: int) -> None:
    with pytest.raises(RunnerError, match="divide 8"):
        plan(gpus=gpus)


def test_a_script_without_a_mode_for_its_artifact_is_named() -> None:
    assert plan().replay == {"RUN_STAGES": "eval"}
    assert plan(script=b"pass").replay == {}
    assert any("refuted, not proven" in note for note in plan(script=b"pass").notes)


def test_plans_survive_their_json_and_differ_by_what_matters() -> None:
    made = plan()
    assert plan_from_json(made.to_json()) == made
    assert replace(made, seeds=(9,), launcher="slurm").digest == made.digest
    assert replace(made, environment={}).digest != made.digest


def test_the_printed_plan_says_the_cost_and_quotes_the_submission() -> None:
    text = render_plan(replace(PLAN, target="x\x1b[2J", environment={"A": "\n::error::"}))
    assert "GPU hours" in text and "\x1b" not in text and "\n::error::" not in text


GPU = Gpu("NVIDIA H100 80GB HBM3", "GPU-1", 80 << 30, 0, 18, 700.0)
MACHINE = Machine("h", "6", 64, 1 << 40, 1 << 40, 1 << 42, "570", "12.8", (GPU,) * 8, "3.11", {}, {})


@pytest.mark.parametrize(
    ("machine", "gpus", "impossible", "weaker"),
    [
        (MACHINE, 8, "", ""),
        (replace(MACHINE, gpus=(GPU,)), 8, "1 GPUs found", ""),
        (replace(MACHINE, gpus=(), problem="no driver"), 8, "no driver", ""),
        (replace(MACHINE, gpus=(GPU,)), 1, "", "1 of 8 GPUs"),
        (replace(MACHINE, gpus=(replace(GPU, name="NVIDIA A100"),) * 8), 8, "", "A100"),
        (replace(MACHINE, gpus=(replace(GPU, name="NVIDIA H100 PCIe", nvlinks=0),) * 8), 8, "", "no NVLink"),
        (replace(MACHINE, gpus=(replace(GPU, busy=(77,)),) * 8), 8, "other programs", ""),
        (replace(MACHINE, free_disk_bytes=1), 8, "disk", ""),
    ],
)
def test_machine(machine: Machine, gpus: int, impossible: str, weaker: str) -> None:
    cannot, less = shortcomings(machine, replace(PLAN, gpus=gpus), RULES)
    assert (impossible in " ".join(cannot)) if impossible else not cannot
    assert (weaker in " ".join(less)) if weaker else not less


def test_this_machine_can_be_read(tmp_path: Path) -> None:
    machine = read_machine(tmp_path)
    assert machine.cpu_count > 0 and machine.memory_bytes > machine.available_bytes > 0
    assert machine.gpus or machine.problem


def test_container_words() -> None:
    limits = Limits(wall_seconds=1, memory_bytes=1 << 30, disk_bytes=1, processes=10)
    confinement = Confinement(("torchrun", "x.py"), limits, (Bind(Path("/a"), "/data/a"),), {"SEED": "1"}, gpu=True)
    words = create_words(confinement, "pytorch:2.9", "pgolf-1", Path("/w"))
    text = " ".join(words)
    for part in (
        "--network none",
        "--read-only",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "--pids-limit 10",
        "--memory 1073741824",
        "type=bind,source=/a,target=/data/a,readonly",
        "type=bind,source=/w,target=/workspace",
        "--gpus all",
        "SEED=1",
    ):
        assert part in text, part
    assert words[-3:] == ["pytorch:2.9", "torchrun", "x.py"]
    assert not any(word.startswith("PATH=") for word in words)


def test_the_cloud_task_is_valid_yaml_and_nothing_is_launched(tmp_path: Path) -> None:
    yaml = pytest.importorskip("yaml")
    site = Site(tmp_path, tmp_path / "data", "bubblewrap")
    hostile = replace(PLAN, environment={"NAME": "$(reboot)\n- x: y"})
    found = yaml.safe_load(render_task(task(hostile, (1, 2), site)))
    assert found["resources"]["accelerators"] == "H100:8"
    assert "'NAME=$(reboot)\n- x: y'" in found["run"]
    with pytest.raises(RunnerError, match="nothing was launched"):
        SkyPilot().run(PLAN, (1,), site, Lines())
    assert (tmp_path / "state" / "skypilot.yaml").exists()


@pytest.mark.parametrize(
    "broken",
    [{"run": "x"}, {"run": "x", "resources": {}}, {"run": 1, "resources": {"accelerators": "H100:8"}}, {"zone": "x"}],
)
def test_a_wrong_cloud_task_is_refused(broken: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"lacks|must be|knows no"):
        validate(broken)


def test_progress_says_step_loss_score_time_and_end() -> None:
    text = describe(Step(10.0, 50, 100, 10.0, False, 2.5), 300.0, 600.0, 1.2)
    assert text == "step 50/100, loss 2.5000, val_bpb 1.2000, 300/600 s, training ends in 300 s"
