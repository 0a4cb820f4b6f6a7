"""Escapes for GitHub's Markdown: comments, step summaries, tables.

GitHub does more than CommonMark: it links ``@names``, ``#123``, ``GH-123``, bare addresses and e-mail addresses, turns
``:x:`` into emoji and ``$…$`` into formulas, and does so after entities are decoded, so ``&#64;name`` alone still
notifies. A zero-width space after the trigger stops it, as Renovate and Dependabot do.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from reports.escaping.plain import one_line, visible

MARKER_PREFIX = "<!-- pgolf:review/1"
"""First characters of every comment of ours. A bot looks for it at the very start of a comment by its own account."""

_BREAK = "&#8203;"
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "|": "&#124;", "$": "<span>$</span>"}
_ACTIVE = re.compile(
    r"""(?P<markup>[\\`*_\[\]<>|~$&])
    | (?P<before>[@\uff20\ufe6b]           # mentions, e-mail addresses
        | [#\uff03\ufe5f](?=\w)            # issues
        | :(?=//|[\w+-]+:)                 # addresses, emoji
        | \bgh(?=-\d) | \bwww(?=\.) | \b(?:mailto|xmpp)(?=:)
      )
    | (?P<commit>\b(?=[0-9]*[a-f])[0-9a-f]{7,}\b)""",
    re.IGNORECASE | re.VERBOSE,
)
_BLOCK_START = re.compile(r"^(?:[-+=#]|(\d{1,9})(?=[.)](?:\s|$)))")
_SPAN = re.compile(r"`([^`\n]+)`")


def text(value: str) -> str:
    """Return free text for a paragraph, list item or table cell: one line, no markup, no mention, no link."""
    return _BLOCK_START.sub(_guard_start, _ACTIVE.sub(_defuse, one_line(value)))


def prose(value: str) -> str:
    """Return a sentence in which `code` between backticks stays code; everything else as ``text``."""
    parts = _SPAN.split(one_line(value))
    return "".join(code(part, cell=True) if i % 2 else _keep_edges(part) for i, part in enumerate(parts))


def code(value: str, *, cell: bool = False) -> str:
    """Return an inline code span that shows ``value`` literally; nothing in it is linked or interpreted.

    ``cell``: for a table cell or unknown surroundings. GitHub's tables split at a bar even inside a code span, and
    outside tables an escaped bar would show its backslash, so a bar becomes the look-alike U+01C0 there.
    """
    value = _unforgeable(one_line(value)) or " "
    if cell:
        value = value.replace("|", "\u01c0")
    fence = "`" * (_longest_run(value) + 1)
    pad = " " if value.startswith(("`", " ")) or value.endswith(("`", " ")) else ""
    return f"{fence}{pad}{value}{pad}{fence}"


def fenced(rows: list[str], language: str = "") -> str:
    """Return a fenced code block that no row can close; ``rows`` are already cut to size."""
    body = "\n".join(_unforgeable(visible(row, keep="\t").replace("\n", " ")) for row in rows)
    fence = "`" * max(3, _longest_run(body) + 1)
    return f"{fence}{language}\n{body}\n{fence}"


def permalink(repository: str | None, commit: str | None, path: str, line: int, end_line: int = 0) -> str | None:
    """Return GitHub's address of a file's lines at a commit; None when no safe address can be made of the parts."""
    if not repository or not commit or not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository, re.ASCII):
        return None
    steps = path.split("/")
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", commit) or any(step in ("", ".", "..") for step in steps):
        return None
    try:
        address = f"https://github.com/{repository}/blob/{commit}/" + "/".join(quote(step, safe="") for step in steps)
    except UnicodeEncodeError:  # a name that is no UTF-8
        return None
    if line <= 0:
        return address
    plain = "?plain=1" if path.lower().endswith((".md", ".markdown")) else ""
    return f"{address}{plain}#L{line}" + (f"-L{end_line}" if end_line > line else "")


def _defuse(match: re.Match[str]) -> str:
    if match["commit"]:
        return _BREAK.join(match[0][i : i + 6] for i in range(0, len(match[0]), 6))
    markup = match["markup"]
    if markup is None:
        return match[0] + _BREAK
    return _ENTITIES.get(markup, "\\" + markup)


def _guard_start(match: re.Match[str]) -> str:
    # "1." would start a list: an empty entity-free break between number and dot stops it.
    return match[0] + _BREAK if match[1] else "\\" + match[0]


def _keep_edges(part: str) -> str:
    if not part.strip():
        return part
    lead, trail = part[: len(part) - len(part.lstrip())], part[len(part.rstrip()) :]
    return lead + text(part) + trail


def _unforgeable(value: str) -> str:
    return value.replace("<!-- pgolf", "<!--\u00b7pgolf")


def _longest_run(value: str) -> int:
    return max((len(run) for run in re.findall(r"`+", value)), default=0)
