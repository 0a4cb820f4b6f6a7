"""State of one abstract interpretation: where it is, what it has recorded, and what it may still spend."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import replace

from checks.program.trace import (
    AdaptEvent,
    BlendEvent,
    CallEvent,
    LookupEvent,
    Place,
    ReportEvent,
    ScoreEvent,
    Trace,
)
from checks.program.values import (
    NO_LABELS,
    NO_SYMBOLS,
    Adapted,
    Cell,
    Data,
    Flag,
    Function,
    Heap,
    Instance,
    Labels,
    Looked,
    Parameters,
    Scored,
    Sequence,
    Symbol,
    Uses,
    Value,
    merge_labels,
    merge_symbols,
    regions_overlap,
)
from checks.program.values import (
    Mapping as MappingObject,
)


class Exhausted(Exception):
    """The budget of steps or seconds is spent; what was seen so far stands, the rest is unknown."""


class Machine:
    """Counters, stacks and recorders shared by the parts of the interpreter."""

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
        self.while_loops: list[Symbol] = []
        self.passes: list[Symbol] = []
        self.maybe = 0
        self.pending: list[tuple[frozenset[Data], frozenset[int], frozenset[int]]] = []
        self.stepped = False
        self.version = 0
        self.artifact: set[Label_] = set()
        self._score_keys: dict[object, int] = {}
        self._adapt_keys: dict[object, int] = {}
        self._lookup_keys: dict[object, int] = {}
        self._splits: dict[tuple[str, str, str], int] = {}
        self._state_cache: dict[int, tuple[int, Labels]] = {}
        self._read_keys: set[object] = set()

    # -- position and budget ---------------------------------------------------------------------------------------

    def tick(self, line: int) -> None:
        """Advance by one step at a line; raise ``Exhausted`` when the budget is spent."""
        self.steps += 1
        self.line = line
        if self.steps > self.step_limit or (not self.steps & 1023 and time.process_time() > self.deadline):
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
        """Whether a tensor was made in this very iteration of the running loops: it holds nothing from before."""
        return isinstance(heap, Cell) and bool(self.passes) and frozenset(self.passes) <= heap.made

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

    def split_id(self, name: str) -> int:
        """A number for the place where a name splits sequences in the running function (negative: no loop has it)."""
        return self._splits.setdefault((self.file, self.function, name), -1 - len(self._splits))

    # -- state of heap objects ---------------------------------------------------------------------------------------

    def touch(self) -> None:
        """Note that some state changed."""
        self.version += 1

    def state(self, heap: Heap) -> Labels:
        """Labels of an object and of everything it owns (a module and its submodules)."""
        cached = self._state_cache.get(heap.ident)
        if cached is not None and cached[0] == self.version:
            return cached[1]
        labels: set[Label_] = set()
        seen: set[int] = set()
        stack: list[Heap] = [heap]
        while stack:
            item = stack.pop()
            if item.ident in seen:
                continue
            seen.add(item.ident)
            labels |= item.labels
            if isinstance(item, Instance):
                children: Iterable[Value] = item.attrs.values()
            elif isinstance(item, Sequence):
                children = item.items
            elif isinstance(item, MappingObject):
                children = [*item.items.values(), *([item.rest] if item.rest else [])]
            elif isinstance(item, Parameters):
                stack.append(item.owner)
                continue
            else:
                continue
            for value in children:
                if value.labels:
                    labels |= value.labels
                stack.extend(r for r in value.refs if not isinstance(r, Function))
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
                stack.extend(
                    r for r in value.refs if isinstance(r, (Instance, Sequence, MappingObject, Cell, Parameters))
                )
        return list(seen.values())

    def full_labels(self, value: Value) -> Labels:
        """Labels of a value together with the state of what it refers to, containers and modules included."""
        result = value.labels
        for ref in value.refs:
            result = result | self.state(ref)
        return result

    # -- recorders ---------------------------------------------------------------------------------------------------

    def score(self, target: Value, prediction: Value) -> Value | None:
        """Record a loss of ``prediction`` on ``target``; None when the target is not token data."""
        targets = frozenset(d for d in self.full_labels(target) if isinstance(d, Data) and d.role != "path")
        if not targets:
            return None
        used = self.full_labels(prediction)
        counts = [x for x in used if isinstance(x, Flag) and x.name == "counts"]
        if counts:  # statistics of tokens flow straight into the prediction
            data = frozenset(d for d in used if isinstance(d, Data) and d.role == "")
            here, self.line = self.line, counts[0].line
            used = used | {self.adapt("calibration", data, (), ("statistics",))} if data else used
            self.line = here
        return self._score(targets, used, frozenset())

    def _score(self, targets: frozenset[Data], used: Labels, base: frozenset[int]) -> Value:
        state: set[int] = {label.event for label in used if isinstance(label, Adapted)}
        lookups = {label.event for label in used if isinstance(label, Looked)}
        for ident in lookups:
            if not self.trace.lookups[ident].causal:
                state |= self.trace.lookups[ident].state
        for ident in base:
            state |= self.trace.scores[ident].state
        key = (self.file, self.line, tuple(self.calls), targets, frozenset(state), base, frozenset(lookups))
        known = self._score_keys.get(key)
        if known is None:
            known = len(self.trace.scores)
            self._score_keys[key] = known
            kept: Labels = frozenset(label for label in used if isinstance(label, (Uses, Flag)))
            for ident in base:
                kept |= self.trace.scores[ident].used
            trained = frozenset(x for x in used if isinstance(x, Data) and x.source == "train")
            self.trace.scores[known] = ScoreEvent(
                known, self.steps, self.place(), targets, frozenset(state), kept, self.loop_symbols, base,
                frozenset(lookups), trained=trained,
            )  # fmt: skip
        flags = {
            label
            for label in used
            if isinstance(label, Flag)
            and label.name not in ("artifact", "mask", "file", "prob", "logprob", "loaded", "mixed-key", "multiplied")
        }
        return Value(labels=frozenset({Scored(known), *flags}))

    def blend(self, values: list[Value], kind: str = "blend") -> Value | None:
        """Record scores combined with tables or adapted state; None when there is nothing to record."""
        scored = [v for v in values if any(isinstance(x, Scored) for x in v.labels)]
        if not scored or len(scored) == len(values):
            return None
        other = merge_labels(v for v in values if v not in scored)
        foreign = [x for x in other if isinstance(x, Adapted) or self._matters(x)]
        if not foreign:
            return None
        foreign += [x for x in other if isinstance(x, Flag) and x.name == "ratio"]
        base = frozenset(x.event for v in scored for x in v.labels if isinstance(x, Scored))
        targets = frozenset(d for ident in base for d in self.trace.scores[ident].targets)
        result = self._score(targets, frozenset(foreign), base)
        ident = next(x.event for x in result.labels if isinstance(x, Scored))
        flags = {x for v in values for x in v.labels if isinstance(x, Flag)}
        detail = "bytes-spread" if any(x.name == "bytes-spread" for x in flags) else ""
        self.trace.blends.append(BlendEvent(self.steps, self.place(), kind, base, frozenset(foreign), detail, ident))
        return Value(labels=result.labels | flags, symbols=merge_symbols(values))

    def choose(self, values: Iterable[Value], kind: str, detail: str = "") -> Value | None:
        """Record a choice between scores: a new score that is one of them. None when fewer than two scores are involved."""
        kept = [v for v in values if any(isinstance(x, Scored) for x in self.full_labels(v))]
        if len(kept) < 2:
            return None
        base = frozenset(x.event for v in kept for x in self.full_labels(v) if isinstance(x, Scored))
        targets = frozenset(d for ident in base for d in self.trace.scores[ident].targets)
        result = self._score(targets, frozenset(), base)
        ident = next(x.event for x in result.labels if isinstance(x, Scored))
        self.trace.blends.append(BlendEvent(self.steps, self.place(), kind, base, NO_LABELS, detail, ident))
        return Value(labels=result.labels, symbols=merge_symbols(kept))

    def _matters(self, label: object) -> bool:
        if isinstance(label, Looked):
            event = self.trace.lookups[label.event]
            return bool(event.state) or event.mixed
        return False

    def note_blend(self, kind: str, scores: Iterable[int], other: Labels = NO_LABELS, detail: str = "") -> None:
        """Record a selection, minimum, scale or gate applied to scores."""
        self.trace.blends.append(BlendEvent(self.steps, self.place(), kind, frozenset(scores), other, detail))

    def adapt(self, kind: str, data: Iterable[Data], losses: Iterable[int], targets: Iterable[str]) -> Adapted:
        """Record a change of state by data and return the label that the state then carries."""
        data = frozenset(data)
        key = (self.file, self.line, tuple(self.calls), kind, data)
        known = self._adapt_keys.get(key)
        if known is None:
            known = len(self.trace.adapts)
            self._adapt_keys[key] = known
            self.trace.adapts[known] = AdaptEvent(
                known, self.steps, self.place(), kind, data, frozenset(losses), tuple(targets), self.loop_symbols
            )
        return Adapted(known)

    def lookup(self, table: Labels, table_line: int, key: frozenset[Data], mixed: bool, row: bool = False) -> Looked:
        """Record a table read at a key made of tokens."""
        state = frozenset(x.event for x in table if isinstance(x, Adapted))
        for label in table:
            if isinstance(label, Looked):  # an entry of a row that was read before
                state = state | self.trace.lookups[label.event].state
        loaded = any(isinstance(x, Flag) and x.name in ("artifact", "loaded") for x in table)
        ident_key = (self.file, self.line, table_line, key, state, mixed, row, loaded)
        known = self._lookup_keys.get(ident_key)
        if known is None:
            known = len(self.trace.lookups)
            self._lookup_keys[ident_key] = known
            causal = bool(state) and all(self._behind(self.trace.adapts[a], key) for a in state)
            self.trace.lookups[known] = LookupEvent(
                known, self.steps, self.place(), table_line, key, mixed, state, causal, row, loaded
            )
        return Looked(known)

    def _behind(self, adapt: AdaptEvent, key: frozenset[Data]) -> bool:
        """Whether a table update lies behind the key that is read now, in the order of the stream."""
        selecting = {loop for d in key for loop, _ in d.symbols}
        if self.loops and not selecting & {loop for loop, _ in self.loops}:
            loop, now = self.loops[-1]  # bytes of tokens, walked one by one: the walk itself is the order
            return any(same == loop and k < now for same, k in adapt.loops)
        return self._earlier(adapt.data, key)

    def _earlier(self, data: frozenset[Data], key: frozenset[Data]) -> bool:
        """Whether all of the data was selected in earlier iterations of loops that select the key."""
        now: dict[int, int] = {}
        for d in key:
            for loop, k in d.symbols:
                now[loop] = max(k, now.get(loop, k))
        running = dict(self.loops)
        for d in data:
            shared = [(loop, k) for loop, k in d.symbols if loop in now and loop in running]
            if not any(k < running[loop] and (loop, running[loop]) not in d.symbols for loop, k in shared):
                return False
        return True

    def narrow(self, value: Value, symbols: frozenset[Symbol]) -> Value:
        """Scores of a selection of the tokens: the same scores, for the narrower region."""
        labels: set[Label_] = set()
        for label in value.labels:
            if not isinstance(label, Scored):
                labels.add(label)
                continue
            event = self.trace.scores[label.event]
            targets = frozenset(Data(d.source, d.symbols | symbols, d.role) for d in event.targets)
            if targets == event.targets:
                labels.add(label)
                continue
            key = ("narrow", event.ident, targets)
            known = self._score_keys.get(key)
            if known is None:
                known = len(self.trace.scores)
                self._score_keys[key] = known
                self.trace.scores[known] = replace(event, ident=known, targets=targets, base=event.base | {event.ident})
            labels.add(Scored(known))
        return Value(value.const, value.refs, frozenset(labels), value.symbols | symbols, value.text)

    def report(self, template: str, value: Value) -> None:
        """Record a score that is printed, written or returned as val_bpb."""
        labels = self.full_labels(value)
        scores = frozenset(x.event for x in labels if isinstance(x, Scored))
        self.trace.reports.append(ReportEvent(self.steps, self.place(), template, scores, labels, self.loop_symbols))

    def call_event(self, name: str, values: Iterable[Value], detail: str = "") -> None:
        """Record a watched call with the data that it was given."""
        data = frozenset(d for d in merge_labels(values) if isinstance(d, Data) and d.role != "path")
        self.trace.calls.append(CallEvent(self.steps, self.place(), name, data, self.loop_symbols, detail))

    def note_read(self, labels: Labels, detail: str = "") -> None:
        """Record that training tokens, or what was computed from them, are read here; each line and path of calls once."""
        data = frozenset(x for x in labels if isinstance(x, Data) and x.source == "train" and x.role != "path")
        if not data:
            return
        derived = any(isinstance(x, Uses) or (isinstance(x, Flag) and x.name == "counts") for x in labels)
        name = "train-derived" if derived else "train-read"
        key = (name, self.file, self.line, tuple(self.calls))
        if key not in self._read_keys:
            self._read_keys.add(key)
            self.trace.calls.append(CallEvent(self.steps, self.place(), name, data, self.loop_symbols, detail))


Label_ = Data | Scored | Adapted | Looked | Uses | Flag
