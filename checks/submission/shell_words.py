"""Just enough shell to read a run command: logical lines, assignments, ``${NAME:-default}``. Nothing is executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

MAX_COMMAND = 8_000
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w{0,80})=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?[-=]([^{}]*))?\}|([A-Za-z_]\w*))")
_SEPARATOR = re.compile(r"&&|\|\||;;?|(?<![<>&\d])&(?!>)|\|(?!\|)")


def logical_lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join lines that end in a backslash; the number is that of the first."""
    held, first = "", 0
    for number, line in lines:
        text = line.strip().lstrip("$> ") if not held else line.strip()
        first = first or number
        if text.endswith("\\") and len(held) < MAX_COMMAND:
            held += text[:-1] + " "
            continue
        yield first, (held + text)[:MAX_COMMAND]
        held, first = "", 0
    if held:
        yield first, held


def simple_commands(line: str) -> list[list[str]]:
    """Split a logical line into commands (at ``&&``, ``;``, ``|``) of words, quotes removed; comments dropped."""
    commands = []
    for part in _SEPARATOR.split(line):
        try:
            words = shlex.split(part, comments=True)
        except ValueError:
            words = part.split()
        if words:
            commands.append(words)
    return commands


def assignments(words: list[str], scope: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Take leading ``NAME=value`` words (also after ``env``, ``export``); return them expanded, and the others."""
    found: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        match = _ASSIGNMENT.fullmatch(word)
        if match:
            value = expand(match[2], {**scope, **found})
            if value is not None:
                found[match[1]] = value[:300]
        elif (
            word not in ("env", "export", "sudo", "time", "nohup", "declare", "-x", "do", "then", "set", "-e")
            or (found
            and word == "time")
        ):
            break
        at += 1
    return found, words[at:]


def expand(text: str, scope: Mapping[str, str]) -> str | None:
    """Replace variables by the scope's values or their own defaults; None when one has neither, or for ``$(…)``."""
    if "$(" in text or "`" in text:
        return None
    unknown = False

    def value(match: re.Match[str]) -> str:
        nonlocal unknown
        name = match[1] or match[3]
        if name in scope:
            return scope[name]
        if match[2] is not None:
            return match[2]
        unknown = True
        return ""

    result = _VARIABLE.sub(value, text)
    return None if unknown or "$" in result else result
