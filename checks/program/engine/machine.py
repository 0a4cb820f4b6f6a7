"""State of one abstract interpretation: where it is, what it has recorded, and what it may still spend."""

from __future__ import annotations

import ast
import time
from collections.abc import Iterable, Mapping

from checks.program.engine.flow import Frame
from checks.program.engine.labels import NO_SYMBOLS, Adapted, Data, Flag, Label, Labels, Scored, Symbol, regions_overlap
from checks.program.engine.recording import Concretely, Recording
from checks.program.engine.values import Cell, Function, Heap, Instance, Parameters, Scope, Sequence, Value
from checks.program.engine.values import Mapping as MappingObject
from checks.program.trace import Place, Trace

MOST_CALLS = 40  # nested calls that are followed


_PLACES = 1 << 80  # beyond the numbers of loops
_STATEFUL = (Instance, Sequence, MappingObject, Cell, Parameters)


class Exhausted(Exception):
    """The budget of steps or seconds is spent; what was seen so far stands, the rest is unknown."""


class Machine:
    """Counters, stacks and caches shared by the parts of the interpreter."""

    def __init__(self, environment: Mapping[str, str], steps: int, seconds: float) -> None:
        self.environment = environment
        self.trace = Trace()
        self.steps = 0
        self.step_limit = steps
        self.deadline = time.process_time() + seconds
        self.file = ""
        self.function = "<module>"
        self.line = 0
        self.calls: list[tuple[str, int]] = []
        self.loops: list[Symbol] = []
        self.contents: set[int] = set()  # loops through what a table holds
        self.walks: dict[int, int] = {}  # loops through the items of token data, with the depth of calls they run at
        self.counted: set[int] = set()  # of these, loops over numbers that index the items one by one
        self.spelt_out: dict[
            int, ast.For | None
        ] = {}  # loops over comprehensions, as the loops in loops that these are
        self.entered: dict[int, int] = {}  # loops, with the depth of calls they run at
        self.while_loops: list[Symbol] = []
        self.passes: list[Symbol] = []
        self.maybe = 0
        self.branch_adapts: list[tuple[int, set[Label]]] = []  # of each branch that may run: its depth, what it adapted
        self.choosing: list[tuple[int, frozenset[Flag]]] = []  # of each branch by scores: its frame's depth, the choice
        self.elsewhere: frozenset[int] = frozenset()  # adapt events of paths that the running one did not come along
        self.pending: list[tuple[frozenset[Data], frozenset[int], frozenset[int]]] = []
        self.stepped = False
        self.version = 0
        self.frames: list[Frame] = [Frame()]
        self.recordings: list[Recording] = []
        self.concretes = 0
        self.deepest = 0
        self.artifact: set[Label] = set()
        self._score_keys: dict[object, int] = {}
        self._adapt_keys: dict[object, int] = {}
        self._lookup_keys: dict[object, int] = {}
        self._splits: dict[tuple[str, str, str], int] = {}
        self._state_cache: dict[int, tuple[int, Labels]] = {}
        self._read_keys: set[object] = set()

    # -- position and budget ---------------------------------------------------------------------------------------

    def tick(self, line: int) -> None:
        """Advance by one step at a line; raise ``Exhausted`` when the budget is spent."""
        self.line = line
        self.steps += 1
        if self.steps > self.step_limit or not self.steps & 1023:
            self.spent()

    def spent(self) -> None:
        """Raise ``Exhausted`` when the budget is spent; asked now and then."""
        if self.steps > self.step_limit or time.process_time() > self.deadline:
            raise Exhausted

    def place(self, line: int | None = None) -> Place:
        """Where the interpretation is."""
        return Place(self.file, line or self.line, self.function, tuple(self.calls[-12:]))

    @property
    def loop_symbols(self) -> frozenset[Symbol]:
        """Loops that are running, with their iterations."""
        return frozenset(self.loops) if self.loops else NO_SYMBOLS

    def new_cell(self) -> Cell:
        """A new tensor; it remembers in which iterations of the running loops it was made."""
        cell = Cell(self.line)
        cell.made = frozenset(self.passes)
        return cell

    def transient(self, heap: Heap) -> bool:
        """Whether a tensor was made in this very iteration of the loops over the stream: it holds nothing from before."""
        if self.recordings and heap.ident <= self.recordings[-1].since:
            self.concrete()
        passes = frozenset(p for p in self.passes if p[0] not in self.contents)
        return isinstance(heap, Cell) and bool(passes) and passes <= heap.made

    def chosen_for(self, chosen: Labels, value: Value) -> Labels:
        """Of flags that a choice was made by scores, those that matter for a value: the scores were of its own tokens."""
        targets = [self.trace.scores[x.event].targets for x in self.full_labels(value) if isinstance(x, Scored)]
        if not targets:
            return chosen
        kept = set()
        for flag in chosen:
            compared = [self.trace.scores[i].targets for i in flag.detail[2]] if isinstance(flag, Flag) else []
            if any(
                regions_overlap(a.symbols, b.symbols) and a.source == b.source
                for mine in targets for a in mine for other in compared for b in other
            ):  # fmt: skip
                kept.add(flag)
        return frozenset(kept)

    def of_now(self, symbols: frozenset[Symbol]) -> frozenset[Symbol]:
        """Where the end of a piece lies: in the running iteration of a loop where it depends on that one and on others."""
        now = {s for s in symbols if s in self.loops}
        if len(now) == len(symbols) or not now:
            return symbols
        running = {loop for loop, _ in now}
        return frozenset(s for s in symbols if s in now or s[0] not in running)

    def split_id(self, name: str) -> int:
        """A number for the place where a name splits sequences in the running function (negative: no loop has it)."""
        return self._splits.setdefault((self.file, self.function, name), -1 - len(self._splits))

    def place_id(self, name: str, loop: int) -> int:
        """A number for the items of a name that a loop walks one by one in the running function (no loop has it)."""
        key = (self.file, self.function, f"{name}[{loop}]")
        return _PLACES + self._splits.setdefault(key, -1 - len(self._splits))

    # -- recordings --------------------------------------------------------------------------------------------------

    def concrete(self) -> None:
        """Note that what follows is an event, or depends on labels themselves: calls around it have no summary.

        Raises ``Concretely`` when one is being recorded.
        """
        self.concretes += 1
        if self.recordings:
            raise Concretely

    def free_name(self, scope: Scope, name: str, value: Value | None) -> None:
        """Note that a variable is read: what is recorded depends on it where it is none of its own."""
        for recording in self.recordings:
            home: Scope | None = scope
            while home is not None and home.born > recording.since and name not in home.vars:
                home = home.parent
            if home is not None and home.born <= recording.since and recording.snapshot.read(home, name, value):
                self.touch()

    # -- state of heap objects ---------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Note that some state changed."""
        self.version += 1

    def state(self, heap: Heap) -> Labels:
        """Labels of an object and of everything it owns (a module and its submodules)."""
        cached = self._state_cache.get(heap.ident)
        if cached is not None and cached[0] == self.version:
            return cached[1]
        labels: set[Label] = set()
        seen = {heap.ident}
        stack: list[Heap] = [heap]
        while stack:
            item = stack.pop()
            if item.labels:
                labels |= item.labels
            kind = type(item)
            if kind is Instance:
                children: Iterable[Value] = item.attrs.values()  # type: ignore[attr-defined]
            elif kind is Sequence:
                children = item.items  # type: ignore[attr-defined]
            elif kind is MappingObject and isinstance(item, MappingObject):
                children = [*item.items.values(), *([item.rest] if item.rest else [])]
            elif kind is Parameters and isinstance(item, Parameters):
                children = [Value(refs=(item.owner,))]
            else:
                continue
            for value in children:
                if value.labels:
                    labels |= value.labels
                for ref in value.refs:
                    if ref.ident in seen:
                        continue
                    if type(ref) is Cell:  # most of them, and they hold nothing
                        if ref.labels:
                            labels |= ref.labels
                    elif type(ref) is not Function:
                        seen.add(ref.ident)
                        stack.append(ref)
        result = frozenset(labels)
        self._state_cache[heap.ident] = (self.version, result)
        return result

    def owned(self, heap: Heap) -> list[Heap]:
        """The object and every stateful object that it owns."""
        seen: dict[int, Heap] = {}
        stack: list[Heap] = [heap]
        while stack:
            item = stack.pop()
            if item.ident in seen:
                continue
            seen[item.ident] = item
            if isinstance(item, Instance):
                values: Iterable[Value] = item.attrs.values()
            elif isinstance(item, Sequence):
                values = item.items
            elif isinstance(item, MappingObject):
                values = [*item.items.values(), *([item.rest] if item.rest else [])]
            elif isinstance(item, Parameters):
                stack.append(item.owner)
                continue
            else:
                continue
            for value in values:
                if value.refs:
                    stack += [r for r in value.refs if type(r) in _STATEFUL]
        return list(seen.values())

    def weights_of(self, module: Instance) -> Labels:
        """What a module's weights depend on; what a forward leaves on the module beside them is none of it."""
        state = frozenset(x for x in self.state(module) if isinstance(x, (Adapted, Flag)))
        decided = {x for x in state if isinstance(x, Flag) and x.name == "decided-by"}
        return state - decided.difference(*(o.labels for o in (module, *self.owned(module)))) if decided else state

    def full_labels(self, value: Value) -> Labels:
        """Labels of a value together with the state of what it refers to, containers and modules included."""
        result = value.labels
        for ref in value.refs:
            result = result | self.state(ref)
        return result
