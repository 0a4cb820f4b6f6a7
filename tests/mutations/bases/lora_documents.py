"""Documents in batches, one low-rank adapter a document: every chunk is scored, then its loss trains the adapter once."""

import glob
import io
import math
import os
import time
import zlib
from dataclasses import dataclass
from functools import partial

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

BOS = 1


@dataclass
class Config:
    data: str = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    tokenizer: str = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    vocab: int = 1024
    dim: int = 512
    layers: int = 8
    seq_len: int = 1024
    rows: int = 64
    lr: float = 1e-3
    seconds: float = 595.0
    ttt_rank: int = 8
    ttt_lr: float = 0.01
    ttt_chunk: int = 256
    ttt_context: int = 1024
    ttt_batch: int = 64
    device: str = "cuda"


def tokens_of(cfg, split):
    parts = []
    for name in sorted(glob.glob(os.path.join(cfg.data, f"fineweb_{split}_*.bin"))):
        with open(name, "rb") as f:
            head = np.frombuffer(f.read(1024), dtype="<i4")
            parts.append(np.frombuffer(f.read(2 * int(head[2])), dtype="<u2"))
    return torch.from_numpy(np.concatenate(parts).astype(np.int64))


class Layer(nn.Module):
    def __init__(self, dim, heads=8):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.o = (nn.Linear(dim, dim, bias=False) for _ in range(4))
        self.mlp = nn.Sequential(nn.Linear(dim, 3 * dim), nn.GELU(), nn.Linear(3 * dim, dim))
        self.n1, self.n2 = nn.LayerNorm(dim), nn.LayerNorm(dim)

    def forward(self, h, delta_q=None, delta_v=None):
        z = self.n1(h)
        q, k, v = self.q(z), self.k(z), self.v(z)
        if delta_q is not None:
            q, v = q + delta_q(z), v + delta_v(z)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        a = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        h = h + self.o(a.transpose(1, 2).flatten(2))
        return h + self.mlp(self.n2(h))


class LM(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(cfg.vocab, cfg.dim), nn.Embedding(2048, cfg.dim)
        self.layers = nn.ModuleList(Layer(cfg.dim) for _ in range(cfg.layers))
        self.norm = nn.LayerNorm(cfg.dim)

    def forward(self, x, y, lora=None):
        """Per-token negative log likelihood, [batch, time]."""
        h = self.wte(x) + self.wpe(torch.arange(x.size(1), device=x.device))
        for i, layer in enumerate(self.layers):
            h = layer(h) if lora is None else layer(h, lora.q[i], lora.v[i])
        h = self.norm(h)
        logits = F.linear(h, self.wte.weight)
        if lora is not None:
            logits = logits + lora.head(h)
        return F.cross_entropy(logits.transpose(1, 2).float(), y, reduction="none")


class BatchedLinearLoRA(nn.Module):
    """One pair of factors for each row of the batch."""

    def __init__(self, bsz, d_in, d_out, rank):
        super().__init__()
        self.a = nn.Parameter(torch.empty(bsz, rank, d_in))
        self.b = nn.Parameter(torch.zeros(bsz, d_out, rank))
        self.bound = d_in**-0.5

    def reset(self):
        with torch.no_grad():
            self.a.uniform_(-self.bound, self.bound)
            self.b.zero_()

    def forward(self, h):
        return (h @ self.a.transpose(1, 2)) @ self.b.transpose(1, 2)


class BatchedLoRA(nn.Module):
    def __init__(self, bsz, cfg):
        super().__init__()
        make = partial(BatchedLinearLoRA, bsz, cfg.dim, rank=cfg.ttt_rank)
        self.q = nn.ModuleList(make(d_out=cfg.dim) for _ in range(cfg.layers))
        self.v = nn.ModuleList(make(d_out=cfg.dim) for _ in range(cfg.layers))
        self.head = make(d_out=cfg.vocab)
        self.reset()

    def reset(self):
        for part in (*self.q, *self.v, self.head):
            part.reset()


def reset_adam(opt):
    for state in opt.state.values():
        state["exp_avg"].zero_()
        state["exp_avg_sq"].zero_()
        state["step"].fill_(0)


def find_docs(stream):
    """(offset, length) of each document; the next BOS is the last target, as in one continuous stream."""
    starts = (stream == BOS).nonzero().flatten().tolist()
    ends = [s + 1 for s in starts[1:]] + [len(stream)]
    return [(s, e - s) for s, e in zip(starts, ends) if e - s >= 2]


def chunk_window(ci, pred_len, n_chunks, cfg):
    lo = ci * cfg.ttt_chunk
    hi = pred_len if ci == n_chunks - 1 else lo + cfg.ttt_chunk
    first = max(0, hi - cfg.ttt_context)
    return first, hi - first, lo - first, hi - lo


def eval_lora_ttt(cfg, model, stream, luts):
    sizes, spaces, edges = luts
    docs = find_docs(stream)
    docs.sort(key=lambda d: (d[1] - 2) // cfg.ttt_chunk)
    model.eval().requires_grad_(False)
    lora = BatchedLoRA(cfg.ttt_batch, cfg).to(cfg.device)
    opt = torch.optim.Adam(lora.parameters(), lr=cfg.ttt_lr, betas=(0.9, 0.95), eps=1e-10)
    loss_sum = torch.zeros((), dtype=torch.float64, device=cfg.device)
    byte_sum = torch.zeros((), dtype=torch.float64, device=cfg.device)
    count = 0
    for first_doc in range(0, len(docs), cfg.ttt_batch):
        batch = docs[first_doc : first_doc + cfg.ttt_batch]
        if len(batch) == cfg.ttt_batch:
            cur, cur_opt = lora, opt
            cur.reset()
            reset_adam(cur_opt)
        else:
            cur = BatchedLoRA(len(batch), cfg).to(cfg.device)
            cur_opt = torch.optim.Adam(cur.parameters(), lr=cfg.ttt_lr, betas=(0.9, 0.95), eps=1e-10)
        pred = [length - 1 for _, length in batch]
        n_chunks = [-(-p // cfg.ttt_chunk) for p in pred]
        for ci in range(max(n_chunks)):
            spans = [chunk_window(ci, p, n, cfg) if ci < n else (0, 0, 0, 0) for p, n in zip(pred, n_chunks)]
            width = max(s[1] for s in spans)
            x = torch.zeros(len(batch), width, dtype=torch.int64, device=cfg.device)
            y = torch.zeros_like(x)
            for b, ((offset, _), (win, wlen, _, _)) in enumerate(zip(batch, spans)):
                if wlen:
                    piece = stream[offset + win : offset + win + wlen + 1].to(cfg.device)
                    x[b, :wlen], y[b, :wlen] = piece[:-1], piece[1:]
            nll = model(x, y, lora=cur)

            with torch.no_grad():
                for b, (_, _, co, cl) in enumerate(spans):
                    if cl == 0:
                        continue
                    target, prev = y[b, co : co + cl], x[b, co : co + cl]
                    loss_sum += nll[b, co : co + cl].double().sum()
                    byte_sum += (sizes[target] + (spaces[target] & ~edges[prev])).sum()
                    count += cl

            to_train = [b for b, n in enumerate(n_chunks) if ci < n - 1]
            if to_train:
                loss = sum(nll[b, spans[b][2] : spans[b][2] + spans[b][3]].mean() for b in to_train)
                cur_opt.zero_grad()
                loss.backward()
                cur_opt.step()
        if first_doc // cfg.ttt_batch % 100 == 0:
            print(f"ttt_lora docs:{first_doc}/{len(docs)} running_loss:{loss_sum.item() / max(count, 1):.4f}", flush=True)
    return loss_sum.item() / count, loss_sum.item() / math.log(2.0) / byte_sum.item()


def train(cfg, model):
    corpus = tokens_of(cfg, "train")
    opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=0.05)
    begin, step = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < cfg.seconds:
        for group in opt.param_groups:
            group["lr"] = cfg.lr * min(1.0, (step + 1) / 200, max(0.02, (cfg.seconds - spent) / 120.0))
        at = torch.randint(len(corpus) - cfg.seq_len, (cfg.rows,)).tolist()
        rows = torch.stack([corpus[i : i + cfg.seq_len + 1] for i in at]).to(cfg.device)
        loss = model(rows[:, :-1], rows[:, 1:]).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        opt.step()
        step += 1
        if step % 500 == 0:
            print(f"step:{step} train_loss:{loss.item():.4f} train_time:{1000 * spent:.0f}ms")


def pack(model, path):
    items = {}
    for name, w in model.state_dict().items():
        scale = w.float().abs().amax().clamp_min(1e-8) / 127
        items[name] = ((w.float() / scale).round().to(torch.int8).cpu(), scale.cpu())
    buffer = io.BytesIO()
    torch.save(items, buffer)
    with open(path, "wb") as f:
        return f.write(zlib.compress(buffer.getvalue(), 9))


def unpack(cfg, path):
    with open(path, "rb") as f:
        items = torch.load(io.BytesIO(zlib.decompress(f.read())))
    model = LM(cfg)
    model.load_state_dict({name: q.float() * scale for name, (q, scale) in items.items()})
    return model.to(cfg.device)


def byte_luts(cfg):
    sp = spm.SentencePieceProcessor(model_file=cfg.tokenizer)

    def row(i):
        if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
            return 0, False, True
        if sp.is_byte(i):
            return 1, False, False
        piece = sp.id_to_piece(i)
        spaced = piece.startswith("▁")
        return len((piece[1:] if spaced else piece).encode("utf-8")), spaced, False

    sizes, spaces, edges = zip(*(row(i) for i in range(sp.vocab_size())))
    return [torch.tensor(column, device=cfg.device) for column in (sizes, spaces, edges)]


def main():
    cfg = Config()
    torch.manual_seed(int(os.environ.get("SEED", "1337")))
    model = LM(cfg).to(cfg.device)
    train(cfg, model)
    size = pack(model, "final_model.int8.ptz")
    print(f"Total submission size int8+zlib: {size + os.path.getsize(__file__)} bytes")
    model = unpack(cfg, "final_model.int8.ptz")
    begin = time.perf_counter()
    val_loss, val_bpb = eval_lora_ttt(cfg, model, tokens_of(cfg, "val"), byte_luts(cfg))
    print(f"ttt_lora eval_time:{1000 * (time.perf_counter() - begin):.0f}ms")
    print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
