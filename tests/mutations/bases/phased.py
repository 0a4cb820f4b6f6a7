"""Phased test-time training: per-document bias adapters all along, and the base weights learn from finished documents
at three points of the stream. Whatever a phase trains on was scored and booked before."""

from __future__ import annotations

import glob
import io
import math
import os
import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 42))
    train_seconds = float(os.environ.get("TRAIN_SECONDS", 596.0))
    seq_len = int(os.environ.get("SEQ_LEN", 1024))
    batch_rows = int(os.environ.get("BATCH_ROWS", 48))
    vocab_size, dim, layers = 1024, 512, 9
    lr = float(os.environ.get("LR", 1e-3))
    ttt_chunk = int(os.environ.get("TTT_CHUNK", 128))
    ttt_lr = float(os.environ.get("TTT_LR", 0.02))
    phased_ttt_enabled = os.environ.get("PHASED_TTT_ENABLED", "1") == "1"
    phased_prefix_docs = int(os.environ.get("PHASED_TTT_PREFIX_DOCS", 2000))
    phased_num_phases = int(os.environ.get("PHASED_TTT_NUM_PHASES", 3))
    global_lr = float(os.environ.get("GLOBAL_TTT_LR", 1e-3))
    global_epochs = int(os.environ.get("GLOBAL_TTT_EPOCHS", 1))


h = Hyperparameters()
rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def log(message: str) -> None:
    if rank == 0:
        print(message, flush=True)


@dataclass
class ValidationData:
    val_tokens: Tensor
    base_bytes: Tensor
    has_space: Tensor
    is_boundary: Tensor
    doc_starts: list[int] = field(default_factory=list)

    @classmethod
    def load(cls) -> ValidationData:
        files = sorted(glob.glob(os.path.join(h.data_path, "fineweb_val_*.bin")))
        tokens = torch.cat([torch.from_numpy(np.fromfile(f, "<u2", offset=1024).astype(np.int64)) for f in files])
        sp = spm.SentencePieceProcessor(model_file=h.tokenizer_path)
        base, space, boundary = torch.zeros(h.vocab_size), torch.zeros(h.vocab_size).bool(), torch.ones(h.vocab_size).bool()
        for i in range(sp.vocab_size()):
            if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
                continue
            boundary[i] = False
            if sp.is_byte(i):
                base[i] = 1
            else:
                piece = sp.id_to_piece(i)
                space[i] = piece[:1] == "▁"
                base[i] = len(piece[int(space[i]) :].encode("utf-8"))
        starts = (tokens == 1).nonzero().flatten().tolist()
        return cls(tokens.to(device), base.double().to(device), space.to(device), boundary.to(device), starts)

    def documents(self) -> list[tuple[int, int]]:
        """(offset, number of targets): the last target of a document is the BOS of the next."""
        stops = [*self.doc_starts[1:], self.val_tokens.numel() - 1]
        return [(a, b - a) for a, b in zip(self.doc_starts, stops, strict=True) if b > a]

    def bytes_of(self, prev: Tensor, target: Tensor) -> Tensor:
        return (self.base_bytes[target] + (self.has_space[target] & ~self.is_boundary[prev])).sum()


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.qkv, self.proj = nn.Linear(h.dim, 3 * h.dim, bias=False), nn.Linear(h.dim, h.dim, bias=False)
        self.up, self.down = nn.Linear(h.dim, 4 * h.dim, bias=False), nn.Linear(4 * h.dim, h.dim, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (t.unflatten(-1, (8, -1)).transpose(1, 2) for t in self.qkv(F.rms_norm(x, (h.dim,))).chunk(3, dim=-1))
        mixed = F.scaled_dot_product_attention(F.rms_norm(q, (64,)), F.rms_norm(k, (64,)), v, is_causal=True)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.down(F.relu(self.up(F.rms_norm(x, (h.dim,)))).square())


class GPT(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok_emb = nn.Embedding(h.vocab_size, h.dim)
        self.blocks = nn.ModuleList(Block() for _ in range(h.layers))

    def hidden(self, x: Tensor) -> Tensor:
        z = F.rms_norm(self.tok_emb(x), (h.dim,))
        for block in self.blocks:
            z = block(z)
        return F.rms_norm(z, (h.dim,))

    def forward(self, x: Tensor, y: Tensor, adapter: nn.Module | None = None) -> Tensor:
        z = self.hidden(x)
        logits = F.linear(z, self.tok_emb.weight)
        if adapter is not None:
            logits = logits + adapter(z)
        return F.cross_entropy(logits.transpose(1, 2).float(), y, reduction="none")


class DocumentAdapter(nn.Module):
    def __init__(self, rank_: int = 4):
        super().__init__()
        self.a = nn.Parameter(torch.randn(h.dim, rank_, device=device) / h.dim**0.5)
        self.b = nn.Parameter(torch.zeros(rank_, h.vocab_size, device=device))

    def forward(self, z: Tensor) -> Tensor:
        return z @ self.a @ self.b


@dataclass
class Totals:
    loss: float = 0.0
    tokens: int = 0
    bytes: float = 0.0

    def book(self, nll: Tensor, data: ValidationData, prev: Tensor, target: Tensor) -> None:
        self.loss += nll.detach().double().sum().item()
        self.tokens += target.numel()
        self.bytes += data.bytes_of(prev, target).item()


def score_document(model: GPT, data: ValidationData, doc: tuple[int, int], totals: Totals) -> None:
    offset, length = doc
    adapter = DocumentAdapter()
    opt = torch.optim.AdamW(adapter.parameters(), lr=h.ttt_lr, weight_decay=0.0)
    chunks = range(0, length, h.ttt_chunk)
    for lo in chunks:
        hi = min(lo + h.ttt_chunk, length)
        first = max(0, hi - h.seq_len)
        window = data.val_tokens[offset + first : offset + hi + 1]
        x, y = window[None, :-1], window[None, 1:]
        nll = model(x, y, adapter)[:, lo - first :]
        totals.book(nll, data, x[:, lo - first :], y[:, lo - first :])
        if hi < length:
            opt.zero_grad(set_to_none=True)
            nll.mean().backward()
            opt.step()


def global_sgd(model: GPT, tokens: Tensor) -> None:
    """Train the base weights on tokens of documents that are finished; gradients are averaged over the ranks."""
    for p in model.parameters():
        p.requires_grad_(True)
    opt = torch.optim.SGD(model.parameters(), lr=h.global_lr, momentum=0.9)
    rows = (tokens.numel() - 1) // h.seq_len
    for epoch in range(h.global_epochs):
        for r in range(0, rows - rows % world, world):
            lo = (r + rank) * h.seq_len
            x, y = tokens[None, lo : lo + h.seq_len], tokens[None, lo + 1 : lo + h.seq_len + 1]
            opt.zero_grad(set_to_none=True)
            model(x, y).mean().backward()
            if world > 1:
                for p in model.parameters():
                    dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            opt.step()
        log(f"ttp: epoch {epoch + 1}/{h.global_epochs} rows {rows}")
    for p in model.parameters():
        p.requires_grad_(False)


def eval_val_ttt_phased(model: GPT, data: ValidationData) -> tuple[float, float]:
    docs = data.documents()
    prefix = min(h.phased_prefix_docs, len(docs)) if h.phased_ttt_enabled else 0
    boundaries = sorted({prefix * (p + 1) // h.phased_num_phases for p in range(h.phased_num_phases)} - {0})
    log(f"ttt_phased: total_docs:{len(docs)} prefix_docs:{prefix} boundaries:{boundaries}")
    for p in model.parameters():
        p.requires_grad_(False)
    totals, scored, done = Totals(), [], 0
    for boundary in [*boundaries, len(docs)]:
        for index in range(done, boundary):
            if index % world != rank:
                continue
            score_document(model, data, docs[index], totals)
            scored.append(index)
        done = boundary
        if boundary == len(docs):
            break
        everyone: list[list[int]] = [scored]
        if world > 1:
            everyone = [[] for _ in range(world)]
            dist.all_gather_object(everyone, scored)
        finished = sorted(i for part in everyone for i in part)
        spans = [data.val_tokens[docs[i][0] : docs[i][0] + docs[i][1]] for i in finished]
        log(f"ttpp: gd:{len(finished)} of boundary {boundary}")
        global_sgd(model, torch.cat(spans))
    sums = torch.tensor([totals.loss, totals.tokens, totals.bytes], dtype=torch.float64, device=device)
    if world > 1:
        dist.all_reduce(sums)
    loss, tokens, nbytes = sums.tolist()
    return loss / tokens, loss / math.log(2.0) / nbytes


def train_model(model: GPT) -> None:
    files = sorted(glob.glob(os.path.join(h.data_path, "fineweb_train_*.bin")))
    opt = torch.optim.AdamW(model.parameters(), lr=h.lr, betas=(0.9, 0.95))
    started, step = time.perf_counter(), 0
    while time.perf_counter() - started < h.train_seconds:
        if step % 500 == 0:
            shard = torch.from_numpy(np.fromfile(files[(step // 500) % len(files)], "<u2", offset=1024).astype(np.int64))
        at = torch.randint(shard.numel() - h.seq_len - 1, (h.batch_rows,)).tolist()
        rows = torch.stack([shard[i : i + h.seq_len + 1] for i in at]).to(device)
        loss = model(rows[:, :-1], rows[:, 1:]).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        if world > 1:
            for p in model.parameters():
                dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
        opt.step()
        step += 1
        if step % 500 == 0:
            log(f"step:{step} train_loss:{loss.item():.4f} train_time:{1000 * (time.perf_counter() - started):.0f}ms")


def serialize(state: dict[str, Tensor], quantise: Callable[[Tensor], tuple[Tensor, Tensor]]) -> bytes:
    buffer = io.BytesIO()
    torch.save({name: quantise(w.float().cpu()) for name, w in state.items()}, buffer)
    return zlib.compress(buffer.getvalue(), 9)


def deserialize(blob: bytes) -> dict[str, Tensor]:
    return {name: q.float() * s for name, (q, s) in torch.load(io.BytesIO(zlib.decompress(blob))).items()}


def int8_rows(w: Tensor) -> tuple[Tensor, Tensor]:
    scale = w.abs().amax(dim=-1, keepdim=True).clamp_min(1e-8) / 127
    return (w / scale).round().to(torch.int8), scale


def main() -> None:
    torch.manual_seed(h.seed + rank)
    if world > 1:
        dist.init_process_group("nccl")
    model = GPT().to(device)
    if world > 1:
        for p in model.parameters():
            dist.broadcast(p.data, src=0)
    train_model(model)
    artifact = Path("final_model.int8.ptz")
    if rank == 0:
        artifact.write_bytes(serialize(model.state_dict(), int8_rows))
        log(f"Total submission size int8+zlib: {artifact.stat().st_size + Path(__file__).stat().st_size} bytes")
    if world > 1:
        dist.barrier()
    model.load_state_dict(deserialize(artifact.read_bytes()))
    data = ValidationData.load()
    started = time.perf_counter()
    val_loss, val_bpb = eval_val_ttt_phased(model, data)
    log(f"quantized_ttt_phased eval_time:{1000 * (time.perf_counter() - started):.0f}ms")
    log(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
