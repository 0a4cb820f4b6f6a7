"""Methods of text, bytes, containers, paths and files that the fold knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from checks.program.unpacking.data import bounded_count, items
from checks.program.unpacking.decoders import DECODERS
from checks.program.unpacking.files import name_of, open_file
from checks.program.unpacking.values import (
    Globals,
    Handle,
    Path,
    Refused,
    Unknown,
    bounded,
    is_plain,
)

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine

_SEARCH = (
    "count endswith find index lower upper lstrip rstrip strip partition rpartition rfind rindex rsplit split"
    " splitlines startswith removeprefix removesuffix swapcase title isdigit isalpha isalnum isspace"
)
_METHODS: dict[type, frozenset[str]] = {
    str: frozenset(f"{_SEARCH} casefold capitalize encode isidentifier isnumeric maketrans".split()),
    bytes: frozenset(f"{_SEARCH} hex fromhex maketrans".split()),
    bytearray: frozenset(f"{_SEARCH} hex append extend insert pop remove reverse copy clear".split()),
    list: frozenset(["append", "extend", "insert", "pop", "remove", "reverse", "copy", "clear", "index", "count"]),
    tuple: frozenset(["index", "count"]),
    dict: frozenset(["get", "items", "keys", "values", "pop", "update", "setdefault", "copy"]),
    set: frozenset(["add", "discard", "remove", "pop", "update", "copy", "union"]),
    int: frozenset(["bit_length", "to_bytes", "from_bytes"]),
}
_GROWING = frozenset(["ljust", "rjust", "center", "zfill"])


def method(owner: Any, name: str, args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    """``owner.name(*args, **keywords)``; ``Refused`` or a data error when that cannot be folded."""
    if isinstance(owner, Handle):
        return _of_handle(owner, name, args, machine)
    if isinstance(owner, Path):
        return _of_path(owner, name, args, keywords, machine)
    if isinstance(owner, Globals):
        return _of_globals(owner, name, args, keywords)
    if name == "partial" and isinstance(owner, tuple) and not isinstance(owner[0], str):
        return _of_partial(owner, args, keywords, machine)
    if isinstance(owner, (list, dict, set)) and name in ("append", "extend", "insert", "setdefault", "update", "add"):
        return bounded(getattr(owner, name)(*args, **keywords))  # these may hold what is not known
    if isinstance(owner, dict) and name in ("get", "items", "keys", "values", "pop"):
        out = getattr(owner, name)(*args)
        return list(out) if name in ("items", "keys", "values") else out
    unknown = next((value for value in (*args, *keywords.values()) if isinstance(value, Unknown)), None)
    if unknown is not None:
        return unknown
    if name == "join" and isinstance(owner, (str, bytes, bytearray)):
        return _joined(owner, args, machine)
    if isinstance(owner, list) and name == "sort":
        if keywords.get("key") is not None:
            raise Refused("a sort by a key")
        return owner.sort(reverse=bool(keywords.get("reverse", False)))
    if not all(is_plain(value) for value in (*args, *keywords.values())):
        raise Refused(f"{name}() of something that is not data")
    if isinstance(owner, (str, bytes, bytearray)) and name in _TEXT:
        return bounded(_TEXT[name](owner, *args, **keywords))
    for kind, known in _METHODS.items():
        if type(owner) is kind and name in known:
            return bounded(getattr(owner, name)(*args, **keywords))
    return Unknown(f"method {name}() of a {type(owner).__name__.lower()}")


def _joined(owner: Any, args: list[Any], machine: Machine) -> Any:
    parts = items(args[0], machine)
    unknown = next((part for part in parts if isinstance(part, Unknown)), None)
    if unknown is not None:
        return unknown
    bounded_count(sum(map(len, parts)) + len(owner) * len(parts))
    return owner.join(parts)


def _replace(owner: Any, old: Any, new: Any, count: int = -1) -> Any:
    bounded_count(len(owner) + owner.count(old) * len(new))
    return owner.replace(old, new, count)


def _translate(owner: Any, table: Any, *delete: Any, **keywords: Any) -> Any:
    if isinstance(table, dict):
        bounded_count(len(owner) * max((len(str(value)) for value in table.values()), default=1))
    return owner.translate(table, *delete, **keywords)


def _padded(name: str) -> Any:
    def pad(owner: Any, width: int, *fill: Any) -> Any:
        bounded_count(width)
        return getattr(owner, name)(width, *fill)

    return pad


def _format(owner: Any, *args: Any, **keywords: Any) -> Any:
    if (
        not isinstance(owner, str)
        or any(f"{{{digits}" in owner for digits in (":", "!"))
        or "." in owner
        or "[" in owner
    ):
        raise Refused("a format with conversions")
    bounded_count(
        len(owner) + owner.count("{") * max((len(str(value)) for value in (*args, *keywords.values())), default=0)
    )
    return owner.format(*args, **keywords)


def _decode(owner: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    return DECODERS["codecs.decode"](bytes(owner), encoding, errors)


_TEXT: dict[str, Any] = {
    "replace": _replace,
    "translate": _translate,
    "format": _format,
    "decode": _decode,
    **{name: _padded(name) for name in _GROWING},
}


def _of_handle(owner: Handle, name: str, args: list[Any], machine: Machine) -> Any:
    if name == "write":
        data = args[0] if args else b""
        if isinstance(data, Unknown):
            return data
        raw = data.encode() if isinstance(data, str) else bytes(data)
        if owner.path:
            machine.write(owner.path, raw, append=True)
        owner.data = bounded(owner.data + raw)
        return len(raw)
    if name == "writelines":
        for line in items(args[0], machine):
            _of_handle(owner, "write", [line], machine)
        return None
    if name in ("read", "getvalue", "getbuffer", "readall"):
        data = machine.files.get(owner.path, owner.data) if owner.path else owner.data
        return data.decode("utf-8").replace("\r\n", "\n") if owner.text else data
    if name == "readlines":
        return _of_handle(owner, "read", [], machine).splitlines(True)
    if name in ("close", "flush", "seek", "fileno", "truncate"):
        return None
    if name in ("__enter__", "detach"):
        return owner
    raise Refused(f"method {name}() of a file")


def _of_path(owner: Path, name: str, args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    path = str(owner.pure)
    if name in ("resolve", "absolute", "expanduser"):
        return Path(type(owner.pure)(machine.full_path(path)))
    if name in ("with_suffix", "with_name", "with_stem", "joinpath", "relative_to"):
        return Path(getattr(owner.pure, name)(*(name_of(arg) for arg in args)))
    if name in ("as_posix", "__str__", "__fspath__"):
        return path
    if name == "read_bytes":
        return machine.read(path)
    if name == "read_text":
        return machine.read(path).decode("utf-8").replace("\r\n", "\n")
    if name in ("write_bytes", "write_text"):
        data = args[0] if args else keywords.get("data", Unknown("data that are not known"))
        if isinstance(data, Unknown):
            return data
        machine.write(path, data.encode() if isinstance(data, str) else bytes(data), append=False)
        return len(data)
    if name == "open":
        return open_file(owner, args[0] if args else keywords.get("mode", "r"), machine)
    if name in ("exists", "is_file"):
        return machine.full_path(path) in machine.files
    if name in ("mkdir", "unlink", "touch", "chmod"):
        return None
    raise Refused(f"method {name}() of a path")


def _of_globals(owner: Globals, name: str, args: list[Any], keywords: dict[str, Any]) -> Any:
    names = owner.scope.names
    if name == "get":
        return names.get(str(args[0]), args[1] if len(args) > 1 else None)
    if name in ("update", "setdefault"):
        if name == "update":
            names.update(
                {str(key): value for key, value in (args[0] if args and isinstance(args[0], dict) else {}).items()}
            )
            names.update(keywords)
            return None
        return names.setdefault(str(args[0]), args[1] if len(args) > 1 else None)
    raise Refused(f"method {name}() of a namespace")


def _of_partial(owner: tuple[Any, ...], args: list[Any], keywords: dict[str, Any], machine: Machine) -> Any:
    (function, *first), named = owner
    return machine.call(function, [*first, *args], {**named, **keywords}, machine.main, machine.line)
