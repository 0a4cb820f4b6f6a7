"""All mutants."""

from __future__ import annotations

from tests.mutations.data import DATA
from tests.mutations.equivalent import equivalents
from tests.mutations.lookalikes import LOOKALIKES
from tests.mutations.mutant import Mutant, Semantic
from tests.mutations.ordering_chunks import CHUNKS
from tests.mutations.ordering_closures import CLOSURES
from tests.mutations.ordering_documents import DOCUMENTS
from tests.mutations.scoring import SCORING

_CHANGES = (*CHUNKS, *DOCUMENTS, *CLOSURES, *DATA, *SCORING, *LOOKALIKES)


def changes() -> tuple[Semantic, ...]:
    """Every change of what a base does."""
    return _CHANGES


def illegal() -> tuple[Mutant, ...]:
    """Every mutant that breaks a rule."""
    return tuple(s.apply() for s in _CHANGES if s.codes)


def legal() -> tuple[Mutant, ...]:
    """Every base, its rewritings, and its changes that break nothing."""
    return (*equivalents(), *(s.apply() for s in _CHANGES if not s.codes))
