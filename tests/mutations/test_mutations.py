"""A small part of the mutation check, that has to hold; ``python -m tests.mutations`` is the whole."""

from __future__ import annotations

import pytest

from tests.mutations.catalogue import changes, illegal
from tests.mutations.equivalent import EQUIVALENCES
from tests.mutations.mutant import AnchorError, Mutant, base, bases, put
from tests.mutations.run import judge_mutant

CAUGHT = (
    "sliding_ttt: score and adapt swapped",
    "sliding_ttt: scores everything again after the training",
    "sliding_ttt: fits a delta of the logits on the scored window",
    "sliding_ttt: epochs outside, counters reset, the last epoch is kept",
    "minified: the better of two evaluations",
    "lora_documents: the loss of a chunk is taken again after its step",
    "phased: the phase goes before the scores of its documents",
    "phased: a phase trains on the documents of the next",
    "class_ema: the restored model learns from the stream before the evaluation",
    "row_ngram: blends on the target only",
    "row_ngram: the cache counts the targets before they are scored",
    "token_tilt: takes the smaller loss of tilted and plain",
    "baseline: attends to later tokens",
)
CLEAN = ("baseline", "class_ema", "lora_documents", "phased", "polyak_closures", "row_ngram", "token_tilt")


def _show(mutant: Mutant) -> str:
    judged = judge_mutant(mutant)
    found = [f"{f.rule}: {f.summary} {[e.line for e in f.evidence]}" for f in judged.failing]
    return "" if judged.holds else f"{mutant.label}: one of {sorted(mutant.codes)} expected, failing: {found}"


@pytest.mark.parametrize("label", CAUGHT)
def test_an_illegal_change_is_caught(label: str) -> None:
    (mutant,) = (m for m in illegal() if m.label == label)
    assert not _show(mutant)


@pytest.mark.parametrize("name", CLEAN)
def test_a_legal_base_is_clean(name: str) -> None:
    assert not _show(Mutant(name, "as it is", frozenset(), base(name)))


@pytest.mark.parametrize("spelling", EQUIVALENCES)
def test_a_rewriting_keeps_a_legal_script_clean(spelling: str) -> None:
    assert not _show(Mutant("lora_documents", spelling, frozenset(), EQUIVALENCES[spelling](base("lora_documents"))))


@pytest.mark.parametrize("spelling", EQUIVALENCES)
def test_a_rewriting_hides_no_cheat(spelling: str) -> None:
    (mutant,) = (m for m in illegal() if m.label == CAUGHT[0])
    assert not _show(Mutant(mutant.base, spelling, mutant.codes, EQUIVALENCES[spelling](mutant.source)))


def test_every_change_fits_its_base_and_has_its_own_name() -> None:
    mutants = [change.apply() for change in changes()]
    assert len({m.label for m in mutants}) == len(mutants)
    assert all(m.source != base(m.base) for m in mutants)
    assert {m.base for m in mutants} == set(bases())


def test_an_anchor_that_does_not_fit_is_an_error() -> None:
    with pytest.raises(AnchorError):
        put("no such line", "")(base("baseline"))
    with pytest.raises(AnchorError):
        put("import", "")(base("baseline"))
