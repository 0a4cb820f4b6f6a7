"""The library functions that the fold of packed scripts knows: pure ones on constants, and those that run code."""

from __future__ import annotations

import ast
import binascii
import lzma
import string
import struct
import warnings
import zlib
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from checks.program.parse_bounds import excess
from checks.program.source import Undecodable, decode
from checks.program.unpacking import files, methods
from checks.program.unpacking.decoders import DECODERS, DECOMPRESSORS, NEVER
from checks.program.unpacking.expressions import attribute, evaluate
from checks.program.unpacking.pure import ITERATING, PURE
from checks.program.unpacking.values import (
    Bound,
    Code,
    Decompressor,
    Globals,
    Module,
    Path,
    Ref,
    Refused,
    Scope,
    Unknown,
    bounded,
    is_plain,
)

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

#: Errors of whitelisted library functions beyond the built-in ones.
LIBRARY_ERRORS: tuple[type[Exception], ...] = (lzma.LZMAError, zlib.error, binascii.Error, struct.error)

_CONSTANT_MODULES = {"lzma": lzma, "zlib": zlib, "string": string}
_CONSTANT_PREFIXES = ("FORMAT_", "FILTER_", "PRESET_", "CHECK_", "MODE_", "MF_", "MAX_WBITS", "ascii_", "digits",
                      "printable", "punctuation", "hexdigits", "whitespace", "octdigits")  # fmt: skip
_SUBPROCESS = frozenset(
    {f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen", "getoutput")}
    | {f"os.{name}" for name in ("system", "popen", "execv", "execve", "execvp", "execvpe", "execl", "execlp", "spawnv",
                                 "spawnl", "posix_spawn")}
)  # fmt: skip
_IGNORED = frozenset(
    [
        "sys.path.insert",
        "sys.path.append",
        "sys.path.extend",
        "sys.stdout.write",
        "sys.stdout.flush",
        "os.makedirs",
        "os.mkdir",
        "os.chmod",
        "os.remove",
        "os.unlink",
        "os.chdir",
        "os.umask",
        "os.close",
        "shutil.rmtree",
        "atexit.register",
        "warnings.filterwarnings",
        "builtins.print",
        "time.sleep",
        "linecache.checkcache",
        "gc.collect",
        "os.fsync",
        "sys.setrecursionlimit",
    ]
)


def decoded(code: bytes) -> str:
    """Bytes that are run as source code, as text."""
    try:
        return decode(code)
    except Undecodable as error:
        raise Refused(f"the unpacked code is {error}") from error


def exported(module: str) -> tuple[str, ...]:
    """What ``from module import *`` brings, of the names that the fold knows."""
    known = (*DECODERS, *DECOMPRESSORS, *NEVER, *PURE)
    return tuple(name[len(module) + 1 :] for name in known if name.rpartition(".")[0] == module)


def constant(ref: Ref, machine: Machine) -> Any:
    """The value behind a dotted name where it is a known constant; else the reference itself."""
    module, _, name = ref.name.rpartition(".")
    if module in _CONSTANT_MODULES and name.startswith(_CONSTANT_PREFIXES):
        value = getattr(_CONSTANT_MODULES[module], name, None)
        return value if isinstance(value, (int, str)) else ref
    if name == "__dict__" and module:
        return Ref(module)
    if name == "__call__":
        return Ref(module)
    if ref.name in ("os.path.sep", "os.sep"):
        return "/"
    if module in machine.modules:
        return attribute(machine.modules[module], name, machine)
    return ref


def call(name: str, args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    """Call a library function by its dotted name."""
    if name in _RUNNING:
        return _RUNNING[name](args, keywords, scope, machine)
    if name in NEVER:
        return Unknown(NEVER[name])
    if name in _SUBPROCESS:
        return _subprocess(args, keywords, machine, name)
    if name in _IGNORED:
        return None
    if name in files.CALLS:
        return files.CALLS[name](args, keywords, machine)
    if name in DECOMPRESSORS:
        return Decompressor(DECOMPRESSORS[name], _decompressor_options(name, args, keywords))
    unknown = next((value for value in (*args, *keywords.values()) if isinstance(value, Unknown)), None)
    if unknown is not None:
        return unknown
    if name == "builtins.str" and args and isinstance(args[0], Path):
        return str(args[0].pure)
    if name in ITERATING:
        return bounded(ITERATING[name](args, keywords, scope, machine))
    if name in DECODERS or name in PURE:
        if not all(is_plain(value) for value in (*args, *keywords.values())):
            return Unknown(f"{name} of something that is not data")
        if name == "base64.decodestring" or name.startswith("base64."):
            keywords = {key: value for key, value in keywords.items() if key != "validate"}
        return bounded((DECODERS.get(name) or PURE[name])(*args, **keywords))
    return Unknown(f"{name.removeprefix('builtins.')}() is not a decoder that review folds")


def _decompressor_options(name: str, args: list[Any], keywords: dict[str, Any]) -> dict[str, Any]:
    if name == "lzma.LZMADecompressor":
        names = ("format", "memlimit", "filters")
        return {**dict(zip(names, args, strict=False)), **keywords}
    if name == "zlib.decompressobj" and args:
        return {"wbits": args[0]}
    return {"wbits": keywords["wbits"]} if "wbits" in keywords else {}


def method(owner: Any, name: str, args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    """Call a method of a folded value."""
    if isinstance(owner, Module):
        if name in ("exec_module", "load_module"):
            target = args[0] if args and isinstance(args[0], Module) else owner
            return _run_file(owner.path, machine, "importlib", Globals(target.scope, _main_or(owner.name)))
        return Unknown(f"{name}() of module {owner.name}")
    if isinstance(owner, Decompressor):
        return _decompress(owner, name, args, machine)
    return methods.method(owner, name, args, keywords, machine)


def _decompress(owner: Decompressor, name: str, args: list[Any], machine: Machine) -> Any:
    if name in ("flush", "finish"):
        return b""
    if not args or isinstance(args[0], Unknown):
        return args[0] if args else Unknown("a decompressor without data")
    data = files.content(args[0])
    machine.how.append(owner.decoder)
    out = DECODERS[owner.decoder](bytes(data), **owner.options)
    return files.in_memory(out) if name == "stream_reader" else out


def _main_or(name: str) -> str:
    return "" if name == "__main__" else name


def _run_file(path: Any, machine: Machine, how: str, into: Any) -> Any:
    if isinstance(path, Path):
        path = str(path.pure)
    if not isinstance(path, str):
        reason = path.reason if isinstance(path, Unknown) else "a file whose name is not known"
        return machine.execute(Unknown(reason), into, machine.line, how)
    try:
        code: Any = machine.read(path)
    except Refused as refused:
        code = Unknown(str(refused))
    return machine.execute(code, into, machine.line, how, machine.full_path(path))


def _exec(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if not args:
        return Unknown("exec without code")
    into = args[1] if len(args) > 1 else keywords.get("globals")
    if into is None or isinstance(into, Unknown):
        into = Globals(scope.module)
    return machine.execute(args[0], into, machine.line, "exec")


def _eval(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    code = args[0] if args else Unknown("eval without code")
    if isinstance(code, Code):
        if code.mode == "exec":
            return _exec(args, keywords, scope, machine)
        code = code.source
    if isinstance(code, Unknown):
        machine.fail(machine.line, code.reason)
        return code
    text = decoded(bytes(code)) if isinstance(code, (bytes, bytearray)) else code
    if not isinstance(text, str) or len(text) > 200_000:
        return Unknown("eval of something that is not a short text")
    too_deep = excess(text).too_deep
    if too_deep:
        raise Refused(too_deep)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(text.strip(), mode="eval")
    return evaluate(tree.body, args[1].scope if len(args) > 1 and isinstance(args[1], Globals) else scope, machine)


def _compile(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    names = dict(zip(("source", "filename", "mode"), args, strict=False)) | keywords
    source = names.get("source", Unknown("compile without source"))
    if isinstance(source, (Unknown, Code)):
        return source
    return Code(source, str(names.get("mode", "exec")))


def _import(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    name = args[0] if args else keywords.get("name")
    if not isinstance(name, str):
        return name if isinstance(name, Unknown) else Unknown("an import whose name is not known")
    return machine.imported(name if len(args) > 3 or keywords.get("fromlist") else name.partition(".")[0])


def _import_module(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return (
        machine.imported(args[0]) if args and isinstance(args[0], str) else Unknown("an import whose name is not known")
    )


def _getattr(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if len(args) < 2 or not isinstance(args[1], str):
        return Unknown("an attribute whose name is not known")
    return attribute(args[0], args[1], machine)


def _namespace(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if not args:
        return Globals(scope.module)
    return attribute(args[0], "__dict__", machine)


def _locals(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return Globals(scope)


def _module_type(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    name = args[0] if args and isinstance(args[0], str) else "<module>"
    return Module(name, Scope({"__name__": name}))


def _spec(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    names = dict(zip(("name", "location"), args, strict=False)) | keywords
    location = names.get("location", names.get("path", Unknown("a file whose name is not known")))
    if isinstance(location, Path):
        location = str(location.pure)
    if isinstance(location, Unknown):
        return location
    return Module(str(names.get("name", "<module>")), Scope(dict(machine.globals)), str(location))


def _same(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return args[0] if args else Unknown("a call without arguments")


def _run_path(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    path = args[0] if args else keywords.get("path_name")
    return _run_file(path, machine, "runpy.run_path", Globals(Scope(dict(machine.globals))))


def _run_module(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    name = args[0] if args else keywords.get("mod_name")
    path = machine.module_file(name) if isinstance(name, str) else None
    return _run_file(
        path or Unknown("a module that is not among the files"), machine, "runpy.run_module", Globals(Scope())
    )


def _function_type(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return args[0] if args and isinstance(args[0], (Code, Unknown)) else Unknown("a function made of unknown code")


def _partial(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return Bound((tuple(args), keywords), "partial") if args else Unknown("partial without a function")


def _setattr(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if len(args) == 3 and isinstance(args[0], Module) and isinstance(args[1], str):
        args[0].scope.names[args[1]] = args[2]


def _environ_get(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if not args or not isinstance(args[0], str):
        return Unknown("an environment variable that is not known")
    return machine.environ.get(args[0], args[1] if len(args) > 1 else keywords.get("default"))


def _environ_setdefault(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if len(args) == 2 and isinstance(args[0], str) and args[0] not in machine.environ:
        machine.set_environment(args[0], args[1])
    return args[-1] if args else None


def _environ_update(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    for name, value in {**(args[0] if args and isinstance(args[0], dict) else {}), **keywords}.items():
        machine.set_environment(name, value)


def _subprocess(args: list[Any], keywords: dict[str, Any], machine: Machine, how: str) -> Any:
    words: list[Any] = []
    for value in args:
        words += value if isinstance(value, (list, tuple)) else value.split() if isinstance(value, str) else [value]
    words = [str(word.pure) if isinstance(word, Path) else word for word in words]
    for index, word in enumerate(words[:-1]):
        if word == "-c" and isinstance(words[index + 1], str):
            machine.execute(words[index + 1], None, machine.line, f"{how} -c")
            return Unknown(f"the result of {how}")
    for word in words:
        if isinstance(word, str) and machine.full_path(word) in machine.files and PurePosixPath(word).suffix == ".py":
            _run_file(word, machine, how, None)
            break
    return Unknown(f"the result of {how}")


_RUNNING = {
    "builtins.exec": _exec,
    "builtins.eval": _eval,
    "builtins.compile": _compile,
    "builtins.__import__": _import,
    "builtins.getattr": _getattr,
    "builtins.setattr": _setattr,
    "builtins.globals": _namespace,
    "builtins.vars": _namespace,
    "builtins.locals": _locals,
    "importlib.import_module": _import_module,
    "importlib.__import__": _import,
    "importlib.util.spec_from_file_location": _spec,
    "importlib.util.module_from_spec": _same,
    "importlib.machinery.SourceFileLoader": _spec,
    "importlib.util.spec_from_loader": lambda args, keywords, scope, machine: args[1] if len(args) > 1 else args[0],
    "runpy.run_path": _run_path,
    "runpy.run_module": _run_module,
    "types.ModuleType": _module_type,
    "types.FunctionType": _function_type,
    "functools.partial": _partial,
    "os.environ.get": _environ_get,
    "os.getenv": _environ_get,
    "os.environ.setdefault": _environ_setdefault,
    "os.environ.update": _environ_update,
    "os.putenv": _environ_setdefault,
}
