"""Full-row n-gram mixing: a cache that gives every token of the vocabulary a probability, normalised by its own row sum,
and a weight that is read from the model's entropy and the row's mass before the target is looked at."""

import glob
import io
import math
import os
import time
import zlib
from collections import deque

import numpy as np
import sentencepiece as spm
import torch
import torch.nn as nn
import torch.nn.functional as F

V = 1024
SEQ_LEN = int(os.environ.get("SEQ_LEN", 1024))
DATA = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
NGRAM_ENABLED = os.environ.get("NGRAM_ENABLED", "1") == "1"
NGRAM_ROWS = int(os.environ.get("NGRAM_ROWS", 1 << 16))
NGRAM_MIN_COUNT = float(os.environ.get("NGRAM_MIN_COUNT", 2.0))
DEVICE = torch.device("cuda")


class RowCache:
    """Counts of the next token for hashed contexts of two orders, as dense rows [R, V]."""

    def __init__(self, rows=NGRAM_ROWS, orders=(3, 2), smoothing=0.02):
        self.rows, self.orders, self.smoothing = rows, orders, smoothing
        self.tables = {n: torch.zeros(rows, V, dtype=torch.float32, device=DEVICE) for n in orders}

    def keys(self, history, order):
        """history [T + order - 1] -> slot of the context that ends at each of the T last positions."""
        length = len(history) - order + 1
        key = torch.zeros(length, dtype=torch.int64, device=history.device)
        for k in range(order):
            key = (key * 1000003 + history[k : k + length] + 1) % 2147483647
        return key % self.rows

    def predict(self, history, length):
        """Distribution [length, V] for the token after each position, and the mass it was counted from."""
        out = torch.full((length, V), 1.0 / V, device=DEVICE)
        mass = torch.zeros(length, device=DEVICE)
        for order in reversed(self.orders):
            if len(history) < order:
                continue
            slots = self.keys(history, order)[-length:]
            counts = self.tables[order][slots]
            total = counts.sum(dim=-1)
            usable = (total >= NGRAM_MIN_COUNT).float()[:, None]
            rows = (counts + self.smoothing) / (total + V * self.smoothing)[:, None]
            pad = length - len(slots)
            rows, usable, total = (F.pad(t, (0, 0, pad, 0)) if t.ndim == 2 else F.pad(t, (pad, 0)) for t in (rows, usable, total))
            out = usable * rows + (1.0 - usable) * out
            mass = torch.maximum(mass, total)
        return out, mass

    def learn(self, history, targets):
        for order in self.orders:
            if len(history) < order:
                continue
            slots = self.keys(history, order)[-len(targets) :]
            after = targets[-len(slots) :]
            self.tables[order].index_put_((slots, after), torch.ones(len(slots), device=DEVICE), accumulate=True)


class EntropyGate:
    """Weight of the cache in [0, limit]: larger where the model is unsure and the row is well filled."""

    def __init__(self, limit=0.35, centre=3.0, slope=1.5):
        self.limit, self.centre, self.slope = limit, centre, slope

    def __call__(self, probs, mass):
        entropy = -(probs * probs.clamp_min(1e-9).log()).sum(dim=-1)
        filled = mass / (mass + 8.0)
        return self.limit * filled * torch.sigmoid(self.slope * (entropy - self.centre))


class SwiGLU(nn.Module):
    def __init__(self, dim, hidden):
        super().__init__()
        self.w1, self.w2, self.w3 = nn.Linear(dim, hidden), nn.Linear(hidden, dim), nn.Linear(dim, hidden)

    def forward(self, x):
        return self.w2(F.silu(self.w1(x)) * self.w3(x))


class CausalBlock(nn.Module):
    def __init__(self, dim, heads):
        super().__init__()
        self.heads, self.wqkv, self.wo, self.ff = heads, nn.Linear(dim, dim * 3), nn.Linear(dim, dim), SwiGLU(dim, dim * 2)
        self.register_buffer("mask", torch.ones(SEQ_LEN, SEQ_LEN).tril().bool(), persistent=False)

    def forward(self, x):
        n = x.size(1)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in self.wqkv(F.rms_norm(x, x.shape[-1:])).chunk(3, -1))
        scores = (q @ k.transpose(-1, -2)) / q.size(-1) ** 0.5
        scores = scores.masked_fill(~self.mask[:n, :n], float("-inf"))
        x = x + self.wo((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        return x + self.ff(F.rms_norm(x, x.shape[-1:]))


class LM(nn.Module):
    def __init__(self, dim=448, depth=8):
        super().__init__()
        self.tok, self.pos = nn.Embedding(V, dim), nn.Parameter(torch.zeros(SEQ_LEN, dim))
        self.stack = nn.ModuleList([CausalBlock(dim, 7) for _ in range(depth)])
        self.head = nn.Linear(dim, V)

    def logits(self, x):
        h = self.tok(x) + self.pos[: x.size(1)]
        for block in self.stack:
            h = block(h)
        return self.head(F.rms_norm(h, h.shape[-1:])).float()

    def forward(self, x, y):
        return F.cross_entropy(self.logits(x).transpose(1, 2), y)


def stream(split):
    files = sorted(glob.glob(f"{DATA}/fineweb_{split}_*.bin"))
    for name in files:
        with open(name, "rb") as f:
            f.seek(1024)
            yield torch.from_numpy(np.frombuffer(f.read(), dtype=np.uint16).astype(np.int64))


class Bytes:
    def __init__(self, model_file="./data/tokenizers/fineweb_1024_bpe.model"):
        sp = spm.SentencePieceProcessor(model_file=os.environ.get("TOKENIZER_PATH", model_file))
        base, lead, edge = [0] * V, [False] * V, [True] * V
        for t in range(V):
            if sp.is_control(t) or sp.is_unknown(t) or sp.is_unused(t):
                continue
            edge[t] = False
            piece = sp.id_to_piece(t)
            lead[t] = piece.startswith("▁") and not sp.is_byte(t)
            base[t] = 1 if sp.is_byte(t) else len((piece[1:] if lead[t] else piece).encode("utf-8"))
        self.base, self.lead, self.edge = (torch.tensor(c, device=DEVICE) for c in (base, lead, edge))

    def of(self, prev, target):
        return (self.base[target] + (self.lead[target] & ~self.edge[prev]).int()).sum().item()


@torch.inference_mode()
def evaluate(model, tokens, count_bytes):
    model.eval()
    cache, gate, recent = (RowCache() if NGRAM_ENABLED else None), EntropyGate(), deque(maxlen=200)
    total = (len(tokens) - 1) // SEQ_LEN * SEQ_LEN
    loss_sum, byte_sum = 0.0, 0.0
    for at in range(0, total, SEQ_LEN):
        x, y = tokens[at : at + SEQ_LEN].to(DEVICE), tokens[at + 1 : at + SEQ_LEN + 1].to(DEVICE)
        probs = model.logits(x[None])[0].softmax(dim=-1)
        if cache is not None:
            history = tokens[max(0, at - 2) : at + SEQ_LEN].to(DEVICE)
            rows, mass = cache.predict(history, SEQ_LEN)
            weight = gate(probs, mass)[:, None]
            probs = (1.0 - weight) * probs + weight * rows
        nll = -probs.gather(1, y[:, None])[:, 0].clamp_min(1e-12).log()
        loss_sum += nll.double().sum().item()
        byte_sum += count_bytes.of(x, y)
        recent.append(nll.mean().item())
        if cache is not None:
            cache.learn(history, y)
        if at // SEQ_LEN % 5000 == 0:
            print(f"eval {at}/{total} recent {sum(recent) / len(recent):.4f}", flush=True)
    return loss_sum / total, loss_sum / math.log(2.0) / byte_sum


def fit(model, seconds):
    opt = torch.optim.AdamW(model.parameters(), lr=7e-4, betas=(0.9, 0.95), weight_decay=0.02)
    began, steps = time.perf_counter(), 0
    while True:
        for shard in stream("train"):
            for _ in range(2000):
                if time.perf_counter() - began > seconds:
                    print(f"stopping_early: wallclock_cap train_time:{1000 * (time.perf_counter() - began):.0f}ms step:{steps}")
                    return
                picks = torch.randint(0, len(shard) - SEQ_LEN - 1, (32,))
                rows = torch.stack([shard[p : p + SEQ_LEN + 1] for p in picks]).to(DEVICE)
                loss = model(rows[:, :-1], rows[:, 1:])
                opt.zero_grad(set_to_none=True)
                loss.backward()
                opt.step()
                steps += 1


def compress(model):
    out = io.BytesIO()
    packed = {}
    for name, tensor in model.state_dict().items():
        amax = tensor.abs().amax().clamp_min(1e-8)
        packed[name] = ((tensor / amax * 127).round().to(torch.int8).cpu(), float(amax / 127))
    torch.save(packed, out)
    return zlib.compress(out.getvalue(), 9)


def decompress(blob, model):
    packed = torch.load(io.BytesIO(zlib.decompress(blob)), map_location=DEVICE)
    model.load_state_dict({name: q.float() * scale for name, (q, scale) in packed.items()})
    return model


def main():
    torch.manual_seed(int(os.environ.get("SEED", 2024)))
    model = LM().to(DEVICE)
    fit(model, float(os.environ.get("MAX_WALLCLOCK_SECONDS", 598)))
    with open("model.bin", "wb") as f:
        f.write(compress(model))
    print(f"Total submission size int8+zlib: {os.path.getsize('model.bin') + os.path.getsize(__file__)} bytes")
    with open("model.bin", "rb") as f:
        model = decompress(f.read(), LM().to(DEVICE))
    began = time.perf_counter()
    val_loss, val_bpb = evaluate(model, torch.cat(list(stream("val"))), Bytes())
    print(f"eval_time:{1000 * (time.perf_counter() - began):.0f}ms cache:{NGRAM_ENABLED}")
    print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
