"""Unpacks scripts that carry their code compressed or encoded, without running any of it.

``exec(lzma.decompress(base64.b85decode(...)))`` and its many spellings are folded by walking the wrapper's few
statements on constants (``machine``), with a whitelist of pure decoders and bounds on size, ratio, depth, steps.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from checks.program import parse
from checks.program.nodes import nodes, of
from checks.program.program import EnvConstant
from checks.program.unpacking import ROOT

if TYPE_CHECKING:  # most scripts run no code but their own: then the machine is not imported
    from checks.program.unpacking.machine import Executed, Machine

#: A wrapper has few nodes beside its payload; a script with more is a program of its own that also runs code.
_WRAPPER_NODES = 1_200
#: One with fewer still is a mere shell: without the code that it runs there is nothing to analyse.
_SHELL_NODES = 250
_WRAPPER_STEPS = 600_000
_PROGRAM_STEPS = 150_000

_MAY_RUN_CODE = re.compile(
    r"\bexec\b|(?<![.\w])eval\b|\brunpy\b|__builtins__|\bbuiltins\b|FunctionType|CodeType|\bmarshal\b|exec_module|load_module"
    r"|SourceFileLoader|getattr\s*\(\s*__import__|globals\s*\(\s*\)\s*\[|vars\s*\(\s*\)\s*\["
    r"|[abz]\d\ddecode|unhexlify|a2b_|fromhex|decodebytes"
)
_EXEC = frozenset(
    [
        "exec",
        "eval",
        "runpy",
        "FunctionType",
        "CodeType",
        "__builtins__",
        "builtins",
        "exec_module",
        "load_module",
        "SourceFileLoader",
        "marshal",
        "run_path",
        "run_module",
    ]
)
#: Those that load a module from a file, which shims around libraries of the machine do as well.
_LOADERS = frozenset({"exec_module", "load_module", "SourceFileLoader"})
_DECODE = re.compile(r"[abz]\d\ddecode|unhexlify|a2b_\w+|fromhex|decodebytes|standard_b64decode")
_START = frozenset(
    {"subprocess", "system", "execv", "execve", "execvp", "import_module", "spec_from_file_location", "popen"}
)


@dataclass(frozen=True)
class Layer:
    """One piece of code that was found inside: its text, how it was unpacked, and the line that runs it.

    ``module`` is the name of the module that it becomes, empty for the program itself; ``file`` the file of the folder
    (or written by the wrapper) that it came from, empty when it was decoded in memory.
    """

    text: str
    line: int
    how: str
    module: str = ""
    file: str = ""
    depth: int = 1


@dataclass(frozen=True)
class Unpacked:
    """What a script runs beside (or instead of) its own text.

    ``source`` is the program to analyse: the innermost code of a packed script (after the script's own text where that
    is more than a wrapper), or the own text alone when it only makes modules. It is empty when the script is packed and
    could not be unpacked; then ``reason`` says why. ``modules`` maps names to code that the script makes importable;
    ``files`` what it writes, by path. ``settings`` are the environment variables that wrappers set before the code
    inside runs. ``unresolved`` are lines that run code which is not known, each with the reason: their effect is not
    understood. ``parsed`` is ``source`` parsed, if that was needed.
    """

    source: str
    packed: bool
    layers: tuple[Layer, ...] = ()
    reason: str = ""
    modules: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[EnvConstant, ...] = ()
    unresolved: tuple[tuple[int, str], ...] = ()
    parsed: parse.ParsedModule | None = None


def unpack(
    text: str, tree: ast.Module, path: str = "train_gpt.py", files: Mapping[str, bytes] | None = None
) -> Unpacked | None:
    """Unpack a script; None when it runs no code but its own.

    ``path`` and ``files`` (path -> content) are relative to the submission's folder. Never raises for what the script
    does.
    """
    if not _MAY_RUN_CODE.search(text):
        return None
    places, decodes = _running_places(tree)
    wrapper = len(nodes(tree)) <= _WRAPPER_NODES
    if not places and not (decodes and wrapper):
        return None
    parsed: dict[str, parse.ParsedModule] = {}
    machine = _machine(path, files or {}, wrapper, parsed, None if wrapper else _leading_to(places, tree))
    machine.run_program(tree.body, machine.main)
    shell = wrapper and (decodes or len(nodes(tree)) <= _SHELL_NODES) and not set(places.values()) <= _LOADERS
    return _result(text, machine, wrapper, shell, places, parsed)


def _machine(
    path: str,
    files: Mapping[str, bytes],
    wrapper: bool,
    parsed: dict[str, parse.ParsedModule],
    followed: frozenset[str] | None,
) -> Machine:
    from checks.program.unpacking import containers, expressions
    from checks.program.unpacking.machine import Machine
    from checks.program.unpacking.statements import STATEMENTS

    return Machine(
        files={f"{ROOT}/{name}": data for name, data in files.items()},
        script_path=f"{ROOT}/{path}",
        budget=_WRAPPER_STEPS if wrapper else _PROGRAM_STEPS,
        second_layer=lambda code: _second_layer(code, parsed),
        expressions={**expressions.EXPRESSIONS, **containers.EXPRESSIONS},
        statements=STATEMENTS,
        followed=followed,
    )


def _second_layer(code: str, parsed: dict[str, parse.ParsedModule]) -> ast.Module | None:
    """The tree of unpacked code that itself runs code, for the walk to go on in; None when it does not."""
    if not _MAY_RUN_CODE.search(code):
        return None
    try:
        module = parsed[code] = parse.parse(code)
    except parse.Unparsable:
        return None  # whoever analyses the layer says so
    if len(nodes(module.tree)) > _WRAPPER_NODES or not any(_running_places(module.tree)):
        return None
    return module.tree


#: What may name something that runs code.
_NAMING = (ast.Name, ast.Attribute, ast.alias, ast.Constant, ast.Call, ast.Subscript)


def _running_places(tree: ast.Module) -> tuple[dict[int, str], bool]:
    """Line -> name of everything that may run code which is not in the text; and whether anything is decoded."""
    places: dict[int, str] = {}
    decodes = False
    starts: dict[int, str] = {}
    plain = {""}  # names that run and decode nothing
    for node in of(tree, _NAMING):
        if isinstance(node, ast.Name):
            if node.id in plain or isinstance(node.ctx, ast.Store):
                continue
            name = node.id
        elif isinstance(node, ast.Attribute):
            name = "" if node.attr in ("eval", "marshal") else node.attr
        elif isinstance(node, ast.alias):
            name = node.name if node.name not in ("builtins", "marshal", "runpy") else ""
        elif isinstance(node, ast.Constant):
            name = node.value if node.value in ("exec", "builtins", "__builtins__") else ""
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
            hidden = (
                len(node.args) > 1 and isinstance(node.args[0], ast.Call) and not isinstance(node.args[1], ast.Constant)
            )
            name = "__builtins__" if hidden else ""
        elif isinstance(node, ast.Subscript) and _is_namespace(node.value) and not isinstance(node.slice, ast.Constant):
            name = "__builtins__"
        else:
            continue
        if name in plain:
            continue
        if name in _EXEC:
            places.setdefault(getattr(node, "lineno", 0), name)
        elif name in _START:
            starts.setdefault(getattr(node, "lineno", 0), name)
        elif _DECODE.fullmatch(name):
            decodes = True
        else:
            plain.add(name)
    return places or (starts if decodes else {}), decodes


def _is_namespace(node: ast.expr) -> bool:
    """``globals()``, ``locals()`` or ``vars(...)``."""
    return (
        isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "locals", "vars")
    )


def _leading_to(places: dict[int, str], tree: ast.Module) -> frozenset[str]:
    """Names of the functions that run or decode code, or call one that does."""
    uses: dict[str, set[str]] = {}
    leading: set[str] = set()
    for node in nodes(tree):
        if not isinstance(node, ast.FunctionDef):
            continue
        used = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
        used |= {inner.attr for inner in ast.walk(node) if isinstance(inner, ast.Attribute)}
        uses.setdefault(node.name, set()).update(used)
        if any(map(_DECODE.fullmatch, used)) or any(node.lineno <= line <= (node.end_lineno or 0) for line in places):
            leading.add(node.name)
    while more := {name for name, used in uses.items() if name not in leading and used & leading}:
        leading |= more
    return frozenset(leading)


def _result(
    text: str,
    machine: Machine,
    wrapper: bool,
    shell: bool,
    places: dict[int, str],
    parsed: dict[str, parse.ParsedModule],
) -> Unpacked | None:
    layers = tuple(
        Layer(
            found.text,
            found.line,
            " -> ".join(found.how),
            found.module,
            found.file.removeprefix(ROOT + "/"),
            found.depth,
        )
        for found in machine.executed
    )
    unresolved = _unresolved(machine, places, wrapper)
    main = _innermost(machine.executed)
    named = {layer.module: layer.text for layer in layers if layer.module}
    if wrapper and not main and len(named) == 1:
        main = next(iter(named.values()))
    if not layers and not unresolved:
        return None
    written = {path: _text(machine.files[path]) for path in sorted(machine.written)}
    if wrapper:
        named.update(
            {_module_name(path): code for path, code in written.items() if path.endswith(".py") and code != main}
        )
    depth = max((layer.depth for layer in layers), default=0)
    if any(failed == depth for _, _, failed in machine.failures):
        main = ""  # the innermost code is itself a wrapper that could not be unpacked
    packed = bool(main) or (bool(unresolved) and shell)
    source = text if not packed else main if wrapper or not main else f"{text}\n{main}"
    reason = ""
    if packed and not main:
        reason = "; ".join(f"line {line}: {why}" for line, why in unresolved[:3])
    return Unpacked(
        source=source,
        packed=packed,
        layers=layers,
        reason=reason,
        modules=named,
        files={path.removeprefix(ROOT + "/"): code for path, code in written.items()},
        settings=tuple(EnvConstant(name, value, line) for name, (value, line) in machine.settings.items()),
        unresolved=unresolved,
        parsed=parsed.get(source),
    )


def _module_name(path: str) -> str:
    """The name under which a file written by a wrapper is imported: its path below the folder that holds it."""
    below = path.removeprefix(ROOT + "/") if path.startswith(ROOT) else re.sub(r"^/tmp/(made\d+/)?", "", path)
    return below.removesuffix(".py").strip("/").replace("/", ".")


def _innermost(executed: list[Executed]) -> str:
    """The program text: of code that went into the main program, the deepest; several pieces follow each other."""
    main = [found for found in executed if not found.module]
    if not main:
        return ""
    deepest = max(found.depth for found in main)
    return "\n".join(found.text for found in main if found.depth == deepest)


def _unresolved(machine: Machine, places: dict[int, str], wrapper: bool) -> tuple[tuple[int, str], ...]:
    out: dict[int, str] = {}
    for line, why, depth in machine.failures:
        out.setdefault(line, why if not depth else f"{why} (in layer {depth})")
    ran = {found.line for found in machine.executed}
    seen = {line for _, line in machine.mentioned}
    for line, name in places.items():
        if line in out or line in ran or line in seen:
            continue
        if name in ("exec", "eval"):
            out[line] = f"{name} is not reached from the top of the script with arguments that can be known"
        elif wrapper and not machine.executed and not out and name not in _START:
            out[line] = f"{name} runs code that could not be followed"
    return tuple(sorted(out.items()))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
