"""Just enough shell to read a run command: logical lines, assignments, ``${NAME:-default}``. Nothing is executed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping

MAX_COMMAND = 8_000
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w{0,80})=(.*)", re.DOTALL)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?[-=]([^{}]*))?\}|([A-Za-z_]\w*))")
_WHOLE_VARIABLE = re.compile(r"\$\{?([A-Za-z_]\w*)\}?")
_PLACEHOLDER = re.compile(r"<[^<>\n]{1,60}>")  # SEED=<42|1337>: a value left to the reader
_TOKEN = re.compile(
    r"'[^']*'|\"(?:[^\"\\]|\\.)*\"|\$\([^()]*\)|&&|\|\||[;|]|(?<![<>&\d])&(?![>&\d])|[^'\"$;|&]+|.", re.DOTALL
)
_SEPARATORS = {"&&", "||", ";", "|", "&"}
_LEADING = {"env", "export", "sudo", "nohup", "declare", "time", "do", "then", "set", "-x", "-e"}


def logical_lines(lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
    """Join lines that end in a backslash; the number is that of the first."""
    held, first = "", 0
    for number, line in lines:
        text = line.strip() if held else line.strip().lstrip("$> ")
        first = first or number
        if text.endswith("\\") and len(held) < MAX_COMMAND:
            held += text[:-1] + " "
            continue
        yield first, (held + text)[:MAX_COMMAND]
        held, first = "", 0
    if held:
        yield first, held[:MAX_COMMAND]


def simple_commands(line: str) -> list[list[str]]:
    """Split a logical line into commands (at ``&&``, ``;``, ``|``) of words, quotes removed; comments dropped."""
    parts = [""]
    for token in _TOKEN.findall(_PLACEHOLDER.sub("$_", line)):
        if token in _SEPARATORS:
            parts.append("")
        else:
            parts[-1] += token
    return [words for words in map(_words, parts) if words]


def _words(part: str) -> list[str]:
    if "$(" in part:
        part = re.sub(r"\$\([^()]*\)", "$_", part)
    try:
        return shlex.split(part, comments=True)
    except ValueError:
        return part.split()


def assignments(words: list[str], scope: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Take leading ``NAME=value`` words (also after ``env``, ``export``); return them expanded, and the others.

    A word ``$NAME`` stands for the words that the scope gives it (``env $COMMON SEED=1 torchrun …``).
    """
    found: dict[str, str] = {}
    left = list(reversed(words))
    while left:
        word = left[-1]
        match = _ASSIGNMENT.fullmatch(word)
        variable = _WHOLE_VARIABLE.fullmatch(word)
        if match:
            value = expand(match[2], {**scope, **found})
            if value is not None:
                found[match[1]] = value[:2000]
        elif variable and variable[1] in scope:
            left.pop()
            left += [w for w in reversed(scope[variable[1]].split()) if _ASSIGNMENT.fullmatch(w)]
            continue
        elif word not in _LEADING:
            break
        left.pop()
    return found, left[::-1]


def expand(text: str, scope: Mapping[str, str]) -> str | None:
    """Replace variables by the scope's values or their own defaults; None when one has neither, or for a command."""
    if "`" in text:
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
