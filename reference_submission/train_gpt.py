"""12L INT4 bQAT: the reference submission of parameter-golf-harness, complete in this one file.

A 12-layer U-Net GPT (SmearGate, BigramHash, partial rotary, XSA) trained by Muon, quantisation-aware from 65% of the
wallclock on (INT4 MLP and bigram table, INT6 attention), averaged by an EMA that restarts there, stored by an entropy
coder, evaluated by legal score-first test-time training. The defaults ARE the claim: no variable needs to be set.

    torchrun --standalone --nproc_per_node=8 train_gpt.py        # or 1, 2, 4: the batch stays the same
    DEVICE=cpu python train_gpt.py                               # the same code in float32, for toy sizes

Stages (RUN_STAGES): train -> final_model.pt, export -> final_model.ptz, eval reads final_model.ptz and nothing else.
It departs from openai/parameter-golf PR #1002, which it re-implements (README.md tells why):
  * both graphs, plain and fake-quantised, are compiled before the clock starts;
  * all ranks take their clock from rank 0; EMA and rotary angles are float32;
  * document starts are masked in SmearGate and BigramHash (BOS_ID=-1: as the original);
  * each validation token is scored exactly once; TTT trains without fake quantisation (TTT_FAKE_QUANT=1: with);
  * weights are entropy coded, or bit-packed (EXPORT_CODEC=packed), without pickle.

Shapes: B sequences, T positions, S scored positions, D model_dim, H heads, G key/value heads, K head_dim, V vocabulary,
N = B*T rows, R x C a weight matrix, M matrices, W windows; ``x_BTD`` is a tensor of shape [B, T, D].
"""

import copy
import glob
import io
import itertools
import json
import math
import os
import pickle
import random
import subprocess
import sys
import time
import uuid
from contextlib import nullcontext
from os import environ
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
import zstandard
from torch import Tensor, nn

try:
    import triton
    import triton.language as tl
except ImportError:  # the eager path needs no Triton
    triton = None


class InputError(ValueError):
    """Data, tokenizer, settings or machine do not fit. Exit status 2."""


# ---- Hyperparameters ----


class Hyperparameters:
    """Every setting, from the environment variable of the same name in capitals."""

    data_path = environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    run_id = environ.get("RUN_ID", str(uuid.uuid4()))
    run_stages = environ.get("RUN_STAGES", "train,export,eval")
    seed = int(environ.get("SEED", 42))
    device = environ.get("DEVICE", "auto")  # auto, cuda or cpu
    compile = environ.get("COMPILE", "auto")  # auto (on CUDA), 0 or 1
    kernels = environ.get("KERNELS", "auto")  # auto (Triton on CUDA), triton or eager
    attention_backend = environ.get("ATTENTION_BACKEND", "flash")  # flash or cudnn

    iterations = int(environ.get("ITERATIONS", 20000))
    max_wallclock_seconds = float(environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    warmup_steps = int(environ.get("WARMUP_STEPS", 20))
    warmdown_iters = int(environ.get("WARMDOWN_ITERS", 3000))
    train_batch_tokens = int(environ.get("TRAIN_BATCH_TOKENS", 786_432))
    train_seq_len = int(environ.get("TRAIN_SEQ_LEN", 2048))
    train_log_every = int(environ.get("TRAIN_LOG_EVERY", 100))
    val_loss_every = int(environ.get("VAL_LOSS_EVERY", 1000))
    checkpoint_every = int(environ.get("CHECKPOINT_EVERY", 0))  # steps; 0 = never
    resume = environ.get("RESUME", "")  # path of a checkpoint to go on from

    vocab_size = int(environ.get("VOCAB_SIZE", 1024))
    num_layers = int(environ.get("NUM_LAYERS", 12))
    model_dim = int(environ.get("MODEL_DIM", 512))
    num_heads = int(environ.get("NUM_HEADS", 8))
    num_kv_heads = int(environ.get("NUM_KV_HEADS", 4))
    mlp_mult = float(environ.get("MLP_MULT", 3.0))
    tie_embeddings = bool(int(environ.get("TIE_EMBEDDINGS", "1")))
    tied_embed_init_std = float(environ.get("TIED_EMBED_INIT_STD", 0.005))
    logit_softcap = float(environ.get("LOGIT_SOFTCAP", 30.0))
    rope_base = float(environ.get("ROPE_BASE", 10000.0))
    rope_dims = int(environ.get("ROPE_DIMS", 16))  # 0 = all of the head
    qk_gain_init = float(environ.get("QK_GAIN_INIT", 1.5))
    ln_scale = bool(int(environ.get("LN_SCALE", "1")))
    xsa_last_n = int(environ.get("XSA_LAST_N", 4))
    bigram_vocab_size = int(environ.get("BIGRAM_VOCAB_SIZE", 10240))  # 0 = no table
    bigram_dim = int(environ.get("BIGRAM_DIM", 128))
    bos_id = int(environ.get("BOS_ID", 1))  # document start, cuts SmearGate and BigramHash; -1 = no cut (original)

    matrix_lr = float(environ.get("MATRIX_LR", 0.02))
    scalar_lr = float(environ.get("SCALAR_LR", 0.02))
    tied_embed_lr = float(environ.get("TIED_EMBED_LR", 0.03))
    muon_momentum = float(environ.get("MUON_MOMENTUM", 0.99))
    muon_momentum_warmup_start = float(environ.get("MUON_MOMENTUM_WARMUP_START", 0.92))
    muon_momentum_warmup_steps = int(environ.get("MUON_MOMENTUM_WARMUP_STEPS", 1500))
    muon_backend_steps = int(environ.get("MUON_BACKEND_STEPS", 5))
    beta1 = float(environ.get("BETA1", 0.9))
    beta2 = float(environ.get("BETA2", 0.95))
    adam_eps = float(environ.get("ADAM_EPS", 1e-8))
    weight_decay = float(environ.get("WEIGHT_DECAY", 0.04))
    grad_clip_norm = float(environ.get("GRAD_CLIP_NORM", 0.3))

    ema_enabled = bool(int(environ.get("EMA_ENABLED", "1")))
    ema_decay = float(environ.get("EMA_DECAY", 0.997))

    qat_enabled = bool(int(environ.get("QAT_ENABLED", "1")))
    late_qat_frac = float(environ.get("LATE_QAT_FRAC", 0.65))  # of the wallclock cap
    late_qat_threshold = float(environ.get("LATE_QAT_THRESHOLD", 0.9))  # of the learning rate, without a cap
    mlp_quant_bits = int(environ.get("MLP_QUANT_BITS", 4))
    prune_fraction = float(environ.get("PRUNE_FRACTION", 0.03))
    export_codec = environ.get("EXPORT_CODEC", "rans")  # rans or packed

    eval_stride = int(environ.get("EVAL_STRIDE", 64))
    eval_batch_seqs = int(environ.get("EVAL_BATCH_SEQS", 32))
    eval_budget_seconds = float(environ.get("EVAL_BUDGET_SECONDS", 580.0))  # TTT only scores when this runs short
    ttt_enabled = bool(int(environ.get("TTT_ENABLED", "1")))
    ttt_lr = float(environ.get("TTT_LR", 0.002))
    ttt_momentum = float(environ.get("TTT_MOMENTUM", 0.9))
    ttt_epochs = int(environ.get("TTT_EPOCHS", 3))
    ttt_chunk_tokens = int(environ.get("TTT_CHUNK_TOKENS", 32768))
    ttt_batch_seqs = int(environ.get("TTT_BATCH_SEQS", 32))
    ttt_grad_clip = float(environ.get("TTT_GRAD_CLIP", 1.0))
    ttt_freeze_blocks = int(environ.get("TTT_FREEZE_BLOCKS", 0))
    ttt_fake_quant = bool(int(environ.get("TTT_FAKE_QUANT", "0")))

    def check(self, world_size: int) -> None:
        """Raise InputError where settings contradict each other, before anything is read or compiled."""
        head_dim = self.model_dim // self.num_heads
        even = head_dim % 2 == self.rope_dims % 2 == 0 and self.rope_dims <= head_dim
        for fine, what in (
            (world_size in (1, 2, 4, 8), f"WORLD_SIZE={world_size} must divide 8"),
            (
                self.train_batch_tokens % (8 * self.train_seq_len) == 0,
                "TRAIN_BATCH_TOKENS must be of 8 * TRAIN_SEQ_LEN",
            ),
            (self.model_dim % self.num_heads == 0, "MODEL_DIM must be a multiple of NUM_HEADS"),
            (self.num_heads % self.num_kv_heads == 0, "NUM_HEADS must be a multiple of NUM_KV_HEADS"),
            (even, f"the head width {head_dim} and ROPE_DIMS must be even, ROPE_DIMS not above it"),
            (self.tie_embeddings, "TIE_EMBEDDINGS=0 is not built: input and output share one table"),
            (self.export_codec in ("rans", "packed"), "EXPORT_CODEC must be rans or packed"),
            (set(self.stages) <= {"train", "export", "eval"}, "RUN_STAGES must be of train, export, eval"),
        ):
            if not fine:
                raise InputError(what)

    @property
    def stages(self) -> list[str]:
        return self.run_stages.split(",")

    def gpt_config(self) -> dict:
        return {name: getattr(self, name) for name in GPT.__init__.__annotations__}


# ---- Kernels ----

INTERPRETED = environ.get("TRITON_INTERPRET") == "1"


def kernels_for(t: Tensor) -> bool:
    """Whether Triton takes this tensor. Under TRITON_INTERPRET=1 (the tests) it takes CPU tensors as well."""
    return triton is not None and Hyperparameters.kernels != "eager" and (t.is_cuda or INTERPRETED)


if triton is not None:

    @triton.jit
    def fake_quant_kernel(w_ptr, out_ptr, n_cols, clip, BLOCK_C: tl.constexpr):
        """One row: scale = max|w| / clip, round half to even, clamp to [-(clip+1), clip], store in out's type."""
        at = tl.program_id(0).to(tl.int64) * n_cols + tl.arange(0, BLOCK_C)
        inside = tl.arange(0, BLOCK_C) < n_cols
        w = tl.load(w_ptr + at, mask=inside, other=0.0).to(tl.float32)
        scale = tl.div_rn(tl.maximum(tl.max(tl.abs(w), axis=0), 1e-12), clip)
        # Adding and taking away 1.5 * 2^23 rounds a float32 to the nearest integer, ties to even, as torch.round does.
        q = (tl.div_rn(w, scale) + 12582912.0) - 12582912.0
        q = tl.minimum(tl.maximum(q, -(clip + 1.0)), clip)
        tl.store(out_ptr + at, (q * scale).to(out_ptr.dtype.element_ty), mask=inside)

    @triton.jit
    def softcap_ce_kernel(
        z_ptr,
        y_ptr,
        nll_ptr,
        dz_ptr,
        n_rows,
        n_vocab,
        cap,
        GRAD: tl.constexpr,
        ROWS: tl.constexpr,
        BLOCK_V: tl.constexpr,
    ):
        """A tile of rows: loss of cap * tanh(z / cap), and where GRAD its gradient by z, from one read of z."""
        rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
        cols = tl.arange(0, BLOCK_V)[None, :]
        inside = (rows[:, None] < n_rows) & (cols < n_vocab)
        z = tl.load(z_ptr + rows[:, None] * n_vocab + cols, mask=inside, other=0.0).to(tl.float32)
        tanh = 2.0 * tl.sigmoid(2.0 * z / cap) - 1.0
        capped = tl.where(cols < n_vocab, cap * tanh, -float("inf"))
        top = tl.max(capped, axis=1)
        lse = top + tl.log(tl.sum(tl.exp(capped - top[:, None]), axis=1))
        target = cols == tl.load(y_ptr + rows, mask=rows < n_rows, other=0)[:, None]
        tl.store(nll_ptr + rows, lse - tl.sum(tl.where(target, capped, 0.0), axis=1), mask=rows < n_rows)
        if GRAD:  # (softmax - onehot) * tanh'
            dz = (tl.exp(capped - lse[:, None]) - tl.where(target, 1.0, 0.0)) * (1.0 - tanh * tanh)
            tl.store(dz_ptr + rows[:, None] * n_vocab + cols, dz.to(dz_ptr.dtype.element_ty), mask=inside)

    @triton.jit
    def unpack_dequant_kernel(packed_ptr, scale_ptr, out_ptr, n, n_cols, BITS: tl.constexpr, BLOCK: tl.constexpr):
        """Value i: bits [i * BITS, (i + 1) * BITS) of the stream, sign-extended, times its row's scale."""
        i = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
        inside = i < n
        low = tl.load(packed_ptr + i * BITS // 8, mask=inside, other=0).to(tl.int32)
        high = tl.load(packed_ptr + i * BITS // 8 + 1, mask=inside, other=0).to(tl.int32)
        raw = ((low | (high << 8)) >> (i * BITS % 8).to(tl.int32)) & ((1 << BITS) - 1)
        value = (raw ^ (1 << (BITS - 1))) - (1 << (BITS - 1))
        scale = tl.load(scale_ptr + i // n_cols, mask=inside, other=0.0).to(tl.float32)
        tl.store(out_ptr + i, value.to(tl.float32) * scale, mask=inside)


# Custom ops are opaque to torch.compile: the graph neither breaks nor recompiles at them.
@torch.library.custom_op("pgolf_reference::fake_quant", mutates_args=())
def fake_quant_op(w_RC: Tensor, clip: int, dtype: torch.dtype) -> Tensor:
    out_RC = torch.empty(w_RC.shape, dtype=dtype, device=w_RC.device)
    rows, cols = w_RC.shape
    fake_quant_kernel[(rows,)](w_RC.contiguous(), out_RC, cols, float(clip), BLOCK_C=triton.next_power_of_2(cols))
    return out_RC


@fake_quant_op.register_fake
def _(w_RC, clip, dtype):
    return torch.empty(w_RC.shape, dtype=dtype, device=w_RC.device)


@torch.library.custom_op("pgolf_reference::softcap_ce", mutates_args=())
def softcap_ce_op(z_NV: Tensor, y_N: Tensor, cap: float, grad: bool) -> tuple[Tensor, Tensor]:
    """Loss of each row, float32 [N], and its gradient by that row of z ([0] without ``grad``)."""
    n, v = z_NV.shape
    nll_N = torch.empty(n, dtype=torch.float32, device=z_NV.device)
    dz_NV = torch.empty((n, v) if grad else (0,), dtype=z_NV.dtype, device=z_NV.device)
    block_v = max(triton.next_power_of_2(v), 16)
    rows = max(1, 4096 // block_v)
    softcap_ce_kernel[(triton.cdiv(n, rows),)](
        z_NV.contiguous(), y_N.contiguous(), nll_N, dz_NV, n, v, cap, GRAD=grad, ROWS=rows, BLOCK_V=block_v
    )
    return nll_N, dz_NV


@softcap_ce_op.register_fake
def _(z_NV, y_N, cap, grad):
    return z_NV.new_empty(z_NV.size(0), dtype=torch.float32), z_NV.new_empty(z_NV.shape if grad else (0,))


def fake_quant_eager(w_RC: Tensor, clip: int, dtype: torch.dtype) -> Tensor:
    """Round each row to the grid that export would use at clip quantile 1: ``clip`` is 7 for INT4, 31 for INT6."""
    w32_RC = w_RC.float()
    scale_R1 = w32_RC.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / clip
    return ((w32_RC / scale_R1).round().clamp(-(clip + 1), clip) * scale_R1).to(dtype)


class FakeQuant(torch.autograd.Function):
    """Row-wise fake quantisation fused with the cast; the gradient goes straight through (Bengio et al. 2013)."""

    @staticmethod
    def forward(ctx, w_RC: Tensor, clip: int, dtype: torch.dtype) -> Tensor:
        ctx.weight_dtype = w_RC.dtype
        return (fake_quant_op if kernels_for(w_RC) else fake_quant_eager)(w_RC, clip, dtype)

    @staticmethod
    def backward(ctx, g_RC: Tensor):
        return g_RC.to(ctx.weight_dtype), None, None


def softcap_ce_eager(z_NV: Tensor, y_N: Tensor, cap: float) -> Tensor:
    """Cross entropy in float32 of ``cap * tanh(z / cap)`` per row, nats."""
    return F.cross_entropy((cap * torch.tanh(z_NV / cap)).float(), y_N, reduction="none")


class SoftcapCrossEntropy(torch.autograd.Function):
    """softcap_ce_eager in one pass: neither the capped logits nor a float32 copy of them is ever written."""

    @staticmethod
    def forward(ctx, z_NV: Tensor, y_N: Tensor, cap: float) -> Tensor:
        nll_N, dz_NV = softcap_ce_op(z_NV, y_N, cap, ctx.needs_input_grad[0])
        ctx.save_for_backward(dz_NV)
        return nll_N

    @staticmethod
    def backward(ctx, g_N: Tensor):
        (dz_NV,) = ctx.saved_tensors
        return dz_NV * g_N[:, None].to(dz_NV.dtype), None, None


def softcap_ce(z_NV: Tensor, y_N: Tensor, cap: float) -> Tensor:
    """softcap_ce_eager, by the kernel for vocabularies up to 8,192."""
    if kernels_for(z_NV) and z_NV.size(1) <= 8192:
        return SoftcapCrossEntropy.apply(z_NV, y_N, cap)
    return softcap_ce_eager(z_NV, y_N, cap)


def pack_bits(q: Tensor, bits: int) -> Tensor:
    """Pack integers of ``bits`` bits (two's complement) into a little-endian stream with one spare byte at the end."""
    raw = (q.reshape(-1).numpy().astype(np.int16) & ((1 << bits) - 1)).astype(np.uint8)
    stream = np.packbits((raw[:, None] >> np.arange(bits, dtype=np.uint8)) & 1, bitorder="little")
    return torch.from_numpy(np.append(stream, np.uint8(0)))


def unpack_dequant_eager(packed: Tensor, scale_R: Tensor, shape: tuple[int, int], bits: int) -> Tensor:
    """The inverse of pack_bits, times one scale a row. float32 [R, C]."""
    n = math.prod(shape)
    ones = np.unpackbits(packed.cpu().numpy(), bitorder="little", count=n * bits).reshape(n, bits).astype(np.int16)
    raw = ones @ (1 << np.arange(bits)).astype(np.int16)
    q = torch.from_numpy((raw ^ (1 << (bits - 1))) - (1 << (bits - 1))).view(shape)
    return q.to(scale_R.device).float() * scale_R.float()[:, None]


def unpack_dequant(packed: Tensor, scale_R: Tensor, shape: tuple[int, int], bits: int) -> Tensor:
    """unpack_dequant_eager, in one kernel where Triton runs. float32 [R, C]."""
    if not kernels_for(packed) or not math.prod(shape):
        return unpack_dequant_eager(packed, scale_R, shape, bits)
    out_RC = torch.empty(shape, dtype=torch.float32, device=packed.device)
    grid = (triton.cdiv(out_RC.numel(), 1024),)
    unpack_dequant_kernel[grid](packed, scale_R, out_RC, out_RC.numel(), shape[1], BITS=bits, BLOCK=1024)
    return out_RC


# ---- Model ----


class CastedLinear(nn.Linear):
    """Linear layer: float32 weight, cast to the input's type; ``clip`` > 0 is its fake-quantisation range."""

    clip: int = 0

    def forward(self, x: Tensor, qat: bool = False) -> Tensor:
        if qat and self.clip:
            return F.linear(x, FakeQuant.apply(self.weight, self.clip, x.dtype))
        return F.linear(x, self.weight.to(x.dtype))


class BigramHash(nn.Module):
    """Embedding of the hashed pair (previous, current) input token; the last bucket means: no previous one."""

    clip: int = 0

    def __init__(self, buckets: int, dim: int, model_dim: int, bos_id: int):
        super().__init__()
        self.buckets, self.bos_id = buckets, bos_id
        self.embed = nn.Embedding(buckets, dim)
        self.proj = CastedLinear(dim, model_dim, bias=False) if dim != model_dim else None
        self.scale = nn.Parameter(torch.tensor(0.05))

    def bucket(self, ids_BT: Tensor) -> Tensor:
        t = ids_BT.to(torch.int32)
        start = self.buckets - 1
        pair = torch.bitwise_xor(36313 * t[:, 1:], 27191 * t[:, :-1]) % start
        pair = torch.where(t[:, 1:] == self.bos_id, start, pair)  # a document knows nothing of the one before it
        return F.pad(pair, (1, 0), value=start).long()

    def forward(self, ids_BT: Tensor, qat: bool) -> Tensor:
        table = self.embed.weight
        if qat and self.clip:
            table = FakeQuant.apply(table, self.clip, table.dtype)
        h = F.embedding(self.bucket(ids_BT), table)
        if self.proj is not None:
            h = self.proj(h, qat)
        return h * self.scale.to(h.dtype)


class SmearGate(nn.Module):
    """y[t] = (1 - g) x[t] + g x[t-1] per channel; the first position of a sequence or document has no x[t-1]."""

    def __init__(self, dim: int, bos_id: int):
        super().__init__()
        self.bos_id = bos_id
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x_BTD: Tensor, ids_BT: Tensor) -> Tensor:
        g_D = torch.sigmoid(self.gate.to(x_BTD.dtype))
        previous_BTD = F.pad(x_BTD[:, :-1], (0, 0, 1, 0))
        same_document_BT1 = (ids_BT != self.bos_id).to(x_BTD.dtype)[..., None]
        return (1 - g_D) * x_BTD + g_D * previous_BTD * same_document_BT1


def rotate(x_BHTK: Tensor, cos_TR: Tensor, sin_TR: Tensor) -> Tensor:
    """Rotary embedding of the first 2R dimensions (halves convention), the rest passes unchanged."""
    r = cos_TR.size(-1)
    x1, x2, rest = x_BHTK[..., :r], x_BHTK[..., r : 2 * r], x_BHTK[..., 2 * r :]
    return torch.cat((x1 * cos_TR + x2 * sin_TR, x2 * cos_TR - x1 * sin_TR, rest), dim=-1)


class CausalSelfAttention(nn.Module):
    """Grouped-query causal attention with normalised q and k, and XSA (#414) where ``xsa`` is set."""

    def __init__(self, dim: int, num_heads: int, num_kv_heads: int, qk_gain_init: float, xsa: bool):
        super().__init__()
        self.num_heads, self.num_kv_heads, self.head_dim, self.xsa = num_heads, num_kv_heads, dim // num_heads, xsa
        self.c_q = CastedLinear(dim, dim, bias=False)
        self.c_k = CastedLinear(dim, num_kv_heads * self.head_dim, bias=False)
        self.c_v = CastedLinear(dim, num_kv_heads * self.head_dim, bias=False)
        self.proj = CastedLinear(dim, dim, bias=False)
        self.q_gain = nn.Parameter(torch.full((num_heads,), qk_gain_init))

    def forward(self, x_BTD: Tensor, cos_TR: Tensor, sin_TR: Tensor, qat: bool) -> Tensor:
        B, T, D = x_BTD.shape
        q_BHTK = self.c_q(x_BTD, qat).view(B, T, self.num_heads, self.head_dim).transpose(1, 2)
        k_BGTK = self.c_k(x_BTD, qat).view(B, T, self.num_kv_heads, self.head_dim).transpose(1, 2)
        v_BTGK = self.c_v(x_BTD, qat).view(B, T, self.num_kv_heads, self.head_dim)
        cos_TR, sin_TR = cos_TR.to(q_BHTK.dtype), sin_TR.to(q_BHTK.dtype)
        q_BHTK = rotate(F.rms_norm(q_BHTK, (self.head_dim,)), cos_TR, sin_TR)
        k_BGTK = rotate(F.rms_norm(k_BGTK, (self.head_dim,)), cos_TR, sin_TR)
        q_BHTK = q_BHTK * self.q_gain.to(q_BHTK.dtype)[:, None, None]
        y_BHTK = F.scaled_dot_product_attention(
            q_BHTK, k_BGTK, v_BTGK.transpose(1, 2), is_causal=True, enable_gqa=self.num_kv_heads != self.num_heads
        )
        y_BTHK = y_BHTK.transpose(1, 2)
        if self.xsa:  # take away what a head says of its own position: the projection on that position's value
            y_BTGhK = y_BTHK.reshape(B, T, self.num_kv_heads, -1, self.head_dim)
            n_BTG1K = F.normalize(v_BTGK, dim=-1)[:, :, :, None]
            y_BTHK = y_BTGhK - (y_BTGhK * n_BTG1K).sum(dim=-1, keepdim=True) * n_BTG1K
        return self.proj(y_BTHK.reshape(B, T, D), qat)


class MLP(nn.Module):
    """proj(leaky_relu(fc(x), 0.5) ** 2)."""

    def __init__(self, dim: int, mult: float):
        super().__init__()
        self.fc = CastedLinear(dim, int(mult * dim), bias=False)
        self.proj = CastedLinear(int(mult * dim), dim, bias=False)

    def forward(self, x_BTD: Tensor, qat: bool) -> Tensor:
        return self.proj(F.leaky_relu(self.fc(x_BTD, qat), negative_slope=0.5).square(), qat)


class Block(nn.Module):
    """Pre-norm block whose input is a learned mix of the stream and of the model's input x0."""

    def __init__(self, dim: int, attn: CausalSelfAttention, mlp: MLP, norm_scale: float):
        super().__init__()
        self.attn, self.mlp, self.norm_scale = attn, mlp, norm_scale
        self.attn_scale = nn.Parameter(torch.ones(dim))
        self.mlp_scale = nn.Parameter(torch.ones(dim))
        self.resid_mix = nn.Parameter(torch.stack((torch.ones(dim), torch.zeros(dim))))

    def forward(self, x_BTD: Tensor, x0_BTD: Tensor, cos_TR: Tensor, sin_TR: Tensor, qat: bool) -> Tensor:
        D, dtype = x_BTD.size(-1), x_BTD.dtype
        mix = self.resid_mix.to(dtype)
        x = mix[0] * x_BTD + mix[1] * x0_BTD
        x = x + self.attn_scale.to(dtype) * self.attn(F.rms_norm(x, (D,)) * self.norm_scale, cos_TR, sin_TR, qat)
        return x + self.mlp_scale.to(dtype) * self.mlp(F.rms_norm(x, (D,)) * self.norm_scale, qat)


class GPT(nn.Module):
    """The whole model. ``forward`` is the training loss, ``nll`` scores."""

    def __init__(
        self,
        vocab_size: int,
        num_layers: int,
        model_dim: int,
        num_heads: int,
        num_kv_heads: int,
        mlp_mult: float,
        tie_embeddings: bool,
        tied_embed_init_std: float,
        logit_softcap: float,
        rope_base: float,
        qk_gain_init: float,
        bigram_vocab_size: int,
        bigram_dim: int,
        rope_dims: int,
        ln_scale: bool,
        xsa_last_n: int,
        bos_id: int = -1,
    ):
        super().__init__()
        self.logit_softcap = logit_softcap
        self.num_encoder_layers = num_layers // 2
        self.tok_emb = nn.Embedding(vocab_size, model_dim)
        self.bigram = BigramHash(bigram_vocab_size, bigram_dim, model_dim, bos_id) if bigram_vocab_size > 0 else None
        self.smear = SmearGate(model_dim, bos_id)
        self.skip_weights = nn.Parameter(torch.ones(num_layers // 2, model_dim))
        self.blocks = nn.ModuleList()
        for layer in range(num_layers):
            xsa = layer >= num_layers - xsa_last_n
            attn = CausalSelfAttention(model_dim, num_heads, num_kv_heads, qk_gain_init, xsa)
            norm_scale = 1.0 / math.sqrt(layer + 1) if ln_scale else 1.0
            self.blocks.append(Block(model_dim, attn, MLP(model_dim, mlp_mult), norm_scale))
        rotated = rope_dims or model_dim // num_heads
        frequency_R = rope_base ** (-torch.arange(0, rotated, 2, dtype=torch.float32) / rotated)
        self.register_buffer("frequency_R", frequency_R, persistent=False)
        self.init_weights(tied_embed_init_std)

    @torch.no_grad()
    def init_weights(self, embed_std: float) -> None:
        """Orthogonal matrices, zero output projections, zero bigram table, small token embedding."""
        nn.init.normal_(self.tok_emb.weight, std=embed_std)
        if self.bigram is not None:
            nn.init.zeros_(self.bigram.embed.weight)
        for name, module in self.named_modules():
            if not isinstance(module, nn.Linear):
                continue
            if name == "bigram.proj":  # its table is zero: were this zero too, neither would ever see a gradient
                nn.init.orthogonal_(module.weight, gain=1.0 / math.sqrt(2 * len(self.blocks)))
            elif name.endswith(".proj"):  # the blocks start as the identity
                nn.init.zeros_(module.weight)
            elif min(module.weight.shape) >= 64:
                nn.init.orthogonal_(module.weight)

    def set_quant_bits(self, mlp_bits: int) -> None:
        for name, module in self.named_modules():
            if isinstance(module, CastedLinear | BigramHash):
                module.clip = clip_of(quant_bits(name, mlp_bits))

    def hidden(self, ids_BT: Tensor, qat: bool) -> Tensor:
        """The normalised output of the last block, [B, T, D]."""
        x = self.tok_emb(ids_BT)
        if self.bigram is not None:
            x = x + self.bigram(ids_BT, qat)
        x0 = x = self.smear(F.rms_norm(x, (x.size(-1),)), ids_BT)
        position_T = torch.arange(ids_BT.size(1), device=ids_BT.device, dtype=torch.float32)
        angle_TR = torch.outer(position_T, self.frequency_R)
        cos_TR, sin_TR = angle_TR.cos(), angle_TR.sin()
        skips: list[Tensor] = []
        for layer, block in enumerate(self.blocks):
            if layer >= self.num_encoder_layers and skips:
                x = x + self.skip_weights[layer - self.num_encoder_layers].to(x.dtype) * skips.pop()
            x = block(x, x0, cos_TR, sin_TR, qat)
            if layer < self.num_encoder_layers:
                skips.append(x)
        return F.rms_norm(x, (x.size(-1),))

    def forward(self, ids_BT: Tensor, targets_BT: Tensor, qat: bool = False) -> Tensor:
        return self.nll(ids_BT, targets_BT, 0, qat).mean()

    def nll(self, ids_BT: Tensor, targets_BT: Tensor, first: int, qat: bool = False) -> Tensor:
        """Negative log likelihood in nats of the targets at positions ``first`` and later, float32 [B, T - first].

        Only those pass the output layer: with a stride of 64 in a window of 2,048, a 32nd.
        """
        x_BSD = self.hidden(ids_BT, qat)[:, first:]
        z_NV = F.linear(x_BSD, self.tok_emb.weight).flatten(0, 1)
        return softcap_ce(z_NV, targets_BT[:, first:].flatten(), self.logit_softcap).view(x_BSD.shape[:2])


CONTROL_TENSORS = ("attn_scale", "mlp_scale", "resid_mix", "q_gain", "skip_weights", "smear", "bigram.scale")


def is_control(name: str) -> bool:
    return any(pattern in name for pattern in CONTROL_TENSORS)


# ---- Optimiser and weight average ----


def newton_schulz(g_MRC: Tensor, steps: int, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """Push the singular values of each matrix towards 1 by a quintic iteration (Muon, Jordan 2024)."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g_MRC.to(dtype)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    tall = x.size(-2) > x.size(-1)
    x = x.mT if tall else x
    for _ in range(steps):
        s = x @ x.mT
        x = a * x + (b * s + c * s @ s) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum orthogonalised by Newton-Schulz, for matrices.

    Matrices of one shape are stacked and iterated together, each rank a part. Momentum is whole on every rank, so that
    a checkpoint of one fits any number of them.
    """

    def __init__(self, params: list[nn.Parameter], lr: float, momentum: float, steps: int, weight_decay: float):
        super().__init__(params, dict(lr=lr, momentum=momentum, steps=steps, weight_decay=weight_decay))
        self.newton_schulz = newton_schulz

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if not params:
                continue
            grads = [p.grad for p in params]
            for p in params:
                if "momentum_buffer" not in self.state[p]:
                    self.state[p]["momentum_buffer"] = torch.zeros_like(p)
            momenta = [self.state[p]["momentum_buffer"] for p in params]
            torch._foreach_mul_(momenta, group["momentum"])
            torch._foreach_add_(momenta, grads)
            nesterov = torch._foreach_add(grads, momenta, alpha=group["momentum"])
            updates = self.orthogonalise(nesterov, group["steps"])
            scales = [-group["lr"] * max(1.0, p.size(0) / p.size(1)) ** 0.5 for p in params]
            updates = [u.to(p.dtype) for u, p in zip(updates, params, strict=True)]
            torch._foreach_mul_(updates, scales)
            torch._foreach_mul_(params, 1.0 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, updates)

    def orthogonalise(self, matrices: list[Tensor], steps: int) -> list[Tensor]:
        """Newton-Schulz of every matrix, shared out over the ranks; the order of the list is kept."""
        world = dist.get_world_size() if dist.is_initialized() else 1
        rank = dist.get_rank() if dist.is_initialized() else 0
        dtype = torch.bfloat16 if matrices[0].is_cuda else torch.float32
        by_shape: dict[tuple[int, int], list[int]] = {}
        for i, m in enumerate(matrices):
            by_shape.setdefault((min(m.shape), max(m.shape)), []).append(i)
        out: dict[int, Tensor] = {}
        for members in by_shape.values():  # all stacked wide, so that fc and proj of an MLP iterate together
            wide = [matrices[i].mT if matrices[i].size(0) > matrices[i].size(1) else matrices[i] for i in members]
            share = -(-len(wide) // world)
            mine = wide[rank * share : (rank + 1) * share]
            mine += [torch.zeros_like(wide[0])] * (share - len(mine))
            updates = part = self.newton_schulz(torch.stack(mine), steps, dtype).contiguous()
            if world > 1:
                updates = part.new_empty(share * world, *part.shape[1:])
                dist.all_gather_into_tensor(updates, part)
            for i, u in zip(members, updates, strict=False):
                out[i] = u.mT if matrices[i].size(0) > matrices[i].size(1) else u
        return [out[i] for i in range(len(matrices))]


class EMA:
    """Exponential moving average of all weights, in float32: bfloat16 would lose steps of 0.3%."""

    def __init__(self, model: GPT, decay: float):
        self.params, self.decay = dict(model.named_parameters()), decay
        self.shadow: dict[str, Tensor] = {}

    @torch.no_grad()
    def update(self) -> None:
        now = {name: p.detach().float() for name, p in self.params.items()}
        if self.shadow:
            torch._foreach_lerp_(list(self.shadow.values()), list(now.values()), 1.0 - self.decay)
        else:
            self.shadow = {name: t.clone() for name, t in now.items()}


def build_optimizers(model: GPT, args: Hyperparameters) -> list[torch.optim.Optimizer]:
    """Muon for matrices (first), AdamW for embeddings and for scales."""
    matrices, embeddings, scalars = [], [], []
    for name, p in model.named_parameters():
        if "embed" in name or "tok_emb" in name:
            embeddings.append(p)
        elif p.ndim == 2 and not is_control(name):
            matrices.append(p)
        else:
            scalars.append(p)
    adam = dict(betas=(args.beta1, args.beta2), eps=args.adam_eps, fused=embeddings[0].is_cuda)
    optimizers = [
        Muon(matrices, args.matrix_lr, args.muon_momentum, args.muon_backend_steps, args.weight_decay),
        torch.optim.AdamW(embeddings, lr=args.tied_embed_lr, weight_decay=args.weight_decay, **adam),
        torch.optim.AdamW(scalars, lr=args.scalar_lr, weight_decay=args.weight_decay, **adam),
    ]
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["base_lr"] = group["lr"]
    return optimizers


# ---- Data ----


def open_shard(path: Path) -> np.ndarray:
    """Map the tokens of a shard (256 int32 of header: magic, version, count; then uint16). Raises InputError."""
    size = path.stat().st_size
    header = np.fromfile(path, dtype="<i4", count=256)
    if header.size != 256:
        raise InputError(f"{path}: {size} bytes are too few for a shard header (1,024 bytes)")
    if header[0] != 20240520:
        order = "big-endian, shards are little-endian" if header.byteswap()[0] == 20240520 else "no token shard"
        raise InputError(f"{path}: {order} (magic {header[0]}, not 20240520)")
    tokens, needed = int(header[2]), 1024 + 2 * int(header[2])
    if header[1] != 1 or tokens <= 0 or size != needed:
        raise InputError(
            f"{path}: version {header[1]}, {tokens} tokens = {needed} bytes, but {size} are there: get it again"
        )
    return np.memmap(path, dtype="<u2", mode="r", offset=1024, shape=(tokens,))


def find_shards(pattern: str) -> list[Path]:
    """The shards that match, by name. Raises InputError where none does."""
    files = [Path(p) for p in sorted(glob.glob(pattern))]
    if not files:
        raise InputError(f"no shard matches {pattern}: set DATA_PATH, or get data with `pgolf data`")
    return files


def check_vocabulary(tokens: np.ndarray, vocab_size: int, where: object) -> None:
    if tokens.size and int(tokens.max()) >= vocab_size:
        raise InputError(f"{where}: token {tokens.max()} is outside VOCAB_SIZE={vocab_size}: made by another tokenizer")


class TokenStream:
    """All training shards, end to end and over again. ``file`` and ``position`` say where it is."""

    def __init__(self, pattern: str):
        self.files = find_shards(pattern)
        for path in self.files:  # every header now rather than in the middle of the run
            open_shard(path)
        self.seek(0, 0)

    def seek(self, file: int, position: int) -> None:
        self.file, self.position = file, position
        self.tokens = open_shard(self.files[file])

    def take(self, n: int) -> np.ndarray:
        parts = []
        while n > 0:
            if self.position == len(self.tokens):
                self.seek((self.file + 1) % len(self.files), 0)
            part = self.tokens[self.position : self.position + n]
            self.position += len(part)
            n -= len(part)
            parts.append(part)
        return np.concatenate(parts)


class DistributedTokenLoader:
    """Micro-batches of one stream. A step takes the same 8 spans of tokens however many ranks share them."""

    def __init__(self, args: Hyperparameters, rank: int, world_size: int, device: torch.device):
        self.args, self.rank, self.world_size, self.device = args, rank, world_size, device
        self.stream = TokenStream(args.train_files)

    def next_batch(self) -> tuple[Tensor, Tensor]:
        """This rank's inputs and targets, int64 [B, T] each."""
        span = self.args.train_batch_tokens // 8 + 1
        tokens = self.stream.take(span * self.world_size)[self.rank * span : (self.rank + 1) * span]
        check_vocabulary(tokens, self.args.vocab_size, self.stream.files[self.stream.file])
        local = torch.from_numpy(tokens.astype(np.int64))
        if self.device.type == "cuda":
            local = local.pin_memory().to(self.device, non_blocking=True)
        return local[:-1].view(-1, self.args.train_seq_len), local[1:].view(-1, self.args.train_seq_len)


def build_sentencepiece_luts(sp: spm.SentencePieceProcessor, vocab_size: int) -> tuple[np.ndarray, ...]:
    """[V] each: bytes of a token without its leading space (1: a byte token, 0: control, unknown and unused ones);
    whether it has that space; whether it is one of the latter, after which a leading space counts nothing."""
    base_bytes = np.zeros(vocab_size, dtype=np.int16)
    has_leading_space = np.zeros(vocab_size, dtype=np.bool_)
    is_boundary = np.ones(vocab_size, dtype=np.bool_)
    for token in range(sp.vocab_size()):
        if sp.is_control(token) or sp.is_unknown(token) or sp.is_unused(token):
            continue
        is_boundary[token] = False
        if sp.is_byte(token):
            base_bytes[token] = 1
            continue
        piece = sp.id_to_piece(token)
        has_leading_space[token] = piece.startswith("\u2581")
        base_bytes[token] = len(piece.removeprefix("\u2581").encode("utf-8"))
    return base_bytes, has_leading_space, is_boundary


class Validation:
    """The whole validation split on the device, and the bytes of its tokens."""

    def __init__(self, tokens: np.ndarray, luts: tuple[np.ndarray, ...], device: torch.device):
        self.device = device
        self.tokens = torch.from_numpy(tokens.astype(np.int32)).to(device)
        self.base_bytes, self.has_leading_space, self.is_boundary = (torch.from_numpy(t).to(device) for t in luts)
        self.total = self.tokens.numel() - 1  # scored tokens: all but the first

    @classmethod
    def load(cls, args: Hyperparameters, device: torch.device) -> "Validation":
        """The split, cut to whole sequences as the challenge's own script does. Raises InputError."""
        if not Path(args.tokenizer_path).is_file():
            raise InputError(f"no tokenizer at TOKENIZER_PATH={args.tokenizer_path}")
        try:
            sp = spm.SentencePieceProcessor(model_file=args.tokenizer_path)
        except (RuntimeError, OSError) as error:
            raise InputError(f"{args.tokenizer_path} is no SentencePiece model: {error}") from error
        if sp.vocab_size() != args.vocab_size:
            raise InputError(f"VOCAB_SIZE={args.vocab_size}, but {args.tokenizer_path} has {sp.vocab_size()} pieces")
        tokens = np.concatenate([open_shard(path) for path in find_shards(args.val_files)])
        check_vocabulary(tokens, args.vocab_size, args.val_files)
        usable = (len(tokens) - 1) // args.train_seq_len * args.train_seq_len
        if usable <= 0:
            raise InputError(f"{args.val_files}: {len(tokens)} tokens are not one sequence of {args.train_seq_len}")
        return cls(tokens[: usable + 1], build_sentencepiece_luts(sp, args.vocab_size), device)

    def bytes_of(self, previous: Tensor, target: Tensor) -> Tensor:
        """UTF-8 bytes that each target stands for, given the token before it."""
        space = self.has_leading_space[target] & ~self.is_boundary[previous]
        return self.base_bytes[target] + space.to(torch.int16)


# ---- Evaluation ----


def sliding_windows(total: int, seq_len: int, stride: int) -> np.ndarray:
    """Rows (start, first scored position, end) of windows whose last ``stride`` positions are scored, all of the first:
    each position exactly once. stride = seq_len gives sequences end to end."""
    length = min(seq_len, total)
    first = np.concatenate([[0], np.arange(length, total, stride)])
    end = np.concatenate([[length], np.minimum(first[1:] + stride, total)])
    return np.stack([end - length, first, end], axis=1)


def score_windows(score, val: Validation, windows: np.ndarray, seq_len: int, batch_seqs: int, pad: bool) -> Tensor:
    """Sums over the scored positions of windows of [nats, tokens, bytes], float64.

    ``score(x, y, first)`` gives the loss from position ``first`` on. ``pad`` fills the last batch up with unscored
    copies, so that a compiled ``score`` sees one shape.
    """
    sums = torch.zeros(3, dtype=torch.float64, device=val.device)
    position_T = torch.arange(min(seq_len, val.total), device=val.device)
    first_W = windows[:, 1] - windows[:, 0]
    for same_first in np.split(windows, np.flatnonzero(np.diff(first_W)) + 1):
        for i in range(0, len(same_first), batch_seqs):
            batch = torch.from_numpy(same_first[i : i + batch_seqs]).to(val.device)
            scored_B = torch.ones(len(batch), dtype=torch.bool, device=val.device)
            if pad:
                missing = batch_seqs - len(batch)
                batch, scored_B = torch.cat([batch, batch[-1:].expand(missing, 3)]), F.pad(scored_B, (0, missing))
            start_B1, from_B1, end_B1 = batch.T[:, :, None]
            at_BT = start_B1 + position_T
            scored_BT = (at_BT >= from_B1) & (at_BT < end_B1) & scored_B[:, None]
            at_BT = at_BT.clamp(max=val.total - 1)  # after the end of a short window: filler, unscored and unseen
            x_BT, y_BT = val.tokens[at_BT].long(), val.tokens[at_BT + 1].long()
            first = int(same_first[0, 1] - same_first[0, 0])
            nll_BS = score(x_BT, y_BT, first)
            scored_BS = scored_BT[:, first:]
            bytes_BS = val.bytes_of(x_BT[:, first:], y_BT[:, first:])
            counted = (nll_BS.double(), torch.ones_like(nll_BS), bytes_BS.double())
            sums += torch.stack([t.where(scored_BS, 0).sum(dtype=torch.float64) for t in counted])
    return sums


def share_of(items, rank: int, world_size: int):
    return items[len(items) * rank // world_size : len(items) * (rank + 1) // world_size]


def all_reduce_sum(t: Tensor) -> Tensor:
    t = t.clone()
    if dist.is_initialized():
        dist.all_reduce(t)
    return t


def loss_and_bpb(sums: Tensor) -> tuple[float, float]:
    nats, tokens, n_bytes = sums.tolist()
    return nats / tokens, nats / math.log(2.0) / n_bytes


def eval_val(run: "Run", val: Validation, stride: int, windows: np.ndarray | None = None) -> tuple[float, float]:
    """val_loss and val_bpb of the model as it stands, over sliding windows; nothing is trained."""
    args = run.args
    windows = sliding_windows(val.total, args.train_seq_len, stride) if windows is None else windows
    run.model.eval()
    with torch.inference_mode(), run.autocast():
        mine = share_of(windows, run.rank, run.world_size)
        sums = score_windows(run.score, val, mine, args.train_seq_len, args.eval_batch_seqs, run.compiled)
    return loss_and_bpb(all_reduce_sum(sums))


def eval_val_sliding_ttt(run: "Run", val: Validation, windows: np.ndarray | None = None) -> tuple[float, float]:
    """Legal score-first test-time training over sliding windows.

    The stream is cut in chunks. For each in order: (1) score every window whose scored part starts in it, under
    inference mode, and bank the losses; (2) only then train on the same chunk, all of whose tokens are now scored.
    Nothing is trained on the last chunk, no token is scored twice.
    """
    args, model = run.args, run.model
    seq_len, chunk_tokens = args.train_seq_len, args.ttt_chunk_tokens
    windows = sliding_windows(val.total, seq_len, args.eval_stride) if windows is None else windows
    num_chunks = -(-val.total // chunk_tokens)
    chunk_windows = np.split(windows, np.searchsorted(windows[:, 1], np.arange(1, num_chunks) * chunk_tokens))
    run.log(f"ttt_sliding:start chunks={num_chunks} chunk_tokens={chunk_tokens} total_windows={len(windows)}")
    for i, block in enumerate(model.blocks):
        block.requires_grad_(i >= args.ttt_freeze_blocks)
    params = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(params, lr=args.ttt_lr, momentum=args.ttt_momentum)
    sums = torch.zeros(3, dtype=torch.float64, device=val.device)
    began = run.agreed_time()
    score_seconds, train_seconds = math.inf, 0.0  # of the fastest chunk so far, of the last one
    adapting = args.ttt_epochs > 0

    for chunk in range(num_chunks):
        chunk_start, chunk_end = chunk * chunk_tokens, min((chunk + 1) * chunk_tokens, val.total)
        clock = run.agreed_time()

        # (1) Score this chunk with the weights that earlier chunks left.
        model.eval()
        with torch.inference_mode(), run.autocast():
            mine = share_of(chunk_windows[chunk], run.rank, run.world_size)
            sums += score_windows(run.score, val, mine, seq_len, args.eval_batch_seqs, run.compiled)
        if chunk % 10 == 0 or chunk == num_chunks - 1:
            bpb, elapsed = loss_and_bpb(all_reduce_sum(sums))[1], run.agreed_time() - began
            run.log(f"  ttt_chunk [{chunk + 1}/{num_chunks}] bpb={bpb:.6f} time={elapsed:.1f}s")

        # (2) Train on this chunk, now that it is scored; never on the last one.
        if chunk == num_chunks - 1:
            break
        now = run.agreed_time()
        score_seconds = min(score_seconds, now - clock)
        if adapting and chunk > 0:
            need = 1.1 * score_seconds * (num_chunks - 1 - chunk) + train_seconds
            if now - run.eval_began + need > args.eval_budget_seconds:
                adapting = False
                run.log(f"ttt_sliding:budget is short ({need:.0f}s needed): scored only from chunk {chunk + 2} on")
        n_seqs = (chunk_end - chunk_start) // seq_len
        if not adapting or n_seqs == 0:
            continue
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = args.ttt_lr * 0.5 * (1.0 + math.cos(math.pi * chunk / max(num_chunks - 1, 1)))
        for _ in range(args.ttt_epochs):
            for i in range(0, n_seqs, args.ttt_batch_seqs):
                size = min(args.ttt_batch_seqs, n_seqs - i)
                start = chunk_start + (i + size * run.rank // run.world_size) * seq_len
                end = chunk_start + (i + size * (run.rank + 1) // run.world_size) * seq_len
                optimizer.zero_grad(set_to_none=True)
                if end > start:
                    local = val.tokens[start : end + 1].long()
                    with run.autocast():
                        loss = run.loss(local[:-1].view(-1, seq_len), local[1:].view(-1, seq_len), args.ttt_fake_quant)
                    (loss * ((end - start) / (size * seq_len))).backward()
                sum_gradients(params)
                nn.utils.clip_grad_norm_(params, args.ttt_grad_clip)
                optimizer.step()
        train_seconds = run.agreed_time() - now

    model.requires_grad_(True)
    val_loss, val_bpb = loss_and_bpb(all_reduce_sum(sums))
    run.log(f"ttt_sliding:done val_loss={val_loss:.6f} val_bpb={val_bpb:.6f} elapsed={run.agreed_time() - began:.1f}s")
    return val_loss, val_bpb


def sum_gradients(params: list[nn.Parameter]) -> None:
    """Add the gradients of all ranks, in one message; a rank without a share of the batch adds zero."""
    if not dist.is_initialized():
        return
    for p in params:
        if p.grad is None:
            p.grad = torch.zeros_like(p)
    flat = torch.cat([p.grad.float().flatten() for p in params])
    dist.all_reduce(flat)
    parts = flat.split([p.numel() for p in params])
    torch._foreach_copy_([p.grad for p in params], [part.view_as(p) for part, p in zip(parts, params, strict=True)])


# ---- Quantisation ----


def clip_of(bits: int) -> int:
    """Largest integer of a signed grid: 7 for INT4, 31 for INT6; 0 for no grid."""
    return (1 << (bits - 1)) - 1 if bits else 0


def quant_bits(name: str, mlp_bits: int) -> int:
    """Bits of a weight's grid, 0: none. The bigram table follows the MLP when that is INT4 or less."""
    if ".mlp." in name:
        return mlp_bits
    if "bigram" in name:
        return mlp_bits if mlp_bits <= 4 else 6
    return 0 if "tok_emb" in name else 6


def export_kind(name: str, t: Tensor, num_layers: int, mlp_bits: int) -> str:
    """How a tensor is stored: "passthrough*", or "intN" with one scale a row."""
    if not t.is_floating_point() or t.numel() <= 8192:
        return "passthrough"
    if is_control(name):
        return "passthrough_ctrl"
    if "tok_emb" in name or name.startswith(f"blocks.{num_layers - 1}.attn.c_k."):
        return "passthrough_fp16"
    return f"int{quant_bits(name, mlp_bits)}"


@torch.no_grad()
def prune_smallest(state: dict[str, Tensor], fraction: float) -> dict[str, Tensor]:
    """A copy in which the smallest entries of each matrix of more than 65,536 are zero."""
    out = {}
    for name, t in state.items():
        if t.ndim == 2 and t.numel() > 65_536 and fraction > 0:
            t = t.masked_fill(t.abs() < torch.quantile(t.abs().float().flatten(), fraction), 0.0)
        out[name] = t
    return out


def quantize_rows(w_RC: Tensor, clip: int) -> tuple[Tensor, Tensor]:
    """int8 [R, C] and fp16 scales [R]: of five clip quantiles the one with the least squared error over the matrix."""
    w = w_RC.float()
    best_error, best_q, best_scale = math.inf, None, None
    for quantile in (0.9990, 0.9995, 0.9999, 0.99999, 1.0):
        top_R = torch.quantile(w.abs(), quantile, dim=1) if quantile < 1.0 else w.abs().amax(dim=1)
        scale_R = (top_R / clip).clamp_min(1e-12).to(torch.float16).clamp_min(torch.finfo(torch.float16).tiny)
        q = (w / scale_R.float()[:, None]).round().clamp(-(clip + 1), clip).to(torch.int8)
        error = (w - q.float() * scale_R.float()[:, None]).square().mean().item()
        if error < best_error:
            best_error, best_q, best_scale = error, q, scale_R
    if best_q is None:
        raise InputError("a weight matrix holds NaN or infinity: training diverged, nothing was exported")
    return best_q, best_scale


def quantize_state(state: dict[str, Tensor], num_layers: int, mlp_bits: int) -> tuple[dict, dict]:
    """Quantise a state dict on the CPU: tensors NAME.q and NAME.scale, or NAME where it passes; kind of each NAME."""
    tensors, kinds = {}, {}
    for name, t in state.items():
        t = t.detach().cpu().contiguous()
        kinds[name] = kind = export_kind(name, t, num_layers, mlp_bits)
        if kind == "passthrough_ctrl":
            tensors[name] = t.float()
        elif kind.startswith("passthrough"):
            tensors[name] = t.to(torch.float16) if t.is_floating_point() else t
        else:
            tensors[name + ".q"], tensors[name + ".scale"] = quantize_rows(t, clip_of(int(kind[3:])))
    return tensors, kinds


def dequantize_state(tensors: dict[str, Tensor], kinds: dict[str, str], device: torch.device) -> dict[str, Tensor]:
    state = {}
    for name, kind in kinds.items():
        if kind.startswith("passthrough"):
            state[name] = tensors[name].float() if tensors[name].is_floating_point() else tensors[name]
            continue
        scale_R = tensors[name + ".scale"].to(device)
        if name + ".packed" in tensors:  # INT4 and INT6 go to the device as they are stored
            packed, bits = tensors[name + ".packed"].to(device), int(kind[3:])
            shape = (len(scale_R), (len(packed) - 1) * 8 // bits // len(scale_R))
            state[name] = unpack_dequant(packed, scale_R, shape, bits)
        else:
            state[name] = tensors[name + ".q"].to(device).float() * scale_R.float()[:, None]
    return state


# ---- The artifact ----

RANS_BITS = 15  # frequencies of a table sum to 2 ** RANS_BITS
RANS_LANES = 1024  # states that numpy steps together; each costs 4 bytes


def frequency_tables(counts: np.ndarray) -> np.ndarray:
    """Scale symbol counts [contexts, symbols] to sums of 2 ** RANS_BITS, at least 1 for each symbol that occurs."""
    used = counts.any(axis=1)
    freqs = np.maximum((counts << RANS_BITS) // np.maximum(counts.sum(axis=1, keepdims=True), 1), counts > 0)
    freqs[used, counts[used].argmax(axis=1)] += (1 << RANS_BITS) - freqs[used].sum(axis=1)  # what rounding left
    return freqs


def rans_encode(symbols: np.ndarray, contexts: np.ndarray, freqs: np.ndarray) -> bytes:
    """Code uint8 symbols, each by the table of its context: end states, then 16-bit words in reading order."""
    starts, freqs = (np.cumsum(freqs, axis=1) - freqs).astype(np.uint64), freqs.astype(np.uint64)
    states, words = np.full(RANS_LANES, 1 << 16, dtype=np.uint64), [np.zeros(0, "<u2")]
    for begin in range((len(symbols) - 1) // RANS_LANES * RANS_LANES, -1, -RANS_LANES):
        s, c = symbols[begin : begin + RANS_LANES], contexts[begin : begin + RANS_LANES]
        f, x = freqs[c, s], states[: len(s)]
        full = x >= f << np.uint64(32 - RANS_BITS)
        words.append(x[full].astype("<u2"))  # the low 16 bits
        x = np.where(full, x >> np.uint64(16), x)
        states[: len(s)] = (x // f << np.uint64(RANS_BITS)) + x % f + starts[c, s]
    return states.astype("<u4").tobytes() + np.concatenate(words[::-1]).tobytes()


def rans_decode(code: bytes, contexts: np.ndarray, freqs: np.ndarray) -> np.ndarray:
    """The inverse of rans_encode: one uint8 symbol for each context. Raises ValueError where the code is damaged."""
    states = np.frombuffer(code, "<u4", count=RANS_LANES).astype(np.uint64)
    words, at = np.frombuffer(code, "<u2", offset=4 * RANS_LANES).astype(np.uint64), 0
    starts = (np.cumsum(freqs, axis=1) - freqs).astype(np.uint64)
    symbol_of_slot = np.zeros((len(freqs), 1 << RANS_BITS), dtype=np.uint8)
    for context in np.flatnonzero(freqs.any(axis=1)):
        symbol_of_slot[context] = np.repeat(np.arange(256, dtype=np.uint8), freqs[context])
    freqs, out = freqs.astype(np.uint64), np.empty(len(contexts), dtype=np.uint8)
    for begin in range(0, len(contexts), RANS_LANES):
        c = contexts[begin : begin + RANS_LANES]
        x = states[: len(c)]
        slot = x & np.uint64((1 << RANS_BITS) - 1)
        s = out[begin : begin + RANS_LANES] = symbol_of_slot[c, slot]
        x = freqs[c, s] * (x >> np.uint64(RANS_BITS)) + slot - starts[c, s]
        low = x < 1 << 16
        n = int(low.sum())
        x[low] = x[low] << np.uint64(16) | words[at : at + n]  # raises ValueError where the words run out
        states[: len(c)] = x
        at += n
    if at != len(words) or not (states == 1 << 16).all():
        raise ValueError("the entropy-coded stream is damaged")
    return out


def row_tables(q_RC: np.ndarray) -> np.ndarray:
    """Which of the 32 tables of its layer type codes each row: by its mean magnitude, in quarter octaves. uint8 [R]."""
    mean_R = np.abs(q_RC.astype(np.float64)).mean(axis=1)
    return np.clip(np.round(4 * np.log2(np.maximum(mean_R, 1 / 64))) + 12, 0, 31).astype(np.uint8)


def table_of_symbols(arrays: list, rows: np.ndarray) -> tuple[np.ndarray, int]:
    """The table of each stored symbol, by layer type, byte plane and row; and how many tables there are."""
    bases: dict[str, int] = {}
    tables, n_tables, at = [], 0, 0
    for key, dtype, shape, bits in arrays:
        kind = ".".join(part for part in key.split(".") if not part.isdigit())
        for plane in range(1 if bits else getattr(torch, dtype).itemsize):
            if (base := bases.get(f"{kind}/{plane}")) is None:
                base = bases[f"{kind}/{plane}"] = n_tables
                n_tables += 32 if bits else 1
            if bits:
                tables.append(np.repeat(rows[at : at + shape[0]] + np.uint16(base), shape[1]))
                at += shape[0]
            else:
                tables.append(np.full(math.prod(shape), base, np.uint16))
    return np.concatenate(tables), n_tables


def encode_artifact(tensors: dict[str, Tensor], kinds: dict[str, str], codec: str) -> bytes:
    """Store quantised tensors losslessly: "PGQ1", length and zstd of a JSON header, then its sections.

    rans: all integers and bytes of halves go through the entropy coder. packed: integers as INT4 and INT6 bit streams,
    which unpack_dequant reads on the device, under zstd level 22.
    """
    zstd = zstandard.ZstdCompressor(level=22)
    bits_of = {name + ".q": int(kind[3:]) for name, kind in kinds.items() if kind.startswith("int")}
    arrays = [[key, str(t.dtype)[6:], list(t.shape), bits_of.get(key, 0)] for key, t in tensors.items()]
    symbols, rows = [], [np.zeros(0, np.uint8)]
    for (_, _, _, bits), t in zip(arrays, tensors.values(), strict=True):
        if bits and codec == "packed":
            symbols.append(pack_bits(t, bits).numpy())
        elif bits:
            symbols.append((t.numpy().astype(np.int16) + (1 << (bits - 1))).astype(np.uint8).ravel())
            rows.append(row_tables(t.numpy()))
        else:
            raw = np.frombuffer(t.contiguous().numpy().tobytes(), np.uint8)
            symbols.append(raw.reshape(-1, t.element_size()).T.ravel())
    stream = np.concatenate(symbols)
    if codec == "rans":
        tables, n_tables = table_of_symbols(arrays, np.concatenate(rows))
        counts = np.bincount(tables.astype(np.int64) * 256 + stream, minlength=n_tables * 256)
        freqs = frequency_tables(counts.reshape(-1, 256))
        sections = [zstd.compress(np.concatenate(rows).tobytes()), zstd.compress(freqs.astype("<u2").T.tobytes())]
        sections.append(rans_encode(stream, tables, freqs))
    else:
        sections = [zstd.compress(stream.tobytes())]
    header = {"codec": codec, "arrays": arrays, "kinds": kinds, "sections": [len(s) for s in sections]}
    head = zstd.compress(json.dumps(header, separators=(",", ":")).encode())
    return b"PGQ1" + len(head).to_bytes(4, "little") + head + b"".join(sections)


def decode_artifact(blob: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What encode_artifact was given, with NAME.packed in place of NAME.q by the packed codec. Raises InputError."""
    try:
        zstd = zstandard.ZstdDecompressor()
        at = 8 + int.from_bytes(blob[4:8], "little")
        header = json.loads(zstd.decompress(blob[8:at]))
        ends = np.cumsum([at, *header["sections"]])
        if blob[:4] != b"PGQ1" or ends[-1] != len(blob):
            raise ValueError(f"{len(blob)} bytes, {ends[-1]} expected")
        sections = [blob[a:b] for a, b in itertools.pairwise(ends)]
        if header["codec"] == "rans":
            tables, n_tables = table_of_symbols(header["arrays"], np.frombuffer(zstd.decompress(sections[0]), np.uint8))
            freqs = np.frombuffer(zstd.decompress(sections[1]), "<u2").reshape(256, n_tables).T.astype(np.int64)
            stream = rans_decode(sections[2], tables, freqs)
        else:
            stream = np.frombuffer(zstd.decompress(sections[0]), np.uint8)
        tensors, at = {}, 0
        for key, dtype, shape, bits in header["arrays"]:
            n, size = math.prod(shape), 1 if bits else getattr(torch, dtype).itemsize
            if bits and header["codec"] == "packed":
                n = (n * bits + 7) // 8 + 1
                tensors[key.removesuffix(".q") + ".packed"] = torch.tensor(stream[at : at + n])
            elif bits:
                q = stream[at : at + n].astype(np.int16) - (1 << (bits - 1))
                tensors[key] = torch.from_numpy(q.astype(np.int8)).view(shape)
            else:
                raw = bytearray(stream[at : at + n * size].reshape(size, n).T.tobytes())
                tensors[key] = torch.frombuffer(raw, dtype=getattr(torch, dtype)).view(shape)
            at += n * size
        return tensors, header["kinds"]
    except (ValueError, KeyError, TypeError, IndexError, zstandard.ZstdError) as error:
        raise InputError(f"the artifact cannot be read ({error}): export it again from final_model.pt") from error


# ---- The run ----


def write_atomic(name: str, data: bytes) -> None:
    """Write a file whole or not at all: a full disk leaves the earlier file as it was. Raises InputError."""
    partial = f".{name}.{os.getpid()}.partial"
    try:
        with open(partial, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(partial, name)
    except OSError as error:
        Path(partial).unlink(missing_ok=True)
        raise InputError(
            f"cannot write {name} ({len(data)} bytes): {error.strerror}; nothing there was lost"
        ) from error


def write_tensors(name: str, obj: dict) -> None:
    buffer = io.BytesIO()
    torch.save(obj, buffer)
    write_atomic(name, buffer.getvalue())


def read_tensors(name: str, config: dict) -> dict:
    """What write_tensors wrote of a model with this configuration. Raises InputError."""
    try:
        saved = torch.load(name, map_location="cpu", weights_only=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error
    if saved.get("config") != config:
        raise InputError(f"{name} is of another model: it was made with {saved.get('config')}")
    return saved


class Run:
    """One process: its rank, device and model, the log, and a clock on which all ranks agree."""

    def __init__(self, args: Hyperparameters, code: str):
        self.args, self.code = args, code
        self.rank, self.world_size = int(environ.get("RANK", 0)), int(environ.get("WORLD_SIZE", 1))
        args.check(self.world_size)
        self.device = self.pick_device()
        self.cuda = self.device.type == "cuda"
        self.compiled = args.compile == "1" or (args.compile == "auto" and self.cuda)
        self.cpu_group, self.eval_began = None, 0.0
        self.log_path = f"logs/{args.run_id}.txt"
        if "RANK" in environ and "WORLD_SIZE" in environ:
            dist.init_process_group("nccl" if self.cuda else "gloo", device_id=self.device if self.cuda else None)
            self.cpu_group = dist.new_group(backend="gloo")
        random.seed(args.seed)
        np.random.seed(args.seed)
        torch.manual_seed(args.seed)

    def pick_device(self) -> torch.device:
        """The device of this rank. Raises InputError where CUDA is asked for and missing."""
        asked, rank, gpus = self.args.device, int(environ.get("LOCAL_RANK", 0)), torch.cuda.device_count()
        if asked == "cpu" or (asked == "auto" and not gpus):
            return torch.device("cpu")
        if asked not in ("auto", "cuda"):
            raise InputError(f"DEVICE={asked!r} is none of auto, cuda, cpu")
        if rank >= gpus:
            raise InputError(
                f"rank {rank} finds no GPU ({gpus} are visible): check the driver, or set DEVICE=cpu for a toy run"
            )
        torch.cuda.set_device(rank)
        torch.backends.cuda.matmul.allow_tf32 = True
        return torch.device("cuda", rank)

    def log(self, message: str, console: bool = True) -> None:
        if self.rank == 0:
            if console:
                print(message, flush=True)
            with open(self.log_path, "a", encoding="utf-8") as f:
                print(message, file=f)

    def open_log(self) -> None:
        """Start the log with the source, the environment and every setting."""
        if self.rank == 0:
            Path("logs").mkdir(exist_ok=True)
            print(self.log_path)
        smi = subprocess.run(["nvidia-smi"], capture_output=True, text=True, check=False).stdout if self.cuda else ""
        settings = {
            k: v for k, v in vars(Hyperparameters).items() if isinstance(v, bool | int | float | str) and k[0] != "_"
        }
        versions = f"Running PyTorch {torch.__version__} Triton {triton.__version__ if triton else 'none'}"
        rule = "=" * 100
        for part in (self.code, rule, f"Running Python {sys.version}", versions, smi, rule):
            self.log(part, console=False)
        self.log(" ".join(f"{k}={v}" for k, v in settings.items()), console=False)

    def build_model(self) -> None:
        args = self.args
        torch.backends.cuda.enable_cudnn_sdp(args.attention_backend == "cudnn")
        torch.backends.cuda.enable_flash_sdp(args.attention_backend == "flash")
        torch.backends.cuda.enable_mem_efficient_sdp(False)
        torch.backends.cuda.enable_math_sdp(not self.cuda)  # on a GPU an error is better than a slow fallback
        self.model = GPT(**args.gpt_config()).to(self.device)
        self.model.set_quant_bits(args.mlp_quant_bits)
        if self.cuda:  # the type of the embeddings is that of the activations; linear weights and scales stay float32
            self.model.tok_emb.bfloat16()
            if self.model.bigram is not None:
                self.model.bigram.embed.bfloat16()
        self.loss, self.score = self.model, self.model.nll
        if self.compiled:
            self.loss = torch.compile(self.model, dynamic=False, fullgraph=True)
            self.score = torch.compile(self.model.nll, dynamic=False, fullgraph=True)
        with_triton = kernels_for(self.model.skip_weights)
        if args.kernels == "triton" and not with_triton:
            raise InputError("KERNELS=triton needs Triton and a GPU; KERNELS=auto falls back to the eager path")
        self.log(f"model_params:{sum(p.numel() for p in self.model.parameters())}")
        self.log(f"world_size:{self.world_size} grad_accum_steps:{8 // self.world_size}")
        self.log(
            f"device:{self.device.type} compile:{self.compiled} kernels:{'triton' if with_triton else 'eager'} "
            f"attention:{args.attention_backend if self.cuda else 'math'} matmul:{'bf16' if self.cuda else 'fp32'}"
        )

    def autocast(self):
        return torch.autocast("cuda", dtype=torch.bfloat16) if self.cuda else nullcontext()

    def agreed_time(self, after: "torch.cuda.Event | None" = None) -> float:
        """Seconds on rank 0's clock once this rank's GPU has done ``after``, or all of its work."""
        if after is not None:
            after.synchronize()
        elif self.cuda:
            torch.cuda.synchronize()
        now = torch.tensor([time.perf_counter()], dtype=torch.float64)
        if self.cpu_group is not None:
            dist.broadcast(now, 0, group=self.cpu_group)
        return now.item()


def lr_scale(args: Hyperparameters, step: int, elapsed: float) -> float:
    """Learning-rate factor: 1, then linear to 0 over the time that WARMDOWN_ITERS steps take, or over those steps."""
    if args.warmdown_iters <= 0:
        return 1.0
    if args.max_wallclock_seconds <= 0:
        return min(1.0, max(args.iterations - step, 0) / args.warmdown_iters)
    warmdown_seconds = args.warmdown_iters * elapsed / max(step, 1)
    return min(1.0, max(args.max_wallclock_seconds - elapsed, 0.0) / max(warmdown_seconds, 1e-9))


def qat_due(args: Hyperparameters, elapsed: float, scale: float) -> bool:
    """Whether fake quantisation is on: from LATE_QAT_FRAC of the cap on; without a cap, once the learning rate fell."""
    if args.max_wallclock_seconds > 0 and args.late_qat_frac > 0:
        return elapsed >= args.late_qat_frac * args.max_wallclock_seconds
    return args.late_qat_threshold <= 0 or scale < args.late_qat_threshold


class Trainer:
    """The training stage."""

    def __init__(self, run: Run, val: Validation):
        self.run, self.val, self.args = run, val, run.args
        self.loader = DistributedTokenLoader(run.args, run.rank, run.world_size, run.device)
        self.optimizers = build_optimizers(run.model, run.args)
        if run.compiled:
            self.optimizers[0].newton_schulz = torch.compile(newton_schulz, dynamic=False)
        self.ema = EMA(run.model, run.args.ema_decay)
        self.step, self.seconds, self.qat = 0, 0.0, False
        self.before, self.began, self.done = 0.0, 0.0, []

    def update(self, step: int, scale: float, qat: bool) -> Tensor:
        """One optimiser step on the next 8 spans of the stream; returns this rank's mean loss."""
        args, accumulation = self.args, 8 // self.run.world_size
        loss_sum = torch.zeros((), device=self.run.device)
        for _ in range(accumulation):
            x_BT, y_BT = self.loader.next_batch()
            with self.run.autocast():
                loss = self.run.loss(x_BT, y_BT, qat)
            loss_sum += loss.detach()
            (loss / 8).backward()  # a step is 8 micro-batches over all ranks
        sum_gradients(list(self.run.model.parameters()))
        ramp = min(step / max(args.muon_momentum_warmup_steps, 1), 1.0)
        momentum = (1 - ramp) * args.muon_momentum_warmup_start + ramp * args.muon_momentum
        if args.grad_clip_norm > 0:
            nn.utils.clip_grad_norm_(self.run.model.parameters(), args.grad_clip_norm)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["base_lr"] * scale
                if "momentum" in group:
                    group["momentum"] = momentum
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return loss_sum / accumulation

    def warm_up(self) -> None:
        """Run (compile, tune, allocate) both graphs on training data, then put back all that it changed.

        Fake quantisation is on in the second half, so that nothing compiles when it turns on under the clock.
        """
        model, steps = self.run.model, self.args.warmup_steps
        weights = {name: t.detach().cpu().clone() for name, t in model.state_dict().items()}
        states = [copy.deepcopy(optimizer.state_dict()) for optimizer in self.optimizers]
        for step in range(steps):
            qat = self.args.qat_enabled and step >= steps // 2
            self.update(0, 1.0, qat)
            self.run.log(f"warmup_step:{step + 1}/{steps} graph:{'qat' if qat else 'plain'}")
        model.load_state_dict(weights)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)
        self.loader.stream.seek(0, 0)

    def validate(self) -> None:
        """Validation loss of the present weights, off the clock; nothing is chosen by it."""
        self.seconds = self.elapsed(0)[0]
        val_loss, val_bpb = eval_val(self.run, self.val, self.args.train_seq_len)
        self.run.model.train()
        self.log_step(f"val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f}")
        self.before, self.began, self.done = self.seconds, self.run.agreed_time(), []

    def log_step(self, what: str) -> None:
        ms = 1000 * self.seconds
        step = f"step:{self.step}/{self.args.iterations}"
        self.run.log(f"{step} {what} train_time:{ms:.0f}ms step_avg:{ms / max(self.step, 1):.2f}ms")

    def checkpoint(self, load: str = "") -> None:
        """Save everything that going on needs, on rank 0, or ``load`` it. It fits any number of ranks."""
        run, stream, config = self.run, self.loader.stream, self.args.gpt_config()
        if load:
            state = read_tensors(load, config)
            run.model.load_state_dict(state["model"])
            for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
                optimizer.load_state_dict(saved)
            self.ema.shadow = {name: t.to(run.device) for name, t in state["ema"].items()}
            self.step, self.seconds, self.qat = state["progress"]
            stream.seek(*state["stream"])
        elif run.rank == 0:
            state = {"config": config, "model": run.model.state_dict(), "stream": (stream.file, stream.position)}
            state["ema"] = self.ema.shadow
            state["optimizers"] = [optimizer.state_dict() for optimizer in self.optimizers]
            state["progress"] = (self.step, self.seconds, self.qat)
            write_tensors("checkpoint.pt", state)
        run.log(
            f"checkpoint:{'resumed from ' + load if load else 'saved'} step:{self.step} train_time:{self.seconds:.3f}s"
        )

    def elapsed(self, lag: int) -> tuple[float, int]:
        """Training seconds when all but the ``lag`` newest steps were done, and how many steps that were."""
        lag = lag if len(self.done) > lag else 0
        event = self.done[-1 - lag] if lag else None
        return self.before + self.run.agreed_time(event) - self.began, self.step - lag

    def turn_qat_on(self, elapsed: float) -> None:
        """Fake-quantise from the next step on; the EMA restarts from the weights that this finds."""
        self.qat = True
        self.ema.shadow = {}
        mlp, table = self.args.mlp_quant_bits, quant_bits("bigram", self.args.mlp_quant_bits)
        self.run.log(f"qat:enabled step:{self.step} mlp,bigram=INT{mlp},INT{table} attn=INT6 train_time:{elapsed:.3f}s")
        self.run.log("qat:ema_reset")

    def train(self) -> dict[str, Tensor]:
        """Train to the cap or to ITERATIONS; returns the averaged weights, float32 on the CPU."""
        args, run = self.args, self.run
        run.model.train()
        self.warm_up()
        if args.resume:
            self.checkpoint(load=args.resume)
        cap = args.max_wallclock_seconds if args.max_wallclock_seconds > 0 else math.inf
        lag = 1 if run.cuda else 0  # a GPU is kept one step ahead of the clock that is read
        self.before, self.began = self.seconds, run.agreed_time()
        stopping = False
        while not stopping and self.step < args.iterations:
            if args.val_loss_every > 0 and self.step % args.val_loss_every == 0:
                self.validate()
            elapsed, finished = self.elapsed(lag)
            scale = lr_scale(args, finished, elapsed)
            if args.qat_enabled and not self.qat and qat_due(args, elapsed, scale):
                self.turn_qat_on(elapsed)
            loss = self.update(self.step, scale, self.qat)
            self.step += 1
            if run.cuda:
                self.done = [*self.done[-1:], torch.cuda.Event()]
                self.done[-1].record()
            if args.ema_enabled:
                self.ema.update()
            if args.train_log_every > 0 and (self.step <= 10 or self.step % args.train_log_every == 0):
                mean_loss = all_reduce_sum(loss).item() / run.world_size
                self.seconds = self.elapsed(0)[0]
                self.log_step(f"train_loss:{mean_loss:.6f}")
            if args.checkpoint_every > 0 and self.step % args.checkpoint_every == 0:
                self.seconds = self.elapsed(0)[0]
                self.checkpoint()
            elapsed, finished = self.elapsed(lag)  # stop where one more step would end after the cap
            stopping = elapsed + (1 + self.step - finished) * elapsed / max(finished, 1) > cap
        self.validate()
        if self.step < args.iterations:
            ms = f"{1000 * self.seconds:.0f}ms"
            run.log(f"stopping_early: wallclock_cap train_time:{ms} step:{self.step}/{args.iterations}")
        if run.cuda:
            peak, reserved = torch.cuda.max_memory_allocated() >> 20, torch.cuda.max_memory_reserved() >> 20
            run.log(f"peak memory allocated: {peak} MiB reserved: {reserved} MiB")
        state = run.model.state_dict()
        if self.ema.shadow:
            state.update(self.ema.shadow)
            run.log(f"ema:applying decay={args.ema_decay}")
        return {name: t.detach().float().cpu() for name, t in state.items()}


def export(run: Run) -> None:
    """final_model.pt, pruned and quantised, to final_model.ptz; prints the sizes that the challenge counts."""
    args, began = run.args, time.perf_counter()
    state = prune_smallest(read_tensors("final_model.pt", args.gpt_config())["state"], args.prune_fraction)
    blob = encode_artifact(*quantize_state(state, args.num_layers, args.mlp_quant_bits), args.export_codec)
    write_atomic("final_model.ptz", blob)
    label, code_bytes = f"int{args.mlp_quant_bits}/int6+{args.export_codec}", len(run.code.encode("utf-8"))
    run.log(f"Serialized model: {Path('final_model.pt').stat().st_size} bytes")
    run.log(f"Code size: {code_bytes} bytes")
    run.log(f"Serialized model {label}: {len(blob)} bytes")
    run.log(f"Total submission size {label}: {len(blob) + code_bytes} bytes")
    run.log(f"export:took {time.perf_counter() - began:.1f}s")


def evaluate(run: Run, val: Validation) -> None:
    """Score the model that final_model.ptz holds. The headline is legal TTT, or the sliding window where TTT is off."""
    run.eval_began = run.agreed_time()
    try:
        tensors, kinds = decode_artifact(Path("final_model.ptz").read_bytes())
        run.model.load_state_dict(dequantize_state(tensors, kinds, run.device))
    except (OSError, RuntimeError) as error:
        raise InputError(f"final_model.ptz does not fit or is not there (stage export makes it): {error}") from error
    run.log(f"artifact:read in {run.agreed_time() - run.eval_began:.1f}s")

    def report(label: str, evaluation) -> None:
        began = run.agreed_time()
        val_loss, val_bpb = evaluation()
        ms = 1000 * (run.agreed_time() - began)
        run.log(f"{label} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} eval_time:{ms:.0f}ms")
        run.log(f"{label}_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")

    report("final_int4_int6_roundtrip", lambda: eval_val(run, val, run.args.train_seq_len))
    if run.args.ttt_enabled:
        report("legal_ttt", lambda: eval_val_sliding_ttt(run, val))
    else:
        report("final_sliding_window", lambda: eval_val(run, val, run.args.eval_stride))
    run.log(f"total_eval_time:{run.agreed_time() - run.eval_began:.1f}s")


def main() -> None:
    args = Hyperparameters()
    run = Run(args, Path(__file__).read_text(encoding="utf-8"))
    try:
        val = Validation.load(args, run.device)
        shards = len(find_shards(args.train_files)) if "train" in args.stages else 0
        run.open_log()
        run.log(f"val_bpb:enabled tokenizer_kind=sentencepiece tokenizer_path={args.tokenizer_path}")
        run.log(f"train_loader:dataset:{Path(args.data_path).name} train_shards:{shards}")
        run.log(f"val_loader:shards pattern={args.val_files} tokens:{val.total}")
        run.build_model()
        run.log(f"train_batch_tokens:{args.train_batch_tokens} max_wallclock_seconds:{args.max_wallclock_seconds:.3f}")
        run.log(f"seed:{args.seed}")
        if "train" in args.stages:
            state = Trainer(run, val).train()
            if run.rank == 0:
                write_tensors("final_model.pt", {"state": state, "config": args.gpt_config()})
        if "export" in args.stages and run.rank == 0:
            export(run)
        run.agreed_time()  # the other ranks wait here for the artifact
        if "eval" in args.stages:
            evaluate(run, val)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except InputError as error:
        print(f"train_gpt.py: {error}", file=sys.stderr)
        sys.exit(2)
