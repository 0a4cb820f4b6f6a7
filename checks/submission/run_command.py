"""The run command: how the README, shell scripts and submission.json say that the script is run.

Several commands are usual (data preparation, smoke tests, ablations, one per seed); ``rank`` orders them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from checks.submission.model import RunCommand, SourceFile
from checks.submission.shell_words import assignments, logical_lines, simple_commands

MAX_TEXT = 400_000
_MAX_LINES = 5_000
_MAX_COMMANDS = 200
_MAX_JOINED = 100
_MAX_SHELL_FILES = 40

_LAUNCHER = re.compile(r"(?:.*/)?(torchrun|python[\d.]*|accelerate|deepspeed|uv|srun|mpirun|modal)$")
_NPROC = re.compile(r"--nproc[-_]per[-_]node(?:=(\d+))?$")
_INLINE = re.compile(r"`([^`\n]{8,2000})`")
_LOOKS_RUN = re.compile(
    r"\b(?:torchrun|python[\d.]*|accelerate|deepspeed)\b.*\.py\b|\bexport\s+[A-Z]|^\s*(?:env\s+)?[A-Z][A-Z0-9_]*=\S"
)
_SHELL_FENCE = re.compile(r"(?:```|~~~)+\s*(\w*)")
SIDE = "in a side section"  #: how ``RunCommand.why`` says it
_ASIDE = re.compile(
    r"ablat|baseline|smoke|optional|debug|\btest\b|mlx|sweep|local|sanity|without|control|compar|quick|cpu|1x|1×"
    r"|single[- ]gpu|data|tokeniz|prepar|previous|prior|old|download",
    re.IGNORECASE,
)
_MAIN = re.compile(
    r"reproduc|run command|how to run|running|final|submission|full run|headline|record|8x|8×|launch|command|train",
    re.IGNORECASE,
)
_NOT_TRAINING = re.compile(
    r"(?:data|prepare|download|cached_challenge|tokeniz|test|analy|plot|setup|install|upload|convert|verify|check|bench|sweep)",
    re.IGNORECASE,
)
_JSON_COMMAND = re.compile(r"(?:command|cmd|run|launch|reproduce)", re.IGNORECASE)
_JSON_ENVIRONMENT = re.compile(
    r"^(?:env|env_vars|environment|environment_variables|run_env|config_env)$", re.IGNORECASE
)
_FLAG = re.compile(r"--?[A-Za-z][\w-]{0,60}(?:=.*)?|--", re.DOTALL)
_MOST_FLAGS = 200
_SETTINGS_BLOCK = 3  # a block of so many NAME=value lines and no command is a configuration


def read_commands(files: Mapping[str, SourceFile]) -> tuple[RunCommand, ...]:
    """Return every run command found in the folder, the headline's first.

    Args:
        files: the folder's files by path relative to it.
    """
    found: list[RunCommand] = []
    shells = 0
    for path in sorted(files, key=lambda p: (p.count("/"), p)):
        file = files[path]
        name = file.name.lower()
        if file.kind != "file" or file.size > 4 * MAX_TEXT:
            continue
        if name.startswith("readme"):
            found += _from_readme(path, _text(file), files)
        elif name.endswith((".sh", ".bash", ".slurm", ".sbatch")) and shells < _MAX_SHELL_FILES:
            shells += 1
            lines = list(enumerate(_text(file).split("\n", _MAX_LINES)[:_MAX_LINES], 1))
            found += _from_lines(path, lines, 10, path, files)
        elif name.startswith("submission") and name.endswith(".json"):
            found += _from_json(path, _text(file), files)
    found.sort(key=lambda c: c.rank)
    return tuple(found[:_MAX_COMMANDS])


def _from_readme(path: str, text: str, files: Mapping[str, SourceFile]) -> list[RunCommand]:
    found: list[RunCommand] = []
    heading, fenced = "", False
    block: list[tuple[int, str]] = []
    depth = 10 * min(path.count("/"), 3)
    above = ""
    for number, line in enumerate(text.replace("\\_", "_").split("\n", _MAX_LINES)[:_MAX_LINES], 1):
        if _SHELL_FENCE.match(line.lstrip()):
            if fenced:
                found += _from_lines(path, block, depth, f"{heading} {above}", files)
                block = []
            fenced = not fenced
        elif fenced:
            block.append((number, line))
        elif line.startswith("#"):
            heading, above = line[:200], ""
        else:
            above = line[:200] if line.strip() else above
            spans = [m[1] for m in _INLINE.finditer(line[:4000])]
            if line.startswith(("    ", "\t")) or re.match(
                r"\s*(?:torchrun|python3?|[A-Z_]+=\S+ .*torchrun)\s", line[:4000]
            ):
                spans.append(line[:4000])
            inline = [(number, span) for span in spans if _LOOKS_RUN.search(span)]
            found += _from_lines(path, inline, depth + 4, f"{heading} {line[:200]}", files)
    if block:
        found += _from_lines(path, block, depth, heading, files)
    return found


def _from_lines(
    path: str, lines: Sequence[tuple[int, str]], rank: int, context: str, files: Mapping[str, SourceFile]
) -> Iterator[RunCommand]:
    """Read one block: assignments and exports hold for the commands after them."""
    scope: dict[str, str] = {}
    at: dict[str, int] = {}
    comment, ran = "", False
    physical = dict(lines)
    for number, line in logical_lines(lines):
        if line.startswith("#"):
            comment = line
            continue
        for words in simple_commands(line):
            values, rest = assignments(words, scope)
            if not rest:
                scope.update(values)
                at.update(_places(values, number, physical))
                continue
            command = _command(path, number, line, rest, files)
            if command is not None:
                ran = True
                yield _ranked(
                    command,
                    {**scope, **values},
                    {**at, **_places(values, number, physical)},
                    rank,
                    f"{context} {comment}",
                    files,
                )
        if line:
            comment = ""
    if not ran and len(scope) >= _SETTINGS_BLOCK and 2 * len(scope) >= len(lines):
        block = RunCommand(path, lines[0][0], "settings without a command")
        yield _ranked(block, scope, at, rank + 5, context, files)


def _places(values: Iterable[str], first: int, physical: Mapping[int, str]) -> dict[str, int]:
    """The line of each assignment within the lines that a backslash joins from ``first`` on."""
    places = dict.fromkeys(values, first)
    number = first
    while number in physical and number - first < _MAX_JOINED:
        for name in places:
            if f"{name}=" in physical[number] and places[name] == first:
                places[name] = number
        if not physical[number].rstrip().endswith("\\"):
            break
        number += 1
    return places


def _command(
    path: str, line: int, text: str, words: Sequence[str], files: Mapping[str, SourceFile]
) -> RunCommand | None:
    launcher = _LAUNCHER.match(words[0])
    if launcher is None:
        return None
    script = next((w for w in words[1:] if w.endswith(".py") and not w.startswith("-")), None)
    if script is None:
        return None
    names = [w for w in words if w.endswith("torchrun")] or [launcher[1]]
    nproc = None
    for word, following in zip(words, [*words[1:], ""], strict=True):
        match = _NPROC.match(word)
        if match:
            count = match[1] or following
            nproc = int(count) if count.isascii() and count.isdigit() and len(count) < 6 else None
    return RunCommand(
        path, line, text[:2000], _in_folder(script, files), launcher=names[0].rsplit("/", 1)[-1], nproc=nproc,
        flags=_flags(words[words.index(script) + 1 :]),
    )  # fmt: skip


def _flags(words: Sequence[str]) -> dict[str, str]:
    """Options after the script: ``--name=value``, ``--name value`` and switches."""
    flags: dict[str, str] = {}
    for word, following in zip(words[:_MOST_FLAGS], [*words[1:], "--"], strict=False):
        if _FLAG.fullmatch(word):
            name, _, value = word.partition("=")
            flags[name] = (value if "=" in word else "" if _FLAG.fullmatch(following) else following)[:300]
    return flags


def _ranked(
    command: RunCommand,
    environment: Mapping[str, str],
    lines: Mapping[str, int],
    rank: int,
    context: str,
    files: Mapping[str, SourceFile],
) -> RunCommand:
    why = []
    script = command.script or ""
    if script not in files:
        rank += 60
        why.append("the script is not in the folder")
    if _NOT_TRAINING.search(script.rsplit("/", 1)[-1]):
        rank += 80
        why.append("not a training script")
    if command.nproc != 8:
        rank += 5
        why.append(f"{command.nproc or 1} process(es)")
    if _ASIDE.search(context):
        rank += 20
        why.append(SIDE)
    elif _MAIN.search(context):
        rank -= 3
        why.append("in the section that says how to run")
    return RunCommand(
        command.file,
        command.line,
        command.text,
        command.script,
        {name: value[:300] for name, value in environment.items()},
        command.launcher,
        command.nproc,
        rank,
        "; ".join(why),
        dict(lines),
        command.flags,
    )


def _from_json(path: str, text: str, files: Mapping[str, SourceFile]) -> list[RunCommand]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return []
    found: list[RunCommand] = []
    for key, value in _entries(data):
        at = text.find(json.dumps(key))
        line = text.count("\n", 0, at) + 1 if at >= 0 else 1
        if isinstance(value, str) and _JSON_COMMAND.search(key) and _LOOKS_RUN.search(value[:4000]):
            found += _from_lines(path, [(line, part) for part in value[:8000].split("\n")], 2, "run command", files)
        elif isinstance(value, dict) and _JSON_ENVIRONMENT.match(key):
            pairs = {str(k): str(v) for k, v in list(value.items())[:300] if isinstance(v, (str, int, float))}
            named = {k: v[:300] for k, v in pairs.items() if re.fullmatch(r"[A-Z][A-Z0-9_]{1,60}", k)}
            if named:
                found.append(
                    RunCommand(
                        path, line, key, None, named, rank=8, why="environment", lines=dict.fromkeys(named, line)
                    )
                )
    return found


def _entries(data: Any) -> Iterable[tuple[str, Any]]:
    if isinstance(data, dict):
        for key, value in list(data.items())[:500]:
            yield str(key)[:80], value
            if isinstance(value, dict):
                for inner, deep in list(value.items())[:200]:
                    yield str(inner)[:80], deep


def _in_folder(script: str, files: Mapping[str, SourceFile]) -> str:
    """The path in the folder that a command's script means: commands are often given from the repository's root."""
    plain = script.removeprefix("./")
    parts = plain.split("/")[-6:]
    tails = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((tail for tail in tails if tail in files), plain)


def _text(file: SourceFile) -> str:
    return file.read(MAX_TEXT).decode("utf-8", "replace")
