"""``pgolf sweep``: review many pull requests of a repository straight from its git objects."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from harness.agreement import Ruling
    from harness.sweep import Reviewed

ALL_PULL_REQUESTS = "refs/pull/*/head"


@click.command("sweep")
@click.option("--git-dir", required=True, metavar="REPO", type=click.Path(path_type=Path), help="The repository.")
@click.option(
    "--refs", metavar="GLOB", help=f"Which refs (default {ALL_PULL_REQUESTS}; with --rulings: only those rows)."
)
@click.option("--every", default=1, type=click.IntRange(1), metavar="N", help="Only every Nth ref: a sample.")
@click.option("--base", metavar="REF", help="The default branch (default: the repository's).")
@click.option(
    "--jobs", default=os.cpu_count() or 1, type=click.IntRange(1, 256), metavar="N", help="Reviews at a time."
)
@click.option("--output", required=True, metavar="DIR", type=click.Path(path_type=Path), help="Verdicts and summaries.")
@click.option(
    "--rulings", metavar="FILE", type=click.Path(path_type=Path), help="Print the agreement with these rulings."
)
@click.option("--timeout", default=300.0, type=click.FloatRange(1), metavar="S", help="Wall clock of one review.")
@click.option("--quiet", "-q", is_flag=True, help="No progress on standard error.")
def command(
    git_dir: Path,
    refs: str | None,
    every: int,
    base: str | None,
    jobs: int,
    output: Path,
    rulings: Path | None,
    timeout: float,
    quiet: bool,
) -> int:
    """Review many pull requests in parallel. Verdicts are kept in DIR: an interrupted sweep goes on where it stopped.

    DIR holds verdicts/, summary.csv, summary.json, and agreement.json with --rulings.
    """
    from harness import agreement, sweep, sweep_summary
    from harness.bounded import Limits
    from harness.target_git import Repository

    repository = Repository(git_dir)
    rows = agreement.read_rulings(rulings) if rulings else []
    items = [row.item for row in rows]
    if refs or not rulings:
        known = {item.name for item in items}
        found = sweep.pull_requests(repository, refs or ALL_PULL_REQUESTS)[::every]
        items += [item for item in found if item.name not in known]
    plan = sweep.Sweep(repository, output, jobs, limits=Limits(timeout, cpu_seconds=int(timeout)), base=base)
    results = []
    for done in plan.run(items):
        results.append(done)
        if not quiet:
            _progress(done, len(results), len(items))
    results.sort(key=lambda r: (r.item.pr is None, r.item.pr or 0, r.item.name))
    sweep_summary.write(results, output)
    click.echo(json.dumps(sweep_summary.statistics_of(results), indent=1))
    if rows:
        _agreement(rows, results, output)
    return 0


def _progress(done: Reviewed, number: int, total: int) -> None:
    text = f"{number}/{total} {done.item.name}: "
    text += done.error or (done.verdict.verdict.value if done.verdict and done.verdict.submissions else "no submission")
    if done.deaths:
        text += f" ({len(done.deaths)} steps died)"
    text = "".join(c if c.isprintable() else "?" for c in text)
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text[:100]}", nl=number == total, err=True)
    elif done.error or done.deaths or number % 50 == 0 or number == total:
        click.echo(text[:300], err=True)


def _agreement(rows: list[Ruling], results: list[Reviewed], output: Path) -> None:
    from harness import agreement

    verdicts = {r.item.name: r.verdict for r in results}
    compared = []
    missing = []
    for row in rows:
        verdict = verdicts.get(row.name)
        if verdict is None:
            missing.append(f"{row.name}: {next((r.error for r in results if r.item.name == row.name), 'not reviewed')}")
        else:
            compared.append(agreement.Compared(row, verdict))
    click.echo("\n" + agreement.tables(compared, missing))
    document = {
        "totals": {name: {"count": n, "of": of} for name, (n, of) in agreement.totals(compared).items()},
        "misses": agreement.misses(compared),
        "false_alarms": agreement.alarms(compared),
        "not_judged": missing,
    }
    (output / "agreement.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
