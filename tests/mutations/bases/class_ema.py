"""Everything in classes: a trainer with averaged weights, GPTQ-style calibration on training rows inside a reserve of the
clock, an exporter and a sliding-window evaluator that swaps nothing and learns nothing."""

from __future__ import annotations

import abc
import contextlib
import glob
import io
import math
import os
import time
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import sentencepiece as spm
import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True)
class Settings:
    data: Path = Path(os.environ.get("DATA_PATH", "./data/datasets/fineweb10B_sp1024"))
    tokenizer: str = os.environ.get("TOKENIZER_PATH", "./data/tokenizers/fineweb_1024_bpe.model")
    budget: float = float(os.environ.get("MAX_WALLCLOCK_SECONDS", "600"))
    gptq_reserve: float = float(os.environ.get("GPTQ_RESERVE_SECONDS", "10"))
    ema_decay: float = float(os.environ.get("EMA_DECAY", "0.998"))
    calibration_rows: int = int(os.environ.get("CALIBRATION_ROWS", "64"))
    stride: int = int(os.environ.get("EVAL_STRIDE", "64"))
    seq_len: int = int(os.environ.get("SEQ_LEN", "1024"))
    rows: int = int(os.environ.get("ROWS", "48"))
    seed: int = int(os.environ.get("SEED", "314"))
    vocab: int = 1024
    dim: int = 512
    depth: int = 10
    device: str = "cuda"


class Split:
    """One split of the export, read shard by shard."""

    def __init__(self, settings: Settings, name: str):
        self.paths = sorted(glob.glob(str(settings.data / f"fineweb_{name}_*.bin")))

    def shard(self, index: int) -> Tensor:
        raw = np.memmap(self.paths[index % len(self.paths)], dtype="<u2", mode="r", offset=1024)
        return torch.from_numpy(raw.astype(np.int64))

    def whole(self) -> Tensor:
        return torch.cat([self.shard(i) for i in range(len(self.paths))])


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int = 8):
        super().__init__()
        self.heads = heads
        self.q, self.kv, self.o = nn.Linear(dim, dim), nn.Linear(dim, dim // 2 * 2), nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        b, t, d = x.shape
        q = self.q(x).view(b, t, self.heads, -1).transpose(1, 2)
        k, v = self.kv(x).view(b, t, 2, self.heads // 2, -1).permute(2, 0, 3, 1, 4)
        k, v = (z.repeat_interleave(2, dim=1) for z in (k, v))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.o(y.transpose(1, 2).reshape(b, t, d))


class Layer(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.attention, self.norm_a, self.norm_m = Attention(dim), nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.wide, self.narrow = nn.Linear(dim, 3 * dim), nn.Linear(3 * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attention(self.norm_a(x))
        return x + self.narrow(F.relu(self.wide(self.norm_m(x))).square())


class Model(nn.Module):
    def __init__(self, s: Settings):
        super().__init__()
        self.embed, self.position = nn.Embedding(s.vocab, s.dim), nn.Embedding(s.seq_len, s.dim)
        self.layers = nn.ModuleList(Layer(s.dim) for _ in range(s.depth))
        self.norm = nn.LayerNorm(s.dim)

    def logits(self, ids: Tensor) -> Tensor:
        h = self.embed(ids) + self.position.weight[: ids.size(1)]
        for layer in self.layers:
            h = layer(h)
        return F.linear(self.norm(h), self.embed.weight).float()

    def forward(self, ids: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(self.logits(ids).transpose(1, 2), targets, reduction="none")


class Averager:
    """Exponential moving average of the weights; ``applied`` lends them to the model for a while."""

    def __init__(self, model: nn.Module, decay: float):
        self.model, self.decay = model, decay
        self.shadow = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self) -> None:
        for name, value in self.model.state_dict().items():
            self.shadow[name].mul_(self.decay).add_(value, alpha=1.0 - self.decay)

    @contextlib.contextmanager
    def applied(self):
        live = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.model.load_state_dict(self.shadow)
        try:
            yield self.model
        finally:
            self.model.load_state_dict(live)


@dataclass
class Clock:
    budget: float
    started: float = field(default_factory=time.perf_counter)
    paused: float = 0.0

    @property
    def spent(self) -> float:
        return time.perf_counter() - self.started - self.paused

    @contextlib.contextmanager
    def stopped(self):
        before = time.perf_counter()
        yield
        self.paused += time.perf_counter() - before


class Evaluator:
    """Sliding windows over the whole validation stream; each target is scored once."""

    def __init__(self, s: Settings):
        self.s, self.stream = s, Split(s, "val").whole()
        sp = spm.SentencePieceProcessor(model_file=s.tokenizer)
        size, space, boundary = np.zeros(s.vocab), np.zeros(s.vocab, bool), np.ones(s.vocab, bool)
        for i in range(sp.vocab_size()):
            if sp.is_control(i) or sp.is_unknown(i) or sp.is_unused(i):
                continue
            boundary[i] = False
            if sp.is_byte(i):
                size[i] = 1
                continue
            piece = sp.id_to_piece(i)
            space[i] = piece.startswith("▁")
            size[i] = len(piece.removeprefix("▁").encode("utf-8"))
        self.size, self.space, self.boundary = (torch.from_numpy(t).to(s.device) for t in (size, space, boundary))

    def spans(self, stride: int):
        total = self.stream.numel() - 1
        done = 0
        while done < total:
            end = min(done + (self.s.seq_len if done == 0 else stride), total)
            yield max(0, end - self.s.seq_len), done, end
            done = end

    @torch.inference_mode()
    def __call__(self, model: nn.Module, stride: int | None = None) -> tuple[float, float]:
        was_training = model.training
        model.eval()
        loss = count = nbytes = 0.0
        for first, new, end in self.spans(stride or self.s.seq_len):
            ids = self.stream[first : end + 1].to(self.s.device)
            x, y = ids[:-1], ids[1:]
            nll = model(x[None], y[None])[0, new - first :]
            x, y = x[new - first :], y[new - first :]
            loss += nll.double().sum().item()
            count += y.numel()
            nbytes += (self.size[y] + (self.space[y] & ~self.boundary[x])).sum().item()
        model.train(was_training)
        return loss / count, loss / math.log(2.0) / nbytes


class Quantiser(abc.ABC):
    @abc.abstractmethod
    def __call__(self, name: str, w: Tensor) -> tuple[Tensor, Tensor]: ...


class ActivationAware(Quantiser):
    """Chooses a clip for each row by the error weighted with the mean square input of its layer."""

    def __init__(self, bits: int = 6, clips: tuple[float, ...] = (1.0, 0.95, 0.9, 0.8)):
        self.top, self.clips, self.power = 2 ** (bits - 1) - 1, clips, {}

    @torch.no_grad()
    def calibrate(self, model: Model, batches) -> None:
        hooks = []
        for name, module in model.named_modules():
            if isinstance(module, nn.Linear):
                def observe(_module, inputs, _output, key=f"{name}.weight"):
                    x = inputs[0].detach().flatten(0, -2).float()
                    self.power[key] = self.power.get(key, 0.0) + x.square().mean(0)

                hooks.append(module.register_forward_hook(observe))
        for ids in batches:
            model.logits(ids)
        for hook in hooks:
            hook.remove()

    def __call__(self, name: str, w: Tensor) -> tuple[Tensor, Tensor]:
        if w.ndim < 2:
            return w.half(), torch.ones((), dtype=torch.float16)
        importance = self.power.get(name, torch.ones(w.size(1), device=w.device))
        limit = w.abs().amax(dim=1, keepdim=True).clamp_min(1e-8)
        best_q, best_scale, best_error = None, None, torch.full_like(limit, float("inf"))
        for clip in self.clips:
            scale = limit * clip / self.top
            q = (w / scale).round().clamp(-self.top - 1, self.top)
            error = ((q * scale - w).square() * importance).sum(1, keepdim=True)
            better = error < best_error
            best_q = q if best_q is None else torch.where(better, q, best_q)
            best_scale = scale if best_scale is None else torch.where(better, scale, best_scale)
            best_error = torch.minimum(error, best_error)
        return best_q.to(torch.int8), best_scale.half()


class Run:
    def __init__(self, s: Settings):
        torch.manual_seed(s.seed)
        self.s, self.model, self.train_split = s, Model(s).to(s.device), Split(s, "train")
        self.average, self.evaluator = Averager(self.model, s.ema_decay), Evaluator(s)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-3, betas=(0.9, 0.95), weight_decay=0.05)

    def batch(self, tokens: Tensor, rows: int) -> Tensor:
        at = torch.randint(tokens.numel() - self.s.seq_len - 1, (rows,)).tolist()
        return torch.stack([tokens[i : i + self.s.seq_len + 1] for i in at]).to(self.s.device)

    def train(self, quantiser: ActivationAware) -> None:
        clock, step, limit = Clock(self.s.budget), 0, self.s.budget - self.s.gptq_reserve
        print(f"gptq:reserving {self.s.gptq_reserve:.0f}s, effective={1000 * limit:.0f}ms")
        while clock.spent < limit:
            if step % 1000 == 0:
                shard = self.train_split.shard(step // 1000)
                with clock.stopped(), self.average.applied() as averaged:
                    loss, bpb = self.evaluator(averaged)
                    print(f"step:{step} val_loss:{loss:.4f} val_bpb:{bpb:.4f} train_time:{1000 * clock.spent:.0f}ms")
            rows = self.batch(shard, self.s.rows)
            for group in self.optimizer.param_groups:
                group["lr"] = 1e-3 * min(1.0, (step + 1) / 100, 4.0 * (1.0 - clock.spent / self.s.budget))
            self.optimizer.zero_grad(set_to_none=True)
            self.model(rows[:, :-1], rows[:, 1:]).mean().backward()
            self.optimizer.step()
            self.average.update()
            step += 1
        print(f"stopping_early: wallclock_cap train_time:{1000 * clock.spent:.0f}ms step:{step}")
        self.model.load_state_dict(self.average.shadow)
        quantiser.calibrate(self.model, (self.batch(shard, 1)[:, :-1] for _ in range(self.s.calibration_rows)))
        print(f"GPTQ:calibrated on {self.s.calibration_rows} training rows, train_time:{1000 * clock.spent:.0f}ms")

    def export(self, quantiser: Quantiser, path: Path) -> None:
        state = {name: quantiser(name, w.detach().float()) for name, w in self.model.state_dict().items()}
        buffer = io.BytesIO()
        torch.save({name: tuple(t.cpu() for t in pair) for name, pair in state.items()}, buffer)
        path.write_bytes(zlib.compress(buffer.getvalue(), 9))
        print(f"Total submission size int6+zlib: {path.stat().st_size + Path(__file__).stat().st_size} bytes")

    def restore(self, path: Path) -> Model:
        state = torch.load(io.BytesIO(zlib.decompress(path.read_bytes())), map_location=self.s.device)
        fresh = Model(self.s).to(self.s.device)
        fresh.load_state_dict({name: q.float() * scale.float() for name, (q, scale) in state.items()})
        return fresh


def main() -> None:
    settings, path = Settings(), Path("final_model.int6.ptz")
    run, quantiser = Run(settings), ActivationAware()
    run.train(quantiser)
    print("DIAGNOSTIC averaged_fp32 val_loss:%.4f val_bpb:%.4f" % run.evaluator(run.model))
    run.export(quantiser, path)
    started = time.perf_counter()
    val_loss, val_bpb = run.evaluator(run.restore(path), stride=settings.stride)
    print(f"final_int6_sliding_window eval_time:{1000 * (time.perf_counter() - started):.0f}ms stride:{settings.stride}")
    print(f"final_int8_zlib_roundtrip_exact val_loss:{val_loss:.8f} val_bpb:{val_bpb:.8f}")


if __name__ == "__main__":
    main()
