"""Small logs in the formats of this challenge, written for the tests (none is copied from a submission)."""

from __future__ import annotations

SOURCE = """from __future__ import annotations

import os

RULER = '''
============================================================
'''


class Hyperparameters:
    seed = int(os.environ.get("SEED", 1337))


def main():
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{0.1:.8f} val_bpb:{0.2:.8f}")
    log0(f"Total submission size: {12345678} bytes")
    log0(f"seed:{999}")


if __name__ == "__main__":
    main()
"""

_GPUS = "\n".join(
    f"|   {i}  NVIDIA H100 80GB HBM3          On  |   00000000:00:0{i}.0 Off |                    0 |" for i in range(8)
)


def header(source: str = SOURCE, seed: int = 42) -> str:
    """What the reference script prints before training: its source, the machine, the configuration."""
    return f"""{source}
{"=" * 100}
Running Python 3.12.3 (main) [GCC 13]
Running PyTorch 2.8.0+cu128
{_GPUS}
{"=" * 100}
val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path=./data/tokenizers/fineweb_1024_bpe.model
train_loader:dataset:fineweb10B_sp1024 train_shards:80
val_loader:shards pattern=./data/datasets/fineweb10B_sp1024/fineweb_val_*.bin tokens:62021632
model_params:17059912
world_size:8 grad_accum_steps:1
train_batch_tokens:524288 train_seq_len:1024 iterations:20000 warmup_steps:20 max_wallclock_seconds:600.000
seed:{seed}
warmup_step:1/20
"""


def training(stop_ms: int = 600012, stall_at: int = 0) -> str:
    """Two hundred steps of 100 ms each, printed every tenth; a stall of 30 s before ``stall_at``."""
    lines, time = [], 0
    for step in range(10, 201, 10):
        time += 1000 + (30_000 if step == stall_at else 0)
        lines.append(
            f"step:{step}/20000 train_loss:{6 - step / 100:.4f} train_time:{time}ms step_avg:{time / step:.2f}ms"
        )
    lines.append(f"step:200/20000 val_loss:2.0000 val_bpb:1.1845 train_time:{stop_ms}ms step_avg:100.00ms")
    lines.append(f"stopping_early: wallclock_cap train_time:{stop_ms}ms step:200/20000")
    return "\n".join(lines) + "\n"


def export(model: int = 15_800_000, code: int = 50_000) -> str:
    """The size lines: raw first, then quantised."""
    return f"""Serialized model: 67224983 bytes
Code size: {code} bytes
Total submission size: {67224983 + code} bytes
Serialized model int8+zlib: {model} bytes (payload:17178912 raw_torch:17224025 payload_ratio:3.91x)
Total submission size int8+zlib: {model + code} bytes
"""


ROUNDTRIP = """final_int8_zlib_roundtrip val_loss:2.0262 val_bpb:1.2000 eval_time:1500ms
final_int8_zlib_roundtrip_exact val_loss:2.02617000 val_bpb:1.20001234
"""


def ttt(last_chunk: int = 100, chunks: int = 100) -> str:
    """Score-first TTT; cut off when ``last_chunk`` is not the last."""
    lines = [
        f"ttt_sliding:start chunks={chunks} chunk_tokens=32768 stride=64 ttt_lr=0.002 ttt_epochs=3 freeze_blocks=0"
    ]
    lines += [
        f"  ttt_chunk [{i}/{chunks}] bpb={1.2 - i / 1e4:.6f} time={i * 2.0:.1f}s" for i in range(1, last_chunk + 1, 3)
    ]
    if last_chunk >= chunks:
        lines += [
            "ttt_sliding:done val_loss=1.941800 val_bpb=1.150000 elapsed=200.0s",
            "legal_ttt val_loss:1.9418 val_bpb:1.1500 eval_time:200400ms",
            "legal_ttt_exact val_loss:1.94180000 val_bpb:1.15000321",
        ]
    return "\n".join(lines) + "\n"


BASELINE = header() + training() + export() + ROUNDTRIP

PHASED = """W0426 19:59:28.614000 762659 torch/distributed/run.py:803] *****************************************
Hyperparameters:
  caseops_enabled: True
  gptq_reserve_seconds: 4.0
  max_wallclock_seconds: 600.0
  ngram_tilt_enabled: True
  ngram_hint_precompute_outside: False
  seed: 1234
  slot_enabled: False
  ttt_enabled: True
  ttt_lora_rank: 80
  world_size: 8
train_shards: 80
val_tokens: 47851520
model_params:35945671
gptq:reserving 4s, effective=596000ms
500/20000 train_loss: 2.5615 train_time: 0.8m tok/s: 8217810
4945/20000 val_loss: 2.3539 val_bpb: 1.0756
stopping_early: wallclock_cap train_time: 595992ms step: 4945/20000
diagnostic pre-quantization post-ema val_loss:2.32848665 val_bpb:1.06395844 eval_time:6718ms
Serialized model: 135417533 bytes
Code size (uncompressed): 157868 bytes
Code size (compressed): 31999 bytes
GPTQ:collecting Hessians from calibration data...
GPTQ:collected 67 Hessians in 3.5s
Serialized model quantized+brotli: 15865260 bytes
Total submission size quantized+brotli: 15897259 bytes
diagnostic quantized val_loss:2.34727563 val_bpb:1.07254371 eval_time:49995ms
ttt_lora:compile warmup done (137.6s)
beginning TTT eval timer
ngram_tilt:hints total=47851520 gated=13023303 token_gate=628130 within_gate=0 word_gate=0 agree2plus=0
ngram_tilt:precompute_done elapsed=168.13s total_targets=47851520
ttp: b782/782 bl:2.1403 bb:1.0135 rl:2.1403 rb:1.0135 dl:30339-97114 gd:0
quantized_ttt_phased val_loss:2.31944212 val_bpb:1.05989454 eval_time:508785ms
total_eval_time:508.8s
"""
