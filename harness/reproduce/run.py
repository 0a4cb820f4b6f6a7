"""The whole way: read, plan, check the machine, run what is missing, judge, and write the bundle."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from checks import rulebook
from checks.rulebook import Rulebook
from checks.submission.model import Submission
from checks.verdict import Verdict
from harness.data import BUNDLED_SAMPLE
from harness.reproduce import rehearsal
from harness.reproduce.bundle import PRIVATE, read_json, write_bundle
from harness.reproduce.digest import sha256
from harness.reproduce.judging.facts import Reproduction
from harness.reproduce.judging.verdict import judge
from harness.reproduce.launchers import Launcher, Site
from harness.reproduce.machine import Machine, read_machine, shortcomings
from harness.reproduce.observer import Progress
from harness.reproduce.plan import Plan, make_plan
from harness.reproduce.record import SeedRecord, read_record, write_json
from harness.reproduce.subject import digests, read_subject, script_bytes, stage
from harness.sandbox import Blame, RunnerError
from harness.sandbox.processes import available_bytes
from harness.version import __version__


@dataclass(frozen=True)
class Request:
    """What the user asks for.

    ``data`` is a root in the challenge's layout; None with a rehearsal: the bundled sample.
    """

    submission: Submission
    output: Path
    seeds: tuple[int, ...]
    gpus: int
    rehearsal: bool
    provider: str
    container_image: str | None
    launcher: str
    data: Path | None
    record_bpb: float | None = None
    created: dt.datetime | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What came out: verdict, records and the digest of the bundle's Statement."""

    verdict: Verdict
    records: tuple[SeedRecord, ...]
    digest: str


@dataclass(frozen=True)
class Prepared:
    """A plan that can be carried out, and the facts it rests on."""

    request: Request
    plan: Plan
    subject: Submission
    rules: Rulebook
    machine: Machine
    impossible: tuple[str, ...]
    weaker: tuple[str, ...]
    site: Site


def prepare(request: Request) -> Prepared:
    """Plan and check the machine; nothing is written.

    Raises:
        RunnerError: the submission has no script, the options do not fit, or the output holds another plan's seeds.
    """
    rules = rulebook.load()
    output = request.output
    _check_output(output)
    subject = read_subject(request.submission, overrides=request.overrides)
    sources = script_bytes(subject)
    overrides = dict(request.overrides)
    if request.rehearsal:
        text = next(iter(sources.values()), b"").decode("utf-8", "replace")
        overrides = rehearsal.toy_settings(text) | overrides
    plan = make_plan(
        subject,
        sources,
        digests(subject),
        rules,
        seeds=request.seeds,
        gpus=request.gpus,
        rehearsal=request.rehearsal,
        provider=request.provider,
        launcher=request.launcher,
        memory_bytes=rehearsal.MEMORY_BYTES if request.rehearsal else available_bytes() * 9 // 10,
        overrides=overrides,
    )
    _check_seeds(output, plan)
    machine = read_machine(next(folder for folder in (output, *output.parents) if folder.is_dir()))
    impossible, weaker = shortcomings(machine, plan, rules) if request.launcher == "local" else ([], [])
    data = request.data or BUNDLED_SAMPLE.root
    site = Site(output, data.resolve(), request.provider, request.container_image)
    return Prepared(request, plan, subject, rules, machine, tuple(impossible), tuple(weaker), site)


def reproduce(prepared: Prepared, launcher: Launcher, progress: Progress, say: Callable[[str], None]) -> Result:
    """Run the seeds that are missing, judge all, and write the bundle.

    Raises:
        RunnerError: the machine cannot do it, or a sandbox could not be set up.
        KeyboardInterrupt: the user interrupted; finished seeds are kept and not run again.
    """
    plan, output = prepared.plan, prepared.request.output
    missing = tuple(seed for seed in plan.seeds if read_record(output / "seeds" / str(seed), plan.digest) is None)
    if done := [str(seed) for seed in plan.seeds if seed not in missing]:
        say(f"already finished: seed {', '.join(done)}")
    if missing and prepared.impossible:
        raise RunnerError(Blame.MACHINE, "; ".join(prepared.impossible))
    output.mkdir(parents=True, exist_ok=True)
    stage(prepared.subject, output / "submission")
    write_json(output / "plan.json", plan.to_json())
    launcher.run(plan, missing, prepared.site, progress)
    prepared = replace(prepared, weaker=(*prepared.weaker, *_weaker_on_nodes(output, plan)))
    records = []
    for seed in plan.seeds:
        record = read_record(output / "seeds" / str(seed), plan.digest)
        if record is None:
            raise RunnerError(Blame.MACHINE, f"seed {seed} left no record: see the launcher's messages above")
        records.append(record)
    return conclude(prepared, tuple(records))


def conclude(prepared: Prepared, records: tuple[SeedRecord, ...]) -> Result:
    """Judge the records and write reports, manifest and Statement."""
    output, request = prepared.request.output, prepared.request
    machine = _machine(prepared)
    case = Reproduction(
        prepared.plan,
        records,
        prepared.subject,
        prepared.rules,
        prepared.weaker,
        request.record_bpb,
        request.created,
        next((gpu["name"] for gpu in machine["gpus"]), None) if prepared.plan.gpus else None,
    )
    verdict = judge(case, __version__)
    write_json(output / "case.json", case.circumstances())
    write_json(output / "machine.json", machine)
    write_json(output / "verdict.json", verdict.to_json())
    _write_reports(output, verdict)
    inputs = _input_digests(prepared)
    digest = write_bundle(output, prepared.plan, machine, records, verdict, inputs, __version__)
    return Result(verdict, records, digest)


def _check_output(output: Path) -> None:
    """Refuse a folder that holds something else than a reproduction.

    Raises:
        RunnerError: it does (blame: user).
    """
    if output.exists() and not output.is_dir():
        raise RunnerError(Blame.USER, f"{output} is no folder: choose another --output")
    names = {path.name for path in output.iterdir()} if output.exists() else set()
    if names and not names & {"plan.json", PRIVATE}:
        raise RunnerError(
            Blame.USER, f"{output} holds other files, and nothing of yours is overwritten: choose another --output"
        )


def _check_seeds(output: Path, plan: Plan) -> None:
    """Refuse to replace finished seeds of another plan.

    Raises:
        RunnerError: there are some (blame: user).
    """
    for path in sorted((output / "seeds").glob("*/record.json")):
        with contextlib.suppress(ValueError):
            if read_json(path).get("plan") != plan.digest:
                what = f"seed {path.parent.name} of another submission or configuration"
                raise RunnerError(Blame.USER, f"{output} holds {what}: choose another --output")


def _machine(prepared: Prepared) -> Mapping[str, Any]:
    """Return the machine that ran: the first seed's node where a cluster did, else this one."""
    for seed in prepared.plan.seeds:
        with contextlib.suppress(ValueError, KeyError):
            path = prepared.request.output / PRIVATE / f"seed-{seed}" / "machine.json"
            return dict(read_json(path)["machine"])
    return prepared.machine.to_json()


def _weaker_on_nodes(output: Path, plan: Plan) -> tuple[str, ...]:
    """Return what the machines of a cluster cannot prove, as each of them noted it."""
    found: dict[str, None] = {}
    for seed in plan.seeds:
        with contextlib.suppress(ValueError, KeyError):
            found |= dict.fromkeys(read_json(output / PRIVATE / f"seed-{seed}" / "machine.json")["weaker"])
    return tuple(found)


def _input_digests(prepared: Prepared) -> dict[str, str]:
    """Hash the data that the runs saw; a digest is kept beside the output, keyed by size and time of change."""
    site, plan = prepared.site, prepared.plan
    folder = site.data / "datasets" / plan.dataset
    files = [*sorted(folder.glob("fineweb_*.bin")), site.data / "tokenizers" / (plan.tokenizer or "")]
    kept_at = site.output / PRIVATE / "digests.json"
    try:
        kept = read_json(kept_at)
    except ValueError:
        kept = {}
    found = {}
    for path in files:
        if path.is_file():
            status = path.stat()
            key = f"{path}:{status.st_size}:{status.st_mtime_ns}"
            kept[key] = kept.get(key) or sha256(path)
            found[path.relative_to(site.data).as_posix()] = str(kept[key])
    write_json(kept_at, kept)
    return found


def _write_reports(output: Path, verdict: Verdict) -> None:
    """Write the verdict in the formats for people, with the renderers that reviews use."""
    from reports import html, markdown, sarif

    for name, render in (("review.md", markdown.render), ("report.html", html.render), ("verdict.sarif", sarif.render)):
        (output / name).write_text(render(verdict), encoding="utf-8")
