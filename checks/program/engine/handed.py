"""Arrays that leave Python for a while: handed to native code by pointer, or written to a file for another process.

Native code writes what it computes into an array that it was handed; a score among the others makes it one of that
score, which passed through the function. Ranks that gather through files read back in the order they wrote.
"""

from __future__ import annotations

from checks.program.engine.labels import Flag, Labels
from checks.program.engine.objects import Objects
from checks.program.engine.selections import data_of
from checks.program.engine.values import Bound, Cell, Value

_MOST = 16  # arrays in one file


class Handed(Objects):
    """Pointers and spilled arrays."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self._spilled: list[Value] = []  # the arrays of the file that was written last
        self._read: dict[tuple[int, object], int] = {}  # how many arrays were read since a file was opened

    # -- pointers ----------------------------------------------------------------------------------------------------

    def pointer(self, owner: Value) -> Value:
        """``a.ctypes.data_as(kind)``: the array itself, marked as handed over."""
        for ref in owner.refs:
            if isinstance(ref, Bound) and ref.name == "ctypes":
                owner = ref.owner
        return Value(refs=owner.refs, labels=owner.labels | {Flag("pointer", 0)}, symbols=owner.symbols)

    def through_pointers(self, name: str, args: list[Value]) -> Value | None:
        """A native function that is handed scores writes what it makes of them into the empty arrays beside them."""
        handed = [v for v in args if any(isinstance(x, Flag) and x.name == "pointer" for x in v.labels)]
        scores = [v for v in handed if self.scored(v)]
        if not scores:
            return None
        self.concrete()
        labels: Labels = frozenset().union(*(self.full_labels(v) for v in scores)) - {Flag("pointer", 0)}
        labels = labels | {Flag("native", self.line, (self.file, name))}
        for value in handed:
            for ref in value.refs:
                if isinstance(ref, Cell) and not ref.parameter and not ref.labels:
                    ref.labels |= labels
                    self.touch()
        returned = self.unknown_call(name, args)
        return Value(labels=returned.labels - {Flag("pointer", 0)}, symbols=returned.symbols)

    # -- files between processes -------------------------------------------------------------------------------------

    def spill(self, value: Value) -> None:
        """``a.tofile(f)``."""
        self.concrete()
        self._spilled = [*self._spilled, value][:_MOST]

    def _fn_open(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        opened = super()._fn_open(name, args, keywords)
        mode = args[1] if len(args) > 1 else keywords.get("mode", Value())
        if isinstance(mode.const, str) and "b" in mode.const:
            self.concrete()
            if "w" in mode.const:
                self._spilled = []
            else:
                self._read[self.line, self.file] = 0
        return opened

    def _fn_fromfile(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        read = super()._fn_fromfile(name, args, keywords)
        spilled = self._next_spilled(args[0]) if args and any(map(self.scored, self._spilled)) else None
        return spilled if spilled is not None and (read is None or not data_of(read.labels)) else read

    def _next_spilled(self, file: Value) -> Value | None:
        """The array that was written where this read stands in a file opened here."""
        opened = [(x.line, x.detail) for x in file.labels if isinstance(x, Flag) and x.name == "artifact"]
        place = next((p for p in sorted(opened, key=str) if p in self._read), None)
        if place is None or data_of(file.labels):
            return None
        self.concrete()
        index = self._read[place]
        self._read[place] = index + 1
        return self._spilled[index] if index < len(self._spilled) else None
