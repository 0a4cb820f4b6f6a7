"""The effective configuration: override > what the log of the runs that count printed > run command > script default.

The log is the best witness of what ran; a command that says otherwise is a conflict, and is kept as one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence

from checks.program.program import EnvConstant
from checks.submission.model import Run, RunCommand, Setting

_TRUE = {"true", "1", "yes", "on", "enabled", "1.0"}
_FALSE = {"false", "0", "no", "off", "disabled", "none", "0.0", ""}
_SWITCH = re.compile(r"^(?:USE_|ENABLE_|RUN_|DO_)?([A-Z0-9_]+?)(?:_ENABLED?|_ON)?$")
_MECHANISMS = {
    "TTT": "ttt",
    "SLOT": "slot",
    "NGRAM": "ngram",
    "NGRAM_EVAL": "ngram",
    "NGRAM_CACHE": "ngram",
    "PPM": "ppm",
    "PREQUANT_TTT": "prequant_ttt",
}


def effective_configuration(
    environment: Sequence[EnvConstant],
    commands: Sequence[RunCommand],
    runs: Sequence[Run],
    overrides: Mapping[str, str],
    script: str = "",
    launchers: Collection[str] = (),
) -> Mapping[str, Setting]:
    """Resolve every environment constant of the script, and every variable and option that the command or the user sets.

    Args:
        environment: the script's ``os.environ.get(NAME, default)`` calls.
        commands: run commands, the headline's first; only the headline's environment counts.
        runs: runs of the submission's logs; complete ones count, or all when none is complete.
        overrides: the user's ``--env NAME=VALUE``.
        script: the script's path, to name the place of defaults.
        launchers: other scripts of the folder that run it; what a command gives to one of them, it passes on.
    """
    counting = [run for run in runs if run.complete] or list(runs)
    command = _headline_command(commands, script, launchers)
    constants: dict[str, EnvConstant] = {}
    for constant in environment:
        if constant.known:
            constants.setdefault(constant.name, constant)
    computed = {constant.name for constant in environment} - constants.keys()  # in effect only where somebody sets them
    names = [*constants, *sorted(computed), *(command.environment if command else ()), *overrides]
    settings = {
        name: _setting(name, constants.get(name), command, counting, overrides, script) for name in dict.fromkeys(names)
    }
    if command is not None and (command.script == script or command.script in launchers):
        settings |= {name: Setting(value, f"{command.file}:{command.line}") for name, value in command.flags.items()}
    return {name: setting for name, setting in settings.items() if name not in computed or setting.from_ != "default"}


def _headline_command(commands: Sequence[RunCommand], script: str, launchers: Collection[str]) -> RunCommand | None:
    """The best-ranked command of this script, else of a launcher of it, else an environment listed without a command."""
    own = [c for c in commands if c.script is not None and (not script or c.script == script)]
    launched = [c for c in commands if c.script in launchers]
    listed = [c for c in commands if c.script is None]
    return min(own or launched or listed, key=lambda c: c.rank, default=None)


def _setting(
    name: str,
    constant: EnvConstant | None,
    command: RunCommand | None,
    runs: Sequence[Run],
    overrides: Mapping[str, str],
    script: str,
) -> Setting:
    default = constant.default if constant else None
    default_from = f"{script or 'script'}:{constant.line}" if constant else ""
    logged = () if constant is not None and constant.derived else _logged(name, runs, default)
    witnesses = [(_as_environment(value, default), place) for value, place in logged]
    if command is not None and name in command.environment:
        line = command.lines.get(name, command.line)
        witnesses.append((command.environment[name], f"{command.file}:{line}"))
    if name in overrides:
        return Setting(overrides[name], "--env", (), default, default_from)
    if not witnesses:
        return Setting(default or "", f"default {default_from}".strip(), (), default, default_from)
    value, place = witnesses[0]
    others = () if name == "SEED" else witnesses[1:]
    conflicts = tuple((v, p) for v, p in others if not same_value(v, value))
    return Setting(value, place, conflicts, default, default_from)


def _logged(name: str, runs: Sequence[Run], default: str | None) -> Iterator[tuple[str, str]]:
    """What each run's log says of a variable: under its own name, as a switch, or by the mechanism at work."""
    for run in runs:
        spelled = _spelled(name, run)
        if spelled is not None:
            yield run.settings[spelled], f"{run.log}:{run.lines.get(f'settings.{spelled}', run.first_line)}"
            continue
        switch = _SWITCH.match(name)
        mechanism = _MECHANISMS.get(switch[1]) if switch and (default or "").lower() in _TRUE | _FALSE else None
        line = run.details.get("ran", {}).get(mechanism) if mechanism else None
        if isinstance(line, int):
            yield "1", f"{run.log}:{line}"


def _spelled(name: str, run: Run) -> str | None:
    if name in run.settings:
        return name
    switch = _SWITCH.match(name)
    if switch is None:
        return None
    for other in (switch[1], f"{switch[1]}_ENABLED", f"USE_{switch[1]}"):
        if run.settings.get(other, "?").lower() in _TRUE | _FALSE - {""}:
            return other
    return None


def _as_environment(value: str, default: str | None) -> str:
    """Spell a printed value as the environment would: ``True`` for a 0/1 switch is ``1``, ``600.000`` is ``600``."""
    low = value.lower()
    if default is not None and default.strip() in ("0", "1") and low in _TRUE | _FALSE - {""}:
        return "1" if low in _TRUE else "0"
    if default is not None and same_value(value, default):
        return default
    if re.fullmatch(r"-?\d+\.0+", value) and default is not None and re.fullmatch(r"-?[\d_]+", default):
        return value.partition(".")[0]
    return value


def same_value(one: str, other: str) -> bool:
    """Whether two spellings mean the same: ``True`` and ``1``, ``600.000`` and ``600``, ``524_288`` and ``524288``."""
    a, b = one.strip().strip("\"'").lower(), other.strip().strip("\"'").lower()
    if a == b:
        return True
    try:
        return float(a) == float(b)
    except ValueError:
        return (a in _TRUE and b in _TRUE) or (a in _FALSE and b in _FALSE)
