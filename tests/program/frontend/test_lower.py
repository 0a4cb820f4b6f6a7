"""The lowered tree equals the host's own, node for node and line for line."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.program.lowering.lower import LinesLost, lower
from checks.program.lowering.nodes import parse_module
from checks.program.parse import Unparsable, parse
from tests.program.frontend.comparison import difference, host_tree
from tests.program.frontend.grammar import GRAMMAR, LAYOUT

_NEEDS_311 = {"subscripts", "try"}  # x[*a], except*


def lowered(text: str) -> ast.Module:
    return lower(parse_module(text), text)


@pytest.mark.parametrize("name", GRAMMAR)
def test_grammar(name: str) -> None:
    if name in _NEEDS_311 and sys.version_info < (3, 11):
        pytest.skip("the host's parser is older than this syntax")
    assert difference(lowered(GRAMMAR[name]), host_tree(GRAMMAR[name])) == ""


@pytest.mark.parametrize("text", LAYOUT, ids=range(len(LAYOUT)))
def test_layout(text: str) -> None:
    assert difference(lowered(text), host_tree(text)) == ""


def test_own_code_base() -> None:
    for path in sorted(Path(__file__).parents[3].glob("checks/program/lower*.py")):
        text = path.read_text(encoding="utf-8")
        assert difference(lowered(text), host_tree(text)) == "", path.name


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from([block for text in GRAMMAR.values() for block in text.split("\n")]), max_size=8))
def test_any_lines_that_the_host_accepts(rows: list[str]) -> None:
    text = "\n".join(rows)
    try:
        host = host_tree(text)
    except (SyntaxError, ValueError):
        return
    try:
        mine = parse(text)
    except Unparsable as error:
        pytest.fail(str(error))
    assert difference(mine.tree, host) == ""


@settings(max_examples=150, deadline=None)
@given(st.sampled_from([*GRAMMAR.values()]), st.data())
def test_damaged_text_is_refused_or_read(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 20)))
    inserted = data.draw(st.text("()[]{}'\"\\\n\t :=,*@#f\x0c\x00é", max_size=4))
    try:
        tree = parse(text[:start] + inserted + text[end:]).tree
    except Unparsable:
        return
    assert all(node.lineno >= 1 for node in ast.walk(tree) if isinstance(node, (ast.stmt, ast.expr)))


@pytest.mark.parametrize(
    ("newer", "same"),
    [
        ("f'{x['a']} {f'{y}'}'", 'f\'{x["a"]} {f"{y}"}\''),
        ("f'{\n  x  # why\n}'", "f'{x}'"),
        ("def f[T: int, *Ts, **P](x: T) -> T: pass", "def f(x: T) -> T: pass"),
        ("class A[T](B): pass", "class A(B): pass"),
        ("type X[T] = list[T]", "X = list[T]"),
        ("t'{a!r:>{w}} b'", "f'{a!r:>{w}} b'"),
        ("try: pass\nexcept A, B: pass", "try: pass\nexcept (A, B): pass"),
    ],
)
def test_newer_grammar_becomes_older_nodes(newer: str, same: str) -> None:
    assert ast.dump(parse(newer + "\n").tree) == ast.dump(host_tree(same))


def test_pieces_of_f_strings_have_their_true_lines() -> None:
    (statement,) = parse('x = f"""\n{a}\n{b +\n c}"""\n').tree.body
    names = {node.id: node.lineno for node in ast.walk(statement) if isinstance(node, ast.Name)}
    assert names == {"x": 1, "a": 2, "b": 3, "c": 4}


def test_lost_line_continuation_is_noticed() -> None:
    """LibCST drops a continuation before the first statement; the host's parser is asked instead."""
    text = "\\\nx = 1\n"
    with pytest.raises(LinesLost):
        lowered(text)
    parsed = parse(text)
    assert parsed.parser == "ast"
    assert parsed.tree.body[0].lineno == 2
