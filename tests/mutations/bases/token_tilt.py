"""Token-only n-gram tilt: one C sweep writes, for every position, a hint from what lies before; the distribution is tilted
towards the hint with its exact normaliser. Everything of the sweep is inside the evaluation's timer."""

import ctypes
import glob
import io
import math
import os
import subprocess
import tempfile
import time
import zlib

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

DATA_PATH = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
TOKENIZER_PATH = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
TOKEN_ORDER = int(os.environ.get("TOKEN_ORDER", "6"))
TOKEN_BOOST = float(os.environ.get("TOKEN_BOOST", "1.6"))
TOKEN_THRESHOLD = float(os.environ.get("TOKEN_THRESHOLD", "0.6"))
WITHIN_BOOST = float(os.environ.get("WITHIN_BOOST", "0"))
MAX_WALLCLOCK_SECONDS = float(os.environ.get("MAX_WALLCLOCK_SECONDS", "599"))
SEQ, STRIDE, DEVICE = 1024, 128, "cuda"

HINT_SOURCE = r"""
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct { uint64_t key; int32_t best; uint32_t best_count, total; } slot_t;

static uint64_t mix(uint64_t h, uint64_t v) { h ^= v + 0x9E3779B97F4A7C15ull + (h << 6) + (h >> 2); return h * 0xD6E8FEB86659FD93ull; }

/* hint[p] and conf[p] are for the token at p + 1 and read tokens[0..p] only; the slot learns tokens[p + 1] afterwards. */
int token_hints(const int32_t *tokens, int64_t n, int order, int bits, float threshold, int32_t *hint, float *conf) {
    uint64_t mask = (1ull << bits) - 1;
    slot_t *slots = calloc(mask + 1, sizeof(slot_t));
    uint32_t *pairs = calloc(mask + 1, sizeof(uint32_t));
    if (!slots || !pairs) return 1;
    for (int64_t p = 0; p + 1 < n; p++) {
        uint64_t h = 0xCBF29CE484222325ull;
        int64_t from = p + 1 < order ? 0 : p + 1 - order;
        for (int64_t k = from; k <= p; k++) h = mix(h, (uint64_t)tokens[k]);
        slot_t *s = &slots[h & mask];
        if (s->total && s->key == h) {
            float c = (float)s->best_count / (float)s->total;
            hint[p] = c >= threshold ? s->best : -1;
            conf[p] = c;
        } else {
            hint[p] = -1;
            conf[p] = 0.f;
        }
        int32_t next = tokens[p + 1];
        if (s->key != h) { memset(s, 0, sizeof *s); s->key = h; s->best = next; }
        uint32_t count = ++pairs[mix(h, (uint64_t)next) & mask];
        s->total++;
        if (s->best == next) s->best_count++;
        else if (count > s->best_count) { s->best = next; s->best_count = count; }
    }
    free(slots);
    free(pairs);
    return 0;
}
"""


def compile_hints():
    folder = tempfile.mkdtemp()
    source, target = os.path.join(folder, "hints.c"), os.path.join(folder, "hints.so")
    with open(source, "w") as f:
        f.write(HINT_SOURCE)
    subprocess.run(["gcc", "-O3", "-march=native", "-shared", "-fPIC", "-o", target, source], check=True)
    lib = ctypes.CDLL(target)
    lib.token_hints.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_int, ctypes.c_float, ctypes.c_void_p, ctypes.c_void_p]
    return lib


def precompute_hints(stream):
    tokens = np.ascontiguousarray(stream, dtype=np.int32)
    hint, conf = np.full(len(tokens), -1, dtype=np.int32), np.zeros(len(tokens), dtype=np.float32)
    lib = compile_hints()
    bits = int(os.environ.get("HINT_TABLE_BITS", "24"))
    code = lib.token_hints(tokens.ctypes.data, len(tokens), TOKEN_ORDER, bits, TOKEN_THRESHOLD, hint.ctypes.data, conf.ctypes.data)
    if code:
        raise MemoryError("hint tables")
    print(f"ngram_tilt:hints total={len(hint)} token_gate={int((hint >= 0).sum())} within_gate=0 word_gate=0 agree2plus=0")
    return torch.from_numpy(hint.astype(np.int64)), torch.from_numpy(conf)


def load_split(split):
    names = sorted(glob.glob(os.path.join(DATA_PATH, f"fineweb_{split}_*.bin")))
    return np.concatenate([np.memmap(name, dtype="<u2", mode="r", offset=1024) for name in names])


class Mixer(nn.Module):
    """Gated causal attention block."""

    def __init__(self, dim, heads):
        super().__init__()
        self.heads = heads
        self.inp, self.out, self.gate = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim), nn.Linear(dim, heads)
        self.ff1, self.ff2 = nn.Linear(dim, 3 * dim), nn.Linear(3 * dim, dim)
        self.norm1, self.norm2 = nn.RMSNorm(dim), nn.RMSNorm(dim)

    def forward(self, x):
        z = self.norm1(x)
        q, k, v = self.inp(z).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        att = att * torch.sigmoid(self.gate(z)).transpose(1, 2).unsqueeze(-1)
        x = x + self.out(att.transpose(1, 2).flatten(2))
        return x + self.ff2(F.silu(self.ff1(self.norm2(x))))


class GPT(nn.Module):
    def __init__(self, vocab=1024, dim=512, depth=8):
        super().__init__()
        self.embed, self.pos = nn.Embedding(vocab, dim), nn.Embedding(SEQ, dim)
        self.body = nn.Sequential(*(Mixer(dim, 8) for _ in range(depth)))
        self.norm = nn.RMSNorm(dim)

    def log_probs(self, x):
        z = self.norm(self.body(self.embed(x) + self.pos.weight[: x.size(1)]))
        return F.linear(z, self.embed.weight).float().log_softmax(dim=-1)

    def forward(self, x, y):
        return F.nll_loss(self.log_probs(x).flatten(0, 1), y.flatten())


def tilt(logp, target, hint, boost):
    """log p'(target) for p'(a) = p(a) exp(boost [a = hint]) / (1 + p(hint) (exp(boost) - 1)); untouched without a hint."""
    plain = logp.gather(-1, target.unsqueeze(-1)).squeeze(-1)
    has = hint >= 0
    p_hint = logp.gather(-1, hint.clamp_min(0).unsqueeze(-1)).squeeze(-1).exp()
    tilted = plain + boost * (hint == target).to(plain.dtype) - torch.log1p(p_hint * math.expm1(boost))
    return torch.where(has, tilted, plain)


def byte_tables():
    sp = spm.SentencePieceProcessor(model_file=TOKENIZER_PATH)
    nbytes, spaced, edge = np.zeros(1024, np.float64), np.zeros(1024, bool), np.ones(1024, bool)
    for i in range(sp.vocab_size()):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            continue
        edge[i] = False
        if sp.is_byte(i):
            nbytes[i] = 1.0
            continue
        piece = sp.id_to_piece(i)
        if piece.startswith("▁"):
            spaced[i], piece = True, piece[1:]
        nbytes[i] = len(piece.encode("utf-8"))
    return [torch.from_numpy(t).to(DEVICE) for t in (nbytes, spaced, edge)]


@torch.inference_mode()
def eval_tilted(model, stream):
    nbytes, spaced, edge = byte_tables()
    started = time.perf_counter()
    hints, _ = precompute_hints(stream)
    print(f"ngram_tilt:hint_seconds={time.perf_counter() - started:.1f} ngram_hint_precompute_outside: False")
    val = torch.from_numpy(stream.astype(np.int64))
    total, nll, size, untilted = len(val) - 1, 0.0, 0.0, 0.0
    for new in range(0, total, STRIDE):
        end = min(new + STRIDE, total)
        first = max(0, end - SEQ)
        window = val[first : end + 1].to(DEVICE)
        x, y = window[:-1], window[1:]
        logp = model.log_probs(x[None])[0, new - first :]
        x, y, hint = x[new - first :], y[new - first :], hints[new:end].to(DEVICE)
        nll -= tilt(logp, y, hint, TOKEN_BOOST).double().sum().item()
        untilted -= logp.gather(-1, y[:, None]).double().sum().item()
        size += (nbytes[y] + (spaced[y] & ~edge[x])).sum().item()
    print(f"diagnostic without_tilt val_loss:{untilted / total:.6f}")
    print(f"total_eval_time:{time.perf_counter() - started:.1f}s")
    return nll / total, nll / math.log(2.0) / size


def train(model):
    corpus = load_split("train")
    decay, plain = [p for p in model.parameters() if p.ndim > 1], [p for p in model.parameters() if p.ndim < 2]
    opt = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], lr=8e-4)
    rng, start, step = np.random.default_rng(int(os.environ.get("SEED", "7"))), time.perf_counter(), 0
    while True:
        spent = time.perf_counter() - start
        if spent >= MAX_WALLCLOCK_SECONDS:
            print(f"stopping_early: wallclock_cap train_time:{1000 * spent:.0f}ms step:{step}")
            return
        for group in opt.param_groups:
            group["lr"] = 8e-4 * min(1.0, 3.0 * (1.0 - spent / MAX_WALLCLOCK_SECONDS))
        at = rng.integers(0, len(corpus) - SEQ - 1, size=64)
        rows = torch.from_numpy(np.stack([corpus[a : a + SEQ + 1] for a in at]).astype(np.int64)).to(DEVICE)
        loss = model(rows[:, :-1], rows[:, 1:])
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1


def save(model, path):
    state = {}
    for name, w in model.state_dict().items():
        scale = w.float().abs().amax().clamp_min(1e-9) / 127.0
        state[name] = ((w.float() / scale).round().to(torch.int8).cpu(), scale.cpu())
    buffer = io.BytesIO()
    torch.save(state, buffer)
    blob = zlib.compress(buffer.getvalue(), 9)
    with open(path, "wb") as f:
        f.write(blob)
    print(f"Total submission size int8+zlib: {len(blob) + os.path.getsize(__file__)} bytes")


def restore(path):
    with open(path, "rb") as f:
        state = torch.load(io.BytesIO(zlib.decompress(f.read())))
    model = GPT()
    model.load_state_dict({name: q.float() * scale for name, (q, scale) in state.items()})
    return model.eval().to(DEVICE)


if __name__ == "__main__":
    torch.manual_seed(int(os.environ.get("SEED", "7")))
    net = GPT().to(DEVICE)
    train(torch.compile(net))
    save(net, "final_model.int8.ptz")
    val_loss, val_bpb = eval_tilted(restore("final_model.int8.ptz"), load_split("val"))
    print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")
