"""Sliding windows and score-first test-time training: each chunk is scored under inference mode, then trained on."""

from __future__ import annotations

import glob
import io
import lzma
import math
import os
import time
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

DATA_PATH = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
TOKENIZER = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
SEED = int(os.environ.get("SEED", "42"))
SEQ_LEN = int(os.environ.get("TRAIN_SEQ_LEN", "2048"))
BATCH_ROWS = int(os.environ.get("BATCH_ROWS", "32"))
TRAIN_SECONDS = float(os.environ.get("MAX_WALLCLOCK_SECONDS", "598"))
EVAL_STRIDE = int(os.environ.get("EVAL_STRIDE", "64"))
TTT_ENABLED = bool(int(os.environ.get("TTT_ENABLED", "1")))
TTT_LR = float(os.environ.get("TTT_LR", "0.002"))
TTT_EPOCHS = int(os.environ.get("TTT_EPOCHS", "3"))
TTT_CHUNK_TOKENS = int(os.environ.get("TTT_CHUNK_TOKENS", "32768"))
TTT_FREEZE_BLOCKS = int(os.environ.get("TTT_FREEZE_BLOCKS", "2"))


def read_shard(path: str) -> Tensor:
    raw = np.fromfile(path, dtype="<u2", offset=1024)
    return torch.from_numpy(raw.astype(np.int64))


def val_stream() -> Tensor:
    return torch.cat([read_shard(p) for p in sorted(glob.glob(f"{DATA_PATH}/fineweb_val_*.bin"))])


class CausalSelfAttention(nn.Module):
    def __init__(self, dim: int, heads: int, kv_heads: int):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, dim // heads
        self.c_q = nn.Linear(dim, dim, bias=False)
        self.c_kv = nn.Linear(dim, 2 * kv_heads * self.head_dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        self.gain = nn.Parameter(torch.full((heads,), 1.5))

    def rotary(self, t: Tensor) -> Tensor:
        half = t.size(-1) // 2
        freq = 10000.0 ** (-torch.arange(half, device=t.device) / half)
        angle = torch.arange(t.size(-2), device=t.device)[:, None] * freq
        cos, sin = angle.cos().to(t.dtype), angle.sin().to(t.dtype)
        a, b = t.chunk(2, dim=-1)
        return torch.cat([a * cos + b * sin, b * cos - a * sin], dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q = self.c_q(x).view(b, t, self.heads, self.head_dim).transpose(1, 2)
        k, v = self.c_kv(x).view(b, t, 2, self.kv_heads, self.head_dim).permute(2, 0, 3, 1, 4)
        q = self.rotary(F.rms_norm(q, (self.head_dim,))) * self.gain[None, :, None, None]
        k = self.rotary(F.rms_norm(k, (self.head_dim,)))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=True)
        return self.proj(y.transpose(1, 2).reshape(b, t, d))


class Block(nn.Module):
    def __init__(self, dim: int, depth: int):
        super().__init__()
        self.attn = CausalSelfAttention(dim, 8, 4)
        self.fc, self.out = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(3 * dim, dim, bias=False)
        self.damp = 1.0 / math.sqrt(depth + 1)

    def forward(self, x: Tensor, x0: Tensor) -> Tensor:
        x = 0.9 * x + 0.1 * x0
        x = x + self.attn(F.rms_norm(x, (x.size(-1),)) * self.damp)
        return x + self.out(F.leaky_relu(self.fc(F.rms_norm(x, (x.size(-1),)) * self.damp), 0.5).square())


class GPT(nn.Module):
    def __init__(self, vocab: int = 1024, dim: int = 512, layers: int = 10):
        super().__init__()
        self.tok_emb = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList(Block(dim, i) for i in range(layers))
        self.skips = nn.Parameter(torch.ones(layers // 2, dim))
        nn.init.normal_(self.tok_emb.weight, std=0.005)

    def forward_logits(self, ids: Tensor) -> Tensor:
        x0 = F.rms_norm(self.tok_emb(ids), (self.tok_emb.embedding_dim,))
        x, stack, half = x0, [], len(self.blocks) // 2
        for block in self.blocks[:half]:
            x = block(x, x0)
            stack.append(x)
        for i, block in enumerate(self.blocks[half:]):
            if stack:
                x = x + self.skips[i] * stack.pop()
            x = block(x, x0)
        logits = F.linear(F.rms_norm(x, (x.size(-1),)), self.tok_emb.weight)
        return 30.0 * torch.tanh(logits / 30.0)

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.forward_logits(ids).flatten(0, 1).float(), targets.flatten())


def byte_luts(device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    sp = spm.SentencePieceProcessor(model_file=TOKENIZER)
    sizes, spaces, edges = [], [], []
    for i in range(sp.vocab_size()):
        special = sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)
        piece = "" if special else sp.id_to_piece(i)
        edges.append(special)
        spaces.append(not sp.is_byte(i) and piece.startswith("▁"))
        body = piece[1:] if spaces[-1] else piece
        sizes.append(1 if sp.is_byte(i) else len(body.encode("utf-8")))
    return (
        torch.tensor(sizes, dtype=torch.float64, device=device),
        torch.tensor(spaces, device=device),
        torch.tensor(edges, device=device),
    )


class Accumulator:
    """Running sums of loss, tokens and bytes over everything that was scored."""

    def __init__(self, device: torch.device, luts: tuple[Tensor, Tensor, Tensor]):
        self.sums = torch.zeros(3, dtype=torch.float64, device=device)
        self.sizes, self.spaces, self.edges = luts

    def add(self, nll: Tensor, prev: Tensor, target: Tensor) -> None:
        nbytes = self.sizes[target] + (self.spaces[target] & ~self.edges[prev])
        self.sums[0] += nll.double().sum()
        self.sums[1] += target.numel()
        self.sums[2] += nbytes.sum()

    def result(self) -> tuple[float, float]:
        if dist.is_initialized():
            dist.all_reduce(self.sums)
        loss, tokens, nbytes = self.sums.tolist()
        return loss / tokens, loss / math.log(2.0) / nbytes


def windows_by_chunk(total: int) -> list[list[tuple[int, int, int]]]:
    """(start of the window, first new target, end) for every stride, grouped by the chunk in which its new targets lie."""
    groups: list[list[tuple[int, int, int]]] = [[] for _ in range(-(-total // TTT_CHUNK_TOKENS))]
    for new in range(0, total, EVAL_STRIDE):
        end = min(new + EVAL_STRIDE, total)
        groups[new // TTT_CHUNK_TOKENS].append((max(0, end - SEQ_LEN), new, end))
    return groups


def eval_val_sliding_ttt(model: GPT, val: Tensor, luts, device, rank: int, world: int) -> tuple[float, float]:
    total = val.numel() - 1
    score = Accumulator(device, luts)
    frozen = tuple(f"blocks.{i}." for i in range(TTT_FREEZE_BLOCKS))
    ttt_params = []
    for name, p in model.named_parameters():
        p.requires_grad_(not name.startswith(frozen))
        if p.requires_grad:
            ttt_params.append(p)
    optimizer = torch.optim.SGD(ttt_params, lr=TTT_LR, momentum=0.9)
    groups = windows_by_chunk(total)
    for ci, windows in enumerate(groups):
        model.eval()
        with torch.inference_mode():
            for start, new, end in windows[rank::world]:
                tokens = val[start : end + 1].to(device)
                x, y = tokens[None, :-1], tokens[None, 1:]
                with torch.autocast(device_type=device.type, dtype=torch.bfloat16):
                    logits = model.forward_logits(x)
                nll = F.cross_entropy(logits[0].float(), y[0], reduction="none")
                score.add(nll[new - start :], x[0, new - start :], y[0, new - start :])

        is_last = ci == len(groups) - 1
        if not TTT_ENABLED or is_last:
            continue
        model.train()
        chunk_start, chunk_end = ci * TTT_CHUNK_TOKENS, min((ci + 1) * TTT_CHUNK_TOKENS, total)
        rows = (chunk_end - chunk_start) // SEQ_LEN
        lr = TTT_LR * 0.5 * (1.0 + math.cos(math.pi * ci / max(len(groups) - 1, 1)))
        for group in optimizer.param_groups:
            group["lr"] = lr
        for _epoch in range(TTT_EPOCHS):
            for r in range(rank, rows - rows % world, world):
                lo = chunk_start + r * SEQ_LEN
                tokens = val[lo : lo + SEQ_LEN + 1].to(device)
                optimizer.zero_grad(set_to_none=True)
                loss = model(tokens[None, :-1], tokens[None, 1:])
                loss.backward()
                if world > 1:
                    for p in ttt_params:
                        if p.grad is not None:
                            dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
                torch.nn.utils.clip_grad_norm_(ttt_params, 1.0)
                optimizer.step()
        if rank == 0 and ci % 50 == 0:
            print(f"ttt_chunk [{ci + 1}/{len(groups)}] lr={lr:.5f}", flush=True)
    return score.result()


def train(model: GPT, device: torch.device, rank: int, world: int) -> None:
    files = sorted(glob.glob(f"{DATA_PATH}/fineweb_train_*.bin"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.04)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda s: min(1.0, (s + 1) / 100))
    start, step, generator = time.perf_counter(), 0, torch.Generator().manual_seed(SEED + rank)
    while time.perf_counter() - start < TRAIN_SECONDS:
        if step % 400 == 0:
            tokens = read_shard(files[step // 400 % len(files)])
        offsets = torch.randint(tokens.numel() - SEQ_LEN - 1, (BATCH_ROWS,), generator=generator)
        batch = torch.stack([tokens[o : o + SEQ_LEN + 1] for o in offsets]).to(device)
        with torch.autocast(device_type=device.type, dtype=torch.bfloat16):
            loss = model(batch[:, :-1], batch[:, 1:])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for p in model.parameters():
            if world > 1 and p.grad is not None:
                dist.all_reduce(p.grad, op=dist.ReduceOp.AVG)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        schedule.step()
        step += 1
        if rank == 0 and step % 500 == 0:
            print(f"step:{step} train_loss:{loss.item():.4f} train_time:{1000 * (time.perf_counter() - start):.0f}ms")


def export(model: GPT, path: Path) -> int:
    packed = {}
    for name, w in model.state_dict().items():
        w = w.detach().float().cpu()
        if w.numel() <= 8192:
            packed[name] = w.half()
            continue
        best = None
        for clip in (0.999, 0.9999, 1.0):
            limit = torch.quantile(w.abs(), clip, dim=-1, keepdim=True).clamp_min(1e-8)
            q = (w / limit * 31).round().clamp(-32, 31)
            error = (q * limit / 31 - w).square().sum().item()
            if best is None or error < best[0]:
                best = (error, q.to(torch.int8), (limit / 31).half())
        packed[name] = best[1:]
    buffer = io.BytesIO()
    torch.save(packed, buffer)
    path.write_bytes(lzma.compress(buffer.getvalue(), preset=9))
    return path.stat().st_size


def load(path: Path, device: torch.device) -> GPT:
    packed = torch.load(io.BytesIO(lzma.decompress(path.read_bytes())), map_location="cpu")
    model = GPT().to(device)
    model.load_state_dict({k: v[0].float() * v[1].float() if isinstance(v, tuple) else v.float() for k, v in packed.items()})
    return model


def main() -> None:
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', 0)}")
    if world > 1:
        dist.init_process_group("nccl")
    torch.manual_seed(SEED)
    artifact = Path("final_model.int6.xz")
    trained = GPT().to(device)
    train(trained, device, rank, world)
    if rank == 0:
        size = export(trained, artifact)
        print(f"Total submission size int6+lzma: {size + Path(__file__).stat().st_size} bytes")
    if world > 1:
        dist.barrier()
    model, val = load(artifact, device), val_stream()
    t0 = time.perf_counter()
    val_loss, val_bpb = eval_val_sliding_ttt(model, val, byte_luts(device), device, rank, world)
    if rank == 0:
        print(f"legal_ttt eval_time:{1000 * (time.perf_counter() - t0):.0f}ms chunks of {TTT_CHUNK_TOKENS}")
        print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
