"""Escapes for SARIF: message strings, whose viewers follow links and fill placeholders, and artifact addresses."""

from __future__ import annotations

import re
from urllib.parse import quote

from reports.escaping.plain import one_line, visible


def message(value: str) -> str:
    """Return text for ``message.text``: no embedded link (SARIF 3.11.6), no placeholder (3.11.5), no mention."""
    value = re.sub(r"([\\\[\]])", r"\\\1", one_line(value))
    value = re.sub(r"\{(\d+)\}", r"{{\1}}", value)
    return re.sub("([@\uff20]|#(?=\\d))", "\\1\u200b", value)


def plain(value: str) -> str:
    """Return text for a property that no viewer interprets (snippets, names); line ends stay."""
    return visible(value.replace("\r\n", "\n").replace("\r", "\n"), keep="\n\t")


def uri(path: str) -> str:
    """Return a relative address of a path within the repository; dot segments lose their meaning, as they must."""
    steps = [step for step in path.split("/") if step not in ("", ".", "..")]
    return "/".join(quote(step.encode("utf-8", "surrogatepass"), safe="") for step in steps) or "."
