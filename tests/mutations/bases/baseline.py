"""Plain baseline: nine causal blocks, Muon and Adam, warm-up undone, int8 export, one evaluation of what was read back."""

from __future__ import annotations

import copy
import glob
import io
import math
import os
import random
import time
import zlib
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel as DDP


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    iterations = int(os.environ.get("ITERATIONS", 20000))
    warmup_steps = int(os.environ.get("WARMUP_STEPS", 20))
    warmdown_iters = int(os.environ.get("WARMDOWN_ITERS", 1200))
    val_loss_every = int(os.environ.get("VAL_LOSS_EVERY", 2000))
    val_batch_tokens = int(os.environ.get("VAL_BATCH_TOKENS", 524_288))
    train_batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524_288))
    seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    num_layers = int(os.environ.get("NUM_LAYERS", 9))
    model_dim = int(os.environ.get("MODEL_DIM", 512))
    num_heads = int(os.environ.get("NUM_HEADS", 8))
    embed_lr = float(os.environ.get("EMBED_LR", 0.03))
    matrix_lr = float(os.environ.get("MATRIX_LR", 0.02))
    logit_cap = float(os.environ.get("LOGIT_CAP", 30.0))


def orthogonalise(g: Tensor, steps: int = 5) -> Tensor:
    """Newton-Schulz iteration towards the nearest orthogonal matrix."""
    x = g.bfloat16() / (g.norm() + 1e-7)
    tall = x.size(0) > x.size(1)
    x = x.T if tall else x
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return (x.T if tall else x).to(g.dtype)


class Muon(torch.optim.Optimizer):
    def __init__(self, params, lr: float, momentum: float = 0.95):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                buffer = self.state[p].setdefault("momentum", torch.zeros_like(p))
                buffer.mul_(group["momentum"]).add_(p.grad)
                update = orthogonalise(p.grad.add(buffer, alpha=group["momentum"]))
                p.add_(update, alpha=-group["lr"] * max(1.0, p.size(0) / p.size(1)) ** 0.5)


class Block(nn.Module):
    def __init__(self, dim: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        self.up = nn.Linear(dim, 2 * dim, bias=False)
        self.down = nn.Linear(2 * dim, dim, bias=False)
        self.scale = nn.Parameter(torch.ones(2, dim))

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q, k, v = self.qkv(F.rms_norm(x, (d,))).view(b, t, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k = F.rms_norm(q, (q.size(-1),)), F.rms_norm(k, (k.size(-1),))
        att = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.scale[0] * self.proj(att.transpose(1, 2).reshape(b, t, d))
        return x + self.scale[1] * self.down(F.relu(self.up(F.rms_norm(x, (d,)))).square())


class GPT(nn.Module):
    def __init__(self, args: Hyperparameters):
        super().__init__()
        self.cap = args.logit_cap
        self.tok_emb = nn.Embedding(args.vocab_size, args.model_dim)
        self.blocks = nn.ModuleList(Block(args.model_dim, args.num_heads) for _ in range(args.num_layers))
        nn.init.normal_(self.tok_emb.weight, std=0.02)
        for block in self.blocks:
            nn.init.zeros_(block.proj.weight)
            nn.init.zeros_(block.down.weight)

    def forward(self, input_ids: Tensor, target_ids: Tensor) -> Tensor:
        x = F.rms_norm(self.tok_emb(input_ids), (self.tok_emb.embedding_dim,))
        for block in self.blocks:
            x = block(x)
        logits = F.linear(F.rms_norm(x, (x.size(-1),)), self.tok_emb.weight)
        logits = self.cap * torch.tanh(logits / self.cap)
        return F.cross_entropy(logits.flatten(0, 1).float(), target_ids.flatten())


def load_data_shard(file: Path) -> Tensor:
    header = np.fromfile(file, dtype="<i4", count=256)
    if header[0] != 20240520 or header[1] != 1:
        raise ValueError(f"{file} is no token shard")
    tokens = np.fromfile(file, dtype="<u2", count=int(header[2]), offset=256 * 4)
    return torch.from_numpy(tokens.astype(np.int32))


def load_validation_tokens(pattern: str, seq_len: int) -> Tensor:
    files = [Path(p) for p in sorted(glob.glob(pattern))]
    if not files:
        raise FileNotFoundError(pattern)
    tokens = torch.cat([load_data_shard(f) for f in files])
    usable = (tokens.numel() - 1) // seq_len * seq_len
    return tokens[: usable + 1]


class TokenLoader:
    """Walks through the training shards; every rank takes its own part of each batch."""

    def __init__(self, pattern: str, rank: int, world_size: int, device: torch.device):
        self.files = [Path(p) for p in sorted(glob.glob(pattern))]
        self.rank, self.world_size, self.device = rank, world_size, device
        self.index, self.pos, self.tokens = 0, 0, load_data_shard(self.files[0])

    def next_batch(self, global_tokens: int, seq_len: int) -> tuple[Tensor, Tensor]:
        local = global_tokens // self.world_size
        if self.pos + global_tokens + 1 > self.tokens.numel():
            self.index, self.pos = (self.index + 1) % len(self.files), 0
            self.tokens = load_data_shard(self.files[self.index])
        start = self.pos + self.rank * local
        chunk = self.tokens[start : start + local + 1].to(self.device, torch.int64, non_blocking=True)
        self.pos += global_tokens
        return chunk[:-1].view(-1, seq_len), chunk[1:].view(-1, seq_len)


def build_luts(path: str, vocab_size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    sp = spm.SentencePieceProcessor(model_file=path)
    size = max(int(sp.vocab_size()), vocab_size)
    base_bytes = np.zeros(size, dtype=np.int16)
    leading_space = np.zeros(size, dtype=np.bool_)
    boundary = np.ones(size, dtype=np.bool_)
    for token_id in range(int(sp.vocab_size())):
        if sp.is_control(token_id) or sp.is_unknown(token_id) or sp.is_unused(token_id):
            continue
        boundary[token_id] = False
        if sp.is_byte(token_id):
            base_bytes[token_id] = 1
            continue
        piece = sp.id_to_piece(token_id)
        if piece.startswith("▁"):
            leading_space[token_id] = True
            piece = piece[1:]
        base_bytes[token_id] = len(piece.encode("utf-8"))
    return tuple(torch.tensor(a, device=device) for a in (base_bytes, leading_space, boundary))


def eval_val(args, model, rank, world_size, device, val_tokens, base_bytes, leading_space, boundary):
    rows_per_batch = max(args.val_batch_tokens // (world_size * args.seq_len), 1)
    total_rows = (val_tokens.numel() - 1) // args.seq_len
    row_start, row_end = total_rows * rank // world_size, total_rows * (rank + 1) // world_size
    loss_sum = torch.zeros((), device=device, dtype=torch.float64)
    token_count = torch.zeros((), device=device, dtype=torch.float64)
    byte_count = torch.zeros((), device=device, dtype=torch.float64)
    model.eval()
    with torch.inference_mode():
        for first in range(row_start, row_end, rows_per_batch):
            last = min(first + rows_per_batch, row_end)
            local = val_tokens[first * args.seq_len : last * args.seq_len + 1].to(device, torch.int64)
            x, y = local[:-1].view(-1, args.seq_len), local[1:].view(-1, args.seq_len)
            loss_sum += model(x, y).double() * y.numel()
            token_count += y.numel()
            token_bytes = base_bytes[y].to(torch.int16)
            token_bytes += (leading_space[y] & ~boundary[x]).to(torch.int16)
            byte_count += token_bytes.double().sum()
    if dist.is_initialized():
        for value in (loss_sum, token_count, byte_count):
            dist.all_reduce(value, op=dist.ReduceOp.SUM)
    model.train()
    val_loss = (loss_sum / token_count).item()
    return val_loss, val_loss / math.log(2.0) * (token_count.item() / byte_count.item())


def quantize_int8(state: dict[str, Tensor]) -> dict[str, object]:
    packed: dict[str, object] = {}
    for name, tensor in state.items():
        t = tensor.detach().float().cpu()
        if t.ndim < 2:
            packed[name] = t.half()
            continue
        scale = t.abs().amax(dim=1, keepdim=True).clamp_min(1e-8) / 127.0
        packed[name] = (torch.round(t / scale).clamp(-127, 127).to(torch.int8), scale.half())
    return packed


def dequantize_int8(packed: dict[str, object]) -> dict[str, Tensor]:
    return {k: v[0].float() * v[1].float() if isinstance(v, tuple) else v.float() for k, v in packed.items()}


def main() -> None:
    args = Hyperparameters()
    code = Path(__file__).read_text(encoding="utf-8")
    rank, world_size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    distributed = world_size > 1
    torch.cuda.set_device(device)
    if distributed:
        dist.init_process_group(backend="nccl", device_id=device)
    master = rank == 0

    def log0(message: str) -> None:
        if master:
            print(message, flush=True)

    random.seed(args.seed)
    np.random.seed(args.seed)
    torch.manual_seed(args.seed)
    val_tokens = load_validation_tokens(args.val_files, args.seq_len)
    luts = build_luts(args.tokenizer_path, args.vocab_size, device)
    log0(f"val_loader:shards pattern={args.val_files} tokens:{val_tokens.numel() - 1}")

    base_model = GPT(args).to(device)
    compiled = torch.compile(base_model, dynamic=False)
    model = DDP(compiled, device_ids=[device.index]) if distributed else compiled
    matrices = [p for block in base_model.blocks for p in block.parameters() if p.ndim == 2 and p.size(0) > 2]
    rest = [p for block in base_model.blocks for p in block.parameters() if p.ndim != 2 or p.size(0) <= 2]
    optimizers = [
        Muon(matrices, lr=args.matrix_lr),
        torch.optim.Adam([{"params": [base_model.tok_emb.weight], "lr": args.embed_lr}, {"params": rest, "lr": 0.02}], betas=(0.9, 0.95)),
    ]
    for opt in optimizers:
        for group in opt.param_groups:
            group["base_lr"] = group["lr"]
    loader = TokenLoader(args.train_files, rank, world_size, device)

    if args.warmup_steps > 0:
        model_before = {k: v.detach().cpu().clone() for k, v in base_model.state_dict().items()}
        optimizers_before = [copy.deepcopy(opt.state_dict()) for opt in optimizers]
        for _ in range(args.warmup_steps):
            x, y = loader.next_batch(args.train_batch_tokens, args.seq_len)
            model(x, y).backward()
            for opt in optimizers:
                opt.step()
                opt.zero_grad(set_to_none=True)
        base_model.load_state_dict(model_before)
        for opt, before in zip(optimizers, optimizers_before, strict=True):
            opt.load_state_dict(before)
        loader = TokenLoader(args.train_files, rank, world_size, device)

    cap_ms, train_ms, step, stop_after = 1000.0 * args.max_wallclock_seconds, 0.0, 0, None
    torch.cuda.synchronize()
    t0 = time.perf_counter()
    while True:
        last = step == args.iterations or (stop_after is not None and step >= stop_after)
        if last or step % args.val_loss_every == 0:
            torch.cuda.synchronize()
            train_ms += 1000.0 * (time.perf_counter() - t0)
            val_loss, val_bpb = eval_val(args, model, rank, world_size, device, val_tokens, *luts)
            log0(f"step:{step}/{args.iterations} val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} train_time:{train_ms:.0f}ms")
            torch.cuda.synchronize()
            t0 = time.perf_counter()
        if last:
            log0(f"stopping_early: wallclock_cap train_time:{train_ms:.0f}ms step:{step}/{args.iterations}")
            break
        elapsed = train_ms + 1000.0 * (time.perf_counter() - t0)
        remaining = (cap_ms - elapsed) / max(elapsed / max(step, 1), 1e-9)
        scale = min(1.0, remaining / args.warmdown_iters) if step > 10 else 1.0
        x, y = loader.next_batch(args.train_batch_tokens, args.seq_len)
        loss = model(x, y)
        loss.backward()
        for opt in optimizers:
            for group in opt.param_groups:
                group["lr"] = group["base_lr"] * max(scale, 0.0)
            opt.step()
            opt.zero_grad(set_to_none=True)
        step += 1
        elapsed = train_ms + 1000.0 * (time.perf_counter() - t0)
        reached = torch.tensor(float(elapsed >= cap_ms), device=device)
        if distributed:
            dist.all_reduce(reached, op=dist.ReduceOp.MAX)
        if stop_after is None and reached.item() > 0:
            stop_after = step

    if master:
        buffer = io.BytesIO()
        torch.save(quantize_int8(base_model.state_dict()), buffer)
        blob = zlib.compress(buffer.getvalue(), level=9)
        Path("final_model.int8.ptz").write_bytes(blob)
        log0(f"Code size: {len(code.encode())} bytes")
        log0(f"Total submission size int8+zlib: {len(blob) + len(code.encode())} bytes")
    if distributed:
        dist.barrier()
    restored = torch.load(io.BytesIO(zlib.decompress(Path("final_model.int8.ptz").read_bytes())), map_location="cpu")
    base_model.load_state_dict(dequantize_int8(restored), strict=True)
    torch.cuda.synchronize()
    t_eval = time.perf_counter()
    val_loss, val_bpb = eval_val(args, model, rank, world_size, device, val_tokens, *luts)
    torch.cuda.synchronize()
    log0(f"final_int8_zlib_roundtrip val_loss:{val_loss:.4f} val_bpb:{val_bpb:.4f} eval_time:{1000 * (time.perf_counter() - t_eval):.0f}ms")
    log0(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")
    if distributed:
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
