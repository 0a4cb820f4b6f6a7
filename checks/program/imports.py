"""What a script imports, and which other files of its folder it imports, compiles, executes or reads as code."""

from __future__ import annotations

import ast
import builtins
import posixpath
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from checks.program.constants import Expressions, Unresolved, module_constants, resolve
from checks.program.nodes import nodes, of

#: Files that hold code when a script names them.
CODE_SUFFIXES = (".py", ".pyx", ".c", ".cc", ".cpp", ".cxx", ".cu", ".cuh", ".h", ".hpp", ".rs", ".ptx", ".so")
_MODULE = re.compile(r"[A-Za-z_][\w.]*\Z")
#: Published libraries that submissions use: their code is known to be what it says, and none of it is a predictor.
LIBRARIES = frozenset((
    "apex", "brotli", "causal_conv1d", "cupy", "cut_cross_entropy", "datasets", "deepspeed", "einops", "faiss",
    "fla", "flash_attn", "flash_attn_2_cuda", "flash_attn_3_cuda", "flash_attn_interface", "flax", "google",
    "hopper", "huggingface_hub", "jax", "kernels", "liger_kernel", "lz4", "mamba_ssm", "matplotlib", "mlx",
    "msgpack", "np", "numba", "numpy", "nvidia", "optax", "pandas", "psutil", "pyarrow", "pynvml", "regex",
    "requests", "safetensors", "scipy", "sentencepiece", "setuptools", "sklearn", "tensorflow", "tiktoken",
    "tokenizers", "torch", "torchao", "tqdm", "transformers", "triton", "wandb", "xformers", "xxhash", "yaml",
    "zstandard", "zstd",
))  # fmt: skip
_ENOUGH_NAMES = 2  # that are used of a module before a file is taken for it
_TALKING = frozenset({"print", "log", "log0", "info", "warning", "error", "ArgumentParser", "add_argument"})
_IMPORTERS = frozenset({"__import__", "import_module", "run_module", "find_spec", "import_or_skip"})


def foreign(module: str) -> bool:
    """Whether a module that no file of the folder defines is neither Python's own nor a published library."""
    root = module.partition(".")[0]
    return bool(root) and root not in LIBRARIES and root not in sys.stdlib_module_names and root not in dir(builtins)


def imports(tree: ast.Module) -> tuple[tuple[str, int], ...]:
    """Modules that a script imports, with the line, in order; relative ones keep their dots.

    Counts ``import``, ``from … import``, ``__import__``, ``importlib.import_module`` and ``runpy.run_module`` of a
    constant name. ``from package import name`` gives ``package`` (and ``.name`` for ``from . import name``).
    """
    return tuple(sorted(set(_imports(tree)), key=lambda entry: (entry[1], entry[0])))


def _imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    known = module_constants(tree)
    for node in of(tree, (ast.Import, ast.ImportFrom, ast.Call)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            dots = "." * node.level
            if node.module is not None:
                yield dots + node.module, node.lineno
            else:
                for alias in node.names:
                    yield dots + alias.name, node.lineno
        elif isinstance(node, ast.Call) and node.args and _called(node) in _IMPORTERS:
            name = _text(node.args[0], known)
            if name is not None and _MODULE.match(name.lstrip(".")):
                yield name, node.lineno


def _called(node: ast.Call) -> str:
    if isinstance(node.func, ast.Name):
        return node.func.id
    return node.func.attr if isinstance(node.func, ast.Attribute) else ""


def _text(node: ast.expr, known: Expressions) -> str | None:
    try:
        value = resolve(node, known)
    except Unresolved:
        return None
    return value if isinstance(value, str) else None


def local_files(tree: ast.Module, files: Collection[str], path: str = "") -> tuple[str, ...]:
    """Files of the folder whose code takes part in the script: imported, compiled, loaded or executed, in order of use.

    ``files`` are paths relative to the submission's folder, ``path`` that of the script (for imports beside it). A file
    with a code suffix counts as soon as the script names it in a string (``"kernel.cu"``, ``CDLL("./ngram.so")``,
    ``subprocess.run(["gcc", "blend.c"])``), except in a docstring, an error or a log message.
    """
    here = posixpath.dirname(path)
    out: dict[str, None] = {}
    index = _index(tree)
    for module in index.modules:
        for found in _module_files(module, index, here, files):
            out.setdefault(found)
    names = {posixpath.basename(name): name for name in sorted(files, key=lambda name: (-name.count("/"), name))}
    for text in index.strings:
        for found in _mentioned(text, here, files, names):
            out.setdefault(found)
    out.pop(path, None)
    return tuple(out)


def former_names(tree: ast.Module, path: str, files: Mapping[str, bytes]) -> dict[str, str]:
    """Scripts of the folder that are imported by a name that they no longer have: where the module would lie -> the file.

    A module that is neither in the folder nor published is the one script that defines all of the names used of it.
    """
    used: dict[str, set[str]] = {}
    aliases: dict[str, str] = {}
    for node in of(tree, (ast.Import, ast.ImportFrom)):
        if isinstance(node, ast.ImportFrom):
            used.setdefault("." * node.level + (node.module or ""), set()).update(alias.name for alias in node.names)
        else:
            aliases |= {alias.asname or alias.name: alias.name for alias in node.names}
    for node in of(tree, (ast.Attribute,)):
        if isinstance(node.value, ast.Name) and node.value.id in aliases and isinstance(node.ctx, ast.Load):
            used.setdefault(aliases[node.value.id], set()).add(node.attr)
    here = posixpath.dirname(path)
    taken = {posixpath.basename(name).partition(".")[0] for name in files}
    out: dict[str, str] = {}
    for module, names in used.items():
        if not module.isidentifier() or module in taken or len(names) < _ENOUGH_NAMES or not foreign(module):
            continue
        patterns = [re.compile(rb"^(?:(?:def|class)\s+)?%s\b\s*[:=(]" % re.escape(n).encode(), re.M) for n in names]
        found = [p for p, t in files.items() if p != path and p.endswith(".py") and all(x.search(t) for x in patterns)]
        if len(found) == 1:
            out[posixpath.join(here, f"{module}.py")] = found[0]
    return out


@dataclass
class _Index:
    """What one walk over a script tells about the files that it names."""

    modules: dict[str, list[str]] = field(default_factory=dict)  # module -> names imported from it
    folders: list[str] = field(default_factory=list)  # added to sys.path, where their last part is a constant
    strings: list[str] = field(default_factory=list)  # those with a code suffix that are not only text to print


def _index(tree: ast.Module) -> _Index:
    out = _Index()
    for module, _ in imports(tree):
        out.modules.setdefault(module, [])
    for node in of(tree, (ast.ImportFrom,)):
        if node.module is not None:
            out.modules["." * node.level + node.module] += [alias.name for alias in node.names]
    skipped = {id(node.value) for node in of(tree, (ast.Expr,)) if isinstance(node.value, ast.Constant)}
    for node in of(tree, (ast.Raise,)):
        skipped.update(map(id, nodes(node)))
    for node in of(tree, (ast.Call,)):
        called = _called(node)
        if called in _TALKING:
            skipped.update(map(id, nodes(node)))
        elif called in ("insert", "append") and node.args:
            owner = node.func.value if isinstance(node.func, ast.Attribute) else None
            out.folders += (
                _constant_folders(node.args[-1]) if isinstance(owner, ast.Attribute) and owner.attr == "path" else []
            )
    strings = [node for node in of(tree, (ast.Constant,)) if _may_name_a_file(node.value)]
    out.strings += [str(node.value) for node in strings if id(node) not in skipped]
    return out


def _may_name_a_file(value: object) -> bool:
    return isinstance(value, str) and len(value) <= 300 and "." in value and "\n" not in value


def _constant_folders(node: ast.expr) -> list[str]:
    texts = [
        inner.value for inner in ast.walk(node) if isinstance(inner, ast.Constant) and isinstance(inner.value, str)
    ]
    return [posixpath.normpath(text).lstrip("./") for text in texts if len(text) < 200]


def _module_files(module: str, index: _Index, here: str, files: Collection[str]) -> Iterator[str]:
    level = len(module) - len(module.lstrip("."))
    folder = here
    for _ in range(level - 1):
        folder = posixpath.dirname(folder)
    parts = module.lstrip(".").split(".")
    for root in dict.fromkeys((folder,) if level else (here, "", *index.folders)):
        for depth in range(len(parts), 0, -1):
            stem = posixpath.join(root, *parts[:depth])
            yield from (name for name in (f"{stem}.py", f"{stem}/__init__.py", f"{stem}.pyx") if name in files)
        stem = posixpath.join(root, *parts)
        yield from (f"{stem}/{name}.py" for name in index.modules[module] if f"{stem}/{name}.py" in files)
        yield from sorted(name for name in files if name.startswith(f"{stem}.") and name.endswith((".so", ".pyd")))


def _mentioned(text: str, here: str, files: Collection[str], names: Mapping[str, str]) -> Iterator[str]:
    for word in re.split(r"[\s'\",;:=]+", text):
        if not word.endswith(CODE_SUFFIXES):
            continue
        paths = (
            posixpath.normpath(posixpath.join(here, word)),
            posixpath.normpath(word),
            names.get(posixpath.basename(word)),
        )
        found = next((path for path in paths if path is not None and path in files), None)
        if found is not None:
            yield found
        elif word.endswith(".so"):  # built from the source beside it
            stem = posixpath.basename(word).removeprefix("lib").removesuffix(".so")
            yield from (name for base, name in sorted(names.items()) if posixpath.splitext(base) in _sources(stem))


def _sources(stem: str) -> set[tuple[str, str]]:
    return {(stem, suffix) for suffix in (".c", ".cc", ".cpp", ".cu", ".rs")}
