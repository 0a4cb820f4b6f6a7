"""The claim is judged in the script that prints it: an evaluation beside the training's script."""

from __future__ import annotations

import textwrap

import pytest

from checks.program.analyse import analyse, front
from checks.program.printing import evaluation_beside
from checks.submission.logs import read_log
from checks.submission.model import Run
from tests.program.test_followed import LOAD

TRAIN = (
    LOAD
    + """
def build(vocab):
    return GPT()

if __name__ == "__main__":
    val = load("fineweb_val_*.bin")
    bpb = GPT()(val[:4096], val[1:4097]) / math.log(2.0)
    print(f"{tag} val_bpb:{bpb:.4f}")
"""
)
EVAL = """
import math, os, torch
from {module} import build, load

STEPS = int(os.environ.get("STEPS", "0"))
val = load("fineweb_val_*.bin")
bpb = build(1024)(val[:-1], val[1:]) / math.log(2.0)
print(f"  slides-{STEPS} bpb (whole set): {bpb:.4f}")
"""
TRAINED = "step:100/100 train_loss:2.1 train_time:590000ms step_avg:50ms\nfinal val_bpb:1.2146\n"
EVALUATED = "slides-0 bpb (whole set): 1.1854\n"


def beside(tag: str = "final", evaluated: str = EVALUATED, claim: float = 1.1854, **more: str) -> str | None:
    scripts = {"train_gpt.py": TRAIN.replace("{tag}", tag), "eval.py": EVAL.replace("{module}", "train_gpt")} | more
    code = {path: textwrap.dedent(text).encode() for path, text in scripts.items()}
    logs = {"train.log": TRAINED, "eval.log": evaluated}
    runs: list[Run] = [r for path, text in logs.items() for r in read_log(path, text.encode(), code)]
    return evaluation_beside(code, front(code, "train_gpt.py"), runs, [claim])


def test_script_that_alone_prints_the_claimed_number() -> None:
    assert beside() == "eval.py"


@pytest.mark.parametrize(
    "case",
    [
        {"claim": 1.2146},  # what the training's script prints
        {"tag": "{name}"},  # any label may come from there
        {"tag": "slides-{n} bpb (whole set): {bpb} again"},
        {"evaluated": "slides-0 bpb (whole set): 1.3000\n"},  # no log shows the claim
        {"other.py": EVAL.replace("{module}", "train_gpt")},  # one of two
        {
            "eval.py": 'import subprocess\nsubprocess.run(["python", "train_gpt.py"])\n'
            + EVAL.replace("{module}", "train_gpt")
        },  # starts the other
    ],
)
def test_headline_script_stays(case: dict[str, str]) -> None:
    assert beside(**case) is None  # type: ignore[arg-type]


def test_module_by_a_former_name_is_followed() -> None:
    scripts = {"train_gpt.py": TRAIN.replace("{tag}", "final"), "eval.py": EVAL.replace("{module}", "train_v3")}
    code = {path: textwrap.dedent(text).encode() for path, text in scripts.items()}
    program = analyse(front(code, "eval.py"), {})
    (report,) = program.reports
    assert report.template.strip() == "slides-0 bpb (whole set): {}"
    assert program.evidence(report.place, "").file == "eval.py"
    score = program.trace.scores[min(report.scores)] if program.trace else None
    assert score is not None and program.evidence(score.place, "").file == "train_gpt.py"


def test_module_that_defines_less_is_another() -> None:
    scripts = {"train_gpt.py": TRAIN.replace("{tag}", "final"), "eval.py": EVAL.replace("{module}", "train_v3")}
    scripts["train_gpt.py"] = scripts["train_gpt.py"].replace("def build", "def make")
    code = {path: textwrap.dedent(text).encode() for path, text in scripts.items()}
    assert "train_v3.py" not in front(code, "eval.py").scripts
