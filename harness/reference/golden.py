"""Compare the reference submission with recorded numbers (a golden pair FILE.npz + FILE.json).

The pair holds one small configuration with random weights, float32 on a CPU: state dict, logits and loss; loss and
gradients with fake quantisation; exported and dequantised tensors; five Newton-Schulz steps; and val_loss and val_bpb
of the plain, the sliding-window and the score-first TTT evaluation. It was made by the original of PR #1002, whose
windows score the end of the stream more than once; the comparison therefore hands those windows to the reference,
whose own windows score each token once.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

from harness.errors import UsageFault
from harness.reference.script import load_script

RELATIVE = 1e-4  # logits, losses and val_bpb
GRADIENT = 1e-3
HALF = 1e-3  # one step of a float16, in which scales are stored
NEWTON_SCHULZ = 2e-2  # bfloat16 inside
TIE = 1e-3  # how near to a half a quotient must be for its integer to be off by one


@dataclass(frozen=True)
class Comparison:
    """One quantity: how far the reference is from the record, how far it may be, and a note on what was compared."""

    name: str
    deviation: float
    tolerance: float
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether the deviation is within tolerance; a deviation that is not a number is not."""
        return self.deviation <= self.tolerance


@dataclass(frozen=True)
class Golden:
    """A golden pair as read: arrays by name, and the JSON beside them."""

    arrays: Mapping[str, Any]
    config: Mapping[str, Any]
    eval_config: Mapping[str, Any]
    kinds: Mapping[str, str]
    numbers: Mapping[str, Any]

    def group(self, prefix: str) -> dict[str, Any]:
        """Arrays below ``prefix.``, without it."""
        return {k.removeprefix(prefix + "."): v for k, v in self.arrays.items() if k.startswith(prefix + ".")}


def read_golden(path: Path) -> Golden:
    """Read FILE.npz and FILE.json. Raises UsageFault where either is missing or of another form."""
    import zipfile

    import numpy as np

    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        data = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        golden = Golden(arrays, data["config"], data["eval_config"], data["meta"], data)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, zipfile.BadZipFile) as error:
        raise UsageFault(f"{path} with {path.with_suffix('.json').name} is no golden pair: {error}") from error
    if not golden.group("sd"):
        raise UsageFault(f"{path} holds no state dict (arrays sd.*)")
    return golden


def verify(path: Path) -> list[Comparison]:
    """Run every comparison that the pair has numbers for, one after another. Raises UsageFault."""
    golden, script = read_golden(path), load_script()
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # small matrices: more threads only wait for each other
    try:
        model = script.GPT(**golden.config)
        model.set_quant_bits(_mlp_bits(golden))
        state = {name: torch.from_numpy(array) for name, array in golden.group("sd").items()}
        model.load_state_dict(state)
        found = [*_forward(golden, script, model), *_gradients(golden, model), *_export(golden, script, model, state)]
        found += [*_newton_schulz(golden, script), *_evaluations(golden, script, model, state)]
    except (TypeError, KeyError, RuntimeError) as error:
        raise UsageFault(f"{path} does not fit the reference: {error}") from error
    finally:
        torch.set_num_threads(threads)
    return found


def original_windows(total: int, seq_len: int, stride: int) -> Any:
    """The windows of PR #1002, [W, 3]: those cut by the end of the stream score its last ``stride`` tokens again."""
    import numpy as np

    rows = []
    for start in range(0, total, stride):
        end = min(start + seq_len, total)
        if end - start >= stride or start == 0:
            rows.append((start, start if start == 0 else max(end - stride, start), end))
    return np.array(rows)


def _mlp_bits(golden: Golden) -> int:
    bits = {int(kind[3:]) for name, kind in golden.kinds.items() if ".mlp." in name and kind.startswith("int")}
    return bits.pop() if len(bits) == 1 else 4


def _distance(mine: Any, theirs: Any) -> float:
    """Largest absolute difference over the largest recorded magnitude."""
    import torch

    mine, theirs = torch.as_tensor(mine).double(), torch.as_tensor(theirs).double()
    if mine.shape != theirs.shape:
        return float("inf")
    if not theirs.numel():
        return 0.0
    return float((mine - theirs).abs().max() / theirs.abs().max().clamp_min(1e-12))


def _worst(pairs: Iterator[tuple[str, float]]) -> tuple[float, str]:
    found = list(pairs)
    if not found:
        return 0.0, "none recorded"
    name, deviation = max(found, key=lambda pair: pair[1] if pair[1] == pair[1] else float("inf"))
    return deviation, f"worst of {len(found)}: {name}"


def _forward(golden: Golden, script: ModuleType, model: Any) -> Iterator[Comparison]:
    import torch

    x, y = (torch.from_numpy(golden.arrays[name]) for name in ("x", "y"))
    with torch.no_grad():
        projected = torch.nn.functional.linear(model.hidden(x, False), model.tok_emb.weight)
        logits = model.logit_softcap * torch.tanh(projected / model.logit_softcap)
        loss = model(x, y).item()
    yield Comparison("logits", _distance(logits, golden.arrays["logits"]), RELATIVE)
    yield Comparison("loss", _distance(loss, golden.arrays["loss"]), RELATIVE)


def _gradients(golden: Golden, model: Any) -> Iterator[Comparison]:
    import torch

    x, y = (torch.from_numpy(golden.arrays[name]) for name in ("x", "y"))
    model.zero_grad()
    loss = model(x, y, True)
    loss.backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    yield Comparison("qat_loss", _distance(loss.item(), golden.arrays["qat_loss"]), RELATIVE)
    recorded = golden.group("qat_grad")
    if unknown := recorded.keys() - gradients.keys():
        raise KeyError(f"gradients of unknown parameters: {sorted(unknown)}")
    yield Comparison("qat_grad", *_swap(_worst((n, _distance(gradients[n], g)) for n, g in recorded.items()), GRADIENT))
    model.zero_grad()


def _swap(worst: tuple[float, str], tolerance: float) -> tuple[float, float, str]:
    return worst[0], tolerance, worst[1]


def _export(golden: Golden, script: ModuleType, model: Any, state: Mapping[str, Any]) -> Iterator[Comparison]:
    import torch

    layers, bits = golden.config["num_layers"], _mlp_bits(golden)
    options = [("as they are", dict(state))]
    if any(t.ndim == 2 and t.numel() > 65_536 for t in state.values()):
        options.append(("after pruning 3%", script.prune_smallest(dict(state), 0.03)))
    tried = []
    for how, weights in options:  # a pair does not say whether its weights were pruned before: the integers tell
        tensors, kinds = script.quantize_state(weights, layers, bits)
        wrong, off = _wrong_integers(golden.group("quant"), tensors, weights)
        tried.append((wrong, off, how, tensors, kinds))
    wrong, off, how, tensors, kinds = min(tried, key=lambda option: option[0])
    differing = [name for name in golden.kinds if kinds.get(name) != golden.kinds[name]]
    yield Comparison(
        "export kinds", len(differing), 0, f"of {len(kinds)} tensors" + (f": {differing[:3]}" if differing else "")
    )
    yield Comparison("quantised integers", wrong, 0, f"wrong entries, weights {how}; {off} more sit on a tie")
    halves = {n: a for n, a in golden.group("quant").items() if not n.endswith(".q")}
    yield Comparison("scales, fp16", *_swap(_worst((n, _distance(tensors[n], a)) for n, a in halves.items()), HALF))
    back = script.dequantize_state(tensors, kinds, torch.device("cpu"))
    yield Comparison(
        "dequantised", *_swap(_worst((n, _distance(back[n], a)) for n, a in golden.group("deq").items()), HALF)
    )
    for codec in ("rans", "packed"):  # the stored artifact must give the same weights
        stored = script.dequantize_state(
            *script.decode_artifact(script.encode_artifact(tensors, kinds, codec)), torch.device("cpu")
        )
        unequal = sum(not torch.equal(stored[name], back[name]) for name in back)
        yield Comparison(f"artifact ({codec})", unequal, 0, "tensors that differ after the round trip")
    restored = script.GPT(**golden.config)
    restored.load_state_dict(back)
    x, y = (torch.from_numpy(golden.arrays[name]) for name in ("x", "y"))
    with torch.no_grad():
        yield Comparison("deq_loss", _distance(restored(x, y).item(), golden.numbers["deq_loss"]), RELATIVE)


def _wrong_integers(
    recorded: Mapping[str, Any], tensors: Mapping[str, Any], weights: Mapping[str, Any]
) -> tuple[int, int]:
    """Integers that differ from the record, and those that differ by one where the quotient sits on a half."""
    import torch

    wrong = ties = 0
    for name in (n for n in recorded if n.endswith(".q")):
        theirs, mine = torch.from_numpy(recorded[name]).int(), tensors.get(name)
        if mine is None or mine.shape != theirs.shape:
            wrong += theirs.numel()
            continue
        quotient = weights[name.removesuffix(".q")] / torch.from_numpy(recorded[name[:-2] + ".scale"]).float()[:, None]
        near_half = ((quotient - quotient.floor()) - 0.5).abs() < TIE
        differs, by_one = mine.int() != theirs, (mine.int() - theirs).abs() == 1
        ties += int((differs & by_one & near_half).sum())
        wrong += int((differs & ~(by_one & near_half)).sum())
    return wrong, ties


def _newton_schulz(golden: Golden, script: ModuleType) -> Iterator[Comparison]:
    import torch

    out = script.newton_schulz(torch.from_numpy(golden.arrays["ns_in"])[None], 5)[0]
    yield Comparison("newton_schulz", _distance(out.float(), golden.arrays["ns_out"]), NEWTON_SCHULZ)


def _evaluations(golden: Golden, script: ModuleType, model: Any, state: Mapping[str, Any]) -> Iterator[Comparison]:
    import torch

    config, tokens, cpu = golden.eval_config, golden.arrays["val_tokens"], torch.device("cpu")
    seq_len, stride = config["train_seq_len"], config["eval_stride"]
    luts = tuple(golden.arrays[name] for name in ("base_bytes", "has_leading_space", "is_boundary"))
    args = SimpleNamespace(eval_batch_seqs=32, eval_budget_seconds=float("inf"), ttt_fake_quant=False, **config)
    run = SimpleNamespace(
        args=args, model=model, loss=model, score=model.nll, rank=0, world_size=1, compiled=False, eval_began=0.0,
        autocast=contextlib.nullcontext, agreed_time=time.perf_counter, log=lambda message: None,
    )  # fmt: skip
    whole = script.Validation(tokens, luts, cpu)
    cut = script.Validation(tokens[: (len(tokens) - 1) // seq_len * seq_len + 1], luts, cpu)
    windows = original_windows(whole.total, seq_len, stride)
    evaluations = {
        "eval_val": lambda: script.eval_val(run, cut, seq_len),
        "sliding": lambda: script.eval_val(run, whole, stride, windows),
        "ttt": lambda: script.eval_val_sliding_ttt(run, whole, windows),
    }
    for name, recorded in golden.numbers["eval"].items():
        if name not in evaluations:
            raise KeyError(f"evaluation {name!r} is none of {', '.join(evaluations)}")
        model.load_state_dict(dict(state))
        loss, bpb = evaluations[name]()
        yield Comparison(f"{name} val_loss", _distance(loss, recorded["val_loss"]), RELATIVE, f"{loss:.8f}")
        yield Comparison(f"{name} val_bpb", _distance(bpb, recorded["val_bpb"]), RELATIVE, f"{bpb:.8f}")
