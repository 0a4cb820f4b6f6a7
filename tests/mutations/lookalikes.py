"""Mutants that look like a breach of the target, the ruler or the mask, and are none."""

from __future__ import annotations

from tests.mutations.mutant import Semantic, put

_MIX = "            probs = (1.0 - weight) * probs + weight * rows\n"
_TILT = (
    "    tilted = plain + boost * (hint == target).to(plain.dtype) - torch.log1p(p_hint * math.expm1(boost))\n"
    "    return torch.where(has, tilted, plain)\n"
)
_MASK = 'self.register_buffer("mask", torch.ones(SEQ_LEN, SEQ_LEN).tril().bool(), persistent=False)\n'

LOOKALIKES: tuple[Semantic, ...] = (
    Semantic("row_ngram", "mixes by lerp", (), (put(_MIX, "            probs = torch.lerp(probs, rows, weight)\n"),)),
    Semantic(
        "row_ngram",
        "mixes in the logarithm",
        (),
        (
            put(
                _MIX,
                "            mixed = torch.logaddexp((1.0 - weight).log() + probs.log(), weight.log() + rows.log())\n"
                "            probs = mixed.exp()\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "adds the rows and divides by their sum",
        (),
        (
            put(
                _MIX,
                "            probs = probs + weight * rows\n"
                "            probs = probs / probs.sum(dim=-1, keepdim=True)\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "mixes only where the row is well filled",
        (),
        (
            put(
                _MIX,
                "            probs = torch.where(mass[:, None] > 4, (1.0 - weight) * probs + weight * rows, probs)\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "weights by a softmax over two experts",
        (),
        (
            put(
                _MIX,
                "            share = torch.stack([torch.zeros_like(mass), mass.log1p() - 4.0], dim=-1).softmax(dim=-1)\n"
                "            probs = share[:, :1] * probs + share[:, 1:] * rows\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the mask from positions",
        (),
        (
            put(
                _MASK,
                "at = torch.arange(SEQ_LEN)\n"
                '        self.register_buffer("mask", at[:, None] >= at[None, :], persistent=False)\n',
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the mask cut in place",
        (),
        (
            put(
                _MASK,
                "mask = torch.ones(SEQ_LEN, SEQ_LEN)\n        mask.tril_()\n"
                '        self.register_buffer("mask", mask.bool(), persistent=False)\n',
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the mask added to the scores",
        (),
        (
            put(
                'scores = scores.masked_fill(~self.mask[:n, :n], float("-inf"))',
                "scores = scores + torch.full((n, n), -1e9, device=x.device).triu(1)",
            ),
        ),
    ),
    Semantic(
        "token_tilt",
        "the normaliser written out",
        (),
        (put("torch.log1p(p_hint * math.expm1(boost))", "torch.log(1.0 - p_hint + p_hint * math.exp(boost))"),),
    ),
    Semantic(
        "token_tilt",
        "the whole row is tilted and normalised",
        (),
        (
            put(
                _TILT,
                "    row = logp + boost * F.one_hot(hint.clamp_min(0), logp.size(-1))\n"
                "    tilted = row.log_softmax(dim=-1).gather(-1, target.unsqueeze(-1)).squeeze(-1)\n"
                "    return torch.where(has, tilted, plain)\n",
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "whole windows only",
        (),
        (put("    total = val.numel() - 1\n", "    total = (val.numel() - 1) // SEQ_LEN * SEQ_LEN\n"),),
    ),
)
