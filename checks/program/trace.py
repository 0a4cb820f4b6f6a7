"""What the interpreter saw happen: scores, adaptations, lookups, blends, reports. Rules query only this.

Order needs no clock: a score event lists the adaptations that its model or tables had already seen, because state carries
its history as labels. Positions (``at``) are a running number of the interpretation, used to tell before from after.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from checks.program.engine.labels import Data, Flag, Labels, Symbol


@dataclass(frozen=True)
class Place:
    """A line of a file of the submission, with the function and the calls that led there (outermost first)."""

    file: str
    line: int
    function: str
    calls: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class ScoreEvent:
    """A loss on tokens. ``targets``: what was scored; ``state``: adapt events that the prediction depended on.

    ``base`` lists the score events that this one re-weights or blends (a mixture), empty for a plain loss; ``own``: what of
    ``state`` does not come with them. ``trained``: training tokens that the prediction was computed from other than through
    a state.
    """

    ident: int
    at: int
    place: Place
    targets: frozenset[Data]
    state: frozenset[int]
    used: Labels
    loops: frozenset[Symbol]
    base: frozenset[int] = frozenset()
    lookups: frozenset[int] = frozenset()
    trained: frozenset[Data] = frozenset()
    own: frozenset[int] = frozenset()


@dataclass(frozen=True)
class AdaptEvent:
    """A change of state by data. ``kind``: gradient, table, calibration, inplace."""

    ident: int
    at: int
    place: Place
    kind: str
    data: frozenset[Data]
    losses: frozenset[int]
    targets: tuple[str, ...]
    loops: frozenset[Symbol]


@dataclass(frozen=True)
class LookupEvent:
    """A table read at a key made of tokens. ``mixed``: the key mixes several tokens arithmetically, as a hash does.

    ``causal``: everything in the table came from earlier iterations of the loop that made the key. ``row``: the entry
    of a row that was normalised before. ``loaded``: the table was read from a file.
    """

    ident: int
    at: int
    place: Place
    table_line: int
    key: frozenset[Data]
    mixed: bool
    state: frozenset[int]
    causal: bool = False
    row: bool = False
    loaded: bool = False


@dataclass(frozen=True)
class BlendEvent:
    """Scores combined with something else. ``kind``: blend, minimum, select, gate, pseudo-expert.

    ``result`` is the score event that came out, -1 when the scores themselves did.
    """

    at: int
    place: Place
    kind: str
    scores: frozenset[int]
    other: Labels
    detail: str = ""
    result: int = -1


@dataclass(frozen=True)
class ReportEvent:
    """A score printed, written or returned as val_bpb. ``template``: the f-string with ``{}`` for its values."""

    at: int
    place: Place
    template: str
    scores: frozenset[int]
    labels: Labels
    loops: frozenset[Symbol]


@dataclass(frozen=True)
class CallEvent:
    """A model called on tokens, or an external call that a rule watches (network, file, clock)."""

    at: int
    place: Place
    name: str
    data: frozenset[Data]
    loops: frozenset[Symbol]
    detail: str = ""


@dataclass(frozen=True)
class Reach:
    """How far a loop reaches. ``whole``: the size of the validation tokens alone bounds it.

    ``step`` of a range as source text; ``sizes``: (file, line) where the size that bounds it was taken; ``few``: limits
    under which it stays every time that it runs.
    """

    place: Place
    whole: bool
    step: str = ""
    sizes: tuple[tuple[str, int], ...] = ()
    few: frozenset[Flag] = frozenset()


@dataclass
class Trace:
    """The collected events of one interpretation and how far it got."""

    scores: dict[int, ScoreEvent] = field(default_factory=dict)
    adapts: dict[int, AdaptEvent] = field(default_factory=dict)
    lookups: dict[int, LookupEvent] = field(default_factory=dict)
    blends: list[BlendEvent] = field(default_factory=list)
    reports: list[ReportEvent] = field(default_factory=list)
    calls: list[CallEvent] = field(default_factory=list)
    accumulated: dict[int, Place] = field(default_factory=dict)
    drawn: set[tuple[str, int]] = field(default_factory=set)  # places of texts that only a plot shows
    printed: set[tuple[str, int]] = field(default_factory=set)
    executed: set[tuple[str, int]] = field(default_factory=set)
    saved: set[int] = field(default_factory=set)  # adapt events of what was written to files
    loop_exits: dict[int, int] = field(default_factory=dict)
    loop_places: dict[int, Place] = field(default_factory=dict)
    reaches: dict[int, Reach] = field(default_factory=dict)
    few: dict[tuple[int, tuple[tuple[str, int], ...]], frozenset[Flag]] = field(
        default_factory=dict
    )  # of a loop in a function as called
    exhausted: str = ""
    failures: list[str] = field(default_factory=list)

    def moved(self, ident: int) -> bool:
        """Whether an adapt event is a step along gradients: it moves weights, and no buffers beside them."""
        event = self.adapts.get(ident)
        return event is not None and event.kind in ("gradient", "free-gradient")
