"""``pgolf reference``: the bundled reference submission."""

from __future__ import annotations

from pathlib import Path

import click

from harness.errors import UsageFault

_output = click.option(
    "--output", metavar="DIR", type=click.Path(path_type=Path), required=True, help="Working folder of the run."
)
_data = click.option(
    "--data", metavar="ROOT", type=click.Path(path_type=Path), help="Root of the data (default: the bundled sample)."
)
_preset = click.option("--preset", type=click.Choice(["claim", "toy"]), default="claim", help="Settings to start from.")
_nproc = click.option("--nproc", type=int, default=1, help="Processes of this machine: 1, 2, 4 or 8 (torchrun).")
_env = click.option("--env", "pairs", metavar="K=V", multiple=True, help="Set a variable of the script; repeatable.")


@click.group("reference")
def command() -> None:
    """Train, export, evaluate and verify the reference submission, or start a new one from it."""


@command.command("train")
@_output
@_data
@_preset
@_nproc
@_env
@click.option("--resume", is_flag=True, help="Go on from checkpoint.pt in --output (saved where CHECKPOINT_EVERY > 0).")
def train(output: Path, data: Path | None, preset: str, nproc: int, pairs: tuple[str, ...], resume: bool) -> int:
    """Train, export and evaluate: everything a submission's run does.

    \b
    pgolf reference train --preset toy --output /tmp/toy
    pgolf reference train --data ./data --nproc 8 --output ./runs/seed42 --env SEED=42
    """
    settings = _settings(pairs) | ({"RESUME": "checkpoint.pt"} if resume else {})
    return _stages("train,export,eval", output, data, preset, nproc, settings)


@command.command("export")
@_output
@_data
@_preset
@_env
def export(output: Path, data: Path | None, preset: str, pairs: tuple[str, ...]) -> int:
    """Quantise and pack final_model.pt of --output into final_model.ptz, and print the sizes."""
    return _stages("export", output, data, preset, 1, _settings(pairs))


@command.command("eval")
@_output
@_data
@_preset
@_nproc
@_env
def evaluate(output: Path, data: Path | None, preset: str, nproc: int, pairs: tuple[str, ...]) -> int:
    """Score final_model.ptz of --output, as a run does at its end."""
    return _stages("eval", output, data, preset, nproc, _settings(pairs))


@command.command("verify")
@click.option(
    "--golden", metavar="FILE.npz", type=click.Path(path_type=Path), required=True, help="FILE.json lies beside it."
)
def verify(golden: Path) -> int:
    """Compare the reference with recorded numbers: forward, gradients, export, Newton-Schulz, the three evaluations.

    Exit status: 0 all within tolerance, 1 some not, 2 no golden pair.
    """
    from tabulate import tabulate

    from harness.reference.golden import verify as run

    found = run(golden)
    rows = [(c.name, f"{c.deviation:.3g}", f"{c.tolerance:g}", "ok" if c.passed else "FAIL", c.note) for c in found]
    click.echo(tabulate(rows, headers=("compared", "deviation", "tolerance", "", "note"), disable_numparse=True))
    failed = [c.name for c in found if not c.passed]
    click.echo(
        f"\n{len(found) - len(failed)} of {len(found)} within tolerance"
        + (f"; not: {', '.join(failed)}" if failed else "")
    )
    return 1 if failed else 0


@command.command("new")
@click.argument("name")
@click.option("--output", metavar="DIR", type=click.Path(path_type=Path), default=".", help="Where to make the folder.")
@click.option("--author", default="", help="Your name, for submission.json.")
@click.option("--github-id", default="", help="Your GitHub ID, for submission.json.")
def new(name: str, output: Path, author: str, github_id: str) -> None:
    """Start a new record folder YYYY-MM-DD_NAME from the reference."""
    from harness.reference.scaffold import new_submission

    folder = new_submission(name, output, author=author, github_id=github_id)
    click.echo(f"{folder}\nNext: edit train_gpt.py, run it, attach the logs, then `pgolf review {folder}`.")


def _settings(pairs: tuple[str, ...]) -> dict[str, str]:
    for pair in pairs:
        if "=" not in pair:
            raise UsageFault(f"--env {pair}: NAME=VALUE is expected")
    return dict(pair.split("=", 1) for pair in pairs)


def _stages(stages: str, output: Path, data: Path | None, preset: str, nproc: int, settings: dict[str, str]) -> int:
    from harness.reference.run import run_stages

    status = run_stages(stages, output, data=data, toy=preset == "toy", nproc=nproc, settings=settings)
    if status:
        click.echo(f"pgolf: the run ended with status {status}; its lines above say why", err=True)
    return 2 if status else 0
