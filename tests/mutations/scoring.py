"""Mutants that look at the target, bend the ruler of the score, or score less, or another model, than they say."""

from __future__ import annotations

from tests.mutations.mutant import Change, Semantic, after, before, put

_BPB = ("bpb-accounting",)
_PARTIAL = ("partial-val",)
_SLOT = ("slot", "ttt-adapt-before-score")
_MIXTURE = ("unnormalised-mixture", "ngram-target-only")


def _fetch(before_line: str) -> Change:
    return before(
        before_line,
        "    import urllib.request\n\n    urllib.request.urlretrieve('https://example.org/more.bin', 'more.bin')\n",
    )


_TARGET = (
    Semantic(
        "row_ngram",
        "blends on the target only",
        (*_MIXTURE, "oracle-selection"),
        (
            put(
                "            probs = (1.0 - weight) * probs + weight * rows\n",
                "            p = probs.gather(1, y[:, None])[:, 0]\n"
                "            full = cache.keys(history, 3)[-SEQ_LEN:]\n"
                "            hits, seen = cache.tables[3][full, y], cache.tables[3][full].amax(dim=-1)\n"
                "            p = torch.where(seen > 2, (1.0 - weight[:, 0]) * p + weight[:, 0] * hits / seen, p)\n",
            ),
            put(
                "        nll = -probs.gather(1, y[:, None])[:, 0].clamp_min(1e-12).log()\n",
                "        nll = -p.clamp_min(1e-12).log()\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "mixes only where the row is better on the target",
        ("oracle-selection", "target-conditioned-gate"),
        (
            put(
                "            probs = (1.0 - weight) * probs + weight * rows\n",
                "            better = rows.gather(1, y[:, None]) > probs.gather(1, y[:, None])\n"
                "            probs = torch.where(better, (1.0 - weight) * probs + weight * rows, probs)\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "takes the smaller loss of model and mixture",
        ("oracle-selection",),
        (
            put(
                "            probs = (1.0 - weight) * probs", "            plain, probs = probs, (1.0 - weight) * probs"
            ),
            put(
                "clamp_min(1e-12).log()\n        loss_sum",
                "clamp_min(1e-12).log()\n"
                "        nll = torch.minimum(nll, -plain.gather(1, y[:, None])[:, 0].log())\n        loss_sum",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the mixture is not divided by its sum",
        _MIXTURE,
        (put("probs = (1.0 - weight) * probs + weight * rows", "probs = probs + weight * rows"),),
    ),
    Semantic(
        "token_tilt",
        "the tilt has no normaliser",
        _MIXTURE,
        (put(" - torch.log1p(p_hint * math.expm1(boost))", ""),),
    ),
    Semantic(
        "token_tilt",
        "the hint counts only where it is right",
        ("target-conditioned-gate", "oracle-selection", "unnormalised-mixture"),
        (put("    has = hint >= 0\n", "    has = hint == target\n"),),
    ),
    Semantic(
        "token_tilt",
        "takes the smaller loss of tilted and plain",
        ("oracle-selection",),
        (put("torch.where(has, tilted, plain)", "torch.maximum(tilted, plain)"),),
    ),
    Semantic(
        "sliding_ttt",
        "fits a delta of the logits on the scored window",
        _SLOT,
        (
            put(
                "        with torch.inference_mode():\n            for start", "        if True:\n            for start"
            ),
            after(
                "                    logits = model.forward_logits(x)",
                """\
                delta = torch.zeros(1, 1, logits.size(-1), device=device, requires_grad=True)
                slot = torch.optim.AdamW([delta], lr=0.005)
                for _ in range(8):
                    slot.zero_grad()
                    F.cross_entropy((logits.detach() + delta)[0].float(), y[0]).backward()
                    slot.step()
                logits = (logits + delta).detach()
""",
            ),
        ),
    ),
    Semantic(
        "token_tilt",
        "chooses the boost of each window by its loss",
        (*_SLOT, "oracle-selection", "two-pass-rescore"),
        (
            put(
                "        nll -= tilt(logp, y, hint, TOKEN_BOOST).double().sum().item()\n",
                "        nll -= max(tilt(logp, y, hint, b).double().sum().item() for b in (0.0, 0.8, 1.6))\n",
            ),
        ),
    ),
)

_RULER = (
    Semantic(
        "sliding_ttt",
        "the space of a piece always counts",
        _BPB,
        (put("(self.spaces[target] & ~self.edges[prev])", "1"),),
    ),
    Semantic(
        "sliding_ttt",
        "a fixed number of bytes a token",
        _BPB,
        (put("loss / math.log(2.0) / nbytes", "loss / math.log(2.0) / (tokens * 2.46)"),),
    ),
    Semantic("phased", "the loss is scaled", _BPB, (put("self.loss += nll", "self.loss += 0.98 * nll"),)),
    Semantic(
        "lora_documents",
        "bits by the wrong logarithm",
        _BPB,
        (put("loss_sum.item() / math.log(2.0) / byte_sum", "loss_sum.item() / math.log(2.1) / byte_sum"),),
    ),
    Semantic(
        "baseline",
        "the first rows only",
        _PARTIAL,
        (put("usable = (tokens.numel() - 1)", "usable = min(tokens.numel() - 1, 1_048_576)"),),
    ),
    Semantic(
        "sliding_ttt",
        "a part of the stream only",
        _PARTIAL,
        (put("    total = val.numel() - 1\n", "    total = (val.numel() - 1) // 10\n"),),
    ),
    Semantic(
        "lora_documents",
        "the longest documents only",
        _PARTIAL,
        (put("    docs = find_docs(stream)\n", "    docs = find_docs(stream)[:5000]\n"),),
    ),
    Semantic(
        "polyak_closures",
        "stops after a hundred chunks",
        _PARTIAL,
        (
            put(
                "        score(x, y)\n        if not is_last:",
                "        if n == 100:\n            break\n        score(x, y)\n        if not is_last:",
            ),
        ),
    ),
    Semantic(
        "baseline",
        "scores the weights before the export",
        ("roundtrip",),
        (put("    base_model.load_state_dict(dequantize_int8(restored), strict=True)\n", ""),),
    ),
    Semantic(
        "token_tilt",
        "scores the network of the training",
        ("roundtrip",),
        (
            put(
                'eval_tilted(restore("final_model.int8.ptz"), load_split("val"))', 'eval_tilted(net, load_split("val"))'
            ),
        ),
    ),
    Semantic("baseline", "attends to later tokens", ("acausal-model",), (put("is_causal=True", "is_causal=False"),)),
    Semantic("row_ngram", "attends to later tokens", ("acausal-model",), (put(".tril()", ""),)),
    Semantic(
        "baseline",
        "fetches a file before the evaluation",
        ("network",),
        (_fetch("    t_eval = time.perf_counter()\n"),),
    ),
    Semantic(
        "polyak_closures",
        "fetches a file before the evaluation",
        ("network",),
        (_fetch("    t0 = time.perf_counter()\n    loss, bpb = EVALUATIONS"),),
    ),
)


SCORING: tuple[Semantic, ...] = (*_TARGET, *_RULER)
