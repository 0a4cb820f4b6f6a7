"""Who parses what, and what is refused before it can crash or stall a parser."""

from __future__ import annotations

import ast
import gc

import pytest

from checks.program import parse_bounds
from checks.program.parse import Unparsable, parse


def test_libcst_parses_and_leaves_the_collector_as_it_was() -> None:
    assert gc.isenabled()
    parsed = parse("x = 1\n")
    assert (parsed.parser, parsed.refusals) == ("libcst", ())
    assert gc.isenabled()


@pytest.mark.parametrize(
    "text", ["(x): int = 3\n", "class B(A, m=1, *bases): pass\n", "x = (" + "'a'\n" * 3_000 + ")\n"]
)
def test_host_parser_reads_what_libcst_refuses(text: str) -> None:
    parsed = parse(text)
    assert parsed.parser == "ast"
    assert parsed.refusals[0].startswith("libcst")


@pytest.mark.parametrize(
    "text",
    [
        "x=[i for i in y if 1for z in w]\n",
        "x=1if 2else 3\n",
        "x=f'{a['b']}'if 1else'c'\n",
        "if 1:\n\tif(a)and(b)or'c'in d:\n\t\treturn_=[1for _ in x]\n",
        "y=lambda:[0]if a else(1)\n",
        "def f():\n\treturn(1)if x else{}\n\tyield'a'\n",
    ],
)
def test_minified_keywords(text: str) -> None:
    tree = parse(text).tree
    spaced = parse(parse_bounds.with_keywords_spaced(text)).tree
    assert ast.dump(tree) == ast.dump(spaced)


@pytest.mark.parametrize("text", ["x = 'for if else(1)in'\n", "# 1for\nx = 2\n", "\tif(x):\n", "print(format(1))\n"])
def test_spacing_leaves_strings_comments_and_indentation_alone(text: str) -> None:
    spaced = parse_bounds.with_keywords_spaced(text)
    assert spaced in (text, text.replace("if(", "if ("))


@pytest.mark.parametrize(
    "text",
    [
        "x=" + "(" * 3_000 + ")" * 3_000,
        "x=" + "a+" * 10_000 + "a",
        "x" + ".b" * 10_000,
        "f" + "()" * 10_000,
        "x=" + "-" * 10_000 + "1",
        "x=" + "not " * 10_000 + "1",
        "x=" + "lambda:" * 10_000 + "1",
        "if a: pass\n" + "elif b: pass\n" * 10_000,
        "x=" + "[" * 150_000,
        "".join(" " * i + "if x:\n" for i in range(1_000)) + " " * 1_000 + "y\n",
        "x=" + "{a:" * 1_000 + "1" + "}" * 1_000,
        "x = 'a\n",
        "def f(:\n",
        "x = '\\N{no such character}'\n",
        "x = b'é'\n",
        "x = 'a' b'b'\n",
        "x = 1\0",
        "x=" + "9" * 5_000,
    ],
)
def test_refused_with_a_reason(text: str) -> None:
    with pytest.raises(Unparsable) as refusal:
        parse(text)
    assert refusal.value.reasons and all(refusal.value.reasons)


@pytest.mark.parametrize(
    "text",
    [
        "x=" + "[" * 150 + "]" * 150,
        "x=[" + "-1," * 4_000 + "]",
        "x=" + "+".join(f"f{i}(a, b.c)" for i in range(200)),
        "x={\n" + "".join(f" 'k{i}': a.b.c({i}) + 1,\n" for i in range(600)) + "}",
        "".join(f"x{i} = a.b({i}) + c[{i}]; " for i in range(600)),
        "x='" + "([{" * 2_000 + "'\n",
        '"""' + "( [ {\n" * 2_000 + '"""\n',
    ],
)
def test_long_but_flat_code_is_read(text: str) -> None:
    assert parse(text).parser == "libcst"


def test_carriage_returns_count_as_lines() -> None:
    assert [statement.lineno for statement in parse("a\rb\r\nc\n").tree.body] == [1, 2, 3]
