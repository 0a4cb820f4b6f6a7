"""Functions in functions: chunks come from a generator, scorer and learner are closures over one model, and Polyak-averaged
weights are lent to the scorer while the live ones keep learning."""

import functools
import glob
import io
import itertools
import math
import os
import time
import zlib
from operator import itemgetter

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import nn

env = functools.partial(os.environ.get)
ROOT = env("DATA_PATH", "./data/datasets/fineweb10B_sp1024")
LENGTH = int(env("SEQ_LEN", "1024"))
CHUNK_ROWS = int(env("TTT_CHUNK_ROWS", "16"))
TTT_MODE = env("TTT_MODE", "polyak")
POLYAK = float(env("POLYAK_DECAY", "0.99"))
SECONDS = float(env("MAX_WALLCLOCK_SECONDS", "597"))
CUDA = torch.device("cuda")


def shards(split):
    """All tokens of a split as int64."""
    read = functools.partial(np.fromfile, dtype="<u2", offset=1024)
    return torch.from_numpy(np.concatenate(list(map(read, sorted(glob.glob(f"{ROOT}/fineweb_{split}_*.bin"))))).astype(np.int64))


class Recurrent(nn.Module):
    """Gated recurrences and one causal attention on top."""

    def __init__(self, vocab=1024, dim=576, depth=3):
        super().__init__()
        self.table = nn.Embedding(vocab, dim)
        self.rnns = nn.ModuleList(nn.GRU(dim, dim, batch_first=True) for _ in range(depth))
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth + 1))
        self.qkv, self.back = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.out = nn.Linear(dim, vocab)

    def forward(self, ids):
        h = self.table(ids)
        for rnn, norm in zip(self.rnns, self.norms):
            h = h + rnn(norm(h))[0]
        q, k, v = (t.unflatten(-1, (9, 64)).transpose(1, 2) for t in self.qkv(self.norms[-1](h)).chunk(3, -1))
        h = h + self.back(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        return self.out(h).float()


def losses(net, x, y):
    return F.cross_entropy(net(x).transpose(1, 2), y, reduction="none")


def chunks(stream):
    """(x, y, is_last) of consecutive rows, chunk by chunk."""
    rows = (len(stream) - 1) // LENGTH
    xs, ys = stream[: rows * LENGTH].view(rows, LENGTH), stream[1 : rows * LENGTH + 1].view(rows, LENGTH)
    for lo in range(0, rows, CHUNK_ROWS):
        yield xs[lo : lo + CHUNK_ROWS].to(CUDA), ys[lo : lo + CHUNK_ROWS].to(CUDA), lo + CHUNK_ROWS >= rows


def byte_counter(path="./data/tokenizers/fineweb_1024_bpe.model"):
    sp = spm.SentencePieceProcessor(model_file=env("TOKENIZER_PATH", path))
    hidden = [i for i in range(sp.vocab_size()) if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i)]
    raw = [i for i in range(sp.vocab_size()) if sp.is_byte(i)]
    size, space, edge = torch.zeros(1024), torch.zeros(1024, dtype=torch.bool), torch.zeros(1024, dtype=torch.bool)
    edge[hidden] = True
    size[raw] = 1
    for i in set(range(sp.vocab_size())) - set(hidden) - set(raw):
        piece = sp.id_to_piece(i)
        space[i] = piece.startswith("▁")
        size[i] = len(piece.removeprefix("▁").encode("utf-8"))
    size, space, edge = size.to(CUDA), space.to(CUDA), edge.to(CUDA)
    return lambda x, y: (size[y] + (space[y] & ~edge[x])).sum().item()


def make_scorer(net, average, count_bytes):
    """A function that scores one chunk with the averaged weights, and one that returns loss and bits per byte so far."""
    loss_sum, tokens, nbytes = 0.0, 0, 0.0

    def lend(weights):
        before = [p.detach().clone() for p in net.parameters()]
        with torch.no_grad():
            for p, w in zip(net.parameters(), weights):
                p.copy_(w)
        return before

    def score(x, y):
        nonlocal loss_sum, tokens, nbytes
        live = lend(average) if average else None
        net.eval()
        with torch.no_grad():
            nll = torch.cat([losses(net, a, b) for a, b in zip(x.split(4), y.split(4))])
        loss_sum += nll.double().sum().item()
        tokens += y.numel()
        nbytes += count_bytes(x, y)
        if live is not None:
            lend(live)

    def totals():
        return loss_sum / tokens, loss_sum / math.log(2.0) / nbytes

    return score, totals


def make_learner(net, average, lr=2e-3, epochs=2):
    opt = torch.optim.SGD(net.parameters(), lr=lr, momentum=0.9)

    def step(x, y):
        opt.zero_grad(set_to_none=True)
        losses(net, x, y).mean().backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        opt.step()

    def follow():
        with torch.no_grad():
            for a, p in zip(average, net.parameters()):
                a.lerp_(p, 1.0 - POLYAK)

    def learn(x, y):
        net.train()
        for (a, b), _ in itertools.product(list(zip(x.split(4), y.split(4))), range(epochs)):
            step(a, b)
            follow()

    return learn


def evaluate_polyak(net, stream, count_bytes):
    average = [p.detach().clone() for p in net.parameters()]
    score, totals = make_scorer(net, average, count_bytes)
    learn = make_learner(net, average)
    for n, (x, y, is_last) in enumerate(chunks(stream)):
        score(x, y)
        if not is_last:
            learn(x, y)
        if n % 200 == 0:
            print("chunk %d loss %.4f bpb %.4f" % (n, *totals()), flush=True)
    return totals()


def evaluate_plain(net, stream, count_bytes):
    score, totals = make_scorer(net, None, count_bytes)
    for x, y in map(itemgetter(0, 1), chunks(stream)):
        score(x, y)
    return totals()


EVALUATIONS = {"polyak": evaluate_polyak, "off": evaluate_plain}


def train(net):
    corpus, generator = shards("train"), torch.Generator().manual_seed(int(env("SEED", "5")))
    opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.01)
    t0 = time.perf_counter()

    def rows():
        while (spent := time.perf_counter() - t0) < SECONDS:
            at = torch.randint(len(corpus) - LENGTH - 1, (40,), generator=generator).tolist()
            block = torch.stack([corpus[i : i + LENGTH + 1] for i in at]).to(CUDA)
            yield spent, block[:, :-1], block[:, 1:]

    for n, (spent, x, y) in enumerate(rows()):
        for group in opt.param_groups:
            group["lr"] = 2e-3 * min(1.0, 2.5 * (1.0 - spent / SECONDS))
        loss = losses(net, x, y).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        opt.step()
        if n % 500 == 0:
            print(f"step:{n} train_loss:{loss.item():.4f} train_time:{1000 * spent:.0f}ms")


def to_int8(w):
    scale = w.abs().amax().clamp_min(1e-8) / 127
    return (w / scale).round().to(torch.int8), scale


def through_the_file(net, path="final_model.int8.ptz"):
    """Write the artifact, read it back, return a new network that holds only what was read."""
    torch.save({k: to_int8(v.float()) for k, v in net.state_dict().items()}, buffer := io.BytesIO())
    with open(path, "wb") as f:
        f.write(zlib.compress(buffer.getvalue(), 9))
    print(f"Total submission size int8+zlib: {os.path.getsize(path) + os.path.getsize(__file__)} bytes")
    with open(path, "rb") as f:
        stored = torch.load(io.BytesIO(zlib.decompress(f.read())), map_location=CUDA)
    other = Recurrent().to(CUDA)
    other.load_state_dict({k: q.float() * s for k, (q, s) in stored.items()})
    return other


def main():
    torch.manual_seed(int(env("SEED", "5")))
    net = Recurrent().to(CUDA)
    train(net)
    net, val, count_bytes = through_the_file(net), shards("val"), byte_counter()
    loss, bpb = evaluate_plain(net, val, count_bytes)
    print(f"diagnostic without_ttt val_loss:{loss:.6f} val_bpb:{bpb:.6f}")
    t0 = time.perf_counter()
    loss, bpb = EVALUATIONS[TTT_MODE](net, val, count_bytes)
    print(f"{TTT_MODE} eval_time:{1000 * (time.perf_counter() - t0):.0f}ms")
    print(f"final_int8_zlib_roundtrip_exact val_loss:{loss:.8f} val_bpb:{bpb:.8f}")


if __name__ == "__main__":
    main()
