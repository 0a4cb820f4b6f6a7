"""``pgolf gate``: a review for CI. It reads the submission and never executes it."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import UsageFault
from harness.options import judging_options, request_from, target_options

if TYPE_CHECKING:
    from checks.verdict import Verdict

FORMATS = ("terminal", "markdown", "json", "sarif", "html", "github", "junit")


@click.command("gate")
@target_options
@judging_options
@click.option(
    "--format", "formats", type=click.Choice(FORMATS), multiple=True, help="Default: github in Actions, else terminal."
)
@click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path), help="Write all report files into this folder."
)
@click.option("--quiet", "-q", is_flag=True, help="No report on standard output; the exit status tells.")
def command(formats: tuple[str, ...], output: Path | None, quiet: bool, **values: Any) -> int:
    """Judge one submission for CI: annotations, step summary, report files and an exit status.

    In GitHub Actions the annotations go to the log and the review to the step summary, and the outputs `verdict` and
    `recommendation` are set.

    \b
    pgolf gate . --base origin/main --output pgolf-report
    pgolf gate records/track_10min_16mb/2026-04-01_Mine --fail-on warn

    Exit status: 0 nothing blocking, 1 a blocking finding, 2 error, 3 undetermined.
    """
    request = request_from(values)
    from harness.output import write_reports
    from harness.review import exit_status, review

    actions = os.environ.get("GITHUB_ACTIONS") == "true"
    verdict = review(request)
    if not formats:
        formats = ("github",) if actions else ("terminal",)
    if output is not None:
        write_reports(verdict, (), output, quiet=True)
    if not quiet:
        if len(formats) > 1:
            raise UsageFault("one --format goes to standard output; --output DIR writes every report file")
        with _no_commands(actions and formats != ("github",)):
            write_reports(verdict, formats, None, quiet=False)
    if actions:
        _tell_actions(verdict)
    return exit_status(verdict)


def _tell_actions(verdict: Verdict) -> None:
    from reports import github

    _append("GITHUB_STEP_SUMMARY", github.step_summary(verdict))
    _append("GITHUB_OUTPUT", f"verdict={verdict.verdict.value}\nrecommendation={verdict.recommendation.value}\n")


def _append(variable: str, text: str) -> None:
    path = os.environ.get(variable)
    if not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageFault(f"${variable} ({path}) cannot be written: {error.strerror}") from error


@contextmanager
def _no_commands(needed: bool) -> Iterator[None]:
    """Stop the runner from obeying workflow commands in what is printed; only the random token starts it again."""
    if not needed:
        yield
        return
    token = secrets.token_hex(16)
    click.echo(f"::stop-commands::{token}")
    try:
        yield
    finally:
        click.echo(f"::{token}::")
