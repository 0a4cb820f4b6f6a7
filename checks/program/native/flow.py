"""What C-like code does with the token being scored: its class decides what is written, a table is read at its hash.

In a loop over a token stream the newest token read is the one scored, as soon as the loop learns it afterwards: what
the loop writes before it learns that token is a prediction, and must not depend on the token. What is written after
the learning is about the next token, unless it reads the very entry that has just learnt. Five marks follow the token
through assignments, subscripts, calls, conditions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from checks.program.native.reader import NativeFunction, NativeSource, Statement, Token, sources, split
from checks.program.program import Program

_TOKEN, _CLASS, _HASH, _READ, _LATE = "token", "class", "hash", "read", "late"
_RESETS = frozenset(["memset", "calloc", "malloc", "clear", "assign", "fill", "reset", "fill_n"])
_LEARNS = re.compile(r"push|incr|update|learn|insert|observe|record|add|put|train", re.I)
_BYTES = re.compile(r"byte|len|size|count", re.I)
_TABLES = re.compile(r"n_?gram|hash|ctx|context|ppm|hint", re.I)
_NAME = re.compile(r"[A-Za-z_]\w*$")
_ASSIGN = frozenset(["=", "+=", "-=", "*=", "/=", "|=", "&=", "^=", "<<=", ">>=", "%="])
_PURE = frozenset(["log", "logf", "log2", "exp", "expf", "log1p", "expm1", "fabs", "fmax", "fmin", "pow", "sqrt"])


@dataclass(frozen=True)
class NativeUse:
    """A prediction that depends on the token it predicts; ``lines``: the use, the write.

    ``kind``: gate; lookup; late (the entry read has already learnt the token); again (a second sweep over a full table).
    """

    kind: str
    source: NativeSource
    function: str
    lines: tuple[int, ...]


@dataclass(frozen=True)
class NativeReading:
    """All uses found in code that the headline script calls, and what could not be read."""

    uses: tuple[NativeUse, ...]
    not_understood: tuple[str, ...]


def read_native(program: Program) -> NativeReading:
    """Read the C-like code that executed Python lines name."""
    uses: list[NativeUse] = []
    failed = []
    for source in sources(program):
        if not _called(program, source):
            continue
        if source.error:
            if _TABLES.search(source.text):
                failed.append(f"{source.file}: {source.error}")
            continue
        for function in source.functions:
            uses += _Flow(source, function).uses()
    return NativeReading(tuple(uses), tuple(failed))


def _called(program: Program, source: NativeSource) -> bool:
    """Whether a Python line that runs names one of the functions."""
    executed = program.trace.executed if program.trace is not None else set()
    names = {n for n in source.names if len(n) > 2}
    for file, line in executed:
        script = program.scripts.get(file)
        if script is not None and names & set(re.findall(r"[A-Za-z_]\w*", _line(script.lines, line))):
            return True
    return False


def _line(lines: list[str], line: int) -> str:
    return " ".join(lines[line - 1 : line + 1]) if 0 < line <= len(lines) else ""


class _Flow:
    """Marks of the variables of one function, statement by statement."""

    def __init__(self, source: NativeSource, function: NativeFunction) -> None:
        self.source = source
        self.function = function
        self.marks: dict[str, set[str]] = {}
        self.origin: dict[tuple[str, str], int] = {}
        self.stream: tuple[str, int] = ("", 0)
        self.loop = ""
        self.learned = False
        self.taught: dict[str, int] = {}  # entries that have learnt the token in this iteration, by how they are spelt
        self.written = 0
        self.found: list[tuple[str, int, int]] = []
        self.confirmed: list[NativeUse] = []

    def uses(self) -> list[NativeUse]:
        """The predictions of every loop of the function that depend on the token they predict."""
        for loop in _loops(self.function.body):
            self._sweep(loop, None)
        return self.confirmed

    def _sweep(self, loop: Statement, around: Statement | None) -> None:
        """Read a loop over the token stream, or the loops inside one that is none."""
        variable = _loop_variable(loop.tokens)
        stream = self._stream(loop.body, variable)
        if not variable or stream is None:
            for inner in _loops(loop.body):
                self._sweep(inner, loop)
            return
        self.marks, self.found, self.learned, self.taught, self.written = {}, [], False, {}, 0
        self.loop, self.stream = variable, stream
        self._run(loop.body, set(), 0)
        if not self.learned:
            return
        if self.written and around is not None and _repeats(around, loop):
            self.found.append(("again", around.line, self.written))
        for kind, used, written in self.found:
            self.confirmed.append(NativeUse(kind, self.source, self.function.name, (used, written)))

    def _stream(self, body: Iterable[Statement], variable: str) -> tuple[str, int] | None:
        """The integer array parameter that the loop reads at its own position, and the newest offset."""
        best: dict[str, int] = {}
        for token_list in _expressions(body):
            for name, index in _subscripts(token_list):
                words = self.function.parameters.get(name, frozenset())
                integer = any(re.match(r"(?:const_)?u?int|unsigned|short|long|i32|u16|token", w) for w in words)
                offset = _offset(index, variable)
                if offset is not None and "*" in words and integer and not _written(name, body):
                    best[name] = max(best.get(name, -9), offset)
        named = [n for n in best if re.search(r"tok|ids|target|^y|stream|seq", n)] or list(best)
        return (named[0], best[named[0]]) if named else None

    def _run(self, body: Iterable[Statement], control: set[str], depth: int) -> None:
        rest = set(control)
        for statement in body:
            if statement.kind in ("block", "for", "while"):
                if statement.tokens:
                    self._expression(statement.tokens, rest)
                self._run(statement.body, rest, depth + 1)
            elif statement.kind == "if":
                self._condition(statement, rest, depth)
                if any(s.kind == "jump" for s in _flat(statement.body)) and _CLASS in self._value(statement.tokens):
                    rest = rest | {_CLASS}
            elif statement.kind in ("expr", "return"):
                self._expression(statement.tokens, rest)

    def _condition(self, statement: Statement, control: set[str], depth: int) -> None:
        self._learn(statement.tokens)
        marks = self._value(statement.tokens)
        inner = control | (marks & {_CLASS, _READ, _LATE})
        if _CLASS in marks:
            self.origin[_CLASS, ""] = statement.line
        self._run(statement.body, inner, depth + 1)
        self._run(statement.orelse, inner, depth + 1)

    def _expression(self, tokens: tuple[Token, ...], control: set[str]) -> None:
        for part in split(tokens, ","):
            where = next((i for i, t in enumerate(part) if t.text in _ASSIGN), None)
            if where is None:
                self._learn(part)
                continue
            left, right = part[:where], part[where + 1 :]
            marks = self._value(right)
            self._learn(right)
            subscripts = list(_subscripts(left))
            names = [t.text for t in left if _NAME.match(t.text)]
            if not names:
                continue
            target = subscripts[0][0] if subscripts else names[-1]
            line = part[0].line
            if subscripts or "->" in [t.text for t in left]:
                if self._is_output(target, left):
                    self._write(target, marks | control, line, right)
                elif not self._is_output(target, left) and (marks | self._value(left)) & {_TOKEN, _HASH}:
                    self.learned = True
                    self.taught.setdefault(_entry(left), line)
                continue
            for spelt in [s for s in self.taught if target in re.findall(r"\w+", s)]:
                del self.taught[spelt]  # another entry from here on
            if part[where].text != "=" and any(t.text in ("log", "logf", "log2") for t in right):
                self._write(target, (marks | control) - {_CLASS}, line, right)
            old = self.marks.get(target, set()) if part[where].text != "=" else set()
            declared = left[0].text not in (target,)
            value = marks | (set() if declared else control & {_CLASS, _READ, _LATE}) | old
            for mark in value - old:
                self.origin[mark, target] = line
            self.marks[target] = value

    def _is_output(self, target: str, left: tuple[Token, ...]) -> bool:
        words = self.function.parameters.get(target)
        if words is None or "*" not in words or "const" in words or "->" in [t.text for t in left]:
            return False
        return any(t.text == self.loop for t in left)

    def _write(self, target: str, marks: set[str], line: int, right: tuple[Token, ...]) -> None:
        self.written = self.written or line
        if _LATE in marks:
            self.found.append(("late", min(self.taught.values(), default=line), line))
        if self.learned:
            return
        names = [t.text for t in right if _NAME.match(t.text)]
        if _READ in marks:
            used = next((self.origin[_READ, n] for n in names if (_READ, n) in self.origin), line)
            self.found.append(("lookup", used, line))
        elif _CLASS in marks and not _BYTES.search(target):
            used = next((self.origin[_CLASS, n] for n in names if (_CLASS, n) in self.origin), 0)
            self.found.append(("gate", used or self.origin.get((_CLASS, ""), line), line))

    def _learn(self, tokens: tuple[Token, ...]) -> None:
        """A call that stores the token, or ``table[key]++``."""
        texts = [t.text for t in tokens]
        for index, token in enumerate(tokens[:-1]):
            if tokens[index + 1].text == "(" and _LEARNS.search(token.text) and token.text not in _PURE:
                inside = _inside(tokens, index + 1)
                if self._value(inside) & {_TOKEN, _HASH}:
                    self.learned = True
        if ("++" in texts or "--" in texts) and "[" in texts and self._value(tokens) & {_TOKEN, _HASH, _READ}:
            self.learned = True

    def _value(self, tokens: tuple[Token, ...]) -> set[str]:
        """Marks of an expression."""
        result: set[str] = set()
        texts = [t.text for t in tokens]
        if self.taught and any(self._reads(tokens, spelt) for spelt in self.taught):
            result.add(_LATE)
        index = 0
        others = 0
        while index < len(tokens):
            text = tokens[index].text
            following = texts[index + 1] if index + 1 < len(texts) else ""
            if not _NAME.match(text):
                index += 1
            elif following == "[":
                inside = _inside(tokens, index + 1)
                result |= self._subscript(text, inside)
                others += 1
                index += len(inside) + 3
            elif following == "(":
                inside = _inside(tokens, index + 1)
                result |= self._call(text, inside)
                index += len(inside) + 3
            else:
                result |= self.marks.get(text, set())
                others += text not in ("uint64_t", "uint32_t", "int", "size_t", "double", "float", "const")
                index += 1
        if any(op in texts for op in ("==", "!=", "<", ">", "<=", ">=")):
            result -= {_TOKEN}
        elif _TOKEN in result and others > 1 and any(op in texts for op in ("^", "<<", "*")):
            result = (result - {_TOKEN}) | {_HASH}
        return result

    def _reads(self, tokens: tuple[Token, ...], spelt: str) -> bool:
        """Whether an expression reads an entry that has just learnt the token."""
        return f" {spelt} " in f" {' '.join(t.text for t in tokens)} "

    def _subscript(self, name: str, inside: tuple[Token, ...]) -> set[str]:
        stream, newest = self.stream
        if name == stream:
            return {_TOKEN} if _offset(inside, self.loop) == newest else set()
        marks = self._value(inside)
        words = self.function.parameters.get(name)
        if _HASH in marks and (words is None or "const" not in words):
            return {_READ}
        if _TOKEN in marks:
            return {_CLASS} if words is not None and "const" in words else set()
        return marks & {_CLASS}

    def _call(self, name: str, inside: tuple[Token, ...]) -> set[str]:
        arguments = split(inside, ",")
        marks = set().union(*(self._value(a) for a in arguments)) if arguments else set()
        variables = [a for a in arguments if any(_NAME.match(t.text) for t in a)]
        if _TOKEN in marks and len(variables) > 1 and name not in _PURE:
            return (marks - {_TOKEN}) | {_HASH}
        return marks


def _entry(left: tuple[Token, ...]) -> str:
    """How the entry of a table is spelt: ``slot ->`` or ``table [ key ]``."""
    texts = [t.text for t in left]
    if "->" in texts:
        return " ".join(texts[texts.index("->") - 1 : texts.index("->") + 1])
    end = len(texts) - texts[::-1].index("]")
    return " ".join(texts[:end])


def _repeats(around: Statement, sweep: Statement) -> bool:
    """Whether a loop runs a whole sweep again and again over tables that it does not empty."""
    variable = _loop_variable(around.tokens)
    head = {t.text for t in sweep.tokens}
    if not variable or variable in head:
        return False
    swept = {id(s) for s in _flat((sweep,))}
    own = [t for s in _flat(around.body) if id(s) not in swept for t in s.tokens]
    calls = {t.text for t in own}
    compared = [
        tokens for tokens in _expressions(sweep.body) if any(t.text == variable for t in tokens)
    ]  # a pass may decide what is written, not which table or key is used
    return not calls & _RESETS and all(
        any(t.text in ("==", "!=", ">", "<") for t in c) and len(c) == 3 for c in compared
    )


def _inside(tokens: tuple[Token, ...], at: int) -> tuple[Token, ...]:
    depth = 0
    for index in range(at, len(tokens)):
        depth += (tokens[index].text in "([") - (tokens[index].text in ")]")
        if depth == 0:
            return tokens[at + 1 : index]
    return tokens[at + 1 :]


def _subscripts(tokens: tuple[Token, ...]) -> Iterable[tuple[str, tuple[Token, ...]]]:
    for index, token in enumerate(tokens[:-1]):
        if tokens[index + 1].text == "[" and _NAME.match(token.text):
            yield token.text, _inside(tokens, index + 1)


def _offset(index: tuple[Token, ...], variable: str) -> int | None:
    """``i`` is 0, ``i + 1`` is 1, ``i - 1`` is -1; None for any other index."""
    texts = [t.text for t in index]
    if texts == [variable]:
        return 0
    if len(texts) == 3 and texts[0] == variable and texts[1] in "+-" and texts[2].isdigit():
        return int(texts[2]) * (1 if texts[1] == "+" else -1)
    return None


def _loop_variable(head: tuple[Token, ...]) -> str:
    first = split(head, ";")[:1]
    names = [t.text for t in first[0]] if first else []
    return names[names.index("=") - 1] if "=" in names[1:] else ""


def _loops(body: Iterable[Statement]) -> Iterable[Statement]:
    for statement in body:
        if statement.kind == "for":
            yield statement
        else:
            yield from _loops((*statement.body, *statement.orelse))


def _flat(body: Iterable[Statement]) -> Iterable[Statement]:
    for statement in body:
        yield statement
        yield from _flat((*statement.body, *statement.orelse))


def _expressions(body: Iterable[Statement]) -> Iterable[tuple[Token, ...]]:
    return (s.tokens for s in _flat(body) if s.tokens)


def _written(name: str, body: Iterable[Statement]) -> bool:
    for tokens in _expressions(body):
        for index, token in enumerate(tokens[:-1]):
            if token.text == name and tokens[index + 1].text == "[":
                after = index + len(_inside(tokens, index + 1)) + 3
                if after < len(tokens) and tokens[after].text in _ASSIGN:
                    return True
    return False
