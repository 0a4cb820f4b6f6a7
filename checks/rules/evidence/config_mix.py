"""config-mix: the runs behind a mean are runs of one configuration, the submitted one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted, setting_names
from checks.rules.places import at, name_run, of_run
from checks.submission.configuration import same_value
from checks.submission.model import Run, Setting
from checks.verdict import Evidence, Finding, Group

CODE = "config-mix"
SHOWN = 6

_PLACE = re.compile(r"(.+):(\d+)$")


def check(case: Case) -> Finding:
    """Compare the runs with each other, and the configuration's witnesses with each other."""
    say = Verdicts(CODE, Group.EVIDENCE, case.rulebook)
    runs = counted(case).runs
    names = setting_names(case)
    differing = _differing(runs, names)
    if differing:
        text = "; ".join(_say(name, values) for name, values in list(differing.items())[:4])
        return (say.warn if case.non_record else say.fail)(
            f"The runs do not share one configuration: {text}.",
            [
                of_run(case, r, f"settings.{name}", f"{name} = {v}")
                for name, rows in list(differing.items())[:SHOWN]
                for r, v in rows
            ],
            "Run every seed with the submitted configuration.",
        )
    versions = {r.details.get("source_sha256") for r in runs if r.details.get("source_sha256")}
    if len(versions) > 1:
        return say.warn(
            f"The logs print {len(versions)} different scripts.",
            [
                of_run(case, r, "source_bytes", f"{name_run(r)}: a script of {r.source_bytes:,} bytes")
                for r in runs
                if r.source_bytes
            ],
            "Run every seed with the submitted script.",
        )
    settings = {n: s for n, s in case.submission.configuration.items() if n in names}
    ignored = {r.log for r in case.submission.runs} - {r.log for r in runs}
    conflicts = {n: c for n, s in settings.items() if (c := _among(s, ignored)).conflicts}
    if conflicts:
        return say.warn(
            "The run command and the logs disagree: "
            + "; ".join(_conflict(n, s) for n, s in list(conflicts.items())[:4])
            + ".",
            [e for n, s in list(conflicts.items())[:SHOWN] for e in _witnesses(case, n, s)],
            "Give the command that ran.",
        )
    built = _not_default(case, settings)
    if built:
        return say.warn(
            f"The script's defaults do not build the claimed model; {len(built)} variables have to be set: "
            + ", ".join(f"{n}={s.value} (default {s.default})" for n, s in list(built.items())[:8])
            + ".",
            [e for n, s in list(built.items())[:SHOWN] for e in _witnesses(case, n, s)],
            "Make the submitted configuration the script's defaults.",
        )
    if not runs:
        return say.not_applicable("No complete run to compare.")
    if len(runs) == 1:
        return say.passed(
            "One run counts; nothing contradicts the submitted configuration.",
            [of_run(case, runs[0], "val_bpb", name_run(runs[0]))],
        )
    return say.passed(
        f"{len(runs)} runs print the same configuration, the seed aside.",
        [of_run(case, r, "val_bpb", name_run(r)) for r in runs[:SHOWN]],
    )


def _among(setting: Setting, ignored: set[str]) -> Setting:
    """The setting without the witness of logs that do not count."""
    witnesses = [(setting.value, setting.from_), *setting.conflicts]
    kept = [(v, p) for v, p in witnesses if p.rpartition(":")[0] not in ignored] or witnesses[:1]
    (value, place), *others = kept
    return replace(setting, value=value, from_=place, conflicts=tuple(w for w in others if not same_value(w[0], value)))


def _differing(runs: Sequence[Run], names: set[str]) -> dict[str, list[tuple[Run, str]]]:
    found = {}
    for name in sorted(names):
        rows = [(r, r.settings[name]) for r in runs if name in r.settings]
        if len(rows) > 1 and any(not same_value(rows[0][1], v) for _, v in rows[1:]):
            found[name] = rows
    return found


def _say(name: str, rows: Sequence[tuple[Run, str]]) -> str:
    return f"{name} is " + ", ".join(f"{v} in {r.log}" for r, v in rows[:3])


def _conflict(name: str, setting: Setting) -> str:
    others = ", ".join(f"{value} by {place}" for value, place in setting.conflicts[:2])
    return f"{name} is {setting.value} by {setting.from_}, {others}"


def _not_default(case: Case, settings: dict[str, Setting]) -> dict[str, Setting]:
    """Variables set away from their defaults, provided one of them shapes the model."""
    architecture = set(case.rulebook.rule(CODE).numbers["architecture"])
    commanded = {name for command in case.submission.commands for name in command.environment}
    changed = {
        n: s
        for n, s in settings.items()
        if s.default is not None and not same_value(s.value, s.default) and (n in architecture or n in commanded)
    }
    return changed if architecture & changed.keys() else {}


def _witnesses(case: Case, name: str, setting: Setting) -> list[Evidence]:
    places = [(setting.value, setting.from_), *setting.conflicts]
    if setting.default is not None and setting.default_from:
        places.append((f"{setting.default} (default)", setting.default_from))
    found = []
    for value, place in places:
        match = _PLACE.match(place.removeprefix("default "))
        if match:
            found.append(at(case, match[1], int(match[2]), f"{name} = {value}"))
    return found
