"""The configuration that a run prints: a ``Hyperparameters:`` block, ``name:value`` lines, ``NAME=value`` words."""

from __future__ import annotations

from dataclasses import dataclass, field

from checks.submission import log_lines as pat
from checks.submission.log_facts import Facts

_MAX_SETTINGS = 2000
_SWITCHES = {"enabled", "enable", "active", "on"}  # a value, unless it has one of its own: cache: enabled:0 size:64
_EVENTS = {"start", "starting", "done", "begin", "complete", "completed", "finished"}  # ttt:start sets nothing


@dataclass
class Settings:
    """Reads the settings of one run; names are kept in upper case."""

    facts: Facts
    values: dict[str, str] = field(default_factory=dict)
    in_block: bool = False

    def block(self, number: int, line: str) -> bool:
        """Take a line of a ``Hyperparameters:`` block; such a line is nothing else."""
        if line.startswith("Hyperparameters:"):
            self.in_block = True
            return True
        if self.in_block:
            entry = pat.BLOCK_SETTING.match(line) if line.startswith(" ") else None
            if entry:
                self.keep(entry[1], entry[2], number)
                return True
            self.in_block = False
        return False

    def header(self, number: int, line: str) -> None:
        """Take a line from before training, or one that announces a phase."""
        for name, value in pat.ENVIRONMENT.findall(line):
            self.keep(name, value.strip("\"'"), number)
        at = 0
        while (match := pat.SETTING.search(line, at)) is not None:
            value, at = match[2], match.end()
            if line[at : at + 1] in (":", "=") and "," in value:  # a:1,b:2 without a space
                value = value.rpartition(",")[0]
                at = match.start(2) + len(value) + 1
            elif line[at : at + 1] in (":", "=") and value.lower() in _SWITCHES:
                own = pat.SETTING.match(line, match.start(2))
                if own is not None:
                    self.keep(f"{match[1]}_ENABLED", own[2], number)
                continue
            if value.lower() not in _EVENTS:
                self.keep(match[1], value, number)

    def in_brackets(self, number: int, line: str) -> None:
        """Take what a line gives as its reason: ``gptq: skipped (SKIP_GPTQ=1)``."""
        for name, value in pat.IN_BRACKETS.findall(line) if "(" in line and "=" in line else ():
            self.keep(name, value, number)

    def seed(self, number: int, line: str) -> None:
        """Take a header's ``seed:N``: the last before training is the run's."""
        match = pat.SEED.search(line)
        if match:
            self.values.pop("SEED", None)
            self.keep("SEED", match[1], number)

    def keep(self, name: str, value: str, number: int) -> None:
        """Keep the first value printed for a name."""
        key = name.upper()
        if key not in self.values and len(self.values) < _MAX_SETTINGS:
            self.values[key] = value.strip().rstrip(",")[:200]
            self.facts.lines[f"settings.{key}"] = number
