"""Reads C-like code of a submission (files, and C in Python strings) into functions of nested statements.

No preprocessor and no types: enough for ``flow`` to follow the token being scored through a loop. What does not
parse is named, not guessed.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from checks.program.nodes import nodes
from checks.program.program import Program

_MAX_SOURCE = 400_000
_LEX = re.compile(
    r"(?P<skip>\s+|//[^\n]*|/\*.*?\*/|^[ \t]*\#(?:[^\n\\]|\\.)*)"
    r"|(?P<string>\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*')"
    r"|(?P<name>[A-Za-z_]\w*)|(?P<number>\.?\d[\w.]*)"
    r"|(?P<op>->|\+\+|--|<<=|>>=|<<|>>|[-+*/%&|^=!<>]=|&&|\|\||::|[-+*/%&|^=!<>~?:;,.(){}\[\]@$\\`#])",
    re.S | re.M,
)
_LOOKS_C = re.compile(r"\b(?:void|int|float|double|size_t|u?int\d+_t|unsigned)\s*\**\s*\w+\s*\([^;{}]*\)\s*\{", re.S)
_BODY = re.compile(r"\)\s*\{")  # what ``_LOOKS_C`` ends with, and Python hardly ever has
_KEYWORDS = frozenset(["if", "for", "while", "switch", "return", "sizeof", "do", "else"])
_DEPTH = 60


class NotUnderstood(ValueError):
    """The text does not have the shape of C that this reader knows; the message says where."""


@dataclass(frozen=True)
class Token:
    """One token with its line in the text."""

    text: str
    line: int


@dataclass(frozen=True)
class Statement:
    """``kind``: expr, if, for, while, return, block, jump. ``tokens``: the expression, condition or loop head."""

    kind: str
    tokens: tuple[Token, ...] = ()
    body: tuple[Statement, ...] = ()
    orelse: tuple[Statement, ...] = ()

    @property
    def line(self) -> int:
        """First line, 0 for an empty statement."""
        return self.tokens[0].line if self.tokens else 0


@dataclass(frozen=True)
class NativeFunction:
    """A function: parameter names with their declarations' words, and its statements."""

    name: str
    line: int
    parameters: dict[str, frozenset[str]]
    body: tuple[Statement, ...]


@dataclass(frozen=True)
class NativeSource:
    """C of one file or string. ``file``: a key of ``Program.scripts`` or a native file; ``first``: its line there."""

    file: str
    first: int
    text: str
    functions: tuple[NativeFunction, ...] = ()
    error: str = ""
    names: frozenset[str] = field(default=frozenset())

    def excerpt(self, line: int) -> str:
        """The text of a line of the file, at most 200 characters."""
        lines = self.text.split("\n")
        index = line - self.first
        return lines[index].strip()[:200] if 0 <= index < len(lines) else ""


def sources(program: Program) -> list[NativeSource]:
    """All C-like code of a submission's files and string literals."""
    found = [_source(path, 1, text) for path, text in program.native.items()]
    for path, script in program.scripts.items():
        if not _may_hold_c(script.text):
            continue
        tree = program.trees.get(path)
        for node in nodes(tree) if tree is not None else ():
            if (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and _LOOKS_C.search(node.value[:_MAX_SOURCE])
            ):
                found.append(_source(path, node.lineno, node.value))
    return found


@functools.lru_cache(32)
def _may_hold_c(text: str) -> bool:
    """Whether a script's text has what looks like a C function; several rules ask about the same scripts."""
    return bool(_BODY.search(text) and _LOOKS_C.search(text))


def _source(path: str, first: int, text: str) -> NativeSource:
    names = frozenset(re.findall(r"\b([A-Za-z_]\w*)\s*\(", text[:_MAX_SOURCE]))
    try:
        functions = tuple(read_functions(text, first))
    except (NotUnderstood, RecursionError) as error:
        return NativeSource(path, first, text, (), str(error) or "nested too deeply", names)
    return NativeSource(path, first, text, functions, "", frozenset(f.name for f in functions))


def read_functions(text: str, first: int = 1) -> Iterator[NativeFunction]:
    """Yield the function definitions of a C text.

    Raises:
        NotUnderstood: a character, bracket or statement of another language; or the text is too long.
    """
    tokens = _lex(text, first)
    at = 0
    while at < len(tokens):
        if tokens[at].text == "(" and at and re.match(r"[A-Za-z_]", tokens[at - 1].text):
            end = _close(tokens, at)
            after = end + 1
            if after < len(tokens) and tokens[after].text == "{":
                reader = _Reader(tokens, after)
                name, line = tokens[at - 1].text, tokens[at - 1].line
                yield NativeFunction(name, line, _parameters(tokens[at + 1 : end]), reader.block(0))
                at = reader.at
                continue
            at = after
            continue
        if tokens[at].text == "{" and not any(t.text in ("extern", "namespace") for t in tokens[max(0, at - 3) : at]):
            at = _close(tokens, at)
        at += 1


def _lex(text: str, first: int) -> list[Token]:
    if len(text) > _MAX_SOURCE:
        raise NotUnderstood(f"{len(text):,} characters are more than is read")
    tokens, at, line = [], 0, first
    while at < len(text):
        match = _LEX.match(text, at)
        if match is None:
            raise NotUnderstood(f"line {line}: {text[at]!r} is not understood")
        if match.lastgroup != "skip":
            tokens.append(Token(match[0], line))
        line += match[0].count("\n")
        at = match.end()
    return tokens


def _close(tokens: list[Token], at: int) -> int:
    pairs, depth = {"(": ")", "{": "}", "[": "]"}, 0
    opening, closing = tokens[at].text, pairs[tokens[at].text]
    for index in range(at, len(tokens)):
        depth += (tokens[index].text == opening) - (tokens[index].text == closing)
        if depth == 0:
            return index
    raise NotUnderstood(f"line {tokens[at].line}: {opening} is never closed")


def _parameters(tokens: list[Token]) -> dict[str, frozenset[str]]:
    result: dict[str, frozenset[str]] = {}
    for part in split(tuple(tokens), ","):
        words = [t.text for t in part]
        names = [w for w in words if re.match(r"[A-Za-z_]\w*$", w)]
        if names:
            pointer = {"*"} if "[" in words else set()
            result[names[-1]] = frozenset({*words, *pointer} - {names[-1]})
    return result


def split(tokens: tuple[Token, ...], separator: str) -> list[tuple[Token, ...]]:
    """Split at a separator outside brackets."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text in "([{") - (token.text in ")]}")
        if token.text == separator and depth == 0:
            parts.append([])
        else:
            parts[-1].append(token)
    return [tuple(p) for p in parts if p]


class _Reader:
    """Statements by recursive descent from the opening brace at ``at``."""

    def __init__(self, tokens: list[Token], at: int) -> None:
        self.tokens = tokens
        self.at = at

    def block(self, depth: int) -> tuple[Statement, ...]:
        """A braced list of statements."""
        end = _close(self.tokens, self.at)
        self.at += 1
        found = []
        while self.at < end:
            found.append(self.statement(depth + 1))
        self.at = end + 1
        return tuple(found)

    def statement(self, depth: int) -> Statement:
        """One statement; ``self.at`` is then behind it."""
        if depth > _DEPTH or self.at >= len(self.tokens):
            raise NotUnderstood("statements are nested too deeply or cut off")
        word = self.tokens[self.at].text
        if word == "{":
            return Statement("block", (), self.block(depth))
        if word in ("if", "for", "while", "switch"):
            return self._headed(word, depth)
        if word == "do":
            self.at += 1
            body = self.statement(depth + 1)
            return Statement("while", self._simple()[1:], (body,))
        if word in ("case", "default"):
            while self.at < len(self.tokens) and self.tokens[self.at].text != ":":
                self.at += 1
            self.at += 1
            return Statement("block")
        tokens = self._simple()
        if word in ("continue", "break", "goto"):
            return Statement("jump", tokens)
        return Statement("return" if word == "return" else "expr", tokens[1:] if word == "return" else tokens)

    def _headed(self, word: str, depth: int) -> Statement:
        self.at += 1
        while self.at < len(self.tokens) and self.tokens[self.at].text != "(":  # if constexpr
            self.at += 1
        end = _close(self.tokens, self.at)
        head = tuple(self.tokens[self.at + 1 : end])
        self.at = end + 1
        body = (self.statement(depth + 1),)
        orelse: tuple[Statement, ...] = ()
        if word == "if" and self.at < len(self.tokens) and self.tokens[self.at].text == "else":
            self.at += 1
            orelse = (self.statement(depth + 1),)
        return Statement("if" if word == "switch" else word, head, body, orelse)

    def _simple(self) -> tuple[Token, ...]:
        start = self.at
        while self.at < len(self.tokens) and self.tokens[self.at].text != ";":
            if self.tokens[self.at].text in "({[":
                self.at = _close(self.tokens, self.at)
            self.at += 1
        found = tuple(self.tokens[start : self.at])
        self.at += 1
        return found


__all__ = [
    "NativeFunction",
    "NativeSource",
    "NotUnderstood",
    "Statement",
    "Token",
    "read_functions",
    "sources",
    "split",
]
