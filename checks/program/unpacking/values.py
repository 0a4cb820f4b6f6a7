"""What the folder of packed scripts computes with: plain data, names of library things, and what it cannot know.

Plain data are ``int, float, complex, bool, None, str, bytes, bytearray, list, tuple, dict, set, range, slice`` and
iterators over them; everything else is one of the classes here. No object of the submission is ever created.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

#: Sizes of one layer and of one value in between (anchors: 106 real wrappers stay under 402 KB and ratio 6.8).
MAX_LAYER_BYTES = 4_000_000
MAX_RATIO = 100
MAX_DEPTH = 4
MAX_VALUE_ITEMS = 8_000_000


class Refused(Exception):
    """Something that is not folded; the message says what, in words fit for a report."""


@dataclass(frozen=True)
class Unknown:
    """A value that the fold cannot know, and why."""

    reason: str


@dataclass(frozen=True)
class Ref:
    """A module, function or constant of the standard library (or a known package) by its dotted name."""

    name: str


@dataclass(frozen=True)
class Bound:
    """A method of a folded value, such as ``b''.join``."""

    value: Any
    method: str


@dataclass(frozen=True)
class Code:
    """``compile(source, …)``: never compiled, only carried to the exec."""

    source: str | bytes
    mode: str = "exec"


@dataclass
class Function:
    """A ``def`` or ``lambda`` of the script."""

    node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
    scope: Scope
    defaults: list[Any]
    keyword_defaults: list[Any]


@dataclass
class Scope:
    """Names of a function or module."""

    names: dict[str, Any] = field(default_factory=dict)
    outer: Scope | None = None
    shared: set[str] = field(default_factory=set)

    @property
    def module(self) -> Scope:
        """The scope of the module."""
        scope = self
        while scope.outer is not None:
            scope = scope.outer
        return scope

    def set(self, name: str, value: Any) -> None:
        """Assign where Python would."""
        owner = self
        if name in self.shared:
            holder: Scope | None = self.outer
            owner = self.module
            while holder is not None:
                if name in holder.names:
                    owner = holder
                    break
                holder = holder.outer
        owner.names[name] = value


@dataclass(frozen=True)
class Globals:
    """``globals()``, ``vars(module)`` or ``module.__dict__``; ``module`` names a module made by the script."""

    scope: Scope
    module: str = ""


@dataclass(frozen=True)
class Module:
    """``types.ModuleType(name)`` or a module loaded from a file, whose code is run into it."""

    name: str
    scope: Scope
    path: str = ""


@dataclass(frozen=True)
class Path:
    """A ``pathlib.Path`` of the made-up file system."""

    pure: PurePosixPath


@dataclass
class Handle:
    """An open file of the made-up file system, or bytes in memory (``io.BytesIO``) when ``path`` is empty."""

    path: str
    text: bool
    data: bytes
    kind: str = "plain"


@dataclass
class Decompressor:
    """``lzma.LZMADecompressor()`` and its like."""

    decoder: str
    options: dict[str, Any]


PLAIN = (int, float, complex, bool, type(None), str, bytes, bytearray, list, tuple, dict, set, frozenset, range, slice)


def is_plain(value: Any) -> bool:
    """Whether ``value`` is data all the way down."""
    if isinstance(value, (list, tuple, set, frozenset)):
        return all(is_plain(item) for item in value)
    if isinstance(value, dict):
        return all(is_plain(key) and is_plain(item) for key, item in value.items())
    return isinstance(value, PLAIN)


def bounded(value: Any) -> Any:
    """``value``, unless it is bigger than anything a wrapper needs."""
    if isinstance(value, (str, bytes, bytearray, list, tuple, dict, set)) and len(value) > MAX_VALUE_ITEMS:
        raise Refused(f"a value of more than {MAX_VALUE_ITEMS:,} items")
    if isinstance(value, int) and value.bit_length() > 64_000_000:
        raise Refused("a number of more than 64 million bits")
    return value
