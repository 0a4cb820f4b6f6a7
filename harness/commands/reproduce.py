"""``pgolf reproduce``: run a submission as the rules say, and hand back evidence."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.errors import UsageFault
from harness.options import target_options

if TYPE_CHECKING:
    from harness.reproduce.launchers import Launcher
    from harness.reproduce.run import Request


def _seeds(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    try:
        seeds = tuple(dict.fromkeys(int(word) for word in value.split(",")))
    except ValueError:
        raise click.BadParameter("give whole numbers with commas between them: 1337,42,2024") from None
    if not all(0 <= seed < 1 << 32 for seed in seeds):
        raise click.BadParameter("a seed lies between 0 and 4294967295")
    return seeds


def _pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    pairs = dict(word.partition("=")[::2] for word in value)
    if not all("=" in word and name for word, name in zip(value, pairs, strict=False)):
        raise click.BadParameter("give NAME=VALUE")
    return pairs


@click.command("reproduce")
@target_options
@click.option("--folder", help="Which record folder, where the target adds several.")
@click.option("--seeds", default="1337,42,2024", show_default=True, callback=_seeds, help="Seeds to run.")
@click.option("--gpus", default=8, show_default=True, help="GPUs; fewer keep the mathematics, not the clocks.")
@click.option("--launcher", type=click.Choice(["local", "slurm", "skypilot"]), default="local", show_default=True)
@click.option("--output", type=click.Path(path_type=Path, file_okay=False), default="reproduction", show_default=True)
@click.option(
    "--data", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Root of datasets/ and tokenizers/."
)
@click.option("--record", type=float, help="The record to beat, in bits per byte; default: the rulebook's.")
@click.option("--env", "overrides", multiple=True, callback=_pairs, help="NAME=VALUE in place of the configuration.")
@click.option("--container", metavar="IMAGE", help="Isolate by Docker or Podman with this existing image.")
@click.option("--own-code", is_flag=True, help="Run without isolation; only for code that is your own.")
@click.option("--progress", type=click.Choice(["auto", "live", "log", "quiet"]), default="auto", show_default=True)
@click.option("--dry-run", is_flag=True, help="Print the plan and its cost, run nothing.")
@click.option("--rehearse", is_flag=True, help="The whole way at toy scale on the CPU with the bundled sample.")
@click.option(
    "--verify", "bundle", type=click.Path(path_type=Path, exists=True, file_okay=False), help="Check a bundle."
)
def command(
    target: Path | None,
    git_dir: Path | None,
    ref: str | None,
    base: str | None,
    created: dt.datetime | None,
    title: str | None,
    folder: str | None,
    seeds: tuple[int, ...],
    gpus: int,
    launcher: str,
    output: Path,
    data: Path | None,
    record: float | None,
    overrides: dict[str, str],
    container: str | None,
    own_code: bool,
    progress: str,
    dry_run: bool,
    rehearse: bool,
    bundle: Path | None,
) -> int:
    """Run TARGET as the rules say, isolated and by our own clock; write a verdict and an evidence bundle.

    \b
    pgolf reproduce records/track_10min_16mb/X --seeds 1337,42,2024 --data ./data
    pgolf reproduce records/track_10min_16mb/X --rehearse
    pgolf reproduce --verify reproduction
    """
    if bundle is not None:
        return _verify(bundle)
    if container and own_code:
        raise UsageFault("--container isolates, --own-code does not: give one of them")
    if data is None and not rehearse:
        raise UsageFault(
            "--data ROOT is missing: the folder that holds datasets/ and tokenizers/ ('pgolf data' prepares it)"
        )
    from harness.reproduce.run import Request
    from harness.target import Target, read_target

    opened = created.replace(tzinfo=created.tzinfo or dt.timezone.utc) if created else None
    pull_request = read_target(Target(target, base, git_dir, ref, opened, title))
    found = pull_request.submissions
    if folder is not None:
        found = tuple(s for s in found if s.path == folder or s.path.endswith(f"/{folder.strip('/')}"))
    if len(found) != 1:
        names = ", ".join(repr(s.path) for s in pull_request.submissions) or "none"
        raise UsageFault(f"one record folder is run at a time; there are: {names}. Choose with --folder NAME")
    provider = "container" if container else "none" if own_code else "bubblewrap"
    request = Request(
        submission=found[0],
        output=output.resolve(),
        seeds=seeds,
        gpus=gpus,
        rehearsal=rehearse,
        provider=provider,
        container_image=container,
        launcher=launcher,
        data=data,
        record_bpb=record,
        created=pull_request.created,
        overrides=overrides,
    )
    return _reproduce(request, progress, dry_run)


def _reproduce(request: Request, progress: str, dry_run: bool) -> int:
    from harness.reproduce import progress as shows
    from harness.reproduce.plan import render_plan
    from harness.reproduce.run import prepare, reproduce
    from harness.reproduce.summary import render_summary
    from harness.review import exit_status
    from reports import terminal

    prepared = prepare(request)
    quiet = progress == "quiet"
    if not quiet or dry_run:
        click.echo(render_plan(prepared.plan))
        for word, lines in (("cannot", prepared.impossible), ("weaker", prepared.weaker)):
            for line in lines:
                click.echo(f"{word:12}{line}")
    if dry_run:
        return 0
    result = reproduce(
        prepared, _launcher(request.launcher), shows.chosen(progress), lambda text: click.echo(text, err=True)
    )
    if not quiet:
        click.echo(terminal.render(result.verdict))
        click.echo(render_summary(result.records))
    click.echo(f"bundle {request.output}: statement sha256:{result.digest}")
    return exit_status(result.verdict)


def _launcher(name: str) -> Launcher:
    if name == "slurm":
        from harness.reproduce.launchers.slurm import Slurm

        return Slurm()
    if name == "skypilot":
        from harness.reproduce.launchers.skypilot import SkyPilot

        return SkyPilot()
    from harness.reproduce.launchers.local import Local

    return Local()


def _verify(bundle: Path) -> int:
    from harness.reproduce.verify import verify

    try:
        wrong, digest = verify(bundle)
    except ValueError as error:
        raise UsageFault(f"{bundle}: {error}") from error
    for line in wrong:
        click.echo(f"WRONG {line}")
    click.echo(f"statement sha256:{digest}")
    if not wrong:
        click.echo("every byte checks, and the verdict follows from the records")
    return 1 if wrong else 0
