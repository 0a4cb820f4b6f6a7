"""Settings under whose name the script prints what it computed from them, not the setting."""

from __future__ import annotations

import ast

import pytest

from checks.program.derived import with_derived
from checks.program.program import EnvConstant
from checks.submission.configuration import effective_configuration
from checks.submission.model import Run

PER_RANK = """
class Args:
    grad_accum_steps = int(os.environ.get("GRAD_ACCUM_STEPS", 8))

def per_rank(args, world):
    if args.grad_accum_steps % world:
        raise ValueError(f"GRAD_ACCUM_STEPS={args.grad_accum_steps} must be divisible by {world}")
    return args.grad_accum_steps // world

def main(args, world):
    grad_accum_steps = per_rank(args, world)
    print(f"world_size:{world} grad_accum_steps:{grad_accum_steps}")
"""


@pytest.mark.parametrize(
    ("script", "derived"),
    [
        (PER_RANK, True),
        (PER_RANK.replace("per_rank(args, world)\n    print", "args.grad_accum_steps // world\n    print"), True),
        (PER_RANK.replace("= per_rank(args, world)", "= args.grad_accum_steps"), False),
        (PER_RANK.replace("= per_rank(args, world)", "= int(args.grad_accum_steps)"), False),
        (PER_RANK.replace("{grad_accum_steps}", "{args.grad_accum_steps}"), False),
    ],
)
def test_a_computed_number_is_not_the_setting(script: str, derived: bool) -> None:
    (constant,) = with_derived(ast.parse(script), [EnvConstant("GRAD_ACCUM_STEPS", "8", 3)])
    assert constant.derived is derived
    run = Run("train.log", complete=True, settings={"GRAD_ACCUM_STEPS": "1"})
    found = effective_configuration([constant], (), (run,), {}, "train_gpt.py")["GRAD_ACCUM_STEPS"]
    assert found.value == ("8" if derived else "1")
