"""Modules that a script makes and fills itself, and the variables of modules as dicts."""

from __future__ import annotations

import textwrap

import pytest

from tests.program.test_followed import LOAD, analysed

MADE = """
import types

def online(model, val):
    nll = model(val[:-1], val[1:])
    return nll / math.log(2.0)

def runtime():
    module = types.ModuleType("runtime")
    {fill}
    return module

bpb = runtime().online(GPT(), load("fineweb_val_*.bin"))
print(f"online val_bpb:{{bpb:.4f}}")
"""


@pytest.mark.parametrize(
    "fill",
    [
        'setattr(module, "online", online)',
        "module.online = online",
        'module.__dict__["online"] = online',
        'vars(module).update({"online": online})',
        "module.__dict__.update(globals())",
        'for name in ["online", "offline"]:\n        if name in globals():\n            setattr(module, name, globals()[name])',
    ],
)
def test_function_of_a_module_that_is_filled_is_followed(fill: str) -> None:
    program = analysed(train=textwrap.dedent(LOAD) + MADE.format(fill=fill))
    assert [r.template for r in program.reports] == ["online val_bpb:{}"]


def test_module_without_the_function_reports_nothing() -> None:
    program = analysed(train=textwrap.dedent(LOAD) + MADE.format(fill='setattr(module, "other", online)'))
    assert not program.reports
