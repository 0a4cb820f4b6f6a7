"""Reads one record folder into facts: claims, logs, run commands, headline script, configuration and program.

Every step can be skipped with a reason, and a step that raises is our bug: both leave a note and an empty fact, so that
the rules that depend on it come out unknown. Steps are announced, so that whoever watches knows where a child died.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from checks.program.program import Program
from checks.submission.model import Claims, Run, RunCommand, Setting, SourceFile, Submission

if TYPE_CHECKING:
    from checks.program.analyse import Front

MAX_LOG_BYTES = 48 * 1024**2
MAX_LOGS_BYTES = 192 * 1024**2
MAX_CODE_BYTES = 4 * 1024**2
MAX_ALL_CODE_BYTES = 32 * 1024**2
LOG_HEAD_BYTES = 64 * 1024
MAX_LOGS = 200
_NATIVE_SUFFIXES = (".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".cu", ".cuh", ".rs")
_TEXT_SUFFIXES = (".sh", ".bash", ".toml", ".cfg", ".ini", ".yaml", ".yml", ".json", ".txt", ".md")
CODE_SUFFIXES = frozenset((".py", ".pyx", *_NATIVE_SUFFIXES, *_TEXT_SUFFIXES))
_RUNS = re.compile(rb"\brun_path\b|\bsubprocess\b|\bos\.(?:exec|spawn|system)|\bexec\(|\btorchrun\b")
PYTHON_SUFFIXES = (".py", ".pyw")

T = TypeVar("T")


@dataclass(frozen=True)
class Steps:
    """Announces steps and skips those that are known to fail. ``skip`` maps "step:folder" to the reason."""

    folder: str
    announce: Callable[[str], None]
    skip: Mapping[str, str]
    notes: list[str]

    def take(self, step: str, work: Callable[[], T], otherwise: Callable[[str], T]) -> T:
        """Do one step; without it, or when it raises, return ``otherwise(reason)`` and note the reason."""
        name = f"{step}:{self.folder}"
        if name in self.skip:
            reason = self.skip[name]
        else:
            self.announce(name)
            try:
                return work()
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 - a reader that raises must not end the review
                reason = f"our bug: {type(error).__name__}: {str(error)[:200]}"
        self.notes.append(f"{step} could not be read: {reason}")
        return otherwise(reason)


@dataclass(frozen=True)
class Reading:
    """A submission with its facts, and its analysed program.

    ``script_why`` says why the headline script is that one; ``seconds`` how long each step took.
    """

    submission: Submission
    program: Program
    script_why: str
    seconds: Mapping[str, float]


def read(
    submission: Submission,
    title: str | None,
    overrides: Mapping[str, str],
    announce: Callable[[str], None],
    skip: Mapping[str, str],
) -> Reading:
    """Read everything that rules ask about one record folder.

    Args:
        submission: the folder's files; nothing read yet.
        title: the pull request's title, if known.
        overrides: NAME -> value of the run configuration that the reviewer sets.
        announce: told the name of each step before it begins.
        skip: "step:folder" -> why this step is not taken.
    """
    from checks.submission.claims import read_claims
    from checks.submission.configuration import effective_configuration
    from checks.submission.headline import headline_script
    from checks.submission.run_command import read_commands
    from checks.submission.told import told

    notes = list(submission.notes)
    steps = Steps(submission.path, announce, skip, notes)
    clock = _Clock()
    files = submission.files
    claims = steps.take(
        "claims", lambda: read_claims(files, title, submission.path), lambda why: Claims(json_error=why)
    )
    code = _code(files, notes)
    python = {p: d for p, d in code.items() if p.endswith(PYTHON_SUFFIXES)}
    clock.mark("claims")
    runs = _runs(files, python, steps)
    clock.mark("logs")
    none: tuple[RunCommand, ...] = ()
    commands = steps.take("commands", lambda: read_commands(files), lambda why: none)
    script, why = steps.take(
        "headline",
        lambda: headline_script(files, claims, runs, commands, python),
        lambda why: _first_script(python, why),
    )
    clock.mark("headline")
    front = steps.take("parse", lambda: _front(code, script), lambda why: None)
    if front is not None and (beside := steps.take("evaluation", partial(_beside, code, front, runs, claims), _none)):
        script, why = beside, f"it alone prints the label under which a log shows the claim, {script} does not"
        front = steps.take("parse", lambda: _front(code, script), lambda why: None)
    environment = tuple(c for s in front.scripts.values() for c in s.environment) if front is not None else ()
    clock.mark("parse")
    nothing: Mapping[str, Setting] = {}
    configuration = steps.take(
        "configuration",
        lambda: told(
            environment,
            effective_configuration(environment, commands, runs, overrides, script or "", _launchers(python, script)),
            runs,
            *_described(files, submission.path),
        ),
        lambda why: nothing,
    )
    clock.mark("configuration")
    program = steps.take(
        "program",
        lambda: _program(front, configuration, runs, claims, commands, notes),
        lambda why: Program(front.scripts if front is not None else {}, script, why),
    )
    clock.mark("program")
    read = replace(
        submission,
        script=script,
        scripts=tuple(python),
        claims=claims,
        runs=runs,
        commands=commands,
        configuration=configuration,
        notes=tuple(notes),
    )
    return Reading(read, program, why, clock.seconds)


def _launchers(python: Mapping[str, bytes], script: str | None) -> frozenset[str]:
    """Scripts of the folder that name the headline script and run a file."""
    name = (script or "").rsplit("/", 1)[-1].encode()
    return frozenset(p for p, text in python.items() if script and p != script and name in text and _RUNS.search(text))


def _described(files: Mapping[str, SourceFile], folder: str) -> tuple[str, str]:
    """The README's text after the folder's name, and where it stands."""
    readme = next((f for path, f in files.items() if path.lower() == "readme.md"), None)
    name = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", folder.rsplit("/", 1)[-1])
    if readme is None:
        return name, folder
    return f"{name}\n{readme.read(200_000).decode('utf-8', 'replace')}", readme.path


def _front(code: Mapping[str, bytes], script: str | None) -> Front | None:
    from checks.program import analyse

    return analyse.front(code, script)


def _program(
    front: Front | None,
    configuration: Mapping[str, Setting],
    runs: tuple[Run, ...],
    claims: Claims,
    commands: Sequence[RunCommand],
    notes: Sequence[str],
) -> Program:
    from checks.program import analyse

    if front is None:
        why = next((n for n in reversed(notes) if n.startswith("parse ")), "the scripts could not be read")
        return Program(failure=why)
    return analyse.analyse(front, configuration, runs, _claimed(claims), commands, claims.stated_labels)


def _beside(code: Mapping[str, bytes], front: Front, runs: tuple[Run, ...], claims: Claims) -> str | None:
    from checks.program.printing import evaluation_beside

    return evaluation_beside(code, front, runs, _claimed(claims))


def _claimed(claims: Claims) -> list[float]:
    """The claimed scores: submission.json's, the title's, the README's first ones."""
    return [c for c in (claims.val_bpb, claims.title_val_bpb, *claims.readme_val_bpb[:3]) if c]


def _none(why: str) -> str | None:
    return None


def _first_script(python: Mapping[str, bytes], why: str) -> tuple[str | None, str]:
    return next((p for p in sorted(python) if p.rsplit("/", 1)[-1].startswith("train")), None), why


def _code(files: Mapping[str, SourceFile], notes: list[str]) -> dict[str, bytes]:
    """Return the content of the files that may hold code, bounded; what was left out is noted."""
    code: dict[str, bytes] = {}
    total = 0
    for path, file in files.items():
        dot = file.name.rfind(".")
        if file.kind != "file" or (dot > 0 and file.name[dot:].lower() not in CODE_SUFFIXES):
            continue
        if file.size > MAX_CODE_BYTES or total + file.size > MAX_ALL_CODE_BYTES:
            if path.endswith(PYTHON_SUFFIXES):
                notes.append(f"{path} was not read: {file.size} bytes of code are too many")
            continue
        code[path] = file.read(MAX_CODE_BYTES)
        total += len(code[path])
    return code


def _runs(files: Mapping[str, SourceFile], python: Mapping[str, bytes], steps: Steps) -> tuple[Run, ...]:
    from checks.submission.logs import distinct_runs, is_log

    runs: list[Run] = []
    budget = MAX_LOGS_BYTES
    read = 0
    for path, file in files.items():
        if file.kind != "file" or path.endswith(PYTHON_SUFFIXES) or not is_log(path, file.read(LOG_HEAD_BYTES)):
            continue
        read += 1
        if read > MAX_LOGS or budget <= 0:
            runs.append(Run(path, reason="not read: the folder's logs are too many or too large"))
            continue
        limit = min(MAX_LOG_BYTES, budget)
        budget -= min(file.size, limit)
        if file.size > limit:
            steps.notes.append(f"{path} has {file.size} bytes; only the first {limit} were read")
        read_one = partial(_read_log, path, file, limit, python)
        found = steps.take(f"log {path}", read_one, partial(_unread, path))
        runs += [_cut(run) for run in found] if file.size > limit else found
    return tuple(distinct_runs(runs))


def _read_log(path: str, file: SourceFile, limit: int, python: Mapping[str, bytes]) -> tuple[Run, ...]:
    from checks.submission.logs import read_log

    return read_log(path, file.read(limit), python)


def _unread(path: str, why: str) -> tuple[Run, ...]:
    return (Run(path, reason=f"the log could not be read: {why}"),)


def _cut(run: Run) -> Run:
    return run if run.complete else replace(run, reason=f"{run.reason}; the rest of the file was not read".lstrip("; "))


class _Clock:
    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, step: str) -> None:
        now = time.perf_counter()
        self.seconds[step] = now - self._last
        self._last = now
