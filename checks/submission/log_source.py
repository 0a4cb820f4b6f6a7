"""The script's own source inside a training log: most scripts print themselves first.

The source must go before any line is matched (its f-strings look like results), but it is evidence too: it says which
code ran. One linear pass of byte searches; a span is only taken when its end is found and it reads like Python.
"""

from __future__ import annotations

import itertools
import re
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

_START = re.compile(
    rb"""^(?:\xef\xbb\xbf)?(?:from\ __future__\ import\ |import\ [a-z_]\w*|from\ [A-Za-z_][\w.]*\ import\ |"{3}|'{3}
    |\#!\S{0,60}python
    |def\ \w+\(|class\ \w+[(:]|@torch\.)""",
    re.MULTILINE | re.VERBOSE,
)
# What scripts print right after their source; none of these can stand at the start of a line of Python.
_END = re.compile(
    rb"""^(?:={40,}[ \t]*\r?$|Running\ Py|Python\ 3\.\d|\+-{60,}|[A-Z][a-z]{2}\ [A-Z][a-z]{2}\ [ \d]\d\ \d\d:\d\d
    |val_bpb:(?:enabled|byte)|world_size:\ ?\d|seed:\ ?\d|run_id:|step:\d
    |\d{1,7}/\d{1,7}\ (?:train|val)_loss|Hyperparameters:|train_loader:
    |train_shards:|logs/\S{1,120}\.txt\r?$)""",
    re.MULTILINE | re.VERBOSE,
)
_CODE = re.compile(
    rb"^(?:import \w|from \S{1,80} import |def \w|class \w|@\w|if __name__| {4,8}(?:return|def|self\.|for|if) ?)", re.M
)
_PACKED = re.compile(rb"\bexec\(")
_GOES_ON = 2  # code-like lines behind a ruler that show it to stand in a docstring
_ENOUGH = 4  # code-like lines that make a span a source


@dataclass(frozen=True)
class EmbeddedSource:
    """A script printed into a log. ``text`` has LF line ends and no line added by the logger; lines are 1-based."""

    first_line: int
    last_line: int
    start: int
    end: int
    text: bytes

    def matches(self, script: bytes) -> bool:
        """Whether this is that script, line ends and blank lines at either end aside."""
        return _normal(self.text) == _normal(script)


def find_sources(data: bytes) -> tuple[EmbeddedSource, ...]:
    """Return the sources embedded in a log, in order; ``start`` and ``end`` are byte offsets into ``data``."""
    spans: list[tuple[int, int]] = []
    at = 0
    while (begin := _START.search(data, at)) is not None:
        stop, at = _end_of(data, begin)
        if stop:
            spans.append((_with_lines_above(data, begin.start(), spans[-1][1] if spans else 0), stop))
    return tuple(_embedded(data, spans))


def matching_script(source: EmbeddedSource, scripts: Mapping[str, bytes]) -> str | None:
    """Return the path of the script that the embedded source is, or None."""
    return next((path for path, text in scripts.items() if source.matches(text)), None)


def _end_of(data: bytes, begin: re.Match[bytes]) -> tuple[int, int]:
    """Return where the source that begins there ends (0: it is none), and where to look for the next one.

    A ruler of ``=`` may stand in a docstring: it only ends the source when no code follows up to the next end.
    """
    code, at = 0, begin.start()
    while True:
        end = _END.search(data, max(at, begin.end()))
        if end is None:
            return 0, len(data)
        more = _code_lines(data, at, end.start())
        if code >= _ENOUGH and (more < _GOES_ON or data.startswith((b"from ", b"import "), at + 1)):
            return _start_of_line(data, at - 1), at
        code, at = code + more, end.end()
        if not data.startswith(b"=", end.start()):
            return (end.start(), end.start()) if code >= _ENOUGH else (0, at)


def _code_lines(data: bytes, start: int, end: int) -> int:
    """Count code-like lines, up to ``_ENOUGH``; a packed script has few lines and an ``exec``."""
    if _PACKED.search(data, start, end):
        return _ENOUGH
    return sum(1 for _ in itertools.islice(_CODE.finditer(data, start, end), _ENOUGH))


def _start_of_line(data: bytes, at: int) -> int:
    return data.rfind(b"\n", 0, at) + 1


def _with_lines_above(data: bytes, start: int, floor: int) -> int:
    """Move a start up over the comments above it (a licence); where the source's head was cut off, over its rest."""
    fragment = data.startswith((b"def ", b"class ", b"@"), start)
    above_it = (b"#", b"    ", b")", b"]", b"}", b"@", b"\n", b"\r\n") if fragment else (b"#",)
    while start > floor:
        above = max(data.rfind(b"\n", floor, start - 1) + 1, floor)
        if not data.startswith(above_it, above):
            break
        start = above
    return start


def _embedded(data: bytes, spans: list[tuple[int, int]]) -> list[EmbeddedSource]:
    found, line, counted = [], 1, 0
    for start, end in spans:
        line += data.count(b"\n", counted, start)
        last = line + max(data.count(b"\n", start, end) - 1, 0)
        text = data[start:end].replace(b"\r\n", b"\n")
        found.append(EmbeddedSource(line, last, start, end, text.removesuffix(b"\n")))
        line, counted = line + data.count(b"\n", start, end), end
    return found


def covering(sources: tuple[EmbeddedSource, ...], line: int) -> EmbeddedSource | None:
    """Return the source that a log line lies in, if any."""
    at = bisect_right(sources, line, key=lambda s: s.first_line) - 1
    return sources[at] if at >= 0 and line <= sources[at].last_line else None


def _normal(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\xef\xbb\xbf", b"", 1).strip(b"\n")
