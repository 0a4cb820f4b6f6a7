"""String literals of a LibCST tree as ``ast`` constants and f-strings.

Template strings (PEP 750) become ``ast.JoinedStr`` on every host: to the analysis they are f-strings.
"""

from __future__ import annotations

import ast
import re
import unicodedata
from typing import TYPE_CHECKING, Any

from checks.program.lowering.cursor import Cursor, around, expression, gap, placed
from checks.program.lowering.nodes import code

if TYPE_CHECKING:
    import libcst as cst
else:
    from checks.program.lowering.nodes import NODES as cst

_ESCAPE = re.compile(
    r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|N\{([^}]*)\}|(.))|(\{\{|\}\})", re.DOTALL
)
_BYTES_ESCAPE = re.compile(r"\\(?:([0-7]{1,3})|x([0-9a-fA-F]{2})|()()()(.))|(?!)()", re.DOTALL)
_SINGLE = {"\n": "", "\\": "\\", "'": "'", '"': '"', "a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_SINGLE["v"] = "\v"
_PREFIX = re.compile(r"[a-zA-Z]*")
_CONVERSIONS = {"s": 115, "r": 114, "a": 97}


class MalformedLiteral(ValueError):
    """A literal that no Python accepts, such as an unknown character name."""


def simple(node: cst.SimpleString, at: Cursor) -> ast.Constant:
    """One plain string or bytes literal."""
    at.line += node.value.count("\n")
    return _constant(node.value)


def formatted(node: Any, at: Cursor) -> ast.JoinedStr:
    """One f-string (or template string)."""
    return ast.JoinedStr(_merged(_pieces(node, at)))


def concatenated(node: cst.ConcatenatedString, at: Cursor) -> ast.expr:
    """Adjacent literals: a constant, or an f-string as soon as one part is."""
    parts: list[Any] = []
    link: Any = node
    spaces = []
    while isinstance(link, cst.ConcatenatedString):
        parts.append(link.left)
        spaces.append(link.whitespace_between)
        link = link.right
    parts.append(link)
    pieces: list[ast.expr] = []
    interpolated = False
    for index, part in enumerate(parts):
        if isinstance(part, cst.SimpleString):
            start = at.line
            pieces.append(placed(simple(part, at), start, at.line))
        else:
            interpolated = True
            pieces += _pieces(part, at)
        if index < len(spaces):
            gap(spaces[index], at)
    if interpolated:
        return ast.JoinedStr(_merged(pieces))
    constants: Any = pieces
    empty: str | bytes = "" if isinstance(constants[0].value, str) else b""
    try:
        return ast.Constant(empty.join(piece.value for piece in constants), constants[0].kind)
    except TypeError as error:
        raise MalformedLiteral("bytes and text literals are joined") from error


def _constant(token: str) -> ast.Constant:
    prefix = _PREFIX.match(token).group().lower()  # type: ignore[union-attr]
    width = 3 if token[len(prefix) : len(prefix) + 3] in ('"""', "'''") and len(token) >= len(prefix) + 6 else 1
    body = token[len(prefix) + width : -width]
    plain = "\\" not in body or "r" in prefix
    if "b" in prefix:
        if not body.isascii():
            raise MalformedLiteral("bytes literal with characters outside ASCII")
        text = body if plain else _BYTES_ESCAPE.sub(_replacement, body)
        return ast.Constant(text.encode("latin-1"), None)
    if not plain:
        body = _ESCAPE.sub(_outside_braces, body)
    return ast.Constant(body, "u" if prefix == "u" else None)


def _replacement(match: re.Match[str]) -> str:
    octal, hexadecimal, short, long, name, other, brace = (*match.groups(), "")[:7]
    if brace:
        return brace[0]
    if octal:
        value = int(octal, 8)
        return chr(value & 0xFF if match.re is _BYTES_ESCAPE else value)
    number = hexadecimal or short or long
    if number:
        try:
            return chr(int(number, 16))
        except (ValueError, OverflowError) as error:
            raise MalformedLiteral(f"character {number} is out of range") from error
    if name:
        try:
            return unicodedata.lookup(name)
        except KeyError as error:
            raise MalformedLiteral(f"unknown character name {name!r}") from error
    return _SINGLE.get(other or "", match.group())


def _outside_braces(match: re.Match[str]) -> str:
    return match.group() if match.group(7) else _replacement(match)


def _text(value: str, raw: bool) -> str:
    """The text between two replacement fields; doubled braces are one."""
    if "\\" in value and not raw:
        return _ESCAPE.sub(_replacement, value)
    if "{" in value or "}" in value:
        return value.replace("{{", "{").replace("}}", "}")
    return value


def _pieces(node: Any, at: Cursor) -> list[ast.expr]:
    return _parts(node.parts, "r" in node.start.lower(), at)


def _parts(parts: Any, raw: bool, at: Cursor) -> list[ast.expr]:
    out: list[ast.expr] = []
    for part in parts:
        start = at.line
        if hasattr(part, "expression"):
            out += _field(part, raw, at)
        else:
            at.line += part.value.count("\n")
            out.append(placed(ast.Constant(_text(part.value, raw), None), start, at.line))
    return out


def _field(part: Any, raw: bool, at: Cursor) -> list[ast.expr]:
    """``{value!r:spec}``; ``{value=}`` is preceded by its own source text."""
    start = at.line
    gap(part.whitespace_before_expression, at)
    value = expression(part.expression, at)
    gap(part.whitespace_after_expression, at)
    conversion = _CONVERSIONS.get(part.conversion or "", -1)
    out: list[ast.expr] = []
    if part.equal is not None:
        around(part.equal, at)
        if part.conversion is None and part.format_spec is None:
            conversion = _CONVERSIONS["r"]
        fields = (part.whitespace_before_expression, part.expression, part.whitespace_after_expression, part.equal)
        out.append(placed(ast.Constant("".join(code(field) for field in fields), None), start, at.line))
    spec = None
    if part.format_spec is not None:
        line = at.line
        spec = placed(ast.JoinedStr(_merged(_parts(part.format_spec, raw, at))), line, at.line)
    out.append(placed(ast.FormattedValue(value, conversion, spec), start, at.line))
    return out


def _merged(pieces: list[ast.expr]) -> list[ast.expr]:
    """Adjacent constants joined, empty ones dropped, as the standard parser does."""
    out: list[ast.expr] = []
    for piece in pieces:
        last = out[-1] if out else None
        if not isinstance(piece, ast.Constant):
            out.append(piece)
        elif isinstance(last, ast.Constant):
            if not isinstance(piece.value, str) or not isinstance(last.value, str):
                raise MalformedLiteral("bytes and text literals are joined")
            last.value += piece.value
            last.end_lineno = piece.end_lineno
        elif piece.value != "":
            out.append(piece)
    return out
