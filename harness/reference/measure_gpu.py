"""Every GPU measurement of the reference, in one run of under 10 minutes on one GPU.

    python -m harness.reference.measure_gpu --original PATH/train_gpt.py --output measured.json

Measured: tokens/s before and after QAT turns on and the stall at the switch, reference and original interleaved on the
same synthetic tokens, batch and precision; peak memory; seconds of one scored and one trained TTT chunk; each kernel
beside eager and torch.compile (medians of 30 runs). Without ``--original`` its columns are missing. The original is
code of a submission: run it only on a machine made for that (see `pgolf reproduce` for the sandbox).
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import click

from harness.errors import UsageFault
from harness.reference.script import load_script

SEQ_LEN, BATCH, STEPS, ROUNDS = 2048, 48, 10, 2
"""One rank's micro-batch of the 8-GPU run: 786,432 / 8 tokens; steps a round, rounds of each in turn."""


def median_ms(call: Callable[[], Any], runs: int = 30) -> float:
    """Median milliseconds of a call on the GPU, by events, after five warm-up calls."""
    import torch

    for _ in range(5):
        call()
    times = []
    for _ in range(runs):
        make: Any = torch.cuda.Event
        start, end = make(enable_timing=True), make(enable_timing=True)
        start.record()
        call()
        end.record()
        end.synchronize()
        times.append(start.elapsed_time(end))
    return float(statistics.median(times))


class Subject:
    """A model with its optimisers under test: ``step(qat)`` makes one optimiser step on synthetic tokens."""

    def __init__(self, model: Any, optimizers: list[Any], loss: Callable[[Any, Any, bool], Any]):
        import torch

        self.model, self.optimizers, self.loss = model, optimizers, loss
        self.ids = torch.randint(2, 1024, (BATCH, SEQ_LEN + 1), device="cuda")

    def step(self, qat: bool) -> float:
        """One step; returns its seconds, the GPU being idle before and after."""
        import torch

        torch.cuda.synchronize()
        start = time.perf_counter()
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = self.loss(self.ids[:, :-1].contiguous(), self.ids[:, 1:].contiguous(), qat)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 0.3)
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        torch.cuda.synchronize()
        return time.perf_counter() - start


def reference_subject(script: ModuleType, attention: str) -> tuple[Subject, Any]:
    """The reference as its run builds it, both graphs compiled; and the run."""
    import torch

    args = script.Hyperparameters()
    args.attention_backend = attention
    run = script.Run(args, "")
    run.log = lambda message, console=True: None
    run.build_model()
    optimizers = script.build_optimizers(run.model, args)
    optimizers[0].newton_schulz = torch.compile(script.newton_schulz, dynamic=False)
    subject = Subject(run.model, optimizers, lambda x, y, qat: run.loss(x, y, qat))
    for qat in (False, True):
        for _ in range(3):
            subject.step(qat)
    return subject, run


def original_subject(path: Path) -> Subject:
    """The original's model and optimisers, with the settings of its run command; QAT by its own attributes."""
    import torch

    spec = importlib.util.spec_from_file_location("original_train_gpt", path)
    if spec is None or spec.loader is None:
        raise UsageFault(f"{path} cannot be imported")
    original: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    original.zeropower_via_newtonschulz5 = torch.compile(original.zeropower_via_newtonschulz5)
    config = dict(load_script().Hyperparameters().gpt_config())
    config.pop("bos_id")
    model = original.GPT(**config).cuda().bfloat16()
    for module in model.modules():
        if isinstance(module, original.CastedLinear):
            module.float()
    original.restore_low_dim_params_to_fp32(model)
    compiled: Any = torch.compile(model, dynamic=False, fullgraph=True)
    script = load_script()
    adam: dict[str, Any] = {"lr": 0.02, "betas": (0.9, 0.95), "weight_decay": 0.04, "fused": True}
    named = list(model.named_parameters())
    matrices = [
        p for n, p in named if p.ndim == 2 and not script.is_control(n) and "embed" not in n and "tok_emb" not in n
    ]
    chosen = {id(p) for p in matrices}
    optimizers = [
        original.Muon(matrices, lr=0.02, momentum=0.99, backend_steps=5, weight_decay=0.04),
        torch.optim.AdamW([p for _, p in named if id(p) not in chosen], **adam),
    ]

    def loss(x: Any, y: Any, qat: bool) -> Any:
        for name, module in model.named_modules():
            if hasattr(module, "_qat_clip_range"):
                module._qat_clip_range = script.clip_of(script.quant_bits(name, 4)) if qat else 127
        return compiled(x, y)

    subject = Subject(model, optimizers, loss)
    for _ in range(3):
        subject.step(False)
    return subject


def training(subjects: dict[str, Subject]) -> dict[str, Any]:
    """Tokens/s of each before and after QAT in alternation, and the seconds by which the first QAT step was slower."""
    import torch

    found: dict[str, Any] = {name: {} for name in subjects}
    for qat in (False, True):
        times: dict[str, list[float]] = {name: [] for name in subjects}
        for name, subject in subjects.items():
            first = subject.step(qat)
            if qat:
                found[name]["stall_s"] = first - statistics.median(subject.step(True) for _ in range(3))
        for _ in range(ROUNDS):
            for name, subject in subjects.items():
                times[name] += [subject.step(qat) for _ in range(STEPS)]
        for name in subjects:
            seconds = statistics.median(times[name])
            found[name]["qat" if qat else "plain"] = {"ms": 1000 * seconds, "tokens_per_s": BATCH * SEQ_LEN / seconds}
    for name, subject in subjects.items():
        torch.cuda.reset_peak_memory_stats()
        subject.step(True)
        found[name]["peak_mib"] = torch.cuda.max_memory_allocated() >> 20
    return found


def evaluation(script: ModuleType, run: Any) -> dict[str, float]:
    """Seconds of scoring and of training one TTT chunk on one GPU, and what 1,893 of them cost on eight."""
    import numpy as np
    import torch

    tokens = torch.randint(2, 1024, (20 * 32768 + 1,)).numpy().astype(np.uint16)
    luts = (np.ones(1024, np.int16), np.zeros(1024, bool), np.zeros(1024, bool))
    val = script.Validation(tokens, luts, run.device)
    windows = script.sliding_windows(val.total, SEQ_LEN, 64)
    chunk = windows[(windows[:, 1] >= 32768 * 10) & (windows[:, 1] < 32768 * 11)]
    run.model.eval()
    with torch.inference_mode(), run.autocast():
        score = median_ms(lambda: script.score_windows(run.score, val, chunk, SEQ_LEN, 32, True), 5)
    run.eval_began = run.agreed_time()
    start = time.perf_counter()
    script.eval_val_sliding_ttt(run, val)
    whole = time.perf_counter() - start
    return {"score_chunk_ms": score, "ttt_20_chunks_s": whole, "projected_8gpu_s": 1893 * whole / 20 / 8}


def kernels(script: ModuleType) -> dict[str, dict[str, float]]:
    """Milliseconds of each kernel, of its eager reference and of that reference under torch.compile."""
    import torch

    w = torch.randn(1536, 512, device="cuda")
    z = torch.randn(BATCH * SEQ_LEN, 1024, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    y = torch.randint(0, 1024, (BATCH * SEQ_LEN,), device="cuda")
    packed, scale = (
        script.pack_bits(torch.randint(-8, 8, (1536, 512)).to(torch.int8), 4).cuda(),
        torch.rand(1536).cuda(),
    )
    compiled_quant: Any = torch.compile(script.fake_quant_eager)
    compiled_ce: Any = torch.compile(script.softcap_ce_eager)

    def both(function: Callable[..., Any]) -> Callable[[], Any]:
        def call() -> None:
            z.grad = None
            function(z, y, 30.0).mean().backward()

        return call

    return {
        "fake_quant": {
            "kernel": median_ms(lambda: script.fake_quant_op(w, 7, torch.bfloat16)),
            "eager": median_ms(lambda: script.fake_quant_eager(w, 7, torch.bfloat16)),
            "compile": median_ms(lambda: compiled_quant(w, 7, torch.bfloat16)),
        },
        "softcap_ce forward and backward": {
            "kernel": median_ms(both(script.SoftcapCrossEntropy.apply)),
            "eager": median_ms(both(script.softcap_ce_eager)),
            "compile": median_ms(both(compiled_ce)),
        },
        "unpack_dequant": {
            "kernel": median_ms(lambda: script.unpack_dequant(packed, scale, (1536, 512), 4)),
            "eager (on the CPU)": median_ms(lambda: script.unpack_dequant_eager(packed, scale, (1536, 512), 4)),
        },
    }


@click.command()
@click.option("--original", type=click.Path(path_type=Path, exists=True), help="train_gpt.py of PR #1002, to compare.")
@click.option("--attention", type=click.Choice(["flash", "cudnn"]), default="flash", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), default="measured.json", show_default=True)
def main(original: Path | None, attention: str, output: Path) -> None:
    """Measure on one GPU and write the numbers as JSON."""
    import torch

    if not torch.cuda.is_available():
        raise click.ClickException("no GPU here: nothing was measured")
    script = load_script()
    subject, run = reference_subject(script, attention)
    subjects = {"reference": subject} | ({"original": original_subject(original)} if original else {})
    found = {
        "gpu": torch.cuda.get_device_name(), "torch": torch.__version__, "attention": attention,
        "training": training(subjects), "kernels": kernels(script), "evaluation": evaluation(script, run),
    }  # fmt: skip
    output.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    click.echo(output.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
