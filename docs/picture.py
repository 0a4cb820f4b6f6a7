"""Writes the README's picture: the terminal report of one real pull request as SVG text, nothing drawn by hand.

python docs/picture.py --git-dir REPO --ref refs/pull/1002/head --lines 60 docs/verdict.svg
"""

from __future__ import annotations

import argparse
import html
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from harness.review import Request, review
from harness.target import Target
from reports import terminal

COLUMNS = 100
WIDTH, HEIGHT = 8.4, 18
COLOURS = {
    30: "#6e7681",
    31: "#ff7b72",
    32: "#7ee787",
    33: "#e3b341",
    34: "#79c0ff",
    35: "#d2a8ff",
    36: "#76e3ea",
    37: "#e6edf3",
}
ESCAPE = re.compile(r"\x1b\[([\d;]*)m")


def svg(text: str) -> str:
    """Return an SVG of text with ANSI colours: one ``text`` element a line, nothing loaded from outside."""
    rows = text.splitlines()
    body = [_line(row, (number + 1) * HEIGHT + 10) for number, row in enumerate(rows)]
    width, height = COLUMNS * WIDTH + 32, len(rows) * HEIGHT + 32
    frame = f'viewBox="0 0 {width:.0f} {height}" role="img" aria-label="A verdict of pgolf review"'
    font = 'font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" xml:space="preserve"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {frame}>',
            f'<rect width="{width:.0f}" height="{height}" rx="8" fill="#0d1117"/>',
            f'<g {font} fill="#e6edf3">',
            *body,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _line(row: str, y: int) -> str:
    spans = []
    style = ""
    for index, part in enumerate(ESCAPE.split(row)):
        if index % 2:
            style = _style(part, style)
        elif part:
            spans.append(f"<tspan{style}>{html.escape(part, quote=False)}</tspan>")
    return f'<text x="16" y="{y}">{"".join(spans)}</text>'


def _style(codes: str, style: str) -> str:
    for code in (int(c or 0) for c in codes.split(";")):
        if code == 0:
            style = ""
        elif code == 1:
            style += ' font-weight="bold"'
        elif code == 2:
            style += ' fill-opacity="0.6"'
        elif 90 <= code < 98 or code in COLOURS:
            style = re.sub(r' fill="[^"]*"', "", style) + f' fill="{COLOURS[code - 60 if code >= 90 else code]}"'
    return style


def main() -> None:
    """Review the pull request and write the picture."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--git-dir", type=Path, required=True)
    parser.add_argument("--ref", required=True)
    parser.add_argument("--lines", type=int, default=60)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    verdict = review(Request(Target(git_dir=options.git_dir, ref=options.ref)))
    rows = terminal.render(verdict, color=True, width=COLUMNS).splitlines()
    shown = [*rows[: options.lines], "…"] if len(rows) > options.lines else rows
    command = f"$ pgolf review --git-dir parameter-golf.git --ref {options.ref}"
    options.output.write_text(svg("\n".join([command, "", *shown])), encoding="utf-8")


if __name__ == "__main__":
    main()
