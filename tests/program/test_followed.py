"""Forms of scripts that the engine follows to the score that they report."""

from __future__ import annotations

import textwrap

import pytest

from checks.program.analyse import analyse, front
from checks.program.engine.labels import Flag
from checks.program.program import Program
from checks.submission.model import RunCommand, Setting

LOAD = """
import glob, sys, math, importlib
import numpy as np, torch
import torch.nn.functional as F
from torch import nn

def load(pattern):
    return torch.from_numpy(np.concatenate([np.fromfile(f, dtype="<u2") for f in sorted(glob.glob(pattern))]))

class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(1024, 512)

    def forward(self, x, y):
        return F.cross_entropy(self.emb(x) @ self.emb.weight.T, y)

def evaluate(model, val):
    nll = 0.0
    for i in range(0, len(val) - 1, 1024):
        nll += model(val[i : i + 1024], val[i + 1 : i + 1025])
    print(f"final val_bpb:{nll / math.log(2.0)}")
"""
GUARD = """
SIZE = 8
val = load("fineweb_val_*.bin")
if SIZE != 1:
    {stop}
evaluate(GPT(), val)
"""
FILLED = """
def read(path):
    tokens = torch.empty(1000, dtype=torch.uint16)
    with open(path, "rb", buffering=0) as f:
        f.readinto(tokens.numpy())
    return tokens

evaluate(GPT(), torch.cat([read(f) for f in glob.glob("fineweb_val_*.bin")]))
"""
BY_NAME = """
module = importlib.import_module("models.small".strip())
evaluate(getattr(module, "create")(), load("fineweb_val_*.bin"))
"""
SMALL = """
import torch.nn.functional as F
from torch import nn

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(1024, 64)

    def forward(self, x, y):
        return F.cross_entropy(self.emb(x) @ self.emb.weight.T, y)

def create():
    return Small()
"""
MLX = """
import glob, math
import numpy as np
import mlx.core as mx
import mlx.nn as nn
import mlx.optimizers as optim
from mlx.utils import tree_flatten, tree_unflatten

def load(pattern):
    return np.concatenate([np.fromfile(f, dtype="<u2") for f in sorted(glob.glob(pattern))])

class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(1024, 512)

    def loss(self, x, y):
        h = self.emb(x)[None, None]
        h = mx.fast.scaled_dot_product_attention(h, h, h, scale=1.0, mask={mask})[0, 0]
        return nn.losses.cross_entropy(h @ self.emb.weight.T, y)

class Split:
    def __init__(self):
        self.adam = optim.Adam(learning_rate=1e-3)

    def step(self, model, grads):
        params, flat = dict(tree_flatten(model.parameters())), dict(tree_flatten(grads))
        new = dict(params)
        new.update(self.adam.apply_gradients(flat, params))
        model.update(tree_unflatten(list(new.items())))

model, opt = GPT(), {optimizer}
loss = mx.compile(lambda x, y: model.loss(x, y), inputs=model.state, outputs=model.state)
both = mx.compile(nn.value_and_grad(model, lambda x, y: model.loss(x, y)))
train, val = load("fineweb_train_*.bin"), load("fineweb_val_*.bin")
for i in range(100):
    value, grads = both(mx.array(train[i * 1024 : i * 1024 + 1024]), mx.array(train[i * 1024 + 1 : i * 1024 + 1025]))
    opt.{step}(model, grads)
nll = 0.0
for i in range(0, val.size - 1, 1024):
    nll += float(loss(mx.array(val[i : i + 1024]), mx.array(val[i + 1 : i + 1025])).item())
print(f"val_bpb:{{nll / math.log(2.0)}}")
"""


def analysed(**files: str) -> Program:
    """The program of a headline script ``train`` and the modules beside it, by dotted name with ``__``."""
    data = {f"{name.replace('__', '/')}.py": textwrap.dedent(text).encode() for name, text in files.items()}
    return analyse(front(data, "train.py"), {})


def scored(program: Program) -> bool:
    """Whether the headline is a score of validation tokens."""
    assert program.trace is not None
    ids = {i for r in program.reports for i in r.scores}
    return any(d.source == "val" for i in ids for d in program.trace.scores[i].targets)


@pytest.mark.parametrize("stop", ["raise ValueError('one process only')", "sys.exit(1)", "print('no'); sys.exit('no')"])
def test_a_guard_that_stops_the_script_is_taken_as_passed(stop: str) -> None:
    assert scored(analysed(train=LOAD + GUARD.format(stop=stop)))


def test_a_buffer_that_a_file_fills() -> None:
    assert scored(analysed(train=LOAD + FILLED))


def test_a_module_of_the_folder_imported_by_name() -> None:
    assert scored(analysed(train="import models.small\n" + LOAD + BY_NAME, models__small=SMALL))


@pytest.mark.parametrize(("optimizer", "step"), [("Split()", "step"), ("optim.Adam(learning_rate=1e-3)", "update")])
def test_mlx_trains_and_scores(optimizer: str, step: str) -> None:
    program = analysed(train=MLX.format(optimizer=optimizer, step=step, mask="'causal'"))
    assert program.trace is not None
    assert scored(program)
    steps = [a for a in program.trace.adapts.values() if a.kind == "gradient"]
    assert steps
    assert all(d.source == "train" for a in steps for d in a.data)
    scores = [program.trace.scores[i] for r in program.reports for i in r.scores]
    assert {a.ident for a in steps} & {i for s in scores for i in s.state}


@pytest.mark.parametrize(
    ("mask", "acausal"), [("'causal'", False), ("None", True), ("mx.triu(mx.ones(8), k=1)", False)]
)
def test_mlx_attention_names_its_mask(mask: str, acausal: bool) -> None:
    program = analysed(train=MLX.format(optimizer="optim.Adam(learning_rate=1e-3)", step="update", mask=mask))
    assert program.trace is not None
    used = {x for r in program.reports for i in r.scores for x in program.trace.scores[i].used}
    assert any(isinstance(x, Flag) and x.name == "acausal" for x in used) is acausal


@pytest.mark.parametrize(
    "name",
    [
        "os.path.join(folder, 'fineweb_val_*.bin')",
        "f'{folder}/fineweb_val_*.bin'",
        "str(Path(folder) / 'fineweb_val_0.bin')",
    ],
)
def test_the_file_of_a_path_names_the_split_not_its_folders(name: str) -> None:
    text = "import os\nfrom pathlib import Path\nfolder = os.environ.get('DATA', '/data/fineweb_train')\n"
    program = analysed(train=LOAD + text + f"evaluate(GPT(), load({name}))\n")
    assert program.trace is not None
    assert {d.source for s in program.trace.scores.values() for d in s.targets} == {"val"}


PREFETCH = """
from concurrent.futures import ThreadPoolExecutor

class Loader:
    def __init__(self, files):
        self.tokens, self.pool, self.queue = load(files), ThreadPoolExecutor(max_workers=1), []

    def prepare(self, i):
        return self.tokens[i * 1024 : (i + 1) * 1024], self.tokens[i * 1024 + 1 : (i + 1) * 1024 + 1]

    def batch(self, i):
        {batch}

model, loader = GPT(), Loader("fineweb_train_*.bin")
opt = torch.optim.AdamW(model.parameters())
for i in range(100):
    x, y = loader.batch(i)
    model(x, y).backward()
    opt.step()
evaluate(model, load("fineweb_val_*.bin"))
"""


@pytest.mark.parametrize(
    "batch",
    [
        "return self.pool.submit(self.prepare, i).result()",
        "self.queue.append(self.pool.submit(self.prepare, i)); return self.queue.pop(0).result()",
        "return self.pool.submit(lambda: self.prepare(i)).result(timeout=5)",
    ],
)
def test_batches_that_a_thread_prepares(batch: str) -> None:
    program = analysed(train=LOAD + PREFETCH.format(batch=batch))
    assert program.trace is not None and scored(program)
    steps = [a for a in program.trace.adapts.values() if a.kind == "gradient"]
    assert steps and all(d.source == "train" for a in steps for d in a.data)


FIELDS = """
from dataclasses import dataclass, field

@dataclass
class Data:
    pattern: str = field(default_factory=lambda: "fineweb_val_*.bin")

@dataclass
class Config:
    eval: Data = field(default_factory=Data)
    limit: int = field(default=0)

config = Config()
val = load(config.eval.pattern)
evaluate(GPT(), val[: config.limit] if config.limit else val)
"""


def test_fields_of_a_dataclass_are_made_by_their_factories() -> None:
    program = analysed(train=LOAD + FIELDS)
    assert scored(program)
    assert not program.not_understood  # a field that is called eval runs no code


RESTORED = """
def restore(state, saved):
    out = {}
    for name, weight in state.items():
        if name in saved:
            out[name] = saved[name].to(weight.dtype)
            continue
        raise KeyError(name)
    return out

model = GPT()
opt = torch.optim.AdamW(model.parameters())
train = load("fineweb_train_*.bin")
for i in range(100):
    model(train[i * 1024 : i * 1024 + 1024], train[i * 1024 + 1 : i * 1024 + 1025]).backward()
    opt.step()
torch.save(model.state_dict(), "final_model.pt")
back = GPT()
back.load_state_dict(restore(model.state_dict(), torch.load("final_model.pt")))
evaluate(back, load("fineweb_val_*.bin"))
"""


def test_an_error_after_a_branch_that_goes_on_ends_no_loop() -> None:
    program = analysed(train=LOAD + RESTORED)
    assert program.trace is not None
    used = {x for r in program.reports for i in r.scores for x in program.trace.scores[i].used}
    assert any(isinstance(x, Flag) and x.name == "artifact" for x in used)


SHORT = """
val = load("fineweb_val_*.bin")
rows = val.numel() - 1
if rows <= 2048:
    val = load("fineweb_train_*.bin")
evaluate(GPT(), val)
"""


def test_the_split_is_longer_than_a_row() -> None:
    program = analysed(train=LOAD + SHORT)
    assert program.trace is not None
    assert {d.source for s in program.trace.scores.values() for d in s.targets} == {"val"}


CROSS = """
class Cross(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.kv = nn.Linear(512, 512), nn.Linear(512, 1024)

    def forward(self, x, memory):
        k, v = self.kv(memory).chunk(2, dim=-1)
        return F.scaled_dot_product_attention(self.q(x), k, v)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb, self.coarse, self.cross = nn.Embedding(1024, 512), nn.Linear(512, 512), Cross()

    def forward(self, x, y):
        h = self.emb(x)
        return F.cross_entropy(self.cross(h, {memory}) @ self.emb.weight.T, y)

evaluate(Model(), load("fineweb_val_*.bin"))
"""


@pytest.mark.parametrize(
    ("memory", "flag"), [("h", "acausal"), ("self.coarse(h)[:, ::8].roll(1, 1)", "acausal-memory")]
)
def test_attention_to_another_sequence_is_not_attention_to_later_positions(memory: str, flag: str) -> None:
    program = analysed(train=LOAD + CROSS.format(memory=memory))
    assert program.trace is not None
    used = {x for r in program.reports for i in r.scores for x in program.trace.scores[i].used}
    assert {x.name for x in used if isinstance(x, Flag) and x.name.startswith("acausal")} == {flag}


OPTIONS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--eval", action="store_true")
parser.add_argument("--files", type=str, default="fineweb_train_*.bin")
parser.add_argument("--whole", dest="whole", action="store_true", default=True)
parser.add_argument("--part", dest="whole", action="store_false")
args = parser.parse_args()
if args.eval and args.whole:
    evaluate(GPT(), load(args.files))
elif args.eval:
    evaluate(GPT(), load("fineweb_train_*.bin"))
"""
EVALUATES = {"--eval": "", "--files": "fineweb_val_*.bin"}


@pytest.mark.parametrize(
    ("flags", "source"),
    [({}, None), (EVALUATES, "val"), ({"--eval": ""}, "train"), ({**EVALUATES, "--part": ""}, "train")],
)
def test_options_of_the_command(flags: dict[str, str], source: str | None) -> None:
    configuration = {name: Setting(value, "README.md:1") for name, value in flags.items()}
    program = analyse(front({"train.py": (LOAD + OPTIONS).encode()}, "train.py"), configuration)
    assert program.trace is not None
    sources = {d.source for s in program.trace.scores.values() for d in s.targets}
    assert sources == ({source} if source else set())


def test_the_command_that_evaluates_is_found() -> None:
    commands = [RunCommand("README.md", 9, script="train.py", flags=EVALUATES)]
    program = analyse(front({"train.py": (LOAD + OPTIONS).encode()}, "train.py"), {}, (), (), commands)
    assert scored(program)
    assert program.inferred == EVALUATES


TWICE = """
val = load("fineweb_val_*.bin")
evaluate(GPT(), val)
nll = GPT()(val[:1024], val[1:1025])
print(f"final_slot_exact val_bpb:{nll / math.log(2.0)}")
"""


@pytest.mark.parametrize(
    ("stated", "printed"), [((), "final_slot_exact val_bpb"), (("sp8192_10min_16mb", "final_val_bpb"), "final val_bpb")]
)
def test_without_logs_the_label_that_the_author_states_is_the_headline(stated: tuple[str, ...], printed: str) -> None:
    program = analyse(front({"train.py": (LOAD + TWICE).encode()}, "train.py"), {}, stated=stated)
    assert [r.template.partition(":")[0] for r in program.reports] == [printed]


BY_FILE = """
from pathlib import Path
import importlib.util
HERE = Path(__file__).resolve().parent
file = HERE / "vendor.py"
if not file.exists():
    file = HERE.parent / "train_gpt.py"
spec = importlib.util.spec_from_file_location("root", file)
if spec is None or spec.loader is None:
    raise RuntimeError("not found")
root = importlib.util.module_from_spec(spec)
spec.loader.exec_module(root)

def log(text):
    with open("log.txt", "a") as out:
        print(f"{text}\\n", file=out)

model, val = root.create(), load("fineweb_val_*.bin")
nll = sum(model(val[i : i + 1024], val[i + 1 : i + 1025]) for i in range(0, len(val) - 1, 1024))
log(f"final val_bpb:{nll}")
"""


def test_a_module_loaded_from_its_file_and_the_line_that_writes_the_score() -> None:
    text = LOAD + BY_FILE + "table = [1, 2, 3]\n" * 400  # a short script would be a wrapper of the file
    program = analysed(train=text, vendor=SMALL)
    assert scored(program)
    lines = text.split("\n")
    assert [lines[r.place.line - 1] for r in program.reports] == ['log(f"final val_bpb:{nll}")']
