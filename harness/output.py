"""Writes reports: one format to standard output, or several into a folder."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from checks.verdict import Verdict
from harness.errors import UsageFault
from reports import FORMATS


def write_reports(verdict: Verdict, formats: Sequence[str], folder: Path | None, quiet: bool) -> None:
    """Write the verdict in the formats asked for.

    Args:
        verdict: what to write.
        formats: names of formats; empty means terminal on standard output, and every file format with a folder.
        folder: where files go; only files of ours are replaced there.
        quiet: write nothing on standard output.

    Raises:
        UsageFault: several formats without a folder, or the folder cannot be written.
    """
    if folder is None and len(formats) > 1:
        raise UsageFault("several formats need --output DIR; one goes to standard output")
    if folder is not None:
        chosen = [FORMATS[name] for name in formats] if formats else list(FORMATS.values())
        _write_files(verdict, [f for f in chosen if f.filename], folder)
    if not quiet:
        name = next((n for n in formats if folder is None or not FORMATS[n].filename), "terminal")
        click.echo(_rendered(verdict, name), nl=False)


def _rendered(verdict: Verdict, name: str) -> str:
    if name != "terminal":
        return FORMATS[name].renderer(verdict)
    return FORMATS[name].renderer(verdict, color=_colour(), width=min(shutil.get_terminal_size((100, 24)).columns, 120))


def _colour() -> bool:
    import os

    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def _write_files(verdict: Verdict, formats: Sequence[object], folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for entry in FORMATS.values():
            if entry in formats:
                (folder / entry.filename).write_text(entry.renderer(verdict), encoding="utf-8")
    except OSError as error:
        raise UsageFault(f"--output {folder}: cannot be written ({error.strerror})") from error
