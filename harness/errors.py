"""Errors that end a command: one line that says whose fault it is and what to do, exit status 2."""

from __future__ import annotations


class HarnessError(Exception):
    """A command cannot go on. ``fault`` names who has to act; the message says what to do."""

    fault = "internal"


class UsageFault(HarnessError):
    """What the user asked for cannot be done: a wrong option, a missing path or ref."""

    fault = "usage"


class SubmissionFault(HarnessError):
    """The submission itself stands in the way."""

    fault = "submission"


class SandboxFault(HarnessError):
    """The machine or the sandbox could not provide what the command needs."""

    fault = "sandbox"


class InternalFault(HarnessError):
    """A bug of this program."""

    fault = "internal"


def printable(text: str) -> str:
    """Return text on one line with control characters and bidirectional marks written out, for a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
