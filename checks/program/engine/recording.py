"""One call while it is recorded for a summary (see ``summaries``), and the effects that such a call may have."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from checks.program.engine.labels import NO_LABELS, NO_SYMBOLS, Labels, Symbol

if TYPE_CHECKING:
    from checks.program.engine.snapshots import Snapshot


class Concretely(Exception):
    """The running call changes something, or depends on more than a recording notes: interpret it as usual."""


@dataclass(frozen=True)
class Effect:
    """What a call leaves in the trace besides scores and changes of state.

    ``kind``: "call" a watched call, "read" one that is noted once for a line and path of calls, "exit" the end of the
    loop ``ident``. In a recording ``at`` and ``calls`` count from its start.
    """

    kind: str
    at: int
    file: str
    line: int
    function: str
    calls: tuple[tuple[str, int], ...]
    name: str = ""
    data: Labels = NO_LABELS
    loops: frozenset[Symbol] = NO_SYMBOLS
    detail: str = ""
    ident: int = 0

    def within(self, recording: Recording) -> Effect:
        """The effect as a recording keeps it."""
        return replace(self, at=self.at - recording.steps, calls=self.calls[recording.base :])


@dataclass
class Recording:
    """One call while it is recorded.

    ``since``: objects with a higher ident and scopes born later are its own. ``base``: how many calls led into it;
    ``steps``: when it began. ``nodes``: the functions that ran. ``apart``: sets of
    selections that were found to differ from each other: stand-ins do, what they stand for has to.
    """

    since: int
    base: int
    steps: int
    snapshot: Snapshot
    nodes: set[ast.AST] = field(default_factory=set)
    apart: set[frozenset[Labels]] = field(default_factory=set)
    log: list[Effect] = field(default_factory=list)
    noted: set[object] = field(default_factory=set)
