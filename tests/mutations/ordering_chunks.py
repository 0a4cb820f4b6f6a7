"""Mutants that break the order of scoring and learning: what is scored has been learnt from, or is scored again."""

from __future__ import annotations

from tests.mutations.mutant import Semantic, before, move, put
from tests.mutations.ordering_codes import AGAIN, EARLY, EARLY_OR_AGAIN, FIT_ALL

_SLIDING_TRAIN = "        if not TTT_ENABLED or is_last:\n            continue\n"
_SLIDING_CALL = "    val_loss, val_bpb = eval_val_sliding_ttt(model, val, byte_luts(device), device, rank, world)\n"
_SLIDING = (
    Semantic(
        "sliding_ttt",
        "score and adapt swapped",
        EARLY,
        (
            put(_SLIDING_TRAIN, ""),
            move("        model.eval()\n", "        is_last =", "        if rank == 0 and ci % 50 == 0:"),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "trains on the next chunk",
        EARLY,
        (
            put(
                "ci * TTT_CHUNK_TOKENS, min((ci + 1) * TTT_CHUNK_TOKENS, total)",
                "(ci + 1) * TTT_CHUNK_TOKENS, min((ci + 2) * TTT_CHUNK_TOKENS, total)",
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "scores everything again after the training",
        AGAIN,
        (
            put(
                "    return score.result()\n",
                """\
    again = Accumulator(device, luts)
    model.eval()
    with torch.inference_mode():
        for windows in groups:
            for start, new, end in windows[rank::world]:
                tokens = val[start : end + 1].to(device)
                nll = F.cross_entropy(model.forward_logits(tokens[None, :-1])[0].float(), tokens[1:], reduction="none")
                again.add(nll[new - start :], tokens[:-1][new - start :], tokens[1:][new - start :])
    return again.result()
""",
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "two evaluations of one model, the last is kept",
        EARLY_OR_AGAIN,
        (put(_SLIDING_CALL, _SLIDING_CALL * 2),),
    ),
    Semantic(
        "sliding_ttt",
        "two evaluations of one model, the better is kept",
        AGAIN,
        (
            put(
                _SLIDING_CALL,
                """\
    tables = byte_luts(device)
    passes = [eval_val_sliding_ttt(model, val, tables, device, rank, world) for _ in range(2)]
    val_loss, val_bpb = min(passes, key=lambda pair: pair[1])
""",
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "adapts on all of validation before scoring",
        EARLY,
        (
            before(
                "    t0 = time.perf_counter()\n    val_loss",
                "    opt = torch.optim.SGD(model.parameters(), lr=TTT_LR)\n"
                + FIT_ALL.format(
                    n="len(val)",
                    opt="opt",
                    loss="model(val[None, lo : lo + 1024].to(device), val[None, lo + 1 : lo + 1025].to(device))",
                ),
            ),
        ),
    ),
    Semantic(
        "sliding_ttt",
        "epochs outside, counters reset, the last epoch is kept",
        EARLY_OR_AGAIN,
        (
            put(
                "    for ci, windows in enumerate(groups):\n        model.eval()",
                "    for ci, windows in [(c, w) for _ in range(3) for c, w in enumerate(groups)]:\n"
                "        if ci == 0:\n            score.sums.zero_()\n        model.eval()",
            ),
        ),
    ),
)

_MINI_EVAL = "vl,vb=eval_val_ttt(a,m,load_val(a),luts(a,dev),dev,r,w,log0)"
_MINIFIED = (
    Semantic(
        "minified",
        "score and adapt swapped",
        EARLY,
        (
            put("if a.ttt_enabled and ci<nc-1:", "if a.ttt_enabled:"),
            put("c0,c1=ci*C,min((ci+1)*C,N);m.eval()", "c0,c1=ci*C,min((ci+1)*C,N)"),
            put("\t\twith torch.inference_mode():", "\t\tm.eval()\n\t\twith torch.inference_mode():"),
            move("\t\tm.eval()\n", "\t\tif a.ttt_enabled:", "\t\tif ci%100==0:"),
        ),
    ),
    Semantic(
        "minified",
        "trains on the next chunk",
        EARLY,
        (put("q=val[c0+j*a.seq:c0+(j+1)*a.seq+1]", "q=val[c1+j*a.seq:c1+(j+1)*a.seq+1]"),),
    ),
    Semantic(
        "minified",
        "the better of two evaluations",
        AGAIN,
        (put(_MINI_EVAL, "A=load_val(a),luts(a,dev),dev,r,w,log0;vl,vb=min(eval_val_ttt(a,m,*A)for _ in range(2))"),),
    ),
    Semantic(
        "minified",
        "two evaluations, the last is kept",
        EARLY_OR_AGAIN,
        (put(_MINI_EVAL, f"{_MINI_EVAL};{_MINI_EVAL}"),),
    ),
    Semantic(
        "minified",
        "adapts on validation before scoring",
        EARLY,
        (
            put(
                f"t=time.perf_counter();{_MINI_EVAL}",
                "V=load_val(a).to(dev);O=torch.optim.SGD(m.parameters(),lr=.001);"
                "[(m(V[_A,j:j+a.seq],V[_A,j+1:j+a.seq+1]).backward(),O.step(),O.zero_grad())"
                "for j in range(0,len(V)-a.seq-1,a.seq)];"
                f"t=time.perf_counter();{_MINI_EVAL}",
            ),
        ),
    ),
)

CHUNKS: tuple[Semantic, ...] = (*_SLIDING, *_MINIFIED)
