"""Files that a script tells apart by their names, and models that it wraps."""

from __future__ import annotations

import pytest

from checks.program.program import Program
from tests.program.test_followed import LOAD, analysed

LISTED = """
from pathlib import Path

def read(path):
    return torch.from_numpy(np.fromfile(path, dtype="<u2"))

train, val = [], []
for p in sorted(Path("data").glob("*.bin")):
    {split}
if not val and len(train) > 1:
    val = [train.pop(0)]
evaluate(GPT(), torch.cat([read(f) for f in val]))
"""
SPLITS = {
    "expression": '(val if "val" in p.name else train).append(str(p))',
    "branch": 'if "_val_" in p.name:\n        val.append(p)\n    else:\n        train.append(p)',
    "guard": 'if not p.name.startswith("fineweb_val"):\n        train.append(p)\n        continue\n    val.append(p)',
}
FILTERED = """
names = sorted(glob.glob("data/*.bin"))
val = [n for n in names if "fineweb_val_" in n]
evaluate(GPT(), torch.from_numpy(np.concatenate([np.fromfile(n, dtype="<u2") for n in val])))
"""
OTHER = """
names = sorted(glob.glob("data/*.bin"))
val = [n for n in names if "fineweb_train_" in n]
evaluate(GPT(), torch.from_numpy(np.concatenate([np.fromfile(n, dtype="<u2") for n in val])))
"""
WRAPPED = """
from torch.nn.parallel import DistributedDataParallel as DDP
model = {wrap}
evaluate(model{inner}, load("fineweb_val_*.bin"))
"""


def scored(program: Program) -> set[str]:
    """The splits that the report's scores are of."""
    trace = program.trace
    assert trace is not None and trace.reports
    return {d.source for i in trace.reports[-1].scores for d in trace.scores[i].targets}


@pytest.mark.parametrize("split", SPLITS)
def test_a_loop_that_sorts_files_by_name(split: str) -> None:
    """A list that got files of a split is not empty: the run had its data."""
    assert scored(analysed(train=LOAD + LISTED.format(split=SPLITS[split]))) == {"val"}


def test_a_filter_on_names() -> None:
    """The filter says of which split the files are, whatever the list is called."""
    assert scored(analysed(train=LOAD + FILTERED)) == {"val"}
    assert scored(analysed(train=LOAD + OTHER)) == {"train"}


@pytest.mark.parametrize(
    ("wrap", "inner"),
    [
        ("DDP(GPT())", ".module"),
        ("torch.compile(GPT())", "._orig_mod"),
        ("DDP(torch.compile(GPT()))", ".module._orig_mod"),
    ],
)
def test_a_wrapped_model_is_the_model(wrap: str, inner: str) -> None:
    """What DDP and torch.compile wrap is read through ``.module`` and ``._orig_mod``."""
    assert scored(analysed(train=LOAD + WRAPPED.format(wrap=wrap, inner=inner))) == {"val"}


def test_a_model_with_adapters() -> None:
    """PEFT puts adapters into the model that it is given."""
    text = 'import peft\nevaluate(peft.get_peft_model(GPT(), None), load("fineweb_val_*.bin"))\n'
    assert scored(analysed(train=LOAD + text)) == {"val"}
