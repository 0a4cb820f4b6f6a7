"""Summaries leave the same trace as interpreting every call."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checks.program import parse
from checks.program.engine.interpreter import Interpreter
from checks.program.engine.summaries import Summaries
from checks.program.engine.values import Function, Value
from checks.program.trace import Trace

MODEL = """
import glob, torch, numpy as np
import torch.nn as nn
import torch.nn.functional as F

SCALE = 1.0

class Rotary(nn.Module):
    def __init__(self):
        super().__init__()
        self.cached = None
        self.length = 0
    def forward(self, x, length):
        if self.cached is None or self.length != length:
            angles = torch.arange(length) * 2.0
            self.cached = angles.cos() * SCALE
            self.length = length
        half = x.shape[-1] // 2
        a, b = x[..., :half], x[..., half:]
        return torch.cat((a * self.cached, b * self.cached), dim=-1)

class Block(nn.Module):
    later = 0
    def __init__(self, depth=0):
        super().__init__()
        self.scale = 1.0 / (depth + 1)
        self.rotary = Rotary()
        self.up = nn.Linear(8, 8)
        self.down = nn.Linear(8, 8)
    def forward(self, x, skips):
        skips.append(x)
        h = F.relu(self.up(x))
        h = self.rotary(h, x.shape[1])
        out = x + self.down(h) * self.scale + h[:, :-1].mean()
        if self.later:
            out = out + x.mean(dim=1, keepdim=True)
        return out, h

class Peek(Block):
    later = 1

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.blocks = nn.ModuleList([Block() for _ in range(6)])
        self.head = nn.Linear(8, 10)
    def logits(self, ids):
        skips = []
        x = self.embed(ids)
        for block in self.blocks:
            x, h = block(x, skips)
            x = x + h
        return self.head(x + skips[0])
    def forward(self, ids, targets):
        return F.cross_entropy(self.logits(ids), targets)

train = np.fromfile("fineweb_train_0.bin")
val = np.fromfile("fineweb_val_0.bin")
model = Model()
optimizer = torch.optim.AdamW(model.parameters())
step = 0
while step < 1000:
    for micro in range(4):
        lo = (step * 4 + micro) * 64
        loss = model(train[lo : lo + 64], train[lo + 1 : lo + 65])
        loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    step += 1
total = 0.0
for i in range(100):
    x, y = val[i * 64 : i * 64 + 64], val[i * 64 + 1 : i * 64 + 65]
    total += model(x, y).item()
    {adapt}
    loss = model(x, y)
    loss.backward()
    optimizer.step()
print(f"val_bpb: {{total / 100}}")
"""


def interpreted(text: str) -> tuple[Trace, int]:
    """The trace of a script, and how many steps were really taken."""
    machine = Interpreter({"RANK": "0"}, {"train.py": parse.parse(text).tree}, steps=10**6)
    machine.run("train.py")
    return machine.trace, machine.steps - (machine.step_limit - 10**6)


def shown(trace: Trace) -> list[object]:
    """Events in order, without the numbers of objects (which differ where calls are not repeated)."""
    scores = [(s.at, s.place, s.targets, s.state, s.loops, s.trained) for s in trace.scores.values()]
    reports = [(r.at, r.place, r.template, r.scores) for r in trace.reports]
    return [
        *scores,
        *trace.adapts.values(),
        *trace.calls,
        *reports,
        trace.executed,
        trace.loop_places,
        trace.loop_exits,
    ]


@pytest.mark.parametrize(
    ("layers", "adapt"),
    [
        ("[Block() for _ in range(6)]", "pass"),
        ("[Block() for _ in range(6)]", "optimizer.zero_grad()"),
        ("[\n        Block(),\n        Block(),\n        Block(),\n        Block()]", "pass"),
        ("[Block(i) for i in range(6)]", "pass"),
        ("[Block(), Peek(), Block(), Peek(), Block()]", "pass"),
        ("[Block(), Block(), *[Block()] * 3]", "model.blocks[1].up.weight.data.copy_(x)"),
    ],
)
def test_same_trace_in_fewer_steps(monkeypatch: pytest.MonkeyPatch, layers: str, adapt: str) -> None:
    """Layers, caches, lists that a call fills, training and adaptation: order, data and lines are the same.

    Whether layers are alike, were made at other lines or in a loop, hold other numbers, are one layer, or do not all
    carry what was adapted.
    """
    text = MODEL.replace("[Block() for _ in range(6)]", layers).format(adapt=adapt)
    tree = parse.parse(text).tree
    monkeypatch.setattr(parse, "parse", lambda _: type("Parsed", (), {"tree": tree}))  # loops are named by their node
    trace, taken = interpreted(text)

    def plain(
        self: Summaries, function: Function, args: list[Value], keywords: dict[str, Value],
        interpret: Callable[[list[Value], dict[str, Value]], Value],
    ) -> Value:  # fmt: skip
        return interpret(args, keywords)

    monkeypatch.setattr(Summaries, "summarised", plain)
    reference, steps = interpreted(text)
    assert reference.reports and len(reference.adapts) >= 2
    assert shown(trace) == shown(reference)
    assert taken < 0.8 * steps


def test_layers_of_one_class_are_one() -> None:
    """A call is recorded for one of the layers that hold the same, and replayed for the others."""

    def steps(count: int) -> int:
        layers = "[\n        " + "Block(), " * count + "]"
        return interpreted(MODEL.replace("[Block() for _ in range(6)]", layers).format(adapt="pass"))[1]

    assert steps(8) < 1.75 * steps(2)  # each one's making is interpreted


def test_a_changed_global_is_seen() -> None:
    """A call that reads a variable is not replayed after the variable was bound anew."""
    body = "    x = a + 1\n" * 12
    trace, _ = interpreted(
        "import numpy as np, torch.nn.functional as F\n"
        f"table = 0\ndef mix(a):\n{body}    return a + table\n"
        "val = np.fromfile('fineweb_val_0.bin')\n"
        "for i in range(3):\n    first = mix(1)\n"
        "table = val\nlast = mix(1)\nloss = F.cross_entropy(first, last)\nprint(f'val_bpb: {loss}')\n"
    )
    assert len(trace.reports) == 1
