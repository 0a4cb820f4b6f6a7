"""Summaries: a call of a function that only computes is interpreted once, and replayed where its inputs are the same.

A model's forward pass is met for every loop iteration, every phase and every layer. A *recording* interprets one such
call on abstracted arguments (``abstraction``) and notes what it depends on: what the objects that it can reach hold
(``snapshots``), the variables around it that it reads, and whether a loop, a module or a branch is running. What it
leaves behind is its result, what those objects hold then (a cache was filled), and a log of effects: data that is read,
loops that end. Where a later call finds the same as the recorded one, all this is replayed for its own data, symbols
and path of calls.

A call that records a score or a change of state, or that depends on more than this, is *concrete*: it raises
``Concretely``, everything is put back as it was, and the call is interpreted as usual.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from checks.program.engine.abstraction import (
    Abstracted,
    Beyond,
    Concrete,
    Form,
    abstract,
    copyable,
    loops_stand_in,
    while_stand_in,
)
from checks.program.engine.labels import Labels, Symbol
from checks.program.engine.machine import MOST_CALLS
from checks.program.engine.recorder import Recorder
from checks.program.engine.recording import Concretely, Effect, Recording
from checks.program.engine.snapshots import Change, Snapshot, TooLarge
from checks.program.engine.values import NONE, Function, Heap, Instance, Value

_WORTH = 20  # steps that a call must take for a summary to pay
_PATIENCE = 3  # recordings of a function that may fail
_TRIES = 48  # recordings of a function, from which on a fifth of the calls must be replayed
_KEPT = 12  # summaries of one pattern


@dataclass(frozen=True)
class Summary:
    """One recorded call. ``since``: objects with a higher ident were made by it. ``changes``: what others hold after it."""

    snapshot: Snapshot
    nodes: frozenset[ast.AST]
    apart: tuple[frozenset[Labels], ...]
    artifact: frozenset[object]
    depth: int
    steps: int
    since: int
    passes: frozenset[Symbol]
    log: list[Effect]
    changes: list[Change]
    result: Value

    @property
    def makes(self) -> bool:
        """Whether it leaves objects behind, which may tell at which line the arguments were made."""
        return bool(self.changes) or any(r.ident > self.since for r in self.result.refs)


@dataclass
class Profile:
    """What was learned about one function. ``concrete``: not to be tried (again)."""

    concrete: bool = False
    failures: int = 0
    failed: set[object] = field(default_factory=set)
    misses: int = 0
    hits: int = 0
    summaries: dict[object, list[Summary]] = field(default_factory=dict)


class Summaries(Recorder):
    """Records and replays calls."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self.stack: list[ast.AST] = []
        self.modules_active: list[Instance] = []
        self._profiles: dict[ast.AST, Profile] = {}
        self._serial = 0
        self.yielded: list[list[Value]] = []

    def summarised(
        self, function: Function, args: list[Value], keywords: dict[str, Value],
        interpret: Callable[[list[Value], dict[str, Value]], Value],
    ) -> Value:  # fmt: skip
        """The result of a call: replayed, recorded, or interpreted as usual."""
        node = function.node
        if any(v.mask is not None or (v.form is not None and v.form.parts) for v in (*args, *keywords.values())):
            return interpret(args, keywords)  # followed through calls
        profile = self._profiles.get(node)
        if profile is None:
            profile = self._profiles[node] = Profile()
            events, steps = self.concretes, self.steps
            result = interpret(args, keywords)
            plain = self.concretes == events and self.steps - steps >= _WORTH
            profile.concrete = not plain or function.generator or function.name == "__init__"
            return result
        if profile.concrete or node in self.stack:
            return interpret(args, keywords)
        try:
            form = abstract(args, keywords)
        except Beyond:
            return interpret(args, keywords)
        key = (
            function.ident, self.maybe > 0, bool(self.passes), bool(self.loops), bool(self.while_loops),
            bool(self.modules_active), form.key,
        )  # fmt: skip
        if key in profile.failed:  # the first call may have filled a cache; try again at the next one
            profile.failed.discard(key)
            return interpret(args, keywords)
        known = profile.summaries.setdefault(key, [])
        for summary in reversed(known):
            concrete = self._holds(summary, form)
            if concrete is not None:
                profile.hits += 1
                start = self.steps
                self.steps += summary.steps  # what is replayed costs nothing, but has its place in the order
                self.step_limit += summary.steps
                return self._replay(summary, concrete, start)
        start = self.steps
        recorded = self._record(function, form, interpret)
        if recorded is None:
            profile.failures += 1
            profile.concrete = profile.failures >= _PATIENCE
            profile.failed.add(key)
            if self.recordings:
                raise Concretely  # what failed this recording, fails those around it
            return interpret(args, keywords)
        profile.misses += 1
        profile.concrete = profile.misses > _TRIES and 4 * profile.hits < profile.misses
        known.append(recorded[0])
        del known[:-_KEPT]
        return self._replay(*recorded, start)

    def _holds(self, summary: Summary, form: Form) -> Concrete | None:
        """What the stand-ins mean now, when all that the recorded call depended on is as it was."""
        snapshot = summary.snapshot
        if (
            len(self.calls) + summary.depth > MOST_CALLS
            or not summary.nodes.isdisjoint(self.stack)
            or summary.artifact != self.artifact
            or not snapshot.same_names()
        ):
            return None
        if self.recordings:
            for scope, name, value in snapshot.names.values():
                self.free_name(scope, name, value)
        renaming = snapshot.holds(form.flat)
        if renaming is None or (renaming.moved and summary.makes):
            return None
        concrete = Concrete(form, snapshot.serial, renaming.states, self.loops, self.while_loops, renaming)
        return concrete if self._distinct(summary.apart, concrete) else None

    def _distinct(self, apart: Iterable[frozenset[Labels]], concrete: Concrete) -> bool:
        """Whether selections that the recorded call took for different ones are so for these arguments."""
        for selections in apart:
            real = frozenset([concrete.labels(x) for x in selections])
            if len(real) < 2:
                return False
            for recording in self.recordings:
                recording.apart.add(real)
        return True

    def _record(
        self, function: Function, form: Form, interpret: Callable[[list[Value], dict[str, Value]], Value]
    ) -> tuple[Summary, Concrete] | None:
        """Interpret the call on abstracted arguments; None when it is concrete, and all is as it was before."""
        self._serial += 1
        snapshot = Snapshot(self._serial)
        since = Heap.counter + 1
        Heap.counter += 2
        recording = Recording(since, len(self.calls) + 1, self.steps, snapshot)
        context = self._context()
        artifact = frozenset(self.artifact)
        result: Value | None = None
        try:
            snapshot.add(form.flat, arguments=True)
            given = Abstracted(form, self._serial)
            self.recordings.append(recording)
            self.touch()
            self.loops = [loops_stand_in(snapshot.serial)] if self.loops else []
            self.while_loops = [while_stand_in(snapshot.serial)] if self.while_loops else []
            self.stack = []
            self.deepest = len(self.calls)
            result = interpret(given.args, given.keywords)
        except (Concretely, TooLarge):
            pass
        finally:
            if self.recordings and self.recordings[-1] is recording:
                self.recordings.pop()
            depth = self.deepest - len(self.calls)
            self._return_to(context)
            valid = (
                result is not None
                and artifact == self.artifact
                and recording.nodes.isdisjoint(self.stack)
                and snapshot.same_names()
            )
            changes = snapshot.changes() if valid else []
            valid = valid and _copyable([result or NONE, *[v for c in changes for v in c.values()]], recording)
            if valid and not changes:
                snapshot.restore_state()
            else:
                snapshot.restore()
            self.touch()
        if not valid or result is None:
            self.step_limit -= self.steps - recording.steps  # spent, but without a place in the order
            self.steps = recording.steps
            return None
        concrete = Concrete(form, snapshot.serial, snapshot.groups, self.loops, self.while_loops)
        if not self._distinct(recording.apart, concrete):
            return None
        summary = Summary(
            snapshot, frozenset(recording.nodes), tuple(recording.apart), artifact, depth, self.steps - recording.steps, since,
            frozenset(self.passes), recording.log, changes, result,
        )  # fmt: skip
        return summary, concrete

    def _context(self) -> tuple[Any, ...]:
        """Where the interpretation is, to return to after a recording however it ends."""
        lists = (self.calls, self.passes, self.frames, self.yielded, self.modules_active)
        return (
            self.loops, self.while_loops, self.stack, self.deepest, self.maybe, self.file, self.function, self.line,
            *[list(x) for x in lists],
        )  # fmt: skip

    def _return_to(self, context: tuple[Any, ...]) -> None:
        (
            self.loops, self.while_loops, self.stack, self.deepest, self.maybe, self.file, self.function, self.line,
            self.calls, self.passes, self.frames, self.yielded, self.modules_active,
        ) = context  # fmt: skip

    def _replay(self, summary: Summary, concrete: Concrete, start: int) -> Value:
        """Leave in the trace what the recorded call left, as of step ``start``; its result, for these arguments."""
        self.deepest = max(self.deepest, len(self.calls) + summary.depth)
        for recording in self.recordings:
            recording.nodes |= summary.nodes
        calls = (*self.calls, (self.file, self.line))
        for effect in summary.log:
            data, loops = concrete.labels(effect.data), concrete.symbols(effect.loops)
            self.emit(replace(effect, at=start + effect.at, calls=calls + effect.calls, data=data, loops=loops))
        passes = frozenset(self.passes)

        def real(value: Value) -> Value:
            return concrete.value(value, summary.since, summary.passes, passes)

        for change in summary.changes:
            change.make(concrete.heap(change.heap), real, concrete.labels(change.labels))
            self.touch()
        return real(summary.result)


def _copyable(held: list[Value], recording: Recording) -> bool:
    values = (*held, *[Value(labels=e.data, symbols=e.loops) for e in recording.log])
    seen: set[int] = set()
    return all([copyable(v, recording.since, Heap.counter, seen) for v in values])
