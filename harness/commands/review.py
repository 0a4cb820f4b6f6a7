"""``pgolf review``: judge one target and write the verdict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.options import judging_options, request_from, target_options

FORMATS = ("terminal", "markdown", "json", "sarif", "html", "github", "junit")


@click.command("review")
@target_options
@judging_options
@click.option("--format", "formats", type=click.Choice(FORMATS), multiple=True, help="Repeatable with --output.")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), help="Write report files into this folder.")
@click.option("--quiet", "-q", is_flag=True, help="Nothing on standard output; the exit status tells.")
def command(formats: tuple[str, ...], output: Path | None, quiet: bool, **values: Any) -> int:
    """Judge one submission: a record folder, a checkout (--base), or a ref of a repository (--git-dir, --ref).

    Exit status: 0 nothing blocking, 1 a blocking finding, 2 error, 3 undetermined.
    """
    request = request_from(values)
    from harness.output import write_reports
    from harness.review import exit_status, review

    verdict = review(request)
    write_reports(verdict, formats, output, quiet)
    return exit_status(verdict)
