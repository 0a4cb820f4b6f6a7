"""Text that only a picture shows is no report: the last text that is printed is the headline."""

from __future__ import annotations

import textwrap

import pytest

from tests.program.test_followed import LOAD, analysed

SHOWN = """
import matplotlib.pyplot as plt

val = load("fineweb_val_*.bin")
bpb = GPT()(val[:-1], val[1:]) / math.log(2.0)
history = [bpb]

def draw():
    fig, ax = plt.subplots()
    lines = []
    if history:
        lines.append(f"best val_bpb {{min(history):.4f}}")
    {call}
    fig.savefig("curve.png")

print(f"final val_bpb:{{bpb:.4f}}")
draw()
"""


def headline(call: str) -> list[str]:
    program = analysed(train=textwrap.dedent(LOAD) + SHOWN.format(call=call))
    return [r.template for r in program.reports]


@pytest.mark.parametrize(
    "call", ['ax.text(0.02, 0.98, "\\n".join(lines))', "plt.title(lines[0])", "ax.plot([1, 2], label=lines[0])"]
)
def test_text_of_a_plot_is_no_report(call: str) -> None:
    assert headline(call) == ["final val_bpb:{}"]


@pytest.mark.parametrize("call", ["print(lines[0])", "ax.text(0, 0, lines[0]); print(lines[0])"])
def test_text_that_is_printed_is_one(call: str) -> None:
    assert headline(call) == ["best val_bpb {}"]
