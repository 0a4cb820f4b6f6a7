"""Where in a stream a loop's counter points: in the running iteration, or in the next one."""

from __future__ import annotations

from typing import NamedTuple


class Counter(NamedTuple):
    """A position that a loop's counter fixes: ``offset`` tokens (step 0: iterations) on from where its iteration begins."""

    loop: int
    step: int = 1
    offset: int = 0

    @property
    def ahead(self) -> int:
        """How many iterations ahead of the running one the position lies."""
        return self.offset // self.step if self.step else self.offset
