"""Selections of token data: they narrow at every loop, and their number does not double at every loop."""

from __future__ import annotations

import itertools
import random

import pytest

from checks.program.engine.labels import Data, Labels, Symbol, regions_overlap
from checks.program.engine.selections import data_of, refine
from tests.program.test_followed import LOAD, analysed

LOOPS = 14


def nested(source: str) -> Labels:
    """The labels of ``x = x + x[i:j]`` in one loop within another, LOOPS deep."""
    labels: Labels = frozenset({Data(source, frozenset(), "x")})
    for loop in range(LOOPS):
        labels = labels | refine(labels, frozenset({(loop, 0)}))
    return labels


def test_selections_do_not_double_at_every_loop() -> None:
    for source in ("val", "train"):
        assert len(nested(source)) < 2**LOOPS / 50, source


def test_what_is_dropped_is_held_by_what_is_kept() -> None:
    """Whatever tokens one of many selections may hold, one of those that are kept may hold as well."""
    drawn = random.Random(0)
    many: set[frozenset[Symbol]] = set()
    for _ in range(40):
        one = frozenset((loop, drawn.randrange(2)) for loop in range(8))
        loop, k = drawn.choice(sorted(one))
        many |= {one, one | {(8, 0)}, one | {(loop, 1 - k), (9, 0)}}
    kept = [d.symbols for d in data_of(refine(frozenset(Data("val", s, "y") for s in many), frozenset({(20, 0)})))]
    assert len(kept) < len(many)
    for places in itertools.product(range(2), repeat=10):
        probe = frozenset(enumerate(places))
        assert any(regions_overlap(s, probe) for s in many) == any(regions_overlap(s, probe) for s in kept)


def test_both_iterations_of_a_loop_are_more_than_one_of_them() -> None:
    """What holds two iterations is not covered by what holds the first, however many selections there are."""
    many = [Data("val", frozenset({(loop, 0), (99, 0)}), "x") for loop in range(80)]
    both = Data("val", frozenset({(0, 0), (0, 1), (99, 0)}), "x")
    narrowed = data_of(refine(frozenset([*many, both]), frozenset({(100, 0)})))
    assert any(regions_overlap(d.symbols, frozenset({(0, 1), (99, 0)})) and (0, 1) in d.symbols for d in narrowed)


def test_few_selections_are_all_told_apart() -> None:
    few: Labels = frozenset({Data("val", frozenset(), "y"), Data("val", frozenset({(1, 0)}), "y")})
    narrowed = data_of(refine(few, frozenset({(2, 1)})))
    assert narrowed == {Data("val", frozenset({(2, 1)}), "y"), Data("val", frozenset({(1, 0), (2, 1)}), "y")}


def test_training_tokens_keep_their_last_selection() -> None:
    once = refine(frozenset({Data("train", frozenset(), "")}), frozenset({(1, 0)}))
    assert refine(once, frozenset({(2, 0)}), "x") == {Data("train", frozenset({(2, 0)}), "x")}


STRIDES = LOAD.replace(
    "for i in range(0, len(val) - 1, 1024):\n        nll += model(val[i : i + 1024], val[i + 1 : i + 1025])",
    "for step in range(1, 9):\n        nll += model(val[0 : len(val) - 1 : STEP], val[1 : len(val) : STEP])",
)


@pytest.mark.parametrize("step", ["step", "step + 1"])
def test_how_far_apart_a_slice_takes_tokens_selects_none_of_them(step: str) -> None:
    """Strides of two iterations hold the same tokens, as no strides would: none is another chunk."""
    trace = analysed(train=STRIDES.replace("STEP", step) + 'evaluate(GPT(), load("fineweb_val_*.bin"))\n').trace
    assert trace is not None
    assert len({target for score in trace.scores.values() for target in score.targets}) == 1
