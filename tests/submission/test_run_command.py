"""Run commands out of READMEs, shell scripts and submission.json, the headline's first."""

from __future__ import annotations

import json

import pytest

from checks.submission.model import RunCommand
from checks.submission.run_command import read_commands
from tests.submission.files import folder

SCRIPT = {"train_gpt.py": "x"}


def best(files: dict[str, str]) -> RunCommand:
    return read_commands(folder({**SCRIPT, **files}))[0]


def test_assignments_over_several_lines() -> None:
    readme = (
        "# Mine\n\n## Run Command\n\n```bash\nSEED=1 NUM_LAYERS=12 \\\nTTT_ENABLED=1 \\\n"
        "torchrun --standalone --nproc_per_node=8 train_gpt.py\n```\n"
    )
    command = best({"README.md": readme})
    assert dict(command.environment) == {"SEED": "1", "NUM_LAYERS": "12", "TTT_ENABLED": "1"}
    assert (command.script, command.launcher, command.nproc) == ("train_gpt.py", "torchrun", 8)
    assert (command.file, command.line) == ("README.md", 6)
    assert dict(command.lines) == {"SEED": 6, "NUM_LAYERS": 6, "TTT_ENABLED": 7}


def test_exports_hold_for_later_commands_and_name_their_lines() -> None:
    shell = (
        "#!/bin/bash\nset -e\nexport DATA_PATH=./data  # where\nexport QAT=1 SEED=${SEED:-42}\n"
        "torchrun --nproc-per-node 8 train_gpt.py 2>&1 | tee log.txt\n"
    )
    command = best({"run.sh": shell})
    assert dict(command.environment) == {"DATA_PATH": "./data", "QAT": "1", "SEED": "42"}
    assert command.lines["QAT"] == 4 and command.line == 5


def test_headline_before_ablations_data_preparation_and_single_gpu() -> None:
    readme = """# X
## Data
```bash
python3 data/cached_challenge_fineweb.py --variant sp1024
```
## Ablation without TTT
```bash
TTT_ENABLED=0 torchrun --nproc_per_node=8 train_gpt.py
```
## Smoke test
```bash
ITERATIONS=10 python train_gpt.py
```
## Reproduce
```bash
TTT_ENABLED=1 torchrun --standalone --nproc_per_node=8 train_gpt.py
```
"""
    commands = read_commands(folder({**SCRIPT, "README.md": readme}))
    assert commands[0].environment == {"TTT_ENABLED": "1"} and commands[0].line == 16
    assert len(commands) == 4 and commands[-1].script == "data/cached_challenge_fineweb.py"


def test_command_from_the_repository_root() -> None:
    readme = "```\ntorchrun --nproc_per_node=8 records/track_10min_16mb/2026-03-20_X/train_gpt.py\n```"
    assert best({"README.md": readme}).script == "train_gpt.py"


def test_inline_command() -> None:
    assert best({"README.md": "Run `SEED=7 torchrun --nproc_per_node=8 train_gpt.py` on 8xH100."}).environment == {
        "SEED": "7"
    }


def test_loops_leave_out_what_is_not_known() -> None:
    shell = "for S in 1 2 3; do\n  SEED=$S EMA=1 torchrun --nproc_per_node=8 train_gpt.py\ndone\n"
    assert best({"run.sh": shell}).environment == {"EMA": "1"}


def test_submission_json_commands_and_environment() -> None:
    data = {"val_bpb": 1.1, "run_command": "SEED=3 torchrun --nproc_per_node=8 train_gpt.py"}
    assert best({"submission.json": json.dumps(data)}).environment == {"SEED": "3"}
    listed = best({"submission.json": json.dumps({"env": {"TTT_ENABLED": 1, "note": "x"}})})
    assert listed.environment == {"TTT_ENABLED": "1"} and listed.script is None


@pytest.mark.parametrize(
    "text", ["'" * 9999, "torchrun", "```\n" * 500, "SEED=$(rm -rf /) torchrun train_gpt.py", "\\\n" * 3000, "`" * 5000]
)
def test_hostile_text_is_no_crash(text: str) -> None:
    for command in read_commands(folder({**SCRIPT, "README.md": text, "a.sh": text, "submission.json": text})):
        assert "SEED" not in command.environment


def test_shared_environment_placeholders_and_substitutions() -> None:
    loop = "for SEED in 42 7; do\n  env $COMMON SEED=$SEED torchrun --nproc_per_node=8 train_gpt.py | tee log\ndone\n"
    shell = 'COMMON="A=1 B=x|y \\\nC=3"\n' + loop
    assert best({"run.sh": shell}).environment == {"COMMON": "A=1 B=x|y  C=3", "A": "1", "B": "x|y", "C": "3"}
    readme = "```\nSEED=<42|1337> T=$(find . -name a | head -1) \\\nEMA=1 torchrun --nproc_per_node=8 train_gpt.py\n```"
    assert best({"README.md": readme}).environment == {"EMA": "1"}


def test_options_after_the_script() -> None:
    readme = "# Run\n\n```bash\nSEED=1 python train_gpt.py --eval --lr=0.1 --stride 64 -q -1 | tee log\n```\n"
    command = best({"README.md": readme})
    assert dict(command.flags) == {"--eval": "", "--lr": "0.1", "--stride": "64", "-q": "-1"}
