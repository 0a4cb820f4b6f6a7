"""Tokens that a loop takes one by one: the one at the counter and the one after it are two tokens."""

from __future__ import annotations

import textwrap

import pytest

from checks.program import order
from tests.program.test_followed import LOAD, analysed

SCORED = """
from collections import Counter, defaultdict

val = load("fineweb_val_*.bin")
model = GPT()
lp = torch.log_softmax(model.emb(val) @ model.emb.weight.T, -1)
counts, bits, last = defaultdict(Counter), 0.0, None
for t in range(1, len(val) - 1):
    cur, nxt = int(val[t]), int(val[t + 1])
    {before}
    q = counts[cur][nxt] / max(1, sum(counts[cur].values()))
    bits += -math.log2(0.7 * math.exp(float(lp[t][nxt])) + 0.3 * q)
    {after}
print(f"final val_bpb:{{bits / 100}}")
"""


def breaches(before: str, after: str = "pass") -> int:
    program = analysed(train=textwrap.dedent(LOAD) + SCORED.format(before=before, after=after))
    assert program.trace is not None and program.reports
    return len(order.breaches(program.trace, program.reports))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("counts[int(val[t - 1])][cur] += 1", "pass"),
        ("counts[last][cur] += 1; last = cur", "pass"),
        ("pass", "counts[cur][nxt] += 1"),
    ],
)
def test_table_of_the_tokens_before(before: str, after: str) -> None:
    assert not breaches(before, after)


@pytest.mark.parametrize(
    "before",
    ["counts[cur][nxt] += 1", "counts[cur][int(val[t + 1])] += 1", "counts[cur].update(val[t : t + 2].tolist())"],
)
def test_table_that_holds_the_token_itself(before: str) -> None:
    assert breaches(before)
