"""``pgolf comment``: the Markdown review comment alone."""

from __future__ import annotations

from typing import Any

import click

from harness.options import judging_options, request_from, target_options


@click.command("comment")
@target_options
@judging_options
def command(**values: Any) -> int:
    """Write the Markdown review comment of a target on standard output.

    Exit status: 0 whatever the verdict, 2 on an error: the comment is the result.
    """
    request = request_from(values)
    from harness.output import write_reports
    from harness.review import review

    write_reports(review(request), ("markdown",), None, False)
    return 0
