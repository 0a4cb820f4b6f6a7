"""Renders a verdict, one renderer a file; knows nothing of how the verdict was reached."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from checks.verdict import Verdict


@dataclass(frozen=True)
class Format:
    """An output format: its module, and the file that ``--output`` writes (empty: standard output only)."""

    name: str
    module: str
    filename: str

    @property
    def renderer(self) -> Callable[..., str]:
        """The module's ``render(verdict, ...)``, imported when first asked for."""
        render: Callable[..., str] = importlib.import_module(self.module).render
        return render


FORMATS = {
    f.name: f
    for f in (
        Format("terminal", "reports.terminal", ""),
        Format("markdown", "reports.markdown", "review.md"),
        Format("json", "reports.json", "verdict.json"),
        Format("sarif", "reports.sarif", "verdict.sarif"),
        Format("html", "reports.html", "report.html"),
        Format("github", "reports.github", ""),
        Format("junit", "reports.junit", "junit.xml"),
    )
}


def render(name: str, verdict: Verdict) -> str:
    """Return the verdict in the format of that name, with the renderer's defaults.

    Raises:
        KeyError: there is no such format.
    """
    return FORMATS[name].renderer(verdict)
