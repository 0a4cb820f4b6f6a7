"""LibCST's parser with plain nodes: the names and fields of its own, and its package left as it was."""

from __future__ import annotations

import dataclasses
import inspect
import subprocess
import sys
from typing import Any

import libcst as cst
import pytest

from checks.program.lowering import nodes
from tests.program.frontend.grammar import GRAMMAR, LAYOUT


def same(mine: Any, theirs: Any) -> None:
    """Every field that LibCST keeps is there, with the same content."""
    if isinstance(theirs, (list, tuple)):
        assert len(mine) == len(theirs)
        for one, other in zip(mine, theirs, strict=True):
            same(one, other)
    elif isinstance(theirs, cst.CSTNode):
        if mine is not None:  # None stands for LibCST's default
            assert type(mine).__name__ == type(theirs).__name__
            for field in dataclasses.fields(theirs):
                same(getattr(mine, field.name), getattr(theirs, field.name))
    elif mine is not None:
        assert mine == theirs


@pytest.mark.parametrize("text", [*GRAMMAR.values(), *LAYOUT])
def test_the_nodes_have_the_fields_of_libcst(text: str) -> None:
    theirs = cst.parse_module(text)
    mine = nodes.parse_module(text)
    same(mine.header, theirs.header)
    same(mine.body, theirs.body)
    assert [nodes.code(s) for s in mine.body] == [cst.Module([]).code_for_node(s) for s in theirs.body]


def test_every_class_of_libcst_is_known() -> None:
    theirs = {
        name
        for name, kind in vars(cst).items()
        if inspect.isclass(kind) and issubclass(kind, cst.CSTNode) and not name.startswith(("Base", "CSTNode"))
    }
    assert theirs <= set(vars(nodes.NODES))


def test_the_package_is_as_it_was_after_a_refusal() -> None:
    with pytest.raises(nodes.ParserSyntaxError) as caught:
        nodes.parse_module("x = 1\nif\n")
    assert caught.value.raw_line == 2
    assert sys.modules["libcst"] is cst
    assert isinstance(cst.parse_module("x"), cst.Module)


def test_the_package_can_be_imported_later() -> None:
    text = (
        "import sys; from checks.program.lowering import nodes; nodes.parse_module('a')\n"
        "assert 'libcst' not in sys.modules\n"
        "import libcst; assert isinstance(libcst.parse_module('a'), libcst.Module)"
    )
    subprocess.run([sys.executable, "-c", text], check=True)
