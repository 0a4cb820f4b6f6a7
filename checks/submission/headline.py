"""Which script is the headline: the one that the log, the README's command and submission.json point to.

Every witness adds weight; the alphabet never decides (community reviews read the alphabetically first of several scripts).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from checks.submission.model import Claims, Run, RunCommand, SourceFile

_HELPER = re.compile(
    r"(?:prepare|download|tokeniz|test_|_test|setup|install|plot|analy|verify|check|convert|upload|sweep|bench|compress|minify|pack|modal|launch"
    r"|utils?|helper|lossless_caps|cached_challenge|summar|aggregate|build|conftest|__init__)",
    re.IGNORECASE,
)
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
    _by_commands(candidates, commands)
    if claims.bytes_code is not None:
        for candidate in candidates.values():
            if len(sources.get(candidate.path, b"")) == claims.bytes_code:
                candidate.add(30, f"submission.json gives its size as the code's, {claims.bytes_code} bytes")
    best = max(candidates.values(), key=lambda c: (c.weight, -c.path.count("/"), len(sources.get(c.path, b""))))
    return best.path, "; ".join(best.why) or "its name"


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
    for run in runs:
        if run.details.get("source_script") == candidate.path:
            candidate.add(60 if run.complete else 40, f"{run.log} prints it as its source")
        sizes = (run.code_bytes, run.details.get("code_bytes_uncompressed"), run.details.get("code_bytes_compressed"))
        if size and size in sizes:
            candidate.add(40 if run.complete else 25, f"{run.log} reports its size, {size} bytes")
        shared = _words(candidate.path) & _words(run.log)
        if shared:
            candidate.add(1.0 * len(shared) / max(len(runs), 1))


def _by_commands(candidates: Mapping[str, _Candidate], commands: Sequence[RunCommand]) -> None:
    seen: set[str] = set()
    for place, command in enumerate(c for c in commands if c.script in candidates):
        path = command.script or ""
        if path in seen:
            continue
        seen.add(path)
        best = place == 0
        candidates[path].add(50 if best else 12, f"{command.file}:{command.line} runs it" if best else "")


def _words(path: str) -> set[str]:
    name = path.rsplit("/", 1)[-1].rsplit(".", 1)[0].lower()
    return set(_WORDS.findall(name)) - {"train", "gpt", "log", "seed", "py", "run", "eval"}
