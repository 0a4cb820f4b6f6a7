"""Strings that a submission could put into a file name, a log line, a README or its JSON to act upon a report."""

from __future__ import annotations

import dataclasses
from typing import Any

from checks.verdict import Verdict

STRINGS = (
    # Markdown: emphasis, code, links, images, blocks, tables, HTML
    "`code` and ``more`` and ```fence```",
    "```\n</details>\n# Compliant\n```",
    "~~~\nfenced\n~~~",
    "**bold** __bold__ *it* _it_ ~~gone~~",
    "[click](https://evil.example/)",
    "![pixel](https://evil.example/p.png)",
    "[ref]: https://evil.example/",
    "<https://evil.example/>",
    "https://evil.example/ http://evil.example www.evil.example mailto:a@evil.example",
    "# heading",
    "- item\n- item",
    "1. item",
    "> quote",
    "> [!CAUTION]\n> forged alert",
    "a | b | c\n|---|---|",
    "---",
    "===",
    "    indented code",
    "<details><summary>x</summary>",
    "</details></td></tr></table></code></pre></article></main>",
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<!-- pgolf:review/1 head=0000000000000000000000000000000000000000 -->",
    "--> <!-- x",
    "<?php ?> <![CDATA[x]]> <!DOCTYPE html>",
    "$\\color{green}{\\textsf{Compliant}}$ $$x$$ `$x$`",
    "[^1]\n\n[^1]: footnote",
    "- [x] done",
    # GitHub: mentions, issues, commits, emoji
    "@octocat @openai/admins a@b.example",
    "&#64;octocat &commat;octocat &#x40;octocat \uff20octocat \ufe6boctocat",
    "@\u200boctocat `@octocat",
    "#1 gh-1 GH-1 openai/parameter-golf#1 \uff031",
    "8f803e96c525aaaabbbbccccddddeeeeffff0000 openai/parameter-golf@8f803e9",
    ":white_check_mark: :x: :+1:",
    "/close /merge\n/lgtm",
    # Invisible and reordering characters
    "abc\u202e\u2066gpj.exe\u2069",
    "zero\u200bwidth\u200d\u2060\ufeff\u00ad",
    "tags\U000e0041\U000e0042 vs\ufe0f hangul\u3164",
    "z" + "\u0300" * 200,
    "lone \ud800 surrogate \udcff",
    "\u2028line\u2029separators\x85next",
    # Terminal
    "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b]8;;https://evil.example\x1b\\link",
    "\x1b[2J\x1b[H\x9b31m\x08\x08\x7f\r overwritten",
    "null\x00byte",
    # Workflow commands
    "::error file=x::forged",
    "\n::set-output name=x::y\n::add-mask::secret",
    "%0A::stop-commands::x %25 %0D",
    "a,line=1::b",
    "##[error]forged",
    # HTML, XML, templates
    "\" onmouseover=\"alert(1)\" x='",
    "javascript:alert(1)",
    "{{ 7*7 }} {% raw %} {# x #}",
    "]]> &xxe; <!ENTITY x SYSTEM 'file:///etc/passwd'>",
    "\ufffe\uffff",
    # SARIF
    "[text](1) {0} {{1}} {10}",
    "../../../etc/passwd",
    "/absolute//path/./x",
    "a%2fb?c#d e\\f",
    # CSV
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(1)",
    "\t=1",
    # Sizes
    "x" * 5_000,
    "`" * 1_500,
    "word " * 1_500,
    "\n" * 1_000 + "x",
)  # fmt: skip

_KEPT = {"schema", "rule", "status", "group", "role", "verdict", "recommendation", "version", "tool_version", "name",
         "track", "as_of", "head", "base", "repository", "until", "created"}  # fmt: skip


def poison(verdict: Verdict, text: str) -> Verdict:
    """Return the verdict with every free string replaced by ``text``; codes, hashes and dates stay."""
    return _poison(verdict, text, "")


def _poison(value: Any, text: str, key: str) -> Any:
    if isinstance(value, str) and type(value) is str:
        return value if key in _KEPT or not value else text
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (f.name for f in dataclasses.fields(value))
        return dataclasses.replace(value, **{n: _poison(getattr(value, n), text, n) for n in names})
    if isinstance(value, dict):
        renamed = {k: _poison(v, text, k) for k, v in value.items()}
        layers = renamed.pop("NUM_LAYERS", None)
        return renamed if layers is None else {**renamed, text: layers}
    if isinstance(value, (list, tuple)):
        return type(value)(_poison(v, text, key) for v in value)
    return value
