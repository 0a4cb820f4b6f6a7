"""The facts of one run so far: a value and the line it stands on, shared by the readers of the line families."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from checks.submission.log_lines import integer


@dataclass
class Facts:
    """``values`` become fields of ``Run``, ``lines`` say where each stands, ``details`` are the rest."""

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)

    def set(self, name: str, value: Any, line: int, keep_first: bool = False) -> None:
        """Set a fact, unless the value is None or the first one is to be kept."""
        if value is None or (keep_first and name in self.values):
            return
        self.values[name] = value
        self.lines[name] = line

    def detail(self, name: str, value: Any, line: int) -> None:
        """Set a detail and its line."""
        self.details[name] = value
        self.lines[name] = line

    def first_integer(self, name: str, pattern: re.Pattern[str], number: int, line: str) -> None:
        """Set a fact to the group of the pattern that matched, the first time that it does."""
        match = pattern.search(line)
        if match and match.lastindex:
            self.set(name, integer(match[match.lastindex]), number, keep_first=True)
