"""Which script is the headline: the one that the log, the README's command and submission.json point to.

Every witness adds weight; the alphabet never decides (community reviews read the first of several scripts).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from checks.submission.model import Claims, Run, RunCommand, SourceFile
from checks.submission.run_command import SIDE

_HELPER = re.compile(
    r"(?:prepare|download|tokeniz|test_|_test|setup|install|plot|analy|verify|check|convert|upload|sweep|bench|compress|minify|pack|modal|launch"
    r"|utils?|helper|lossless_caps|cached_challenge|summar|aggregate|build|conftest|__init__)",
    re.IGNORECASE,
)
_SCORES = re.compile(rb"bpb|bits_per_byte|val_loss|cross_entropy|\bexec\(|\brun_(?:path|module)\(", re.IGNORECASE)
_IMPORTED = re.compile(rb"^(?:from|import)\s+(\w+)", re.MULTILINE)
_STUB = 300  # bytes within which a script that only starts another one imports it
_LOWER = 0.001  # bpb; more than a rounded claim differs from its log
_WORDS = re.compile(r"[a-z]+\d*|\d+")


@dataclass
class _Candidate:
    path: str
    weight: float = 0.0
    why: list[str] = field(default_factory=list)

    def add(self, weight: float, why: str = "") -> None:
        self.weight += weight
        if why and why not in self.why:
            self.why.append(why)


def headline_script(
    files: Mapping[str, SourceFile],
    claims: Claims,
    runs: Sequence[Run],
    commands: Sequence[RunCommand],
    sources: Mapping[str, bytes],
) -> tuple[str | None, str]:
    """Return the headline script's path and why it is that one; (None, why) when the folder has no script.

    Args:
        files: the folder's files by path relative to it.
        sources: path -> content of its Python files, as far as they could be read.
    """
    candidates = {path: _Candidate(path) for path in files if path.endswith(".py")}
    if not candidates:
        return None, "the folder holds no Python script"
    if len(candidates) == 1:
        return next(iter(candidates)), "the only script"
    for candidate in candidates.values():
        _by_name(candidate, sources.get(candidate.path, b""))
        _by_logs(candidate, runs, len(sources.get(candidate.path, b"")))
    _by_commands(candidates, commands, sources)
    if claims.bytes_code is not None:
        for candidate in candidates.values():
            if len(sources.get(candidate.path, b"")) == claims.bytes_code:
                candidate.add(30, f"submission.json gives its size as the code's, {claims.bytes_code} bytes")
    best = max(candidates.values(), key=lambda c: (c.weight, -c.path.count("/"), len(sources.get(c.path, b""))))
    later = _evaluated_by(best.path, claims, runs, commands, sources)
    if later is not None:
        return later.script, f"{later.file}:{later.line} runs it after {best.path}, whose logs show no score so low"
    return best.path, "; ".join(best.why) or "its name"


def lower_than_logged(claims: Claims, runs: Sequence[Run]) -> bool:
    """Whether the claim is lower than every score that a log shows."""
    shown = [score.val_bpb for run in runs for score in run.scores]
    return claims.val_bpb is not None and bool(shown) and claims.val_bpb < min(shown) - _LOWER


def _evaluated_by(
    best: str,
    claims: Claims,
    runs: Sequence[Run],
    commands: Sequence[RunCommand],
    sources: Mapping[str, bytes],
) -> RunCommand | None:
    """The command that makes the claim, where it is lower than all that logs show: the last evaluation that follows."""
    if not lower_than_logged(claims, runs):
        return None
    trains = {c.file: c.line for c in commands if c.script == best}
    later = [
        c
        for c in commands
        if c.line > trains.get(c.file, c.line)
        and c.script != best
        and b"bpb" in sources.get(c.script or "", b"")
        and not _HELPER.search((c.script or "").rsplit("/", 1)[-1])
    ]
    return max(later, key=lambda c: c.line, default=None)


def _by_name(candidate: _Candidate, text: bytes) -> None:
    name = candidate.path.rsplit("/", 1)[-1].lower()
    if name == "train_gpt.py":
        candidate.add(14, "named train_gpt.py")
    elif name.startswith("train_gpt"):
        candidate.add(9)
    elif name.startswith(("train", "run", "main")):
        candidate.add(4)
    if _HELPER.search(name):
        candidate.add(-25)
    candidate.add(-6 * candidate.path.count("/"))
    if b"val_bpb" in text or b"exec(" in text:
        candidate.add(6)


def _by_logs(candidate: _Candidate, runs: Sequence[Run], size: int) -> None:
    printing = [r for r in runs if r.details.get("source_script") == candidate.path]
    sizing = [r for r in runs if size and size in _code_sizes(r)]
    candidate.add(sum(60 if r.complete else 40 for r in printing), _logs_say(printing, "as its source"))
    candidate.add(sum(40 if r.complete else 25 for r in sizing), _logs_say(sizing, f"its size, {size} bytes"))
    for run in runs:
        candidate.add(len(_words(candidate.path) & _words(run.log)) / len(runs))


def _code_sizes(run: Run) -> tuple[object, ...]:
    details = run.details
    return run.code_bytes, details.get("code_bytes_uncompressed"), details.get("code_bytes_compressed")


def _logs_say(runs: Sequence[Run], what: str) -> str:
    logs = sorted({run.log for run in runs})
    if not logs:
        return ""
    return f"{logs[0]} prints {what}" if len(logs) == 1 else f"{len(logs)} logs print {what}"


def _by_commands(
    candidates: Mapping[str, _Candidate], commands: Sequence[RunCommand], sources: Mapping[str, bytes]
) -> None:
    """The first command counts most that runs a script which trains or scores; what prepares data makes no claim.

    One in a section of smoke tests or ablations counts less: the folder's train_gpt.py is the submission beside it.
    """
    able = {path for path in candidates if _SCORES.search(sources.get(path, b""))}
    named = {path.rsplit("/", 1)[-1].removesuffix(".py").encode() for path in able}
    able |= {path for path in candidates if named & set(_IMPORTED.findall(sources.get(path, b"")[:_STUB]))}
    able = able or set(candidates)
    seen: set[str] = set()
    for command in commands:
        path = command.script or ""
        if path not in able or path in seen:
            continue
        best = not seen
        seen.add(path)
        weight = (30 if SIDE in command.why else 50) if best else 12
        candidates[path].add(weight, f"{command.file}:{command.line} runs it" if best else "")


def _words(path: str) -> set[str]:
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower()
    return set(_WORDS.findall(name)) - {"train", "gpt", "log", "seed", "py", "run", "eval"}
