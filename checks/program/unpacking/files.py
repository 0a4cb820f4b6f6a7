"""The made-up file system of the fold: ``open``, ``os.path``, ``pathlib``, ``tempfile`` and bytes in memory."""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from checks.program.unpacking import ROOT
from checks.program.unpacking.decoders import DECODERS
from checks.program.unpacking.values import Handle, Path, Refused, Unknown

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

#: ``gzip.open`` and its like, by the decoder of what they read.
_OPENERS = {
    "gzip.open": "gzip.decompress",
    "gzip.GzipFile": "gzip.decompress",
    "lzma.open": "lzma.decompress",
    "lzma.LZMAFile": "lzma.decompress",
    "bz2.open": "bz2.decompress",
    "bz2.BZ2File": "bz2.decompress",
    "zstandard.open": "zstandard.decompress",
}


def in_memory(data: bytes) -> Handle:
    """``io.BytesIO(data)``."""
    return Handle("", False, bytes(data))


def content(value: Any) -> bytes:
    """The bytes of a handle or of bytes; ``Refused`` otherwise."""
    if isinstance(value, Handle):
        return value.data
    if isinstance(value, (bytes, bytearray)):
        return bytes(value)
    raise Refused("data that are not known")


def name_of(value: Any) -> str:
    """A path argument as text; ``Refused`` when it is not known."""
    if isinstance(value, Path):
        return str(value.pure)
    if isinstance(value, str):
        return value
    raise Refused(value.reason if isinstance(value, Unknown) else "a file whose name is not known")


def open_file(path: Any, mode: Any, machine: Machine) -> Handle:
    """``open(path, mode)``."""
    if not isinstance(mode, str):
        raise Refused("a file mode that is not known")
    name = path.path if isinstance(path, Handle) else name_of(path)
    text = "b" not in mode
    if "w" in mode or "x" in mode:
        machine.write(name, b"", append=False)
        return Handle(machine.full_path(name), text, b"")
    if "a" in mode:
        return Handle(machine.full_path(name), text, b"")
    return Handle(machine.full_path(name), text, machine.read(name))


def _open(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    names = dict(zip(("file", "mode"), args, strict=False)) | keywords
    return open_file(names.get("file"), names.get("mode", "r"), machine)


def _packed(decoder: str) -> Callable[[list[Any], dict[str, Any], Machine], Any]:
    def opened(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
        source = keywords.get("fileobj", args[0] if args else None)
        mode = args[1] if len(args) > 1 else keywords.get("mode", "rb")
        data = source.data if isinstance(source, Handle) else machine.read(name_of(source))
        machine.how.append(decoder)
        return Handle("", "t" in str(mode), DECODERS[decoder](data))

    return opened


def _path(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return Path(PurePosixPath(*(name_of(part) for part in args)))


def _join(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return posixpath.join(*(name_of(part) for part in args))


def _on_text(function: Callable[[str], Any]) -> Callable[[list[Any], dict[str, Any], Machine], Any]:
    return lambda args, keywords, machine: function(name_of(args[0]))


def _absolute(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return machine.full_path(name_of(args[0]))


def _exists(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    path = machine.full_path(name_of(args[0]))
    if path in machine.files:
        return True
    if path.startswith(ROOT) or path in machine.written or path.startswith("/tmp"):
        return any(known.startswith(path.rstrip("/") + "/") for known in machine.files)
    return Unknown("what the file system of the machine holds")


def _size(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return len(machine.read(name_of(args[0])))


def _directory(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    machine.temporary += 1
    return f"/tmp/made{machine.temporary}"


def _temporary_file(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    machine.temporary += 1
    suffix = keywords.get("suffix", "")
    path = f"/tmp/made{machine.temporary}/file{suffix if isinstance(suffix, str) else ''}"
    machine.write(path, b"", append=False)
    mode = args[0] if args else keywords.get("mode", "w+b")
    return Handle(path, "b" not in str(mode), b"")


def _make_temporary(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    handle = _temporary_file([], keywords, machine)
    return (handle, handle.path)


def _write_descriptor(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    handle, data = args
    if isinstance(handle, Handle) and isinstance(data, (bytes, bytearray)):
        machine.write(handle.path, bytes(data), append=True)
    return None


def _reopened(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return open_file(args[0], args[1] if len(args) > 1 else keywords.get("mode", "r"), machine)


def _memory(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return in_memory(content(args[0]) if args else b"")


def _text_memory(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return Handle("", True, name_of(args[0]).encode() if args else b"")


def _home(args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    return posixpath.dirname(machine.script_path)


#: File functions by dotted name.
CALLS: dict[str, Callable[[list[Any], dict[str, Any], Machine], Any]] = {
    "builtins.open": _open,
    "io.open": _open,
    "codecs.open": _open,
    "tokenize.open": _open,
    "pathlib.Path": _path,
    "pathlib.PurePath": _path,
    "pathlib.PosixPath": _path,
    "os.path.join": _join,
    "os.path.dirname": _on_text(posixpath.dirname),
    "os.path.basename": _on_text(posixpath.basename),
    "os.path.normpath": _on_text(posixpath.normpath),
    "os.path.splitext": _on_text(posixpath.splitext),
    "os.path.split": _on_text(posixpath.split),
    "os.path.expanduser": _on_text(str),
    "os.fspath": _on_text(str),
    "os.path.abspath": _absolute,
    "os.path.realpath": _absolute,
    "os.path.exists": _exists,
    "os.path.isfile": _exists,
    "os.path.isdir": _exists,
    "os.path.getsize": _size,
    "os.getcwd": _home,
    "tempfile.mkdtemp": _directory,
    "tempfile.gettempdir": _directory,
    "tempfile.TemporaryDirectory": _directory,
    "tempfile.NamedTemporaryFile": _temporary_file,
    "tempfile.mkstemp": _make_temporary,
    "os.fdopen": _reopened,
    "os.write": _write_descriptor,
    "io.BytesIO": _memory,
    "io.StringIO": _text_memory,
    **{name: _packed(decoder) for name, decoder in _OPENERS.items()},
}
