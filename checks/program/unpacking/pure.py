"""Pure functions on constants that decoders of packed scripts are written with."""

from __future__ import annotations

import ast
import binascii
import functools
import html
import itertools
import json
import operator
import re
import struct
import textwrap
import urllib.parse
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from checks.program.unpacking.data import binary, bounded_count, items
from checks.program.unpacking.values import MAX_VALUE_ITEMS, Globals, Ref, Refused, Scope, Unknown

if TYPE_CHECKING:
    from checks.program.unpacking.machine import Machine


def _json(text: Any, **ignored: Any) -> Any:
    if len(text) > 4_000_000:
        raise Refused("a JSON text of more than 4 MB")
    return json.loads(text)


def _power(base: int, exponent: int, modulus: int | None = None) -> int:
    if modulus is None:
        return int(binary(ast.Pow, base, exponent))
    return pow(base, exponent, modulus)


def _int(*args: Any, **keywords: Any) -> int:
    if args and isinstance(args[0], (str, bytes)) and len(args[0]) > 1_000_000:
        raise Refused("a number of more than a million digits")
    return int(*args, **keywords)


def _string(*args: Any) -> str:
    return str(*args)


def _sub(pattern: Any, replacement: Any, text: Any, *more: Any) -> Any:
    if not isinstance(replacement, (str, bytes)) or len(text) * (len(replacement) + 1) > MAX_VALUE_ITEMS:
        raise Refused("a substitution that grows too much")
    return re.sub(_simple(pattern), replacement, text, count=more[0] if more else 0)


def _simple(pattern: Any) -> Any:
    """A pattern that cannot backtrack much: no groups, one quantifier at most."""
    shown = pattern if isinstance(pattern, str) else pattern.decode("latin-1")
    if len(shown) > 100 or "(" in shown or sum(shown.count(sign) for sign in "*+?{") > 1:
        raise Refused("a regular expression that is not simple")
    return pattern


#: Functions of plain data by dotted name.
PURE: dict[str, Callable[..., Any]] = {
    **{
        f"builtins.{made.__name__}": made
        for made in (abs, ascii, bin, bool, chr, divmod, float, hash, hex, len, oct, ord, repr, round, slice, complex)
    },
    "builtins.int": _int,
    "builtins.str": _string,
    "builtins.pow": _power,
    "int.from_bytes": int.from_bytes,
    "builtins.int.from_bytes": int.from_bytes,
    "builtins.bytes.fromhex": bytes.fromhex,
    "builtins.bytearray.fromhex": bytearray.fromhex,
    "builtins.str.maketrans": str.maketrans,
    "builtins.bytes.maketrans": bytes.maketrans,
    "builtins.dict.fromkeys": dict.fromkeys,
    "operator.xor": operator.xor,
    "operator.add": operator.add,
    "operator.sub": operator.sub,
    "operator.and_": operator.and_,
    "operator.or_": operator.or_,
    "operator.not_": operator.not_,
    "json.loads": _json,
    "re.sub": _sub,
    "re.findall": lambda pattern, text: re.findall(_simple(pattern), text),
    "re.split": lambda pattern, text: re.split(_simple(pattern), text),
    "textwrap.dedent": textwrap.dedent,
    "struct.unpack": struct.unpack,
    "struct.unpack_from": struct.unpack_from,
    "struct.calcsize": struct.calcsize,
    "zlib.crc32": zlib.crc32,
    "zlib.adler32": zlib.adler32,
    "binascii.hexlify": binascii.hexlify,
    "binascii.crc32": binascii.crc32,
    "urllib.parse.unquote": urllib.parse.unquote,
    "urllib.parse.unquote_to_bytes": urllib.parse.unquote_to_bytes,
    "html.unescape": html.unescape,
}  # fmt: skip


def _made_of(make: Callable[[Any], Any]) -> Callable[..., Any]:
    def made(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
        if not args:
            return make(())
        value = args[0]
        if isinstance(value, int) and make in (bytes, bytearray):
            bounded_count(value)
            return make(value)
        if isinstance(value, str) and len(args) > 1:
            return make(value.encode(args[1]))
        if isinstance(value, (bytes, bytearray)) and make in (bytes, bytearray):
            return make(value)
        values = items(value, machine)
        unknown = next((item for item in values if isinstance(item, Unknown)), None)
        if unknown is not None and make not in (list, tuple):
            return unknown
        return make(values)

    return made


def _dict(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    base: Any = {}
    if args:
        base = args[0].scope.names if isinstance(args[0], Globals) else args[0]
        base = dict(base) if isinstance(base, dict) else dict(items(base, machine))
    return {**base, **keywords}


def _range(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return range(*args)


def _map(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    columns = [items(value, machine) for value in args[1:]]
    return [machine.call(args[0], list(row), {}, scope, machine.line) for row in zip(*columns, strict=False)]


def _filter(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    out = []
    for item in items(args[1], machine):
        keep = item if args[0] is None else machine.call(args[0], [item], {}, scope, machine.line)
        if isinstance(keep, Unknown):
            return keep
        if keep:
            out.append(item)
    return out


def _reduce(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    values = items(args[1], machine)
    start = args[2:] or [values.pop(0)]
    return functools.reduce(
        lambda left, right: machine.call(args[0], [left, right], {}, scope, machine.line), values, start[0]
    )


def _zip(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return zip(*(value if hasattr(value, "__next__") else items(value, machine) for value in args), strict=False)


def _cycle(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    values = items(args[0], machine)
    return itertools.cycle(values)


def _islice(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    source = args[0] if hasattr(args[0], "__next__") else items(args[0], machine)
    return itertools.islice(source, *args[1:])


def _chain(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return [item for value in args for item in items(value, machine)]


def _chained(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return _chain(items(args[0], machine), keywords, scope, machine)


def _enumerate(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    start = args[1] if len(args) > 1 else keywords.get("start", 0)
    return list(enumerate(items(args[0], machine), start))


def _reversed(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return items(args[0], machine)[::-1]


def _iter(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return iter(items(args[0], machine))


def _next(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    return next(args[0], *args[1:]) if hasattr(args[0], "__next__") else items(args[0], machine)[0]


def _folded(make: Callable[[Any], Any]) -> Callable[..., Any]:
    def made(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
        values = items(args[0], machine) if len(args) == 1 else args
        unknown = next((item for item in values if isinstance(item, Unknown)), None)
        return unknown if unknown is not None else make(values)

    return made


def _sorted(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    key = keywords.get("key")
    by = (lambda item: machine.call(key, [item], {}, scope, machine.line)) if key is not None else None
    return sorted(items(args[0], machine), key=by, reverse=bool(keywords.get("reverse", False)))


def _isinstance(args: list[Any], keywords: dict[str, Any], scope: Scope, machine: Machine) -> Any:
    if len(args) == 2 and isinstance(args[1], Ref):
        return type(args[0]).__name__ == args[1].name.removeprefix("builtins.")
    return Unknown("a test of a type")


#: Functions that walk iterables or call functions of the script; they get the machine, to be counted.
ITERATING: dict[str, Callable[..., Any]] = {
    "builtins.bytes": _made_of(bytes),
    "builtins.bytearray": _made_of(bytearray),
    "builtins.list": _made_of(list),
    "builtins.tuple": _made_of(tuple),
    "builtins.set": _made_of(set),
    "builtins.frozenset": _made_of(frozenset),
    "builtins.memoryview": _made_of(bytes),
    "builtins.dict": _dict,
    "builtins.range": _range,
    "builtins.map": _map,
    "builtins.filter": _filter,
    "builtins.zip": _zip,
    "builtins.enumerate": _enumerate,
    "builtins.reversed": _reversed,
    "builtins.iter": _iter,
    "builtins.next": _next,
    "builtins.sum": _folded(sum),
    "builtins.min": _folded(min),
    "builtins.max": _folded(max),
    "builtins.any": _folded(any),
    "builtins.all": _folded(all),
    "builtins.sorted": _sorted,
    "builtins.isinstance": _isinstance,
    "functools.reduce": _reduce,
    "itertools.cycle": _cycle,
    "itertools.islice": _islice,
    "itertools.chain": _chain,
    "itertools.chain.from_iterable": _chained,
}
