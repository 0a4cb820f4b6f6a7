"""What goes into the trace: scores, blends, choices, adaptations, look-ups, reports and watched calls."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from checks.program.engine.labels import NO_LABELS, Adapted, Data, Flag, Label, Labels, Looked, Scored, Symbol, Uses
from checks.program.engine.machine import Machine
from checks.program.engine.recording import Effect
from checks.program.engine.values import Value, merge_labels, merge_symbols
from checks.program.trace import AdaptEvent, BlendEvent, CallEvent, LookupEvent, Place, ReportEvent, ScoreEvent

#: Flags of sums, which no prediction made with their help carries on.
_OF_SUMS = frozenset(["no-distribution", "plus-each", "times-constant"])
#: Flags of what a prediction was computed with that say nothing about the score.
_OF_THE_MODEL = frozenset(
    [
        "artifact",
        "decided-by",
        "mask",
        "file",
        "prob",
        "logprob",
        "mixed-key",
        "multiplied",
        "loaded",
        "restored",
        "rounded",
        "dequantised",
    ]
)


class Recorder(Machine):
    """Records events; the same event at the same place on the same path of calls is recorded once."""

    def score(self, target: Value, prediction: Value) -> Value | None:
        """Record a loss of ``prediction`` on ``target``; None when the target is not token data."""
        targets = frozenset(d for d in self.full_labels(target) if isinstance(d, Data) and d.role != "path")
        if not targets:
            return None
        used = self.full_labels(prediction)
        counts = [x for x in used if isinstance(x, Flag) and x.name == "counts"]
        if counts:  # statistics of tokens flow straight into the prediction
            splits = frozenset().union(*(x.detail[1] for x in counts))
            data = frozenset(d for d in used if isinstance(d, Data) and d.role == "" and d.source in splits)
            here, self.line = self.line, counts[0].line
            used = used | {self.adapt("calibration", data, (), ("statistics",))} if data else used
            self.line = here
        return self._score(targets, used, frozenset())

    def _score(self, targets: frozenset[Data], used: Labels, base: frozenset[int]) -> Value:
        self.concrete()
        state = {x.event for x in used if isinstance(x, Adapted) and not self._walked(self.trace.adapts[x.event])}
        lookups = {label.event for label in used if isinstance(label, Looked)}
        for ident in lookups:
            if not self.trace.lookups[ident].causal:
                state |= self.trace.lookups[ident].state
        state -= self.elsewhere
        own = frozenset(state)
        for ident in base:
            state |= self.trace.scores[ident].state
        source = frozenset(x for x in used if isinstance(x, Flag) and x.name in ("artifact", "loaded"))
        key = (self.file, self.line, tuple(self.calls), targets, frozenset(state), base, frozenset(lookups), source)
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
                frozenset(lookups), trained=trained, own=own,
            )  # fmt: skip
        flags = {label for label in used if isinstance(label, Flag) and label.name not in _OF_THE_MODEL | _OF_SUMS}
        return Value(labels=frozenset({Scored(known), *flags}))

    def blend(self, values: list[Value], kind: str = "blend") -> Value | None:
        """Record scores combined with tables or adapted state; None when there is nothing to record."""
        scored = [v for v in values if v.labels and any([type(x) is Scored for x in v.labels])]
        if not scored or len(scored) == len(values):
            return None
        other = merge_labels(v for v in values if v not in scored)
        foreign = [x for x in other if isinstance(x, Adapted) or self._matters(x)]
        if not foreign:
            return None
        foreign += [x for x in other if isinstance(x, Flag) and x.name in ("ratio", "own-share")]
        base = frozenset(x.event for v in scored for x in v.labels if isinstance(x, Scored))
        targets = frozenset(d for ident in base for d in self.trace.scores[ident].targets)
        result = self._score(targets, frozenset(foreign), base)
        ident = next(x.event for x in result.labels if isinstance(x, Scored))
        flags = {x for v in values for x in v.labels if isinstance(x, Flag) and x.name not in _OF_SUMS}
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
        self.concrete()
        self.trace.blends.append(BlendEvent(self.steps, self.place(), kind, frozenset(scores), other, detail))

    def adapt(self, kind: str, data: Iterable[Data], losses: Iterable[int], targets: Iterable[str]) -> Adapted:
        """Record a change of state by data and return the label that the state then carries."""
        self.concrete()
        data = frozenset(data)
        key = (self.file, self.line, tuple(self.calls), kind, data)
        known = self._adapt_keys.get(key)
        if known is None:
            known = len(self.trace.adapts)
            self._adapt_keys[key] = known
            self.trace.adapts[known] = AdaptEvent(
                known, self.steps, self.place(), kind, data, frozenset(losses), tuple(targets), self.loop_symbols
            )
        label = Adapted(known)
        for _, adapted in self.branch_adapts:
            adapted.add(label)
        return label

    def lookup(self, table: Labels, table_line: int, key: frozenset[Data], mixed: bool, row: bool = False) -> Looked:
        """Record a table read at a key made of tokens."""
        self.concrete()
        state = frozenset(x.event for x in table if isinstance(x, Adapted))
        for label in table:
            if isinstance(label, Looked):  # an entry of a row that was read before
                state = state | self.trace.lookups[label.event].state
        state -= self.elsewhere
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
        if self._walked(adapt):
            return True
        selecting = {loop for d in key for loop, _ in d.symbols}
        if self.loops and not selecting & {loop for loop, _ in self.loops}:
            before = dict(adapt.loops)  # bytes of tokens, walked one by one: the innermost walk of both is the order
            loop, now = next(((x, k) for x, k in reversed(self.loops) if x in before), self.loops[-1])
            return loop in before and before[loop] < now
        return self._earlier(adapt.data, key)

    def _walked(self, adapt: AdaptEvent) -> bool:
        """Whether a table update came from an earlier item of the bytes or tokens that a running loop walks through."""
        ran = dict(adapt.loops)
        for i, (loop, now) in enumerate(self.loops):
            depth = self.walks.get(loop)
            if depth is not None and ran.get(loop, now) < now:
                same_call = adapt.place.calls[:depth] == tuple(self.calls[:depth])
                items = [x for d in adapt.data for x in d.symbols if x[0] == loop]
                behind = loop not in self.counted or (bool(items) and (loop, now) not in items)
                here = adapt.kind == "table" and same_call and behind
                return here and all(ran.get(x) == k for x, k in self.loops[:i])
        return False

    def walks_by(self, index: Value) -> None:
        """Note that a loop over numbers walks through the items of token data that it indexes."""
        at = index.counter
        if at is None or at.step != 1 or at.offset or at.loop in self.walks or at.loop not in self.entered:
            return
        if any(loop == at.loop for loop, _ in self.loops):
            self.concrete()
            self.walks[at.loop] = self.entered[at.loop]
            self.counted.add(at.loop)

    def settled(self, value: Value) -> Value:
        """What is kept of an item of a walk: the tables held the items before it when it was computed."""
        walks = not self.recordings and any(loop in self.walks for loop, _ in self.loops)
        labels = value.labels if walks else ()
        passed = {x for x in labels if type(x) is Adapted and self._walked(self.trace.adapts[x.event])}
        if not passed:
            return value
        return Value(value.const, value.refs, value.labels - passed, value.symbols, value.text)

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
        self.concrete()
        labels: set[Label] = {x for x in value.labels if not isinstance(x, Scored)}
        for label in sorted((x for x in value.labels if isinstance(x, Scored)), key=lambda x: x.event):
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
        self.concrete()
        labels = self.full_labels(value)
        scores = frozenset(x.event for x in labels if isinstance(x, Scored))
        self.trace.reports.append(ReportEvent(self.steps, self.place(), template, scores, labels, self.loop_symbols))

    def reported(self) -> Flag:
        """The mark of a text that a report was recorded for."""
        return Flag("reported", self.line, self.file)

    def note_texts(self, places: set[tuple[str, int]], values: Iterable[Value]) -> None:
        """Note where texts with a score were made that a call is given."""
        labels = [x for v in values for x in self.full_labels(v) if isinstance(x, Flag) and x.name == "reported"]
        if labels:
            self.concrete()
            places |= {(str(x.detail), x.line) for x in labels}

    def call_event(self, name: str, values: Iterable[Value], detail: str = "") -> None:
        """Record a watched call with the data that it was given."""
        data = frozenset(d for d in merge_labels(values) if isinstance(d, Data) and d.role != "path")
        self.emit(self._effect("call", name, data, detail))

    def note_read(self, labels: Labels, detail: str = "") -> None:
        """Record that training tokens, or what was computed from them, are read here; each line and path of calls once."""
        data = frozenset([x for x in labels if type(x) is Data and x.source == "train" and x.role != "path"])
        if not data:
            return
        derived = any(isinstance(x, Uses) or (isinstance(x, Flag) and x.name == "counts") for x in labels)
        self.emit(self._effect("read", "train-derived" if derived else "train-read", data, detail))

    def note_kept(self, labels: Labels) -> None:
        """Record that activations of validation tokens are kept here, for what is done with them later."""
        data = frozenset([x for x in labels if type(x) is Data and x.source == "val" and x.role != "path"])
        if data and any(isinstance(x, Uses) for x in labels) and not any(isinstance(x, Scored) for x in labels):
            self.emit(self._effect("read", "val-kept", data, ""))

    def note_told(self, key: Labels) -> None:
        """Record that validation tokens which a file holds say where something is changed."""
        adapts = [self.trace.adapts.get(x.event) for x in key if isinstance(x, Adapted)]  # none: a recording's stand-in
        data = frozenset(d for a in adapts if a is not None and a.kind == "stored" for d in a.data)
        if data:
            self.emit(self._effect("read", "told", data, ""))

    def loop_exit(self, loop: int, line: int) -> None:
        """Record that a loop ends here."""
        self.emit(Effect("exit", self.steps, self.file, line, self.function, tuple(self.calls), ident=loop))

    def _effect(self, kind: str, name: str, data: Labels, detail: str) -> Effect:
        place = (self.file, self.line, self.function, tuple(self.calls))
        return Effect(kind, self.steps, *place, name, data, self.loop_symbols, detail)

    def emit(self, effect: Effect) -> None:
        """Put an effect into the trace, or into the recording that runs."""
        recording = self.recordings[-1] if self.recordings else None
        if effect.kind == "read":
            key = (effect.name, effect.file, effect.line, effect.calls)
            noted = self._read_keys if recording is None else recording.noted
            if key in noted:
                return
            noted.add(key)
        if recording is not None:
            recording.log.append(effect.within(recording))
            return
        place = Place(effect.file, effect.line, effect.function, effect.calls[-12:])
        if effect.kind == "exit":
            self.trace.loop_exits[effect.ident] = effect.at
            self.trace.loop_places[effect.ident] = place
            return
        data: frozenset[Data] = effect.data  # type: ignore[assignment]
        self.trace.calls.append(CallEvent(effect.at, place, effect.name, data, effect.loops, effect.detail))
