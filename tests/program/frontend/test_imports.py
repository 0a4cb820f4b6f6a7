# ruff: noqa: E501 (one script a line)
"""Modules that a script imports and files of its folder whose code takes part."""

from __future__ import annotations

import pytest

from checks.program.imports import imports, local_files
from checks.program.parse import parse


def test_imports() -> None:
    text = (
        "import torch, a.b as c\nfrom . import rel\nfrom ..up import x\nfrom pkg.sub import y\ndef f():\n    import late\n"
        "m = __import__('one')\nimport importlib\nn = importlib.import_module('t' + 'wo')\nname = 'three'\nimportlib.import_module(name)\n"
    )
    assert [module for module, _ in imports(parse(text).tree)] == [
        "a.b", "torch", ".rel", "..up", "pkg.sub", "late", "one", "importlib", "two", "three",
    ]  # fmt: skip
    assert dict(imports(parse(text).tree))["late"] == 6


@pytest.mark.parametrize(
    ("text", "path", "used"),
    [
        ("import helper", "train_gpt.py", ["helper.py"]),
        ("from helper import f", "train_gpt.py", ["helper.py"]),
        ("from pkg import sub", "train_gpt.py", ["pkg/__init__.py", "pkg/sub.py"]),
        ("import pkg.sub", "train_gpt.py", ["pkg/sub.py", "pkg/__init__.py"]),
        ("from . import sub", "pkg/__init__.py", ["pkg/sub.py"]),
        ("from ..helper import f", "pkg/sub.py", ["helper.py"]),
        ("import sub", "pkg/other.py", ["pkg/sub.py"]),
        ("import sys\nsys.path.insert(0, 'lib')\nimport inner", "train_gpt.py", ["lib/inner.py"]),
        (
            "import sys, os\nsys.path.insert(0, os.path.join(HERE, 'lib'))\nimport inner",
            "train_gpt.py",
            ["lib/inner.py"],
        ),
        ("import importlib\nimportlib.import_module('help' + 'er')", "train_gpt.py", ["helper.py"]),
        ("import ctypes\nctypes.CDLL('./libngram.so')", "train_gpt.py", ["ngram.c"]),
        ("subprocess.run(['gcc', '-O3', '-shared', 'ngram.c', '-o', 'ngram.so'])", "train_gpt.py", ["ngram.c"]),
        ("os.system('nvcc -o k.so kernels/k.cu')", "train_gpt.py", ["kernels/k.cu"]),
        ("load(name='k', sources=[str(HERE / 'k.cu')])", "train_gpt.py", ["kernels/k.cu"]),
        ("exec(open(os.path.join(HERE, 'helper.py')).read())", "train_gpt.py", ["helper.py"]),
        ("import fast", "train_gpt.py", ["fast.cpython-311-x86_64-linux-gnu.so"]),
        ("import torch\nprint('see helper.py')\nraise ValueError('run helper.py first')", "train_gpt.py", []),
        ("'''Uses helper.py'''\nx = 1", "train_gpt.py", []),
        ("open('train_gpt.py')", "train_gpt.py", []),
    ],
)
def test_local_files(text: str, path: str, used: list[str]) -> None:
    files = [
        "train_gpt.py", "helper.py", "pkg/__init__.py", "pkg/sub.py", "pkg/other.py", "lib/inner.py", "ngram.c", "kernels/k.cu",
        "fast.cpython-311-x86_64-linux-gnu.so", "README.md",
    ]  # fmt: skip
    assert list(local_files(parse(text).tree, files, path)) == used
