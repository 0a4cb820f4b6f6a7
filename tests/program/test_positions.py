"""Positions that a loop's counter fixes, and the shares of a size that prove a part."""

from __future__ import annotations

import ast

import pytest

from checks.program.engine.counter import Counter
from checks.program.engine.folding import ahead, position
from checks.program.engine.values import Value


def at(counter: Counter) -> Value:
    return Value(symbols=frozenset({(counter.loop, 0)}), counter=counter)


def followed(text: str) -> Counter | None:
    """The position that an expression over the counter ``i`` of loop 7 stands for."""

    def walk(node: ast.expr) -> Value:
        if isinstance(node, ast.Constant):
            return Value(node.value)
        if isinstance(node, ast.Name):
            return at(Counter(7)) if node.id == "i" else Value(symbols=frozenset({(8, 0)}))
        assert isinstance(node, ast.BinOp)
        left, right = walk(node.left), walk(node.right)
        return Value(symbols=left.symbols | right.symbols, counter=position(type(node.op), left, right))

    return walk(ast.parse(text, mode="eval").body).counter


@pytest.mark.parametrize("text", ["(i + 1) * 512", "512 * (i + 1)", "i * 512 + 512", "i * 512 + 520", "(i + 1) * n"])
def test_ahead(text: str) -> None:
    found = followed(text)
    assert found is not None
    assert found.ahead == 1
    assert ahead(frozenset({(7, 0), (8, 0)}), found) == frozenset({(7, 1), (8, 0)})


@pytest.mark.parametrize("text", ["i * 512", "i * 512 + 1", "i * 512 + 511", "(i + 1) * 512 - 512", "i * n"])
def test_within_the_iteration(text: str) -> None:
    found = followed(text)
    assert found is not None
    assert found.ahead == 0
    assert ahead(frozenset({(7, 0)}), found) == frozenset({(7, 0)})


@pytest.mark.parametrize("text", ["i + i", "i * i", "512 - i", "n * 2"])
def test_no_position_of_the_loop(text: str) -> None:
    assert followed(text) is None
