"""Which names of a loop are cursors: places that every iteration moves on."""

from __future__ import annotations

import ast

import pytest

from checks.program.engine.cursors import cursors


def found(body: str, head: str = "while pos < n") -> dict[str, str]:
    """The cursors of a loop with the widths that they move on by."""
    lines = "".join(f"    {line}\n" for line in body.strip().split("\n"))
    (loop,) = ast.parse(f"{head}:\n{lines}").body
    assert isinstance(loop, (ast.For, ast.While))
    return {name: "" if width is None else ast.unparse(width) for name, width in cursors(loop).items()}


@pytest.mark.parametrize(
    ("body", "width"),
    [
        ("take(val[pos : pos + k])\npos += k", "k"),
        ("take(val[pos : pos + k])\npos = k + pos", "k"),
        ("k = first if state is None else rest\ntake(val[pos : pos + k])\npos += k", ""),
        ("end = min(pos + k, n)\ntake(val[pos:end])\npos = end", ""),
        ("end = min(stop, edge)\nk = end - pos\ntake(k)\npos = end", ""),
        ("end = edges[i]\ntake(val[pos : end + 1])\npos = end", ""),
        ("end = edges[i]\ntake(val, pos, end)\npos = end", ""),
        ("begin, pos = pos, pos + k\ntake(begin)", "k"),
        ("if done:\n    break\nif skip:\n    pos += 1\n    continue\ntake(val[pos])\npos += k", ""),
        ("while pos < edge:\n    take(val[pos])\n    pos += 1", "1"),
        ("with timer:\n    take(val[pos])\n    pos += 1", "1"),
    ],
)
def test_cursor(body: str, width: str) -> None:
    assert found(body) == {"pos": width}


@pytest.mark.parametrize(
    "body",
    [
        "take(val[pos])",
        "take(val[pos])\npos -= 1",
        "take(val[pos])\npos += -k",
        "take(val[pos])\nif done:\n    pos += 1",
        "if skip:\n    continue\npos += 1",
        "pos += 1\nif pos == n:\n    pos = 0",
        "end = pos + k\ntake(val[pos:end])\npos = end - overlap",
        "pos = find(val, pos)",
        "pos += k * (i > 0) if i else 0",
        "for pos in range(3):\n    pos += 1",
    ],
)
def test_no_cursor(body: str) -> None:
    assert found(body) == {}


def test_of_a_for_loop() -> None:
    assert found("take(val[pos : pos + k])\npos += k", "for k in lengths") == {"pos": ""}
    assert found("for i in range(done, stop):\n    take(i)\ndone = stop", "for stop in stops") == {"done": ""}
    assert found("take(done)\ndone = stop", "for stop in stops") == {}
    assert found("total += loss", "for k in lengths") == {}  # nothing reads it as a place
