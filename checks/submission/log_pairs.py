"""The loss and the token count that belong to a final val_bpb and stand on other lines than it.

A rounded line with both numbers beside an exact one with val_bpb alone, a value a line (pretty-printed JSON, a summary),
and the number of tokens on the line of the score.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from checks.submission.log_lines import FLOAT, INT, integer, number
from checks.submission.model import Score

_ALONE = re.compile(rf"\W{{0,12}}(?:(\w{{1,60}}?)_)??(?:val_?)?loss\"?\s*[:=]\s*({FLOAT})\W{{0,4}}$", re.I)
_TOKENS = re.compile(rf"(?<![\w-])(?:val_|eval_|scored_)?tokens\s*[:=]\s*({INT})\b(?!\.)", re.I)
_NEAR = 3  # lines between the values of one report
_SAME = 6e-5  # a rounded line and its exact twin differ by at most half of the fourth decimal
_MOST = 4000


@dataclass
class Pairs:
    """Losses that stand alone on their lines, and token counts on lines of scores."""

    losses: list[tuple[int, str, float]] = field(default_factory=list)
    tokens: dict[int, int] = field(default_factory=dict)

    def loss(self, line_number: int, line: str) -> None:
        """Take a line that carries a loss and no val_bpb."""
        match = _ALONE.match(line)
        value = number(match[2]) if match else None
        if match is not None and value is not None and len(self.losses) < _MOST:
            self.losses.append((line_number, _name(match[1] or ""), value))

    def score(self, line_number: int, line: str) -> None:
        """Take a line that carries a score."""
        match = _TOKENS.search(line)
        count = integer(match[1]) if match else None
        if count and len(self.tokens) < _MOST:
            self.tokens[line_number] = count

    def with_loss(self, head: Score, scores: Sequence[Score]) -> tuple[float | None, int]:
        """The loss of a score and its line: on the score's own line, on its twin's, or alone beside it."""
        if head.val_loss is not None:
            return head.val_loss, head.line
        for twin in reversed(_twins(head, scores)):
            if twin.val_loss is not None:
                return twin.val_loss, twin.line
        name = _name(head.label)
        near = [row for row in self.losses if 0 < abs(row[0] - head.line) <= _NEAR and row[1] == name]
        line, _, value = min(near, key=lambda row: abs(row[0] - head.line), default=(0, "", None))
        return value, line

    def count(self, head: Score, scores: Sequence[Score]) -> tuple[int | None, int]:
        """The number of tokens printed on the line of a score or of its twin, and that line."""
        lines = [head.line, *(s.line for s in reversed(_twins(head, scores)))]
        line = next((n for n in lines if n in self.tokens), 0)
        return self.tokens.get(line), line


def _twins(head: Score, scores: Sequence[Score]) -> list[Score]:
    return [s for s in scores if s.step is None and s.line != head.line and abs(s.val_bpb - head.val_bpb) < _SAME]


def _name(label: str) -> str:
    """A label without the name of the metric at its end."""
    return re.sub(r"(?:^|_)val$", "", label.lower().strip(" _\"'"))
