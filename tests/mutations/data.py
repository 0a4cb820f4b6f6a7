"""Mutants that train or calibrate on what they may not, or store it; and look-alikes that stay legal."""

from __future__ import annotations

from tests.mutations.mutant import Semantic, before, put

_VAL = ("val-training",)


_TRAINING = (
    Semantic(
        "sliding_ttt",
        "trains on the validation shards",
        _VAL,
        (put('f"{DATA_PATH}/fineweb_train_*.bin"', 'f"{DATA_PATH}/fineweb_val_*.bin"'),),
    ),
    Semantic(
        "baseline",
        "trains on the validation shards",
        _VAL,
        (put('"fineweb_train_*.bin"', '"fineweb_val_*.bin"'),),
    ),
    Semantic(
        "baseline",
        "the last steps of training take validation rows",
        _VAL,
        (
            put(
                "        loss = model(x, y)\n        loss.backward()\n",
                "        if scale < 0.1:\n"
                "            rows = val_tokens[: 8 * args.seq_len + 1].to(device, torch.int64)\n"
                "            x, y = rows[:-1].view(-1, args.seq_len), rows[1:].view(-1, args.seq_len)\n"
                "        loss = model(x, y)\n        loss.backward()\n",
            ),
        ),
    ),
    Semantic("class_ema", "trains on the other split", _VAL, (put('Split(s, "train")', 'Split(s, "val")'),)),
    Semantic("polyak_closures", "trains on the other split", _VAL, (put('shards("train")', 'shards("val")'),)),
    Semantic(
        "lora_documents", "trains on the other split", _VAL, (put('tokens_of(cfg, "train")', 'tokens_of(cfg, "val")'),)
    ),
    Semantic("row_ngram", "trains on the other split", _VAL, (put('stream("train")', 'stream("val")'),)),
    Semantic(
        "token_tilt",
        "trains on both splits",
        _VAL,
        (put('load_split("train")', 'np.concatenate([load_split("train"), load_split("val")])'),),
    ),
    Semantic(
        "minified",
        "trains on the validation shards",
        _VAL,
        (put("Stream(a.train_files,r,w)", "Stream(a.val_files,r,w)"),),
    ),
    Semantic(
        "phased",
        "trains on the validation shards",
        _VAL,
        (put('"fineweb_train_*.bin"', '"fineweb_val_*.bin"'),),
    ),
)

_CALIBRATION = (
    Semantic(
        "class_ema",
        "calibrates on validation rows",
        ("val-calibration",),
        (put("(self.batch(shard, 1)[:, :-1]", "(self.batch(self.evaluator.stream, 1)[:, :-1]"),),
    ),
    Semantic(
        "class_ema",
        "calibrates on sequences that the model made itself",
        (),
        (
            put(
                "(self.batch(shard, 1)[:, :-1]",
                "(torch.randint(self.s.vocab, (1, self.s.seq_len), device=self.s.device)",
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "stores validation tokens in the artifact",
        ("val-in-artifact",),
        (
            put("size = export(trained, artifact)", "size = export(trained, artifact, val_stream())"),
            put("def export(model: GPT, path: Path)", "def export(model: GPT, path: Path, extra: Tensor)"),
            put("    packed = {}\n", '    packed = {"prefix": extra[:4_000_000].to(torch.int16)}\n'),
        ),
    ),
    Semantic(
        "row_ngram",
        "fills the cache from the training shards in the evaluation",
        ("train-data-at-eval", "hidden-state-transfer"),
        (
            before(
                "    total = (len(tokens) - 1) // SEQ_LEN * SEQ_LEN\n",
                """\
    for shard in stream("train"):
        for at in range(2, 1_000_000, SEQ_LEN):
            cache.learn(shard[at - 2 : at + SEQ_LEN].to(DEVICE), shard[at + 1 : at + SEQ_LEN + 1].to(DEVICE))
""",
            ),
        ),
    ),
)

_LEGAL = (
    Semantic(
        "sliding_ttt",
        "the last chunk is trained on after its score",
        (),
        (put("not TTT_ENABLED or is_last", "not TTT_ENABLED"),),
    ),
    Semantic("lora_documents", "the last chunk trains an adapter that is reset", (), (put("ci < n - 1]", "ci < n]"),)),
    Semantic("sliding_ttt", "the training is switched off", (), (put('"TTT_ENABLED", "1"', '"TTT_ENABLED", "0"'),)),
    Semantic("row_ngram", "the cache is switched off", (), (put('"NGRAM_ENABLED", "1"', '"NGRAM_ENABLED", "0"'),)),
    Semantic("polyak_closures", "ten epochs after the score", (), (put("lr=2e-3, epochs=2", "lr=2e-3, epochs=10"),)),
    Semantic(
        "baseline",
        "the loss of the plain model is logged once more",
        (),
        (
            before(
                '    log0(f"final_int8_zlib_roundtrip_exact',
                '    log0(f"model_params:{sum(p.numel() for p in base_model.parameters())}")\n',
            ),
        ),
    ),
)

DATA: tuple[Semantic, ...] = (*_TRAINING, *_CALIBRATION, *_LEGAL)
