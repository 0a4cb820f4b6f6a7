"""What the static engine found out about a submission's code; rules of the evaluation group read only this."""

from __future__ import annotations

import ast
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from checks.program.trace import Place, ReportEvent, Trace
from checks.verdict import Evidence


@dataclass(frozen=True)
class EnvConstant:
    """``int(os.environ.get(NAME, default))`` in a script: the default as text, and its line.

    ``known`` is False when the default is computed, missing, or not the same everywhere: the code decides then.
    ``derived``: what the script prints under this name is a number that it computes from the setting.
    """

    name: str
    default: str
    line: int
    known: bool = True
    derived: bool = False


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
    local_files: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    unresolved: tuple[tuple[int, str], ...] = ()

    def excerpt(self, line: int) -> str:
        """The text of a line, at most 200 characters."""
        lines = self.lines
        return lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""

    @functools.cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return self.text.split("\n")


@dataclass(frozen=True)
class Program:
    """The analysed code of one submission.

    ``failure`` is non-empty when nothing could be analysed; ``trace`` is then None. ``headline`` is the path of the headline
    script; ``reports`` are the statements that report the number that counts; ``not_understood`` names code that the
    analysis could not follow (C files, compiled strings). ``inferred`` are settings that the logs prove: the branch that
    prints the final line is taken, one that prints what no log shows is not. ``trees`` are the parsed scripts by path.
    """

    scripts: Mapping[str, Script] = field(default_factory=dict)
    headline: str | None = None
    failure: str = ""
    trace: Trace | None = None
    reports: tuple[ReportEvent, ...] = ()
    native: Mapping[str, str] = field(default_factory=dict)
    not_understood: tuple[str, ...] = ()
    inferred: Mapping[str, str] = field(default_factory=dict)
    trees: Mapping[str, ast.Module] = field(default_factory=dict, repr=False, compare=False)

    def evidence(self, place: Place, what: str, role: str = "", line: int = 0) -> Evidence:
        """Evidence for a place of the trace."""
        return self.at(place.file, line or place.line, what, role, place.function if not line else "")

    def at(self, file: str, line: int, what: str, role: str = "", function: str = "") -> Evidence:
        """Evidence for a line of an analysed file."""
        script = self.scripts.get(file)
        shown = script.display if script is not None else file
        excerpt = script.excerpt(line) if script is not None else ""
        return Evidence(shown, line, line, function, what, excerpt, role)
