"""Reads the page beside each rule and turns its examples into submissions.

A page has the sections Why, What it looks for, Violating and Legal; every ``###`` section of the last two is one
example submission. Its fenced blocks are files: the info string is a language and a path in the record folder (a path
that starts with ``/`` is in the repository instead). What an example does not give comes from the default submission.

* a marker ends a line: ``# error: [code]``, ``# warn: [code]``, ``# unknown: [code]``. It is taken off before the
  analysis; the rule must then have that status, with evidence on exactly that line;
* a block ``expect`` lists findings that stand on no line of the example: ``fail size-cap``;
* a block ``toml facts`` sets ``created``, ``title``, ``track``, ``folder`` (empty: the pull request adds none),
  ``without`` (default files left out), ``changes`` (further paths of the pull request, ``M train_gpt.py``), ``record``.
"""

from __future__ import annotations

import datetime as dt
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = Path(__file__).parents[1] / "data" / "default_submission"
SECTIONS = ("Why", "What it looks for", "Violating", "Legal")
MARKER = re.compile(r"[ \t]*(?:#|//)[ \t]*(error|warn|unknown):[ \t]*\[([a-z0-9, -]+)\][ \t]*$")
STATUS = {"error": "fail", "warn": "warn", "unknown": "unknown"}
FACTS = {"created", "title", "track", "folder", "without", "changes", "record"}


class PageError(Exception):
    """A page does not keep to the format; the message names the page and the section."""


@dataclass(frozen=True)
class Expected:
    """A finding that an example must get. ``line`` is 0 when any evidence will do."""

    code: str
    status: str
    file: str = ""
    line: int = 0


@dataclass(frozen=True)
class Example:
    """One example submission of a page: its own files, its facts and what must be found."""

    kind: str
    shape: str
    line: int
    files: Mapping[str, str]
    facts: Mapping[str, Any]
    expected: tuple[Expected, ...]

    @property
    def folder(self) -> str:
        """The record folder's path in the repository."""
        track = self.facts.get("track", "track_10min_16mb")
        return f"records/{track}/{self.facts.get('folder', '2026-05-01_Example')}"

    @property
    def created(self) -> dt.datetime:
        """When the pull request was opened; late enough by default that every rule is in force."""
        value = self.facts.get("created", dt.date(2026, 5, 1))
        if isinstance(value, dt.datetime):
            return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
        return dt.datetime(value.year, value.month, value.day, 12, tzinfo=dt.timezone.utc)

    def tree(self) -> dict[str, str]:
        """Every file of the example by path in the repository, defaults filled in."""
        without = set(self.facts.get("without", ()))
        defaults = sorted(DEFAULT.iterdir()) if self.facts.get("folder", "x") else []
        own = {p.removeprefix("/") if p.startswith("/") else f"{self.folder}/{p}": t for p, t in self.files.items()}
        for path in defaults:
            if path.name not in without:
                own.setdefault(f"{self.folder}/{path.name}", path.read_text(encoding="utf-8"))
        return _fill_in(own, self.folder)


@dataclass(frozen=True)
class Page:
    """A rule's page."""

    path: Path
    code: str
    title: str
    sections: tuple[str, ...]
    examples: tuple[Example, ...] = field(default=())


def read(path: Path) -> Page:
    """Read one page.

    Raises:
        PageError: it does not keep to the format.
    """
    code, title, sections, raw = "", "", [], []
    for tag, text, line, info in _blocks(path):
        if tag == "h1":
            code, _, title = (part.strip() for part in text.partition(":"))
        elif tag == "h2":
            sections.append(text)
        elif sections and sections[-1] in ("Violating", "Legal"):
            if tag == "h3":
                raw.append((sections[-1].lower(), text, line, []))
            elif tag == "fence" and not raw:
                raise PageError(f"{path.name}:{line}: a code block before the first ### of {sections[-1]}")
            elif tag == "fence":
                raw[-1][3].append((line, info, text))
    return Page(path, code, title, tuple(sections), tuple(_example(path, *parts) for parts in raw))


def _blocks(path: Path) -> Iterator[tuple[str, str, int, str]]:
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    for index, token in enumerate(tokens):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "heading_open":
            yield token.tag, tokens[index + 1].content, line, ""
        elif token.type == "fence":
            yield "fence", token.content, line, token.info.strip()


def _example(path: Path, kind: str, shape: str, line: int, blocks: list[tuple[int, str, str]]) -> Example:
    files: dict[str, str] = {}
    facts: dict[str, Any] = {}
    expected: list[Expected] = []
    for at, info, text in blocks:
        language, _, name = info.partition(" ")
        name = name.strip()
        if info == "expect":
            expected += [_expect(path, at, row) for row in text.splitlines() if row.strip()]
        elif info == "toml facts":
            facts = tomllib.loads(text)
            if unknown := facts.keys() - FACTS:
                raise PageError(f"{path.name}:{at}: unknown facts {sorted(unknown)}")
        elif name:
            if name in files:
                raise PageError(f"{path.name}:{at}: {name} is given twice in {shape!r}")
            files[name], found = _take_markers(name, text)
            expected += found
        elif language:
            raise PageError(f"{path.name}:{at}: the block ```{info} names no file")
    return Example(kind, shape, line, files, facts, tuple(expected))


def _expect(path: Path, line: int, row: str) -> Expected:
    words = row.split()
    if len(words) != 2 or words[0] not in STATUS.values():
        raise PageError(f"{path.name}:{line}: expected 'fail|warn|unknown code', got {row!r}")
    return Expected(words[1], words[0])


def _take_markers(name: str, text: str) -> tuple[str, list[Expected]]:
    lines, found = [], []
    for number, line in enumerate(text.split("\n"), 1):
        while match := MARKER.search(line):
            codes = [code.strip() for code in match[2].split(",")]
            found += [Expected(code, STATUS[match[1]], name, number) for code in codes]
            line = line[: match.start()]
        lines.append(line)
    return "\n".join(lines), found


def _fill_in(tree: dict[str, str], folder: str) -> dict[str, str]:
    """Put the script's size where a log says CODE_BYTES, and its sum with the model's where it says TOTAL_BYTES."""
    script = tree.get(f"{folder}/train_gpt.py", "")
    code = len(script.encode())
    total = code + 15_500_000
    return {
        path: text.replace("CODE_BYTES", str(code)).replace("TOTAL_BYTES", str(total))
        if path.endswith((".log", ".txt", ".json"))
        else text
        for path, text in tree.items()
    }
