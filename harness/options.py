"""The options that ``review``, ``gate`` and ``comment`` share, and how they become a request."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from harness.errors import UsageFault

F = TypeVar("F", bound=Callable[..., Any])
DAY = click.DateTime(["%Y-%m-%d"])
MOMENT = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])

_TARGET = [
    click.argument("target", required=False, type=click.Path(path_type=Path)),
    click.option("--base", metavar="REF", help="TARGET is a checkout: review what its HEAD adds to REF."),
    click.option("--git-dir", metavar="REPO", type=click.Path(path_type=Path), help="Read from this repository."),
    click.option("--ref", metavar="REF", help="The head to read there, e.g. refs/pull/1002/head."),
    click.option("--created", type=MOMENT, help="When the pull request was opened (UTC); git does not know."),
    click.option("--title", help="The pull request's title; git does not know."),
]
_JUDGING = [
    click.option("--as-of", type=DAY, metavar="DATE", help="Judge by the rules of that day (default: all)."),
    click.option("--record", metavar="BPB|auto", default="auto", help="The record to beat (auto: the rulebook's)."),
    click.option("--select", metavar="RULE,…", multiple=True, help="Ask only these rules."),
    click.option("--ignore", metavar="RULE,…", multiple=True, help="Do not ask these rules."),
    click.option("--env", "environment", metavar="K=V", multiple=True, help="Set a variable of the run configuration."),
    click.option("--rulebook", metavar="FILE", type=click.Path(path_type=Path), help="Judge by another rulebook."),
    click.option("--config", metavar="FILE", type=click.Path(path_type=Path), help="The reviewer's pgolf.toml."),
    click.option("--fail-on", type=click.Choice(["fail", "warn", "unknown"]), help="Let these block as well."),
]


def target_options(command: F) -> F:
    """Add TARGET, --base, --git-dir, --ref, --created and --title."""
    return _all(command, _TARGET)


def judging_options(command: F) -> F:
    """Add --as-of, --record, --select, --ignore, --env, --rulebook, --config and --fail-on."""
    return _all(command, _JUDGING)


def request_from(values: dict[str, Any]) -> Any:
    """Return the review request that the options of both groups describe (they are taken out of ``values``).

    Raises:
        UsageFault: a value cannot be understood.
    """
    from harness.review import Request
    from harness.target import Target

    created, as_of = values.pop("created"), values.pop("as_of")
    if created is not None and created.tzinfo is not None:
        created = created.astimezone(dt.timezone.utc)
    elif created is not None:
        created = created.replace(tzinfo=dt.timezone.utc)
    return Request(
        target=Target(
            path=values.pop("target"),
            base=values.pop("base"),
            git_dir=values.pop("git_dir"),
            ref=values.pop("ref"),
            created=created,
            title=values.pop("title"),
        ),
        as_of=as_of.date() if as_of is not None else None,
        record=_record(values.pop("record")),
        select=_codes(values.pop("select")),
        ignore=_codes(values.pop("ignore")),
        environment=dict(_pair(text) for text in values.pop("environment")),
        rulebook=values.pop("rulebook"),
        config=values.pop("config"),
        fail_on=values.pop("fail_on"),
    )


def _all(command: F, options: Sequence[Callable[[Any], Any]]) -> F:
    for option in reversed(options):
        command = option(command)
    return command


def _codes(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code.strip() for text in given for code in text.split(",") if code.strip())


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise UsageFault(f"--env takes NAME=VALUE, not {text!r}")
    return name, value


def _record(text: str) -> float | None:
    if text == "auto":
        return None
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise UsageFault(f"--record takes a number of bits per byte or 'auto', not {text!r}")
    return value
