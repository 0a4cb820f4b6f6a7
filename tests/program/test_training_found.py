"""Training that is found whatever hands its batches over, and whichever of its logs says how the script was run."""

from __future__ import annotations

import textwrap

import pytest

from checks.program.analyse import analyse, front
from checks.program.program import Program
from checks.rules.evaluation import phases
from checks.submission.model import Run, Score, Setting
from tests.program.test_followed import LOAD

TRAIN = """
import os, queue, threading
from collections import OrderedDict

{loader}

model = GPT()
opt = torch.optim.AdamW(model.parameters())
if not int(os.environ.get("EVAL_ONLY", "0")):
    batches = Batches("fineweb_train_*.bin")
    for step in range(1000):
        x, y = batches.next()
        model(x, y).backward()
        opt.step()
evaluate(model, load_cached("fineweb_val_*.bin"))
"""
QUEUE = """
SHARDS = {}

def load_cached(path):
    held = SHARDS.get(path)
    if held is not None:
        return held
    SHARDS[path] = load(path)
    return SHARDS[path]

class Batches:
    def __init__(self, pattern):
        self.pattern, self.ready = pattern, queue.Queue(maxsize=8)
        self.worker = threading.Thread(target=self.fill, daemon=True)
        self.worker.start()

    def fill(self):
        at = 0
        while True:
            row = load_cached(self.pattern)[at : at + 1025]
            self.ready.put((row[:-1], row[1:]))
            at += 1024

    def next(self):
        return self.ready.get()
"""
ORDERED = """
SHARDS = OrderedDict()

def load_cached(path):
    held = SHARDS.get(path)
    if held is not None:
        SHARDS.move_to_end(path)
        return held
    SHARDS[path] = load(path)
    return SHARDS[path]

class Batches:
    def __init__(self, pattern):
        self.pattern, self.at = pattern, 0

    def next(self):
        row = load_cached(self.pattern)[self.at : self.at + 1025]
        self.at += 1024
        return row[:-1], row[1:]
"""


def program(loader: str, configuration: dict[str, Setting] | None = None, runs: tuple[Run, ...] = ()) -> Program:
    text = LOAD + textwrap.dedent(TRAIN).replace("{loader}", loader)
    return analyse(front({"train_gpt.py": text.encode()}, "train_gpt.py"), configuration or {}, runs)


@pytest.mark.parametrize("loader", [QUEUE, ORDERED], ids=["queue", "ordered"])
def test_batches_are_of_the_shards_that_they_were_made_from(loader: str) -> None:
    found = program(loader)
    assert phases.training_end(found) is not None
    assert found.trace is not None
    assert {d.source for a in found.trace.adapts.values() for d in a.data} == {"train"}


def test_an_evaluation_by_itself_is_followed_back_to_the_training() -> None:
    score = Score("final", 9, 1.1, exact=True)
    evaluated = Run("eval.log", last_line=20, complete=True, val_bpb=1.1, scores=(score,))
    trained = Run("train.log", last_line=90, complete=True, val_bpb=1.1, scores=(score,), steps=1000)
    only = {"EVAL_ONLY": Setting("1", "eval.log:3", (), "0", "train_gpt.py:40")}
    assert phases.training_end(program(ORDERED, only, (evaluated,))) is None
    found = program(ORDERED, only, (evaluated, trained))
    assert phases.training_end(found) is not None and found.inferred == {"EVAL_ONLY": "0"}


@pytest.mark.parametrize("bar", ["tqdm(range(1, 4001), desc='Training')", "tqdm(iterable=range(4000))", "trange(4000)"])
def test_a_bar_of_progress_in_a_variable_is_the_loop_that_it_draws(bar: str) -> None:
    """A compile warm-up before such a loop is not where training ends."""
    text = LOAD + textwrap.dedent(f"""
        from tqdm import tqdm, trange

        model, batches = GPT(), load("fineweb_train_*.bin")
        opt, val = torch.optim.AdamW(model.parameters()), load("fineweb_val_*.bin")
        for _ in range(20):
            model(batches[:1024], batches[1:1025]).backward()
            opt.step()
        bar = {bar}
        for step in bar:
            if step % 500 == 0:
                evaluate(model, val)
            model(batches[:1024], batches[1:1025]).backward()
            opt.step()
        bar.close()
        evaluate(model, val)
        """)
    found = analyse(front({"train_gpt.py": text.encode()}, "train_gpt.py"), {})
    end = phases.training_end(found)
    assert end is not None and text.splitlines()[end[1].line - 1] == "for step in bar:"
    assert not phases.read_after(found, end[0])
