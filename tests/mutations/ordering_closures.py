"""Mutants of the order of scoring and learning in closures, in caches and where nothing learnt before."""

from __future__ import annotations

from tests.mutations.mutant import Semantic, after, before, move, put
from tests.mutations.ordering_codes import AGAIN, EARLY, EARLY_OR_AGAIN, FIT_ALL

_POLYAK_LOOP = "        score(x, y)\n        if not is_last:\n            learn(x, y)\n"
_POLYAK = (
    Semantic(
        "polyak_closures",
        "score and learn swapped",
        EARLY,
        (put(_POLYAK_LOOP, "        learn(x, y)\n        score(x, y)\n"),),
    ),
    Semantic(
        "polyak_closures",
        "learns from every chunk, then scores every chunk",
        EARLY,
        (
            before(
                "    for n, (x, y, is_last) in enumerate(chunks(stream)):",
                "    for x, y, _ in chunks(stream):\n        learn(x, y)\n",
            ),
        ),
    ),
    Semantic(
        "polyak_closures",
        "scores every chunk again with the learnt average",
        AGAIN,
        (
            put(
                "flush=True)\n    return totals()\n",
                "flush=True)\n    score, totals = make_scorer(net, average, count_bytes)\n"
                "    for x, y, _ in chunks(stream):\n        score(x, y)\n    return totals()\n",
            ),
        ),
    ),
    Semantic(
        "polyak_closures",
        "the plain evaluation follows on the adapted network",
        AGAIN,
        (after("    loss, bpb = EVALUATIONS[TTT_MODE]", "    loss, bpb = evaluate_plain(net, val, count_bytes)\n"),),
    ),
    Semantic(
        "polyak_closures",
        "learns from the chunk after the scored one",
        EARLY,
        (
            put(
                "    for n, (x, y, is_last) in enumerate(chunks(stream)):\n",
                "    every = list(chunks(stream))\n    for n, (x, y, is_last) in enumerate(every):\n",
            ),
            put("            learn(x, y)\n", "            learn(*every[n + 1][:2])\n"),
        ),
    ),
)

_FINAL_BASELINE = """\
    t_eval = time.perf_counter()
    val_loss, val_bpb = eval_val(args, model, rank, world_size, device, val_tokens, *luts)
"""
_OTHERS = (
    Semantic(
        "baseline",
        "adapts on all of validation before the final evaluation",
        EARLY,
        (
            before(
                _FINAL_BASELINE,
                "    ttt = torch.optim.SGD(base_model.parameters(), lr=1e-3)\n"
                "    val_gpu = val_tokens.to(device, torch.int64)\n"
                + FIT_ALL.format(
                    n="val_gpu.numel()",
                    opt="ttt",
                    loss="base_model(val_gpu[None, lo : lo + 1024], val_gpu[None, lo + 1 : lo + 1025])",
                ),
            ),
        ),
    ),
    Semantic(
        "baseline",
        "tunes the logit cap by the validation loss, then reports the best",
        ("two-pass-rescore", "val-calibration", "val-training", "oracle-selection"),
        (
            put(
                _FINAL_BASELINE,
                """\
    t_eval = time.perf_counter()
    tried = []
    for cap in (20.0, 30.0, 40.0):
        base_model.cap = cap
        tried.append(eval_val(args, model, rank, world_size, device, val_tokens, *luts))
    val_loss, val_bpb = min(tried)
""",
            ),
        ),
    ),
    Semantic(
        "class_ema",
        "the restored model learns from the stream before the evaluation",
        EARLY,
        (
            put(
                "    val_loss, val_bpb = run.evaluator(run.restore(path), stride=settings.stride)\n",
                "    model, stream = run.restore(path), run.evaluator.stream.to(settings.device)\n"
                "    opt = torch.optim.SGD(model.parameters(), lr=1e-3)\n"
                + FIT_ALL.format(
                    n="stream.numel()",
                    opt="opt",
                    loss="model(stream[None, lo : lo + 1024], stream[None, lo + 1 : lo + 1025]).mean()",
                )
                + "    val_loss, val_bpb = run.evaluator(model, stride=settings.stride)\n",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the cache counts the targets before they are scored",
        (*EARLY_OR_AGAIN, "ngram-target-only", "oracle-selection"),
        (
            put("        if cache is not None:\n            cache.learn(history, y)\n", ""),
            put(
                "            rows, mass = cache.predict",
                "            cache.learn(history, y)\n            rows, mass = cache.predict",
            ),
        ),
    ),
    Semantic(
        "row_ngram",
        "the cache is filled from all of validation first",
        (*EARLY_OR_AGAIN, "ngram-target-only"),
        (
            before(
                "    total = (len(tokens) - 1) // SEQ_LEN * SEQ_LEN\n",
                """\
    for at in range(2, len(tokens) - SEQ_LEN - 1, SEQ_LEN):
        cache.learn(tokens[at - 2 : at + SEQ_LEN].to(DEVICE), tokens[at + 1 : at + SEQ_LEN + 1].to(DEVICE))
""",
            ),
        ),
    ),
    Semantic(
        "token_tilt",
        "the C table learns the token before it gives the hint",
        (*EARLY_OR_AGAIN, "ngram-target-only", "oracle-selection"),
        (
            move(
                "        int32_t next = tokens[p + 1];",
                "    }\n    free(slots);",
                "        if (s->total && s->key == h) {",
            ),
        ),
    ),
    Semantic(
        "token_tilt",
        "the hints come from a second sweep over a full table",
        (*EARLY_OR_AGAIN, "ngram-target-only", "oracle-selection"),
        (
            put(
                "    for (int64_t p = 0; p + 1 < n; p++) {\n",
                "    for (int pass = 0; pass < 2; pass++)\n    for (int64_t p = 0; p + 1 < n; p++) {\n",
            ),
        ),
    ),
)

CLOSURES: tuple[Semantic, ...] = (*_POLYAK, *_OTHERS)
