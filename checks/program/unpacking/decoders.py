"""Decompressors and decoders that packed scripts use, each bounded in output size, ratio and memory (streaming)."""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import codecs
import lzma
import quopri
import zlib
from collections.abc import Callable
from typing import Any

from checks.program.unpacking.values import MAX_LAYER_BYTES, MAX_RATIO, Refused

_MEMORY = 256 * 1024 * 1024
_SMALL = 65_536  # a ratio says nothing about a few bytes


def _limit(data: bytes) -> int:
    return min(MAX_LAYER_BYTES, max(len(data) * MAX_RATIO, _SMALL))


def _checked(out: bytes, data: bytes) -> bytes:
    if len(out) > MAX_LAYER_BYTES:
        raise Refused(f"unpacks to more than {MAX_LAYER_BYTES:,} bytes")
    if len(out) > _limit(data):
        raise Refused(f"unpacks to more than {MAX_RATIO} times its size")
    return out


def _lzma(data: bytes, format: int = lzma.FORMAT_AUTO, memlimit: Any = None, filters: Any = None) -> bytes:
    out = b""
    rest = data
    while rest:  # xz allows several streams in a row
        options: dict[str, Any] = {"filters": filters} if filters is not None else {"memlimit": _MEMORY}
        if filters is not None and any(int(entry.get("dict_size", 0)) > _MEMORY for entry in filters):
            raise Refused("an lzma dictionary of more than 256 MB")
        decoder = lzma.LZMADecompressor(format=format, **options)
        out += decoder.decompress(rest, max_length=_limit(data) + 1 - len(out))
        _checked(out, data)
        if not decoder.eof:
            if format == lzma.FORMAT_RAW or not decoder.needs_input:
                break  # raw streams may end without a marker
            raise Refused("the lzma data ends too early")
        rest = decoder.unused_data.lstrip(b"\0")
    return out


def _zlib(data: bytes, wbits: int = zlib.MAX_WBITS, bufsize: int = 0) -> bytes:
    decoder = zlib.decompressobj(wbits)
    out = decoder.decompress(data, _limit(data) + 1)
    _checked(out, data)
    if not decoder.eof and wbits > 0:
        raise Refused("the zlib data ends too early")
    return out


def _gzip(data: bytes) -> bytes:
    return _zlib(data, 16 + zlib.MAX_WBITS)


def _bz2(data: bytes) -> bytes:
    out = b""
    rest = data
    while rest:
        decoder = bz2.BZ2Decompressor()
        out += decoder.decompress(rest, _limit(data) + 1 - len(out))
        _checked(out, data)
        if not decoder.eof:
            raise Refused("the bz2 data ends too early")
        rest = decoder.unused_data
    return out


def _brotli(data: bytes) -> bytes:
    import brotli  # here: a C extension that few scripts need

    decoder = brotli.Decompressor()
    try:
        out = bytes(decoder.process(data, output_buffer_limit=_limit(data) + 1))
        while not decoder.is_finished() and len(out) <= _limit(data):
            more = decoder.process(b"", output_buffer_limit=_limit(data) + 1 - len(out))
            if not more:
                break
            out += more
        _checked(out, data)
        if not decoder.is_finished():
            raise Refused("the brotli data ends too early")
    except brotli.error as error:
        raise Refused("not valid brotli data") from error
    return out


def _zstd(data: bytes, *ignored: Any, **also: Any) -> bytes:
    import zstandard  # here: a C extension that few scripts need

    try:
        reader = zstandard.ZstdDecompressor(max_window_size=_MEMORY).stream_reader(data, read_across_frames=True)
        return _checked(reader.read(_limit(data) + 1), data)
    except zstandard.ZstdError as error:
        raise Refused("not valid zstd data") from error


def _codec(data: Any, encoding: str = "utf-8", errors: str = "strict") -> Any:
    name = encoding.lower().replace("-", "_").removesuffix("_codec")
    if name in ("rot13", "rot_13"):
        return codecs.decode(data, "rot13")
    if name in ("base64", "base_64"):
        return base64.b64decode(data)
    if name in ("hex", "hex_codec"):
        return binascii.unhexlify(data)
    if name in ("zlib", "zip"):
        return _zlib(data)
    if name == "bz2":
        return _bz2(data)
    if name in ("uu", "quopri", "quoted_printable"):
        return quopri.decodestring(data) if name != "uu" else _refuse("uu encoding")
    return data.decode(_text_encoding(encoding), errors)


def _text_encoding(encoding: str) -> str:
    found = codecs.lookup(encoding)
    if not getattr(found, "_is_text_encoding", True):
        raise Refused(f"the encoding {encoding[:30]!r}")
    return found.name


def _refuse(what: str) -> Any:
    raise Refused(what)


def _literal(text: str) -> Any:
    if len(text) > 1_000_000:
        raise Refused("a literal of more than a million characters")
    return ast.literal_eval(text)


#: Pure decoders by the dotted names that scripts call them by.
DECODERS: dict[str, Callable[..., Any]] = {
    "lzma.decompress": _lzma,
    "backports.lzma.decompress": _lzma,
    "zlib.decompress": _zlib,
    "gzip.decompress": _gzip,
    "bz2.decompress": _bz2,
    "brotli.decompress": _brotli,
    "brotlicffi.decompress": _brotli,
    "zstandard.decompress": _zstd,
    "zstd.decompress": _zstd,
    "zstd.uncompress": _zstd,
    "pyzstd.decompress": _zstd,
    "compression.zstd.decompress": _zstd,
    "backports.zstd.decompress": _zstd,
    "compression.lzma.decompress": _lzma,
    "compression.zlib.decompress": _zlib,
    "compression.gzip.decompress": _gzip,
    "compression.bz2.decompress": _bz2,
    "base64.decodestring": base64.decodebytes,
    "binascii.unhexlify": binascii.unhexlify,
    "binascii.a2b_hex": binascii.a2b_hex,
    "binascii.a2b_base64": binascii.a2b_base64,
    "binascii.a2b_uu": binascii.a2b_uu,
    "binascii.a2b_qp": binascii.a2b_qp,
    "quopri.decodestring": quopri.decodestring,
    "codecs.decode": _codec,
    "bytes.fromhex": bytes.fromhex,
    "bytearray.fromhex": bytes.fromhex,
    "ast.literal_eval": _literal,
}
for _name in (
    "b85decode", "a85decode", "b64decode", "standard_b64decode", "urlsafe_b64decode", "b32decode", "b32hexdecode",
    "b16decode", "decodebytes", "z85decode",
):  # fmt: skip
    if hasattr(base64, _name):
        DECODERS[f"base64.{_name}"] = getattr(base64, _name)

#: Objects with a ``decompress`` (or ``process``) method, by the name of their class.
DECOMPRESSORS: dict[str, str] = {
    "lzma.LZMADecompressor": "lzma.decompress",
    "zlib.decompressobj": "zlib.decompress",
    "bz2.BZ2Decompressor": "bz2.decompress",
    "brotli.Decompressor": "brotli.decompress",
    "zstandard.ZstdDecompressor": "zstandard.decompress",
    "compression.zstd.ZstdDecompressor": "zstandard.decompress",
    "zstd.ZstdDecompressor": "zstandard.decompress",
}

#: Names of decoders that are known and never folded, with the reason.
NEVER: dict[str, str] = {
    "marshal.loads": "marshal.loads: bytecode of one interpreter version, not source",
    "marshal.load": "marshal.load: bytecode of one interpreter version, not source",
    "pickle.loads": "pickle.loads runs code while it loads",
    "pickle.load": "pickle.load runs code while it loads",
    "dill.loads": "dill.loads runs code while it loads",
    "cloudpickle.loads": "cloudpickle.loads runs code while it loads",
    "urllib.request.urlopen": "code fetched from the network",
    "requests.get": "code fetched from the network",
    "input": "code typed in",
}
