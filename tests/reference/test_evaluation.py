"""Score-first order, windows that score each token once, and the time budget."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest


@pytest.mark.parametrize(("total", "length", "stride"), [(1280, 32, 16), (1280, 32, 32), (101, 32, 7), (20, 32, 8)])
def test_each_position_is_scored_exactly_once(script: ModuleType, total: int, length: int, stride: int) -> None:
    windows = script.sliding_windows(total, length, stride)
    assert sorted(np.concatenate([np.arange(first, end) for _, first, end in windows])) == list(range(total))
    assert (windows[:, 2] - windows[:, 0] == min(length, total)).all()


def test_ttt_scores_a_chunk_before_it_trains_on_it(make_run: Any) -> None:
    import torch

    run, val = make_run()
    events: list[tuple[str, int]] = []
    score, loss = run.model.nll, run.model

    def spy_score(x: Any, y: Any, first: int) -> Any:
        assert torch.is_inference_mode_enabled()
        events.append(("score", 0))
        return score(x, y, first)

    def spy_loss(x: Any, y: Any, qat: bool) -> Any:
        start = next(i for i in range(0, val.total, 32) if torch.equal(val.tokens[i : i + 32].long(), x[0]))
        events.append(("train", start // run.args.ttt_chunk_tokens))
        return loss(x, y, qat)

    run.score, run.loss = spy_score, spy_loss
    run.score_chunks = 0
    run.eval_began = run.agreed_time()
    module = __import__("sys").modules[type(run).__module__]
    module.eval_val_sliding_ttt(run, val)
    trained = [chunk for what, chunk in events if what == "train"]
    assert sorted(set(trained)) == [0, 1, 2, 3]  # never the last of the five
    assert trained == sorted(trained)
    blocks = "".join(what[0] for what, _ in events)
    assert blocks.startswith("s") and blocks.endswith("s")


def test_the_score_of_a_chunk_is_that_of_the_weights_before_it(script: ModuleType, make_run: Any) -> None:
    run, val = make_run(ttt_lr=0.5)
    before = script.eval_val(run, val, run.args.eval_stride)
    run.eval_began = run.agreed_time()
    short = script.Validation.__new__(script.Validation)
    short.__dict__.update(val.__dict__)
    short.total = run.args.ttt_chunk_tokens  # one chunk: nothing may be learned before or after it
    short.tokens = val.tokens[: short.total + 1]
    weights = {name: t.clone() for name, t in run.model.state_dict().items()}
    one_chunk = script.eval_val_sliding_ttt(run, short)
    assert one_chunk == script.eval_val(run, short, run.args.eval_stride)
    assert all((weights[name] == t).all() for name, t in run.model.state_dict().items())
    assert script.eval_val_sliding_ttt(run, val) != before


def test_ttt_stops_training_where_its_time_runs_short(script: ModuleType, make_run: Any) -> None:
    run, val = make_run(eval_budget_seconds=0.0)
    run.eval_began = run.agreed_time()
    script.eval_val_sliding_ttt(run, val)
    assert any("budget is short" in line for line in run.lines)


def test_documents_do_not_leak_into_the_next(script: ModuleType, make_run: Any) -> None:
    import torch

    run, _ = make_run()
    ids = torch.randint(5, 1000, (1, 16))
    ids[0, 8] = run.args.bos_id
    other = ids.clone()
    other[0, 7] = (ids[0, 7] + 1) % 1000 + 4
    x = torch.randn(1, 16, 32)
    changed = x.clone()
    changed[0, 7] += 1
    smeared, smeared_changed = run.model.smear(x, ids), run.model.smear(changed, ids)
    assert torch.equal(smeared[0, 8:], smeared_changed[0, 8:])
    assert torch.equal(run.model.bigram.bucket(ids)[0, 8:], run.model.bigram.bucket(other)[0, 8:])


def test_the_model_is_causal(make_run: Any) -> None:
    import torch

    run, val = make_run()
    torch.nn.init.normal_(run.model.blocks[0].attn.proj.weight, std=0.1)
    x = val.tokens[:32].long()[None]
    y = x.clone()
    y[0, 20:] = 7
    with torch.no_grad():
        assert torch.equal(run.model.hidden(x, False)[0, :20], run.model.hidden(y, False)[0, :20])


def test_nll_of_late_positions_is_that_of_all(make_run: Any) -> None:
    import torch

    run, val = make_run()
    x, y = val.tokens[:32].long()[None], val.tokens[1:33].long()[None]
    with torch.no_grad():
        torch.testing.assert_close(run.model.nll(x, y, 24), run.model.nll(x, y, 0)[:, 24:])
