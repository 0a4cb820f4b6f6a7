"""A mutant of a base submission, and the edits that mutants are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

BASES = Path(__file__).parent / "bases"

Change = Callable[[str], str]


class AnchorError(Exception):
    """An edit does not fit its base: the base was changed, or the anchor is not unique."""


@dataclass(frozen=True)
class Mutant:
    """One changed base. ``codes``: the rules of which one must fail; none for a mutant that stays legal."""

    base: str
    name: str
    codes: frozenset[str]
    source: str

    @property
    def legal(self) -> bool:
        """Whether nothing may fail on it."""
        return not self.codes

    @property
    def label(self) -> str:
        """Base and change, as the table names them."""
        return f"{self.base}: {self.name}"


@dataclass(frozen=True)
class Semantic:
    """A change of what a base does: text edits, with the codes of which one must fail (none: it stays legal)."""

    base: str
    name: str
    codes: tuple[str, ...]
    edits: tuple[Change, ...]

    def apply(self) -> Mutant:
        """Make the mutant.

        Raises:
            AnchorError: an edit does not fit.
            SyntaxError: what came out is no Python.
        """
        text = base(self.base)
        for edit in self.edits:
            text = edit(text)
        compile(text, f"{self.base}: {self.name}", "exec", dont_inherit=True)
        return Mutant(self.base, self.name, frozenset(self.codes), text)


def bases() -> tuple[str, ...]:
    """Names of the base submissions."""
    return tuple(sorted(path.stem for path in BASES.glob("*.py")))


def base(name: str) -> str:
    """Text of a base submission."""
    return (BASES / f"{name}.py").read_text(encoding="utf-8")


def put(old: str, new: str) -> Change:
    """Replace the one place where ``old`` stands."""
    return lambda text: _at(text, old, new)


def after(anchor: str, new: str) -> Change:
    """Insert whole lines after the line in which the anchor ends."""

    def edit(text: str) -> str:
        end = text.index("\n", _find(text, anchor) + len(anchor) - 1) + 1
        return text[:end] + new.rstrip("\n") + "\n" + text[end:]

    return edit


def before(anchor: str, new: str) -> Change:
    """Insert whole lines before the line in which the anchor begins."""

    def edit(text: str) -> str:
        start = text.rfind("\n", 0, _find(text, anchor) + (anchor[0] == "\n")) + 1
        return text[:start] + new.rstrip("\n") + "\n" + text[start:]

    return edit


def move(first: str, end: str, to: str) -> Change:
    """Move the lines from the one with ``first`` up to, not with, the one with ``end`` before the one with ``to``."""

    def edit(text: str) -> str:
        start = text.rfind("\n", 0, _find(text, first)) + 1
        stop = text.rfind("\n", 0, text.index(end, start)) + 1
        return before(to, text[start:stop])(text[:start] + text[stop:])

    return edit


def _at(text: str, old: str, new: str) -> str:
    start = _find(text, old)
    return text[:start] + new + text[start + len(old) :]


def _find(text: str, anchor: str) -> int:
    if text.count(anchor) != 1:
        raise AnchorError(f"the anchor stands {text.count(anchor)} times: {anchor!r}")
    return text.index(anchor)
