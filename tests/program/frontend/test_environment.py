# ruff: noqa: E501 (one script a line)
"""Environment variables that scripts read, however they are spelled."""

from __future__ import annotations

import pytest

from checks.program.environment import environment
from checks.program.parse import parse


def read(text: str) -> dict[str, tuple[str, int, bool]]:
    out: dict[str, tuple[str, int, bool]] = {}
    for constant in environment(parse(text).tree):
        out.setdefault(constant.name, (constant.default, constant.line, constant.known))
    return out


@pytest.mark.parametrize(
    ("text", "default"),
    [
        ("import os\nx = int(os.environ.get('X', 22))", "22"),
        ("import os\nx = bool(int(os.environ.get('X', '0')))", "0"),
        ("import os\nx = float(os.getenv('X', -3.0))", "-3.0"),
        ("import os as o\nx = o.environ.get('X', default='d')", "d"),
        ("from os import environ as E, getenv\nx = E.get('X', '1')", "1"),
        ("from os import getenv as g\nx = g('X', '1')", "1"),
        ("import os\nget = os.environ.get\nx = get('X', 'k')", "k"),
        ("import os\nenv = os.environ\nx = env.get('X', 'k')", "k"),
        ("import os\nx = __import__('os').environ.get('X', 5)", "5"),
        ("import os\nos.environ.setdefault('X', '9')", "9"),
        ("import os\nos.environ['X'] = '8'", "8"),
        ("import os\nx = os.environ.get('X') or 'nn'", "nn"),
        ("import os\nx = int(os.environ['X']) if 'X' in os.environ else 4", "4"),
        ("import os\nx = 2048 * 32 * 8\ny = int(os.environ.get('X', x))", "524288"),
        ("import os\nx = int(os.environ.get('X', 4_194_304))", "4194304"),
        ("import os\nT = {'a': 0.5}\nx = os.environ.get('X', str(float(T['a'])))", "0.5"),
        ("import os\nclass H:\n    n = 7\n    x = int(os.environ.get('X', n))", "7"),
        ("import os\ndef env_int(name, default):\n    return int(os.environ.get(name, str(default)))\nx = env_int('X', 3)", "3"),
        ("import os\ndef flag(name):\n    return os.environ.get(name, '0') == '1'\nx = flag('X')", "0"),
        ("import os\ndef e(n, d=6):\n    r = os.environ.get(n)\n    return d if r is None else int(r)\nx = e('X')", "6"),
        ("import os\ndef a(n, d): return os.environ.get('X' + n, d)\ndef b(n, d=2): return int(a(n, d))\ny = b('')", "2"),
        ("import os\n_e = lambda k, d, t=str: t(os.environ.get(k, d))\nx = _e('X', 1e-4, float)", "0.0001"),
        ("import os\nclass C:\n    def get(self, k, d): return os.environ.get(k, d)\n    def z(self): return self.get('X', 3)", "3"),
        ("import os\nfor n, d in {'X': 1, 'Y': 2}.items():\n    v = os.environ.get(n, d)", "1"),
        ("import os\nc = {n: os.environ.get(n, d) for n, d in [('Y', 2), ('X', 1)]}", "1"),
        ("import os\nfor n in ('Y', 'X'):\n    print(os.environ.get(n, 'same'))", "same"),
        (
            "import os\nfrom dataclasses import dataclass, fields\n@dataclass\nclass C:\n    x: int = 5\n"
            "def load():\n    return C(**{f.name: type(f.default)(os.environ.get(f.name.upper(), f.default)) for f in fields(C)})",
            "5",
        ),
        ("import os\nfrom dataclasses import field\nclass C:\n    x: int = field(default_factory=lambda: int(os.environ.get('X', -1)))", "-1"),
        ("import os\nx=1;y=2;c=os.environ.get('X','0')=='1'", "0"),
    ],
)  # fmt: skip
def test_default(text: str, default: str) -> None:
    assert read(text)["X"] == (default, read(text)["X"][1], True)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("import os\nx = os.environ['X']", ""),
        ("import os\nx = 'X' in os.environ", ""),
        ("import os, uuid\nx = os.environ.get('X', str(uuid.uuid4()))", "str(uuid.uuid4())"),
        ("import os\na = int(os.environ.get('A', 1))\nx = os.environ.get('X', a)", "a"),
        ("import os\nx = os.environ.get('X', True)", "True"),  # the text "True" would not mean the same
        ("import os\nx = os.environ.get('X', '1')\ny = os.environ.get('X', '2')", "1"),
        ("import os\nd = 1\nd = 2\nx = os.environ.get('X', d)", "d"),
    ],
)
def test_not_known(text: str, shown: str) -> None:
    assert read(text)["X"][0] == shown
    assert not read(text)["X"][2]


def test_lines_and_order() -> None:
    text = "import os\na = os.environ.get('A', '1')\nb = os.environ.get(\n    'B',\n    '2')\nos.environ.setdefault('C', '3')\n"
    assert [(c.name, c.line) for c in environment(parse(text).tree)] == [("C", 6), ("A", 2), ("B", 3)]


def test_what_the_script_sets_comes_before_what_it_reads() -> None:
    text = "import os\nx = os.environ.get('X', '2')\nos.environ.setdefault('X', '3')\n"
    assert read(text)["X"] == ("3", 3, True)


def test_nothing_in_a_script_that_reads_no_environment() -> None:
    assert environment(parse("d = {}\nx = d.get('X', 1)\n").tree) == ()
