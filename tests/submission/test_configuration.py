"""Effective configuration: override > log > command > default, with the place of each and every conflict."""

from __future__ import annotations

import pytest

from checks.program.program import EnvConstant
from checks.submission.configuration import effective_configuration, same_value
from checks.submission.logs import read_log
from checks.submission.model import Run, RunCommand, Setting
from checks.submission.stated import stated
from checks.submission.told import told
from tests.submission import log_samples as sample

CONSTANTS = (
    EnvConstant("NUM_LAYERS", "10", 40),
    EnvConstant("TTT_ENABLED", "0", 41),
    EnvConstant("TTT_EPOCHS", "1", 42),
    EnvConstant("MAX_WALLCLOCK_SECONDS", "600.0", 43),
    EnvConstant("SEED", "1337", 44),
    EnvConstant("XSA_LAST_N", "0", 45),
)
COMMAND = RunCommand(
    "README.md",
    30,
    script="train_gpt.py",
    environment={"NUM_LAYERS": "12", "TTT_ENABLED": "1"},
    lines={"NUM_LAYERS": 29},
)


def resolve(
    commands: tuple[RunCommand, ...] = (), runs: tuple[Run, ...] = (), overrides: dict[str, str] | None = None
) -> dict[str, Setting]:
    return dict(effective_configuration(CONSTANTS, commands, runs, overrides or {}, "train_gpt.py"))


def runs_of(text: str) -> tuple[Run, ...]:
    return read_log("train.log", text.encode(), {})


def test_defaults_name_their_line() -> None:
    assert resolve()["NUM_LAYERS"] == Setting("10", "default train_gpt.py:40", (), "10", "train_gpt.py:40")


def test_command_beats_default() -> None:
    found = resolve((COMMAND,))
    assert (found["NUM_LAYERS"].value, found["NUM_LAYERS"].from_) == ("12", "README.md:29")
    assert found["TTT_ENABLED"].from_ == "README.md:30" and found["TTT_ENABLED"].default == "0"


def test_log_beats_command_and_the_conflict_is_kept() -> None:
    runs = runs_of(sample.PHASED.replace("ttt_enabled: True", "ttt_enabled: False"))
    setting = resolve((COMMAND,), runs)["TTT_ENABLED"]
    assert setting.value == "0" and setting.from_.startswith("train.log:")
    assert setting.conflicts == (("1", "README.md:30"),)


def test_override_beats_all() -> None:
    assert resolve((COMMAND,), (), {"NUM_LAYERS": "9"})["NUM_LAYERS"].value == "9"


def test_printed_values_are_spelled_as_the_environment_would() -> None:
    found = resolve((), runs_of(sample.PHASED))
    assert found["TTT_ENABLED"].value == "1" and found["MAX_WALLCLOCK_SECONDS"].value == "600.0"
    assert found["SEED"].value == "1234"


def test_settings_of_a_phase_and_mechanisms_at_work() -> None:
    text = sample.header() + sample.training() + sample.export() + sample.ROUNDTRIP + sample.ttt()
    found = resolve((), runs_of(text))
    assert found["TTT_EPOCHS"].value == "3" and found["TTT_EPOCHS"].from_.startswith("train.log:")
    assert found["TTT_ENABLED"].value == "1"
    assert found["XSA_LAST_N"].from_.startswith("default")


def test_only_complete_runs_count_when_there_is_one() -> None:
    cut = sample.PHASED.split("stopping_early")[0].replace("ttt_enabled: True", "ttt_enabled: False")
    runs = (*runs_of(cut), *runs_of(sample.PHASED))
    assert resolve((), runs)["TTT_ENABLED"].conflicts == ()
    assert resolve((), runs)["TTT_ENABLED"].value == "1"


def test_command_of_another_script_does_not_count() -> None:
    other = RunCommand("README.md", 5, script="train_old.py", environment={"NUM_LAYERS": "7"})
    assert resolve((other,))["NUM_LAYERS"].value == "10"


def test_a_launcher_passes_on_what_its_command_sets() -> None:
    launch = RunCommand("README.md", 5, script="launch.py", environment={"NUM_LAYERS": "7"})
    listed = RunCommand("README.md", 9, environment={"NUM_LAYERS": "8"})
    environment = (EnvConstant("NUM_LAYERS", "10", 3),)
    found = effective_configuration(environment, (launch, listed), (), {}, "train_gpt.py", {"launch.py"})
    assert found["NUM_LAYERS"].value == "7"
    assert effective_configuration(environment, (launch, listed), (), {}, "train_gpt.py")["NUM_LAYERS"].value == "8"


def test_variables_that_the_script_does_not_list_are_kept() -> None:
    command = RunCommand("README.md", 5, script="train_gpt.py", environment={"OMP_NUM_THREADS": "1"})
    assert resolve((command,))["OMP_NUM_THREADS"].value == "1"


def test_same_value() -> None:
    assert same_value("True", "1") and same_value("600.000", "600") and same_value("524_288", "524288")
    assert same_value("off", "0") and not same_value("0.1", "0.10001") and not same_value("zlib", "lzma")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Score-first TTT adapts the model on what was scored.", "1"),
        ("Score-first TTT adapts the model. Run with `TTT_ENABLED`: `1`.", "1"),
        ("Older launchers used TTT; the numbers above come from `TTT_ENABLED=0`.", "0"),
        ("TTT_ENABLED=0 here. Another section: TTT_ENABLED=1.", "1"),
        ("This is a run without TTT.", "0"),
    ],
)
def test_a_switch_that_the_readme_turns_on_or_names_as_off(text: str, value: str) -> None:
    assert told(CONSTANTS, resolve(), (), text, "README.md")["TTT_ENABLED"].value == value


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("evaluates a prefix-only path with `EVAL_MODE=ngram` and `SLOT_STEPS=8`.", {"EVAL_MODE": 3, "SLOT_STEPS": 3}),
        ("## Run\n\n- `SLOT_STEPS=8`\n- EVAL_MODE=ngram", {"SLOT_STEPS": 5, "EVAL_MODE": 6}),
        ("Set `EVAL_MODE=ngram` to enable the cache.", {}),
        ("Smoke settings:\n\n- `VAL_MAX_TOKENS=65536`", {}),
        ("## Ablations\n- `EVAL_MODE=ngram`", {}),
        ("| `EVAL_MODE=ngram` | 1.08 |", {}),
        ("```\nwith `EVAL_MODE=ngram`\n```", {}),
        ("Run with `EVAL_MODE=ngram`.\n\nTried with `EVAL_MODE=sliding`.", {}),
        ("`EVAL_MODE=ngram` is slower.", {}),
    ],
)
def test_settings_that_only_the_prose_names(text: str, found: dict[str, int]) -> None:
    rows = stated("# Example\n\n" + text)
    assert {name: line for name, (_, line) in rows.items()} == found
    environment = tuple(EnvConstant(name, "default", 1) for name in ("EVAL_MODE", "SLOT_STEPS", "VAL_MAX_TOKENS"))
    settings = effective_configuration(environment, (), (), {}, "train_gpt.py")
    resolved = told(environment, settings, (), "folder\n# Example\n\n" + text, "README.md")
    assert {name for name, s in resolved.items() if s.value != "default"} == set(found)
    command = RunCommand("README.md", 5, script="train_gpt.py", environment={"SEED": "1"})
    commanded = effective_configuration(environment, (command,), (), {}, "train_gpt.py")
    assert told(environment, commanded, (), "folder\n# Example\n\n" + text, "README.md") == commanded


@pytest.mark.parametrize(
    ("steps", "constants", "value"),
    [
        (
            "2.4316 1.5276",
            ("PPM_MIX_ENABLED",),
            "1",
        ),  # bytes per token differ within the run: a mixture made the scores
        (
            "2.7390 1.4131",
            ("PPM_MIX_ENABLED",),
            "0",
        ),  # one number of bytes per token: nothing speaks against the default
        ("2.4316 1.5276", ("PPM_MIX_ENABLED", "NGRAM_ENABLED"), "0"),  # it could have been either
    ],
)
def test_scores_that_are_not_the_losses_speak_against_a_default(
    steps: str, constants: tuple[str, ...], value: str
) -> None:
    loss, bpb = steps.split()
    log = (
        f"step:1000/20000 val_loss:{loss} val_bpb:{bpb} train_time:43747ms\n"
        "stopping_early: wallclock_cap train_time:599041ms step:4890/20000\n"
        "final_int8_zlib_roundtrip_exact val_loss:2.73898667 val_bpb:1.41305759\n"
    )
    runs = read_log("train.log", log.encode(), {})
    assert runs[0].complete
    environment = tuple(EnvConstant(name, "0", 1) for name in constants)
    settings = effective_configuration(environment, (), runs, {}, "train_gpt.py")
    text = "The score is that of the PPM mixture with an n-gram."
    assert told(environment, settings, runs, text, "README.md")["PPM_MIX_ENABLED"].value == value
