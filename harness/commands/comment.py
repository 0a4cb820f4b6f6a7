"""``pgolf comment``: the Markdown review comment alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.errors import UsageFault
from harness.options import judging_options, request_from, target_options


@click.command("comment")
@target_options
@judging_options
@click.option(
    "--from-json", metavar="FILE", type=click.Path(path_type=Path), help="Render this stored verdict instead."
)
@click.option("--pr", type=click.IntRange(1), help="With --from-json: the pull request that it must be about.")
@click.option("--head", metavar="SHA", help="With --from-json: the head commit that it must be about.")
@click.option("--repository", metavar="OWNER/NAME", help="With --from-json: the repository to link to.")
def command(from_json: Path | None, pr: int | None, head: str | None, repository: str | None, **values: Any) -> int:
    """Write the Markdown review comment of a target on standard output.

    With --from-json nothing is reviewed: the file is taken for hostile, checked against the schema and rendered by this
    program. A job that may write comments uses it on what a job without rights has found.

    \b
    pgolf comment --git-dir parameter-golf.git --ref refs/pull/1002/head
    pgolf comment --from-json verdict.json --pr 1002 --head 8f803e96c525... --repository openai/parameter-golf

    Exit status: 0 whatever the verdict, 2 on an error: the comment is the result.
    """
    if from_json is not None:
        return _stored(from_json, pr, head, repository)
    if pr or head or repository:
        raise UsageFault("--pr, --head and --repository go with --from-json")
    request = request_from(values)
    from harness.output import write_reports
    from harness.review import review

    write_reports(review(request), ("markdown",), None, False)
    return 0


def _stored(path: Path, pr: int | None, head: str | None, repository: str | None) -> int:
    from reports import markdown, stored

    try:
        with path.open("rb") as file:
            data = file.read(stored.MAX_BYTES + 1)
        verdict = stored.read(data, pr=pr, head=head, repository=repository)
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read ({error.strerror})") from error
    except stored.StoredVerdictError as error:
        raise UsageFault(f"{path}: {error}") from error
    click.echo(markdown.render(verdict), nl=False)
    return 0
