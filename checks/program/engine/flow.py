"""How statements end, and what a function body has returned so far."""

from __future__ import annotations

import enum

from checks.program.engine.values import Value


class Flow(enum.Enum):
    """How a block ended."""

    NEXT = 0
    RETURN = 1
    BREAK = 2
    CONTINUE = 3
    RAISE = 4


class Frame:
    """What a function body has returned so far, the variables at the breaks of the running loops, which of these loops
    may have gone on to their next iteration in the running one, and where in it their cursors began."""

    __slots__ = ("breaks", "cursors", "result", "skips")

    def __init__(self) -> None:
        self.result: Value | None = None
        self.breaks: list[list[dict[str, Value]]] = []
        self.skips: list[bool] = []
        self.cursors: dict[str, Value] = {}
