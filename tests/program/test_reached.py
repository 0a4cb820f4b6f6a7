"""Settings under which a statement runs that a log proves to have run."""

from __future__ import annotations

import ast

from checks.program.branches import settings_that_reach
from checks.program.program import EnvConstant

SCRIPT = """
import os
only = os.environ.get("EVAL_ONLY", "0") == "1"
if (not only) or os.environ.get("FORCE_SCORE", "0") == "1":
    print(f"final_exact val_bpb:{bpb}")
if only and os.environ.get("ALSO_TTT", "0") == "1":
    print(f"ttt_exact val_bpb:{bpb}")
"""


def reached(label: str) -> dict[str, str]:
    """The settings found for a label, where the run was one of ``EVAL_ONLY=1``."""
    names = ("EVAL_ONLY", "FORCE_SCORE", "ALSO_TTT")
    constants = [EnvConstant(name, "0", 1) for name in names]
    return settings_that_reach(ast.parse(SCRIPT), label, constants, {"EVAL_ONLY": "1"})


def test_one_of_two_conditions_is_enough() -> None:
    """Of two ways to a statement the last is taken: it was added to let the statement run."""
    assert reached("final_exact") == {"FORCE_SCORE": "1"}


def test_both_conditions_are_needed() -> None:
    """``and`` needs both; a name that no setting has needs nothing."""
    assert reached("ttt_exact") == {"ALSO_TTT": "1"}
