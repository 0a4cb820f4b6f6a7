"""A small language model trained on FineWeb: the default submission of the rule examples."""

import glob
import io
import math
import os
import time
import zlib

import numpy as np
import sentencepiece as spm
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn


class Hyperparameters:
    data_path = os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
    train_files = os.path.join(data_path, "fineweb_train_*.bin")
    val_files = os.path.join(data_path, "fineweb_val_*.bin")
    tokenizer_path = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    seed = int(os.environ.get("SEED", 1337))
    vocab_size = int(os.environ.get("VOCAB_SIZE", 1024))
    num_layers = int(os.environ.get("NUM_LAYERS", 9))
    model_dim = int(os.environ.get("MODEL_DIM", 512))
    train_seq_len = int(os.environ.get("TRAIN_SEQ_LEN", 1024))
    batch_tokens = int(os.environ.get("TRAIN_BATCH_TOKENS", 524288))
    max_wallclock_seconds = float(os.environ.get("MAX_WALLCLOCK_SECONDS", 600.0))
    learning_rate = float(os.environ.get("LEARNING_RATE", 0.02))


def load_shard(path):
    header = np.fromfile(path, dtype="<i4", count=256)
    tokens = np.fromfile(path, dtype="<u2", count=int(header[2]), offset=1024)
    return torch.from_numpy(tokens.astype(np.int64))


def load_tokens(pattern):
    return torch.cat([load_shard(path) for path in sorted(glob.glob(pattern))])


def byte_tables(tokenizer, vocab_size, device):
    base = np.zeros(vocab_size, dtype=np.int16)
    leading = np.zeros(vocab_size, dtype=bool)
    boundary = np.ones(vocab_size, dtype=bool)
    for token in range(tokenizer.vocab_size()):
        if tokenizer.is_control(token) or tokenizer.is_unknown(token) or tokenizer.is_unused(token):
            continue
        boundary[token] = False
        if tokenizer.is_byte(token):
            base[token] = 1
            continue
        piece = tokenizer.id_to_piece(token)
        if piece.startswith("▁"):
            leading[token] = True
            piece = piece[1:]
        base[token] = len(piece.encode("utf-8"))
    return tuple(torch.from_numpy(table).to(device) for table in (base, leading, boundary))


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.proj = nn.Linear(dim, dim, bias=False)
        self.fc = nn.Linear(dim, 4 * dim, bias=False)
        self.out = nn.Linear(4 * dim, dim, bias=False)

    def forward(self, x):
        batch, length, dim = x.shape
        q, k, v = self.qkv(F.rms_norm(x, (dim,))).view(batch, length, 3, 8, dim // 8).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(batch, length, dim))
        return x + self.out(F.relu(self.fc(F.rms_norm(x, (dim,)))).square())


class GPT(nn.Module):
    def __init__(self, args):
        super().__init__()
        self.tok_emb = nn.Embedding(args.vocab_size, args.model_dim)
        self.blocks = nn.ModuleList([Block(args.model_dim) for _ in range(args.num_layers)])

    def forward(self, input_ids, target_ids):
        x = self.tok_emb(input_ids)
        for block in self.blocks:
            x = block(x)
        logits = F.linear(F.rms_norm(x, (x.size(-1),)), self.tok_emb.weight)
        return F.cross_entropy(logits.float().flatten(0, 1), target_ids.flatten())


def eval_val(args, model, rank, world_size, device, val_tokens, tables):
    base, leading, boundary = tables
    length = args.train_seq_len
    sequences = (val_tokens.numel() - 1) // length
    loss_sum = torch.zeros((), device=device, dtype=torch.float64)
    token_count = torch.zeros((), device=device, dtype=torch.float64)
    byte_count = torch.zeros((), device=device, dtype=torch.float64)
    model.eval()
    with torch.inference_mode():
        for index in range(rank, sequences, world_size):
            chunk = val_tokens[index * length : (index + 1) * length + 1].to(device)
            x, y = chunk[:-1], chunk[1:]
            loss = model(x[None], y[None])
            loss_sum += loss.double() * y.numel()
            token_count += y.numel()
            byte_count += (base[y] + (leading[y] & ~boundary[x])).double().sum()
    for total in (loss_sum, token_count, byte_count):
        dist.all_reduce(total)
    model.train()
    val_loss = (loss_sum / token_count).item()
    return val_loss, val_loss / math.log(2.0) * (token_count / byte_count).item()


def quantize(state):
    packed = {}
    for name, tensor in state.items():
        scale = tensor.abs().amax(dim=-1, keepdim=True).clamp_min(1e-12) / 127.0
        packed[name] = ((tensor / scale).round().to(torch.int8), scale.half())
    return packed


def dequantize(packed):
    return {name: values.float() * scale.float() for name, (values, scale) in packed.items()}


def main():
    args = Hyperparameters()
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl", device_id=device)
    torch.manual_seed(args.seed)
    tables = byte_tables(spm.SentencePieceProcessor(model_file=args.tokenizer_path), args.vocab_size, device)
    val_tokens = load_tokens(args.val_files)
    train_files = sorted(glob.glob(args.train_files))
    model = GPT(args).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.learning_rate)

    start, step, shard, position = time.perf_counter(), 0, 0, 0
    tokens = load_shard(train_files[0])
    span = args.batch_tokens // world_size
    while time.perf_counter() - start < args.max_wallclock_seconds:
        if position + args.batch_tokens + 1 > tokens.numel():
            shard, position = (shard + 1) % len(train_files), 0
            tokens = load_shard(train_files[shard])
        local = tokens[position + rank * span : position + (rank + 1) * span + 1].to(device)
        loss = model(local[:-1].view(-1, args.train_seq_len), local[1:].view(-1, args.train_seq_len))
        loss.backward()
        for parameter in model.parameters():
            dist.all_reduce(parameter.grad, op=dist.ReduceOp.AVG)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        position += args.batch_tokens
        step += 1
    print(f"stopping_early: wallclock_cap train_time:{1000 * (time.perf_counter() - start):.0f}ms step:{step}/20000")

    buffer = io.BytesIO()
    torch.save(quantize(model.state_dict()), buffer)
    if rank == 0:
        with open("final_model.int8.ptz", "wb") as file:
            file.write(zlib.compress(buffer.getvalue(), 9))
    dist.barrier()
    with open("final_model.int8.ptz", "rb") as file:
        packed = torch.load(io.BytesIO(zlib.decompress(file.read())), map_location=device)
    model.load_state_dict(dequantize(packed))

    code_bytes, model_bytes = os.path.getsize(__file__), os.path.getsize("final_model.int8.ptz")
    print(f"Total submission size int8+zlib: {code_bytes + model_bytes} bytes")
    val_loss, val_bpb = eval_val(args, model, rank, world_size, device, val_tokens, tables)
    print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
