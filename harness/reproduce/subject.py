"""The submission as the runner needs it: its files staged for the sandbox, its configuration, and what it claims."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from checks.program.program import EnvConstant
from checks.submission.claims import read_claims
from checks.submission.configuration import effective_configuration, same_value
from checks.submission.files import read_folder, track_of
from checks.submission.headline import headline_script
from checks.submission.logs import is_log, read_log
from checks.submission.model import Run, Setting, Submission
from checks.submission.run_command import read_commands
from harness.sandbox import Blame, RunnerError

_FILE_LIMIT = 64 << 20
_TOTAL_LIMIT = 512 << 20
_SCRIPT_LIMIT = 4 << 20
_HEAD = 1 << 16
_NUMBER = re.compile(r"[-+]?(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|True|False")
_SWITCHES = {"True": "1", "False": "0"}
_ENVIRONMENT = re.compile(
    r"""(?:environ\.get|getenv)\(\s*["']([A-Za-z_]\w{0,80})["']\s*(?:,\s*(?:str\()?["']?([^"'),\n]{0,200}))?"""
)


def read_subject(
    submission: Submission, title: str | None = None, overrides: Mapping[str, str] | None = None
) -> Submission:
    """Fill in logs, claims, headline script and effective configuration of a submission whose files are known."""
    scripts = {p: f.read(_SCRIPT_LIMIT) for p, f in submission.files.items() if p.endswith(".py") and f.kind == "file"}
    runs: list[Run] = []
    for path, file in submission.files.items():
        if file.kind == "file" and not path.endswith(".py") and is_log(path, file.read(_HEAD)):
            runs += read_log(path, file.read(_FILE_LIMIT), scripts)
    claims = read_claims(submission.files, title, submission.path)
    commands = read_commands(submission.files)
    script, _ = headline_script(submission.files, claims, runs, commands, scripts)
    constants = _constants(scripts.get(script or "", b""))
    settings = runnable(
        effective_configuration(constants, commands, [], overrides or {}, script or ""),
        effective_configuration(constants, commands, runs, overrides or {}, script or ""),
    )
    return replace(
        submission,
        script=script,
        scripts=tuple(scripts),
        claims=claims,
        runs=tuple(runs),
        configuration=settings,
    )


def runnable(written: Mapping[str, Setting], witnessed: Mapping[str, Setting]) -> dict[str, Setting]:
    """Return the configuration to run.

    What the author wrote, corrected by what the logs show, in a spelling that parses.

    A log prints values as Python does ("True", "enabled", a path of the author's machine); where it says the same as
    the author's command, the command's own spelling is used, and only numbers and switches are taken from it
    otherwise.
    """
    found = {}
    for name, seen in witnessed.items():
        plain = written.get(name, seen)
        if same_value(plain.value, seen.value) or not _NUMBER.fullmatch(seen.value):
            found[name] = plain
        else:
            found[name] = replace(seen, value=_SWITCHES.get(seen.value, seen.value))
    return found


def read_staged(folder: Path, path: str) -> Submission:
    """Read a submission again from where ``stage`` put it; ``path`` is what it was called."""
    files, notes = read_folder(folder)
    return read_subject(Submission(path, track_of(path), files, notes=notes))


def script_bytes(submission: Submission) -> dict[str, bytes]:
    """Return the headline script's bytes by its path."""
    if submission.script is None:
        return {}
    return {submission.script: submission.files[submission.script].read(_SCRIPT_LIMIT)}


def digests(submission: Submission) -> dict[str, str]:
    """Return path -> sha256 of the submission's regular files; links and files that cannot be had are left out.

    Raises:
        RunnerError: the files are too large (blame: submission).
    """
    return {path: hashlib.sha256(data).hexdigest() for path, data in _contents(submission)}


def stage(submission: Submission, folder: Path) -> dict[str, str]:
    """Copy those files to ``folder``; return path -> sha256. Nothing outside the record folder is copied.

    Raises:
        RunnerError: the files are too large, or a path leaves the folder (blame: submission).
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    found = {}
    for path, data in _contents(submission):
        target = folder / path
        if not target.resolve().is_relative_to(folder.resolve()):
            raise RunnerError(Blame.SUBMISSION, f"the path {path!r} leaves the record folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        target.chmod(0o644)
        found[path] = hashlib.sha256(data).hexdigest()
    for sub in (folder, *folder.rglob("*")):
        if sub.is_dir():
            sub.chmod(0o755)
    return found


def _contents(submission: Submission) -> Iterator[tuple[str, bytes]]:
    total = 0
    for path, file in sorted(submission.files.items()):
        if file.kind == "file":
            data = file.read(_FILE_LIMIT + 1)
            total += len(data)
            if len(data) > _FILE_LIMIT or total > _TOTAL_LIMIT:
                raise RunnerError(Blame.SUBMISSION, f"{path!r}: the folder is too large to be a submission")
            yield path, data


def _constants(script: bytes) -> tuple[EnvConstant, ...]:
    """Find the script's environment constants by their text.

    The static engine finds more (packed scripts, helper functions); what is missed here is a default that the run
    uses anyway.
    """
    text = script.decode("utf-8", "replace")
    return tuple(
        EnvConstant(match[1], match[2] or "", text.count("\n", 0, match.start()) + 1)
        for match in _ENVIRONMENT.finditer(text)
    )
