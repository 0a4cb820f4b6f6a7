"""What the static engine found out about a submission's code; rules of the evaluation group read only this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class EnvConstant:
    """``int(os.environ.get(NAME, default))`` in a script: the default as text, and its line."""

    name: str
    default: str
    line: int


@dataclass(frozen=True)
class Script:
    """One Python file of the submission as analysed. ``display`` is the path in evidence (``…!unpacked`` if packed)."""

    path: str
    display: str
    packed: bool
    text: str
    error: str = ""
    environment: tuple[EnvConstant, ...] = ()
    imports: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True)
class Program:
    """The analysed code of one submission. ``failure`` is non-empty when nothing could be analysed."""

    scripts: Mapping[str, Script] = field(default_factory=dict)
    headline: str | None = None
    failure: str = ""
