"""Abstract values of the static engine: what is known about a value, and where it comes from.

A value is a constant where the configuration decides it, a set of references to abstract heap objects, and *labels*
(``labels``): where it comes from.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from checks.program.engine.counter import Counter
from checks.program.engine.forms import Form
from checks.program.engine.grid import Mask
from checks.program.engine.labels import (
    NO_LABELS,
    NO_SYMBOLS,
    Flag,
    Label,
    Labels,
    Symbol,
)


class _Unknown:
    """The constant of a value that is not constant."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "?"


UNKNOWN = _Unknown()
#: What ``Value.text`` says of a value that is no text.
MARKS = frozenset(["", "+1", "-k", "size", "first", "log", "tuple", "slice", "slice:", "slice:x", "slice:y"])


class Value:
    """One abstract value. ``counter``: the position in a loop's stream that it stands for, if it is one.

    ``form``: its formula, where it was followed; ``mask``: the content of an attention mask, where it is known.
    """

    __slots__ = ("const", "counter", "form", "labels", "later", "mask", "refs", "symbols", "text")

    def __init__(
        self,
        const: Any = UNKNOWN,
        refs: tuple[Heap, ...] = (),
        labels: Labels = NO_LABELS,
        symbols: frozenset[Symbol] = NO_SYMBOLS,
        text: str = "",
        counter: Counter | None = None,
        later: bool = False,
    ) -> None:
        self.const = const
        self.refs = refs
        self.labels = labels
        self.symbols = symbols
        self.text = text
        self.counter = counter
        self.later = later
        self.form: Form | None = None
        self.mask: Mask | None = None

    def formed(self, form: Form | None) -> Value:
        """The same value with a formula."""
        if form is self.form:
            return self
        value = Value(self.const, self.refs, self.labels, self.symbols, self.text, self.counter, self.later)
        value.form, value.mask = form, self.mask
        return value

    @property
    def known(self) -> bool:
        """Whether the value is a constant."""
        return self.const is not UNKNOWN

    def __repr__(self) -> str:
        return f"Value({self.const!r}, {self.refs}, {set(self.labels)}, {set(self.symbols)})"


NOTHING = Value()
NONE = Value(None)


class Heap:
    """An abstract object with identity. ``labels`` is its state: what the values read from it depend on."""

    __slots__ = ("ident", "labels", "line")
    counter = 0

    def __init__(self, line: int = 0) -> None:
        Heap.counter += 1
        self.ident = Heap.counter
        self.labels: set[Label] = set()
        self.line = line


class Cell(Heap):
    """A tensor or array with a state of its own (parameters, tables, accumulators); no optimizer moves a ``buffer``."""

    __slots__ = ("buffer", "made", "owned", "parameter", "table")

    def __init__(self, line: int = 0, labels: Iterable[Label] = (), parameter: bool = False) -> None:
        super().__init__(line)
        self.labels.update(labels)
        self.table = False
        self.parameter = parameter
        self.owned = False
        self.buffer = False
        self.made: frozenset[Symbol] = NO_SYMBOLS


class Sequence(Heap):
    """A list, tuple, set, deque or generator result. ``exact``: the items are all items, in order."""

    __slots__ = ("exact", "items", "mutable")

    def __init__(self, items: list[Value], exact: bool = True, mutable: bool = True, line: int = 0) -> None:
        super().__init__(line)
        self.items = items
        self.exact = exact
        self.mutable = mutable


class Mapping(Heap):
    """A dict. ``items``: values under constant keys; ``rest``: join of the values under other keys."""

    __slots__ = ("items", "keys_known", "rest")

    def __init__(self, items: dict[Any, Value] | None = None, rest: Value | None = None, line: int = 0) -> None:
        super().__init__(line)
        self.items: dict[Any, Value] = {} if items is None else items
        self.rest = rest
        self.keys_known = rest is None


class Range(Heap):
    """``range(start, stop, step)``."""

    __slots__ = ("start", "step", "stop")

    def __init__(self, start: Value, stop: Value, step: Value) -> None:
        super().__init__()
        self.start = start
        self.stop = stop
        self.step = step


class Zipped(Heap):
    """``zip`` or ``enumerate``: iterables that advance together."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[Value]) -> None:
        super().__init__()
        self.parts = parts


class Instance(Heap):
    """An object of a class of the submission, or of an external class (``cls`` is then the dotted name)."""

    __slots__ = ("attrs", "cls", "external")

    def __init__(self, cls: ClassObject | None, external: str = "", line: int = 0) -> None:
        super().__init__(line)
        self.cls = cls
        self.external = external
        self.attrs: dict[str, Value] = {}


class Parameters(Heap):
    """The parameters of a module, as ``model.parameters()`` hands them out: an alias of the owner's state."""

    __slots__ = ("owner",)

    def __init__(self, owner: Heap) -> None:
        super().__init__(owner.line)
        self.owner = owner


class Gradient(Heap):
    """``p.grad`` of the parameters of ``owner``."""

    __slots__ = ("owner",)

    def __init__(self, owner: Heap) -> None:
        super().__init__(owner.line)
        self.owner = owner


class Absent(Heap):
    """The None that a look-up may have given, beside what it found."""

    __slots__ = ()


class ModuleRef(Heap):
    """An imported module, by dotted name; ``scope`` when it is another file of the submission."""

    __slots__ = ("name", "scope")

    def __init__(self, name: str, scope: Scope | None = None) -> None:
        super().__init__()
        self.name = name
        self.scope = scope


class External(Heap):
    """A callable or attribute outside the submission, by dotted name, e.g. ``torch.nn.functional.cross_entropy``."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name


class Function(Heap):
    """A function or lambda of the submission with the scope it closes over."""

    __slots__ = ("cls", "decorators", "generator", "module", "name", "node", "scope")

    def __init__(self, node: Any, scope: Scope, name: str, cls: ClassObject | None, module: str) -> None:
        super().__init__(node.lineno)
        self.node = node
        self.scope = scope
        self.name = name
        self.cls = cls
        self.module = module
        self.decorators: tuple[str, ...] = ()
        self.generator = False


class Bound(Heap):
    """A method bound to its object, of the submission (``function``) or by name on any value."""

    __slots__ = ("function", "name", "owner")

    def __init__(self, owner: Value, function: Function | None, name: str) -> None:
        super().__init__()
        self.owner = owner
        self.function = function
        self.name = name


class Partial(Heap):
    """``functools.partial``: a callable with arguments already given."""

    __slots__ = ("args", "callee", "keywords")

    def __init__(self, callee: Value, args: list[Value], keywords: dict[str, Value]) -> None:
        super().__init__()
        self.callee = callee
        self.args = args
        self.keywords = keywords


class ClassObject(Heap):
    """A class of the submission."""

    __slots__ = ("bases", "dataclass", "external_bases", "fields", "name", "scope")

    def __init__(self, name: str, bases: list[ClassObject], external_bases: list[str], scope: Scope, line: int) -> None:
        super().__init__(line)
        self.name = name
        self.bases = bases
        self.external_bases = external_bases
        self.scope = scope
        self.fields: list[str] = []
        self.dataclass = False

    def find(self, name: str) -> Value | None:
        """Look an attribute up along the bases."""
        if name in self.scope.vars:
            return self.scope.vars[name]
        for base in self.bases:
            found = base.find(name)
            if found is not None:
                return found
        return None

    def derives(self, *suffixes: str) -> bool:
        """Whether an external base's dotted name ends with one of the suffixes."""
        return any(e.endswith(suffixes) for e in self.external_bases) or any(b.derives(*suffixes) for b in self.bases)


@dataclass(eq=False)
class Scope:
    """Variables of a module, class body or function call."""

    vars: dict[str, Value]
    parent: Scope | None = None
    declared: dict[str, Scope] = field(default_factory=dict)
    module: str = ""
    born: int = field(default_factory=lambda: Heap.counter)

    def lookup(self, name: str) -> Value | None:
        """Find a variable, innermost scope first."""
        scope: Scope | None = self
        while scope is not None:
            value = scope.vars.get(name)
            if value is not None:
                return value
            scope = scope.parent
        return None


def merge_labels(values: Iterable[Value]) -> Labels:
    """Union of the labels of values and of the state of what they refer to (not of whole containers)."""
    result: Labels = NO_LABELS
    for value in values:
        if value.labels:
            result = value.labels if not result else result | value.labels
        for ref in value.refs:
            if ref.labels:
                result = result | ref.labels
            if type(ref) is Parameters and ref.owner.labels:
                result = result | ref.owner.labels
    return result


def merge_symbols(values: Iterable[Value]) -> frozenset[Symbol]:
    """Union of the symbols of values."""
    result = NO_SYMBOLS
    for value in values:
        if value.symbols:
            result = value.symbols if not result else result | value.symbols
    return result


def join(a: Value, b: Value) -> Value:
    """Least upper bound: what holds on either path."""
    if a is b:
        return a
    same = a.known and b.known and type(a.const) is type(b.const) and a.const == b.const
    refs = a.refs if a.refs == b.refs else tuple(dict.fromkeys((*a.refs, *b.refs)))[:12]
    joined = Value(
        a.const if same else UNKNOWN,
        refs,
        a.labels if a.labels == b.labels else _either(a.labels, b.labels),
        a.symbols if a.symbols == b.symbols else a.symbols | b.symbols,
        a.text or b.text,
    )
    if a.form is not None and a.form == b.form:
        joined.form = a.form
    if a.mask is not None and a.mask == b.mask:
        joined.mask = a.mask
    return joined


def _either(a: Labels, b: Labels) -> Labels:
    """The union, less the proofs of a limit that hold on one path only."""
    lost = {x for x in a ^ b if type(x) is Flag and x.name == "few"}
    return (a | b) - lost if lost else a | b


def hashable(value: Any) -> bool:
    """Whether a constant can be a key."""
    return isinstance(value, (str, int, float, bytes, bool, type(None)))
