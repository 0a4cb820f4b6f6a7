"""Packed scripts unpack whatever their spelling, or say why not; nothing of them runs."""

from __future__ import annotations

import ast
import lzma
from pathlib import Path

import pytest

from checks.program.parse import parse
from checks.program.unpacking.unpack import Unpacked, unpack
from tests.program.frontend.wrappers import FILES, INNER, PACKED, REFUSED, b85


def unpacked(text: str) -> Unpacked | None:
    return unpack(text, parse(text).tree, "train_gpt.py", FILES)


@pytest.mark.parametrize("name", PACKED)
def test_unpacks(name: str) -> None:
    found = unpacked(PACKED[name])
    assert found is not None
    assert (found.source, found.packed, found.reason) == (INNER, True, "")
    assert found.layers[-1].text == INNER


@pytest.mark.parametrize("name", REFUSED)
def test_says_why_not(name: str) -> None:
    text, reason = REFUSED[name]
    found = unpacked(text)
    assert found is not None
    assert found.packed and not found.source
    assert reason in found.reason
    assert found.unresolved


@pytest.mark.parametrize(
    "text",
    [
        "import torch\nmodel.eval()\ntorch.compile(model)\nf(eval=1)\n",
        "import zlib, subprocess\nsubprocess.run(['nvidia-smi'])\nx = zlib.decompress(open('m.ptz', 'rb').read())\n",
        "'''exec(lzma.decompress(base64.b85decode(...)))'''\nx = 1\n",
        "wrapper = 'import lzma as L\\nexec(L.decompress(' + data + '))'\nopen('out.py', 'w').write(wrapper)\n",
    ],
)
def test_ordinary_scripts_are_not_packed(text: str) -> None:
    assert unpacked(text) is None


def test_layers_say_how_and_where() -> None:
    found = unpacked("import lzma as L,base64 as B\n\n" + PACKED["lzma, aliases"].partition("\n")[2])
    assert found is not None
    (layer,) = found.layers
    assert (layer.how, layer.line, layer.depth) == ("base64.b85decode -> lzma.decompress -> exec", 3, 1)


def test_environment_that_the_wrapper_sets() -> None:
    found = unpacked(PACKED["environment first"])
    assert found is not None
    assert [(c.name, c.default, c.line) for c in found.settings] == [("A", "1", 2), ("B", "2", 2), ("C", "3", 2)]


def test_files_that_the_wrapper_writes() -> None:
    packed = b85(lzma.compress(b"import helper##def f(): pass"))
    text = (
        "import lzma,base64,os,tempfile,sys\n"
        f"parts=lzma.decompress(base64.b85decode('{packed}')).decode().split('##')\n"
        "d=tempfile.mkdtemp(prefix='x_')\n"
        "for name,code in zip(['run.py','helper.py'],parts):\n"
        "    f=os.path.join(d,name);os.makedirs(os.path.dirname(f),exist_ok=True)\n"
        "    open(f,'w').write(code)\n"
        "sys.path.insert(0,d)\n"
        "exec(open(os.path.join(d,'run.py')).read())\n"
    )
    found = unpacked(text)
    assert found is not None
    assert found.source == "import helper"
    assert [name.rpartition("/")[2] for name in found.files] == ["helper.py", "run.py"]
    assert dict(found.modules) == {"helper": "def f(): pass"}


def test_modules_made_of_strings_in_an_ordinary_script() -> None:
    text = (
        "import types, sys\n"
        "def install(name, source):\n"
        "    module = types.ModuleType(name)\n"
        "    sys.modules[name] = module\n"
        "    exec(compile(source, name, 'exec'), module.__dict__)\n"
        "install('kit.helper', 'def f():\\n    return 1\\n')\n"
        "from kit.helper import f\n"
        + "".join(f"def g{i}(x):\n    return f() + {i} * x.a[{i}](x, {i})\n" for i in range(150))
    )
    found = unpacked(text)
    assert found is not None
    assert not found.packed
    assert found.source == text
    assert dict(found.modules) == {"kit.helper": "def f():\n    return 1\n"}
    assert found.unresolved == ()


def test_code_that_is_run_and_not_known_is_named_in_an_ordinary_script() -> None:
    text = (
        "".join(f"def g{i}(x):\n    return {i} * x.a[{i}](x, {i})\n" for i in range(200))
        + "def run(x):\n    exec(x)\nrun(load())\n"
    )
    found = unpacked(text)
    assert found is not None
    assert not found.packed and found.source == text
    assert [line for line, _ in found.unresolved] == [402]


def test_a_decoy_around_the_packed_code_hides_nothing() -> None:
    decoy = "".join(f"def g{i}(x):\n    return {i} * x.a[{i}](x, {i})\n" for i in range(200))
    text = decoy + PACKED["lzma, aliases"] + "\n"
    found = unpacked(text)
    assert found is not None
    assert found.packed and found.source == f"{text}\n{INNER}"


def test_nothing_is_executed(tmp_path: Path) -> None:
    """Code that would leave a trace if any of it ran, through every door that the fold knows."""
    trap = f"open({str(tmp_path)!r} + '/trap', 'w')"
    doors = [
        f"exec({trap!r})",
        f"eval({trap!r})",
        f"import os\nos.system('touch {tmp_path}/trap')",
        f"class A:\n    def __init__(self): {trap}\nexec(A())",
        f"import subprocess,sys\nsubprocess.run([sys.executable,'-c',{trap!r}])",
        f"{trap}.write('x')",
        "exec('{0.__class__.__mro__}'.format(1))",
    ]
    for door in doors:
        unpacked(door)
    assert list(tmp_path.iterdir()) == []


def test_trees_are_left_alone() -> None:
    tree = parse(PACKED["two layers"]).tree
    before = ast.dump(tree)
    unpack(PACKED["two layers"], tree)
    assert ast.dump(tree) == before
