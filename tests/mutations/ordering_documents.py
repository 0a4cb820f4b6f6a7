"""Mutants of the order of scoring and learning where adapters belong to documents, or phases to groups of them."""

from __future__ import annotations

from tests.mutations.mutant import Semantic, before, move, put
from tests.mutations.ordering_codes import AGAIN, EARLY, EARLY_OR_AGAIN, FIT_ALL

_LORA_SCORE = "            with torch.no_grad():\n                for b, (_, _, co, cl) in enumerate(spans):"
_LORA = (
    Semantic(
        "lora_documents",
        "the loss of a chunk is taken again after its step",
        EARLY,
        (
            move(_LORA_SCORE, "            to_train = ", "        if first_doc // cfg.ttt_batch % 100 == 0:"),
            put(
                "                cur_opt.step()\n",
                "                cur_opt.step()\n                nll = model(x, y, lora=cur)\n\n",
            ),
        ),
    ),
    Semantic(
        "lora_documents",
        "every document in two epochs, the last is booked",
        EARLY_OR_AGAIN,
        (
            put(
                "        for ci in range(max(n_chunks)):",
                "        for epoch, ci in product(range(2), range(max(n_chunks))):",
            ),
            put("                    if cl == 0:", "                    if cl == 0 or epoch == 0:"),
            put("ci < n - 1]", "True]"),
            put("from functools import partial\n", "from functools import partial\nfrom itertools import product\n"),
        ),
    ),
    Semantic(
        "lora_documents",
        "the adapters are fitted on whole documents first",
        EARLY,
        (
            before(
                "        for ci in range(max(n_chunks)):",
                """\
        for offset, length in batch:
            piece = stream[offset : offset + min(length, 1024)].to(cfg.device)
            rows = piece.expand(len(batch), -1)
            cur_opt.zero_grad()
            model(rows[:, :-1], rows[:, 1:], lora=cur).mean().backward()
            cur_opt.step()
""",
            ),
        ),
    ),
    Semantic(
        "lora_documents",
        "the base model is trained on validation before its adapters",
        EARLY,
        (
            put(
                "    begin = time.perf_counter()\n    val_loss, val_bpb = "
                'eval_lora_ttt(cfg, model, tokens_of(cfg, "val"), byte_luts(cfg))\n',
                '    begin, val = time.perf_counter(), tokens_of(cfg, "val")\n'
                "    warm = torch.optim.Adam(model.parameters(), lr=1e-5)\n"
                + FIT_ALL.format(
                    n="len(val)",
                    opt="warm",
                    loss="model(val[None, lo : lo + 1024], val[None, lo + 1 : lo + 1025]).mean()",
                )
                + "    val_loss, val_bpb = eval_lora_ttt(cfg, model, val, byte_luts(cfg))\n",
            ),
        ),
    ),
)

_PHASED = (
    Semantic(
        "phased",
        "a phase trains on the documents of the next",
        EARLY,
        (
            put("for i in finished]\n", "for i in upcoming]\n"),
            before("        spans = [", "        upcoming = range(done, min(2 * done, len(docs)))\n"),
        ),
    ),
    Semantic(
        "phased",
        "a phase trains on all documents",
        EARLY,
        (put("global_sgd(model, torch.cat(spans))", "global_sgd(model, data.val_tokens)"),),
    ),
    Semantic(
        "phased",
        "the phase goes before the scores of its documents",
        EARLY,
        (
            put("            scored.append(index)\n", ""),
            before(
                "            score_document(model, data, docs[index], totals)\n",
                "            global_sgd(model, data.val_tokens[docs[index][0] : docs[index][0] + docs[index][1]])\n"
                "            scored.append(index)\n",
            ),
        ),
    ),
    Semantic(
        "phased",
        "scored documents are scored again after the phases",
        AGAIN,
        (
            before(
                "    sums = torch.tensor([totals.loss",
                """\
    totals = Totals()
    for index in range(rank, len(docs), world):
        score_document(model, data, docs[index], totals)
""",
            ),
        ),
    ),
    Semantic(
        "phased",
        "the document's loss is booked after its step",
        EARLY,
        (
            put("        totals.book(nll, data, x[:, lo - first :], y[:, lo - first :])\n", ""),
            put(
                "            nll.mean().backward()\n            opt.step()\n",
                "            nll.mean().backward()\n            opt.step()\n"
                "        nll = model(x, y, adapter)[:, lo - first :]\n"
                "        totals.book(nll, data, x[:, lo - first :], y[:, lo - first :])\n",
            ),
        ),
    ),
)

DOCUMENTS: tuple[Semantic, ...] = (*_LORA, *_PHASED)
