"""How far loops reach: whether a loop runs over all validation tokens, or over a part that a limit cuts out.

A number computed from the size of the validation tokens carries ``Flag("extent")``; one that something else limits
carries ``Flag("cut")`` as well, and so do tokens of which a part was taken that no loop of the script accounts for.
Both prove nothing by themselves: ``Trace.reaches`` says for each loop whether the size alone bounds it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import replace

from checks.program.engine.labels import NO_LABELS, Data, Flag, Labels, Scored
from checks.program.engine.summaries import Summaries
from checks.program.engine.values import NOTHING, Range, Sequence, Value, Zipped
from checks.program.trace import Reach

_COUNTS = ("elements", "documents")
_ROWS = ("rows", "span")  # a number of rows of so many tokens each, and so many rows further
_OF_SIZES = ("extent", "cut", "header", "few", *_COUNTS, *_ROWS)
_PART = 10_000_000  # less than a quarter of the tokens of any export of the validation split
_DOCUMENTS = 50_000  # of the validation split, in every export
_BATCH = 524_288  # tokens of the largest batches that are evaluated at once
FEWEST = 37_000_000  # tokens of the validation split in the export that has the fewest
_BEYOND = 200_000_000  # more than the tokens, let alone the sequences, of any export of the validation split
_UNIT = 16  # lengths of sequences, strides and batches are multiples of it; a sample of every tenth is not
_FEW = 65_536  # tokens that a script drops at an end to fill whole rows


def sized(labels: Labels) -> bool:
    """Whether something was computed from validation tokens or their number."""
    return any(
        (isinstance(x, Flag) and x.name == "extent") or (isinstance(x, Data) and x.source == "val") for x in labels
    )


def counts_tokens(labels: Labels) -> bool:
    """Whether a number, and no tensor, was computed from the number of validation tokens."""
    if not labels:
        return False
    names = {x.name if type(x) is Flag else "" for x in labels}
    return "extent" in names and names <= {"extent", "cut", "target-bytes", "header", "ranks", "few", *_COUNTS, *_ROWS}


def is_cut(labels: Labels) -> bool:
    """Whether something other than the size of the data limits it."""
    return any(isinstance(x, Flag) and x.name in ("cut", "partial") for x in labels)


def bounds(labels: Labels) -> Labels:
    """What a number says of the size of the validation tokens."""
    return frozenset(x for x in labels if isinstance(x, Flag) and x.name in _OF_SIZES) if labels else labels


class Extents(Summaries):
    """Follows the size of the validation tokens into the bounds of loops and slices."""

    def size_of(self, owner: Value, elements: bool = False) -> Value:
        """The size of a value, in any unit; ``elements``: the number of its entries."""
        labels = self.full_labels(owner) if owner.refs else owner.labels
        whole = not self.modules_active and not self.recordings  # inside a model, shapes are of batches
        if whole and any(isinstance(x, Data) and x.source == "val" and x.role != "path" for x in labels):
            unit = {Flag("elements", self.line, self.file)} if elements else set()
            return Value(text="size", labels=bounds(labels) | {Flag("extent", self.line, self.file)} | unit)
        return Value(text="size")

    def header_of(self, path: Labels) -> Value:
        """What a shard's header says: how many tokens the shard has."""
        if not any(isinstance(x, Data) and x.source == "val" for x in path):
            return NOTHING
        return Value(labels=frozenset(Flag(name, self.line, self.file) for name in ("extent", "header")))

    def length_of(self, sequence: Sequence) -> Labels:
        """Labels of the length of a list that loops filled."""
        reach = self._items_reach(sequence)
        documents = {Flag("documents", self.line, self.file)} if any(map(holds_places, sequence.items[:1])) else ()
        size = {Flag("extent" if reach else "cut", self.line, self.file)} if reach is not None else ()
        return frozenset({*size, *documents})

    def places_of(self, data: Labels) -> Labels:
        """The mark of where one token stands in the validation stream: where its documents begin."""
        return frozenset({Flag("places", self.line, self.file)}) if _of_split(data) else NO_LABELS

    def few_items(self, items: list[Value], count: object) -> Labels:
        """A mark where the first so many are taken of what holds all documents, or of batches that cannot be so large."""
        if not isinstance(count, int) or not 1 < count < _DOCUMENTS or self.loops or self.while_loops or not items:
            return NO_LABELS
        documents = holds_places(items[0])
        if not documents and (count * _BATCH > _PART or not _of_validation(items[0])):
            return NO_LABELS
        self.concrete()
        what = f"the first {count:,}{' documents' if documents else ''}"
        return frozenset({Flag("partial", self.line, (self.file, what))})

    def cut(self) -> Labels:
        """The mark of a limit at this line."""
        return frozenset({Flag("cut", self.line, self.file)})

    def limited(self, operands: Iterable[Value]) -> Labels:
        """``min(size, limit)``: a mark where a limit that no loop moves may be the smaller one."""
        operands = list(operands)
        if any(v.labels for v in operands):
            self.concrete()
        if not any(counts_tokens(v.labels) or self._counts_all(v, "documents") for v in operands):
            return NO_LABELS
        limits = [v for v in operands if not sized(v.labels) and not v.symbols]
        far = [isinstance(v.const, (int, float)) and v.const >= _BEYOND for v in limits]
        units = {"elements": _PART, "documents": _DOCUMENTS}
        most = max((units[unit] for unit in units if any(self._counts_all(v, unit) for v in operands)), default=0)
        few = [v.const for v in limits if isinstance(v.const, int) and 1 < v.const < most]
        rows = [] if few else self._few_rows(operands, limits)
        if few or rows:
            what = f"at most {min(few):,}" if few else f"at most {min(rows):,} rows"
            return self.cut() | {Flag("few", self.line, (self.file, what, ""))}
        return NO_LABELS if all(far) else self.cut()

    def _few_rows(self, operands: Iterable[Value], limits: Iterable[Value]) -> list[int]:
        """Limits, in rows of a known length, that are a part of the split: ``min(rows, 32)``, ``min(end, start + 32)``."""
        lengths = [n for v in operands if not v.symbols for n in _rows_of(v)]
        if not lengths or self.loops or self.while_loops:
            return []
        world = self.environment.get("WORLD_SIZE", "")
        ranks = int(world) if world.isdigit() else 8
        fixed = [v.const for v in limits if isinstance(v.const, int) and 0 < v.const * ranks * max(lengths) < _PART]
        spans = [min(n for n in _rows_of(v, "span")) for v in operands if not v.symbols and _rows_of(v, "span")]
        ends = any(_rows_of(v) and not _rows_of(v, "span") for v in operands)
        return fixed + [n for n in spans if ends and n * ranks * max(lengths) < _PART]

    def shrunk(self, op: type[ast.operator], left: Value, right: Value) -> Labels:
        """A mark where arithmetic makes a size smaller in a way that no unit of tokens, rows or ranks explains."""
        if not counts_tokens(left.labels) and not (op is ast.Mult and counts_tokens(right.labels)):
            return NO_LABELS
        if op in (ast.Div, ast.FloorDiv):
            unit = right.const
            if self._of_ranks(right) or sized(right.labels) or right.symbols:
                return NO_LABELS
            whole = isinstance(unit, (int, float)) and unit > 0 and (unit == 1 or unit % _UNIT == 0)
            if isinstance(unit, int) and unit.bit_count() > 1 and not whole and self._counts_all(left):
                return self.cut() | {Flag("few", self.line, (self.file, f"one in {unit}", str(unit)))}
            if whole and isinstance(unit, int) and op is ast.FloorDiv and self._counts_all(left):
                return frozenset({Flag("rows", self.line, (self.file, unit))})
            return NO_LABELS if whole else self.cut()
        if op is ast.Add and isinstance(right.const, int) and right.const > 1 and _rows_of(left) and not left.symbols:
            return frozenset({Flag("span", self.line, (self.file, right.const))})
        if op is ast.Mult:
            factor = next((v.const for v in (left, right) if isinstance(v.const, float)), 1.0)
            return self.cut() if factor < 1 else NO_LABELS
        if op is ast.Sub and isinstance(right.const, (int, float)) and right.const > _FEW:
            return self.cut()
        return NO_LABELS

    def _of_ranks(self, value: Value) -> bool:
        """Whether a number is the number of ranks."""
        known = str(value.const) == self.environment.get("WORLD_SIZE")
        return known or any(isinstance(x, Flag) and x.name == "ranks" for x in value.labels)

    def _counts_all(self, value: Value, unit: str = "elements") -> bool:
        """Whether a number counts tokens of the whole stream: within a loop, it may count those that are left."""
        elements = any(isinstance(x, Flag) and x.name == unit for x in value.labels)
        return elements and not value.symbols and not self.loops and not self.while_loops

    def beyond(self, value: Value, limit: object) -> bool:
        """Whether a number counts the tokens of the whole stream and a limit is less than any export has."""
        return (
            isinstance(limit, (int, float)) and limit < _PART and not is_cut(value.labels) and self._counts_all(value)
        )

    def bounded(self, op: type[ast.operator], left: Value, right: Value, labels: Labels) -> Labels:
        """Labels of a result, without what its operands prove of their size and the result does not keep."""
        if not labels:
            return labels
        marks = [x for x in labels if type(x) is Flag and x.name in ("few", *_COUNTS, *_ROWS)]
        if not marks:
            return labels
        plain = op in (ast.Add, ast.Sub)
        whole = op is ast.Mult and any(_fills_rows(a, b) for a, b in ((left, right), (right, left)))
        shared = plain or (op is ast.Mult and not whole) or (op is ast.FloorDiv and self._of_ranks(right))
        kept = {"few": False, "rows": shared, "span": False} | dict.fromkeys(_COUNTS, plain)
        return labels - {
            x for x in marks if not kept[x.name] and not (x.name == "few" and _stays_few(x, op, left, right))
        }

    def split_cut(self, parts: Iterable[Value]) -> Labels:
        """A mark where a number of rows, and not of tokens, splits a sequence: it may be one in so many tokens."""
        return self.cut() if any(_rows_of(p) for p in parts) else NO_LABELS

    def slice_cut(self, node: ast.Slice, lower: Value | None, upper: Value | None, step: Value | None) -> Labels:
        """A mark where a slice leaves out what its bounds do not derive from the size or from a loop."""
        open_below = lower is None or (isinstance(lower.const, int) and 0 <= lower.const <= 1)
        fits = (open_below or _accounted(lower)) and (
            upper is None or _accounted(upper) or isinstance(node.upper, ast.UnaryOp)
        )
        fits = fits and (step is None or step.const == 1 or bool(step.symbols))
        if fits:
            return NO_LABELS
        head = few_of(upper.labels) if open_below and upper is not None else frozenset()
        return frozenset(Flag("few-head", x.line, x.detail) for x in head) | {Flag("cut", node.lineno, self.file)}

    def file_cut(self, item: Value, index: Value) -> Value:
        """Mark what one of several validation files holds, or the first few of them."""
        one = isinstance(index.const, int) and not index.symbols
        if not one and not any(isinstance(x, Flag) and x.name in ("cut", "head") for x in index.labels):
            return item
        if index.text.startswith("slice"):
            for ref in item.refs:
                if isinstance(ref, Sequence):
                    ref.items = [self._if_path(i) for i in ref.items]
        return self._if_path(item)

    def _if_path(self, value: Value) -> Value:
        if not any(isinstance(x, Data) and x.source == "val" and x.role == "path" for x in value.labels):
            return value
        return Value(value.const, value.refs, value.labels | self.cut(), value.symbols, value.text)

    def note_reach(self, loop: int, iterable: Value, node: object) -> None:
        """Record how far a loop over an iterable reaches; over several calls the shortest counts."""
        ref = iterable.refs[0] if iterable.refs else None
        if isinstance(ref, Range) and ref.stop.known and loop not in self.trace.reaches:
            return  # what is not recorded is not proved
        if isinstance(ref, Sequence) and ref.exact:
            return
        self.concrete()
        sizes = (
            {
                (str(x.detail), x.line)
                for x in ref.stop.labels
                if isinstance(x, Flag) and x.name not in ("few", *_COUNTS, *_ROWS)
            }
            if isinstance(ref, Range)
            else ()
        )
        few = few_of(ref.stop.labels) if isinstance(ref, Range) else frozenset()
        self._reached(loop, Reach(self.place(), bool(self._reach(iterable)), _step(node), tuple(sorted(sizes)), few))

    def note_while(self, loop: int, test: Value, few: Labels) -> None:
        """Record how far a ``while`` loop reaches; ``few``: marks of the limit that its test keeps below."""
        self.concrete()
        whole = sized(test.labels) and not is_cut(test.labels)
        self._reached(loop, Reach(self.place(), whole, few=few_of(few)))

    def _reached(self, loop: int, reach: Reach) -> None:
        known = self.trace.reaches.get(loop)
        self.trace.few[loop, reach.place.calls] = self.trace.few.get((loop, reach.place.calls), reach.few) & reach.few
        if known is None:
            self.trace.reaches[loop] = reach
        elif (known.whole and not reach.whole) or known.few - reach.few:
            whole = known.whole and reach.whole
            self.trace.reaches[loop] = replace(known, whole=whole, few=known.few & reach.few)

    def _reach(self, value: Value) -> bool | None:
        """Whether an iterable holds all of the validation tokens; None for one that ends with another."""
        ref = value.refs[0] if value.refs else None
        if isinstance(ref, Range):
            if ref.stop is NOTHING:
                return None
            begins = ref.start.const in (0, 1) or sized(ref.start.labels) or bool(ref.start.symbols)
            return begins and sized(ref.stop.labels) and not is_cut(ref.stop.labels | ref.start.labels)
        if isinstance(ref, Zipped):
            parts = [self._reach(p) for p in ref.parts]
            return None if False not in parts and True not in parts else False not in parts
        if isinstance(ref, Sequence):
            return False if is_cut(value.labels) else self._items_reach(ref)
        labels = self.full_labels(value)
        return sized(labels) and not is_cut(labels)

    def _items_reach(self, sequence: Sequence) -> bool | None:
        labels, loops = NO_LABELS, set()
        stack = list(sequence.items)
        while stack:
            item = stack.pop()
            labels = labels | item.labels
            loops |= {loop for loop, _ in item.symbols}
            loops |= {loop for x in item.labels if isinstance(x, Data) for loop, _ in x.symbols}
            stack.extend(i for r in item.refs if isinstance(r, Sequence) for i in r.items)
        if not loops and not sized(labels):
            return None if sequence.exact else False
        reached = [self.trace.reaches.get(loop) for loop in loops]
        return not is_cut(labels) and all(r is not None and r.whole for r in reached)


def content_of(labels: Labels) -> Labels:
    """What a tensor keeps of a value written into it: sizes say nothing of its content."""
    return labels if any(isinstance(x, Data) for x in labels) else labels - bounds(labels)


def without_bounds(labels: Labels) -> Labels:
    """Labels of a score: how many tokens it is of is no part of it."""
    if not any([type(x) is Scored for x in labels]):
        return labels
    return frozenset(x for x in labels if not (isinstance(x, Flag) and x.name == "extent"))


def holds_places(value: Value) -> bool:
    """Whether a value, or what a tuple holds, was made of places of one token in the stream."""
    held = [value, *(i for r in value.refs if isinstance(r, Sequence) and not r.mutable for i in r.items)]
    return any(isinstance(x, Flag) and x.name == "places" for v in held for x in v.labels)


def _of_split(labels: Labels) -> bool:
    return any(isinstance(x, Data) and x.source == "val" and x.role != "path" for x in labels)


def _of_validation(value: Value) -> bool:
    held = [value, *(i for r in value.refs if isinstance(r, Sequence) and not r.mutable for i in r.items)]
    return any(_of_split(v.labels) for v in held)


def few_of(labels: Labels) -> frozenset[Flag]:
    """Marks of limits that prove a number to be of a part of the tokens."""
    return frozenset(x for x in labels if isinstance(x, Flag) and x.name == "few")


def _rows_of(value: Value, name: str = "rows") -> list[int]:
    """The numbers of the marks of rows: tokens of each, or how many further."""
    return sorted(x.detail[1] for x in value.labels if isinstance(x, Flag) and x.name == name) if value.labels else []


def _fills_rows(rows: Value, length: Value) -> bool:
    """Whether a number of rows times a length counts tokens again."""
    return isinstance(length.const, int) and any(length.const % n == 0 for n in _rows_of(rows))


def _stays_few(mark: Flag, op: type[ast.operator], left: Value, right: Value) -> bool:
    """Whether a number that is known to be small stays it: another size added, or a factor that undoes a share, may not."""
    given, other = (left, right) if mark in left.labels else (right, left)
    if given is right and op not in (ast.Add, ast.Mult):
        return False
    if op in (ast.Add, ast.Mult) and other.symbols:
        return False
    if mark in other.labels or not any(isinstance(x, Flag) and x.name == "extent" for x in other.labels):
        return op is not ast.Mult or not mark.detail[2]
    return False


def _accounted(value: Value | None) -> bool:
    return value is not None and (bool(value.symbols) or (sized(value.labels) and not is_cut(value.labels)))


def _step(node: object) -> str:
    """The step of a ``range`` as source text, for a loop that is written over one."""
    iterable = getattr(node, "iter", None)
    if isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "enumerate":
        iterable = iterable.args[0] if iterable.args else None
    ranged = isinstance(iterable, ast.Call) and isinstance(iterable.func, ast.Name) and iterable.func.id == "range"
    return ast.unparse(iterable.args[2]) if ranged and len(iterable.args) == 3 else ""  # type: ignore[union-attr]
