"""Settings under which a statement runs that a log proves to have run."""

from __future__ import annotations

import ast

from checks.program.branches import settings_that_reach
from checks.program.branches_said import settings_said
from checks.program.program import EnvConstant
from checks.submission.model import Run, RunCommand, Setting

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


MODES = """
import os
class Hyper:
    eval_stride = int(os.environ.get("EVAL_STRIDE", "64"))
    seq_len = int(os.environ.get("SEQ_LEN", "2048"))
args = Hyper()
if args.eval_stride > 0 and args.eval_stride < args.seq_len:
    print(f"final_eval_mode:sliding stride:{args.eval_stride}")
else:
    print("final_eval_mode:standard")
"""


def said(*lines: str, text: str = MODES, **given: Setting) -> dict[str, str]:
    """The settings that a complete run with these lines proves, with the defaults of the script."""
    configuration = {n: Setting(v, f"default t.py:{v}") for n, v in (("EVAL_STRIDE", "64"), ("SEQ_LEN", "2048"))}
    run = Run("a.log", complete=True, details={"said": dict.fromkeys(lines, 7)})
    return settings_said(ast.parse(text), {**configuration, **given}, (run,), (COMMAND,))


COMMAND = RunCommand("README.md", 9, environment={"EVAL_STRIDE": "0", "SEED": "1"})


def test_a_constant_line_of_one_branch_says_which_way_it_went() -> None:
    """The default would have taken the other branch: the run had the value of the author's other command."""
    assert said("final_eval_mode:standard") == {"EVAL_STRIDE": "0"}
    assert said() == {}


def test_a_constant_line_that_proves_nothing() -> None:
    """A value that a log gave, a text that stands twice, a setting that the script changes, a condition not known."""
    assert said("final_eval_mode:standard", EVAL_STRIDE=Setting("64", "a.log:3")) == {}
    assert said("final_eval_mode:standard", text=MODES + 'print("final_eval_mode:standard")\n') == {}
    assert said("final_eval_mode:standard", text=MODES + "args.eval_stride = 0\n") == {}
    assert said("final_eval_mode:standard", text=MODES.replace("args.eval_stride > 0", "ready()")) == {}
    huge = MODES.replace("> 0", f"> {10**400}")
    assert said("final_eval_mode:standard", text=huge) == {}
