"""A score that the script prints and nothing computes: a number typed into its text, in a script that reads no data."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from checks.program.imports import foreign
from checks.program.nodes import of
from checks.rules.base import Case, Verdicts
from checks.verdict import Evidence, Finding

_TYPED = re.compile(r"bpb\W{1,14}(\d\.\d{2,8})\b", re.IGNORECASE)
_READS = re.compile(r"fineweb|fromfile|memmap|\bnp\.load|numpy\.load|torch\.load|load_dataset|read_bytes|import_module")
_BITS = re.compile(rb"bpb|bits?[^a-z]{0,3}(?:per)?[^a-z]{0,3}byte|log\(\s*2|ln_?2|0\.693|1\.442", re.IGNORECASE)
_RUNS = re.compile(
    rb"\bexec\(|\bsubprocess\.\w+\(|\bos\.(?:system|exec|spawn)|\brun_path|\bimport_module|spec_from_file"
)
_MOST = 4_000_000
_NEAR = 0.002  # a claim and its rounded print differ by less than this share


def typed_score(case: Case, say: Verdicts) -> Finding | None:
    """A fail where the claimed number stands in the text that the script prints; else None."""
    rows = typed(case)
    if not rows:
        return None
    return say.fail(
        "The script prints the claimed val_bpb as a fixed text: no token is read and nothing computes it.",
        rows,
        "Print what an evaluation of the validation split computes.",
    )


def typed(case: Case) -> list[Evidence]:
    """Where the claimed number is printed as a fixed text.

    Only where the script was followed to its end, scores nothing, runs no other code and names no data that it could read.
    """
    program, claim = case.program, case.submission.claims.val_bpb
    trace = program.trace
    if trace is None or trace.exhausted or program.reports or trace.scores or program.not_understood or not claim:
        return []
    if any(_READS.search(script.text) or script.local_files for script in program.scripts.values()):
        return []
    return [row for row, value in _printed(case) if abs(value - claim) <= _NEAR * claim]


def uncomputed(case: Case) -> bool:
    """Whether a score is claimed that no code of the folder computes.

    Only where the script was followed to its end and runs no other code, all that is imported is at hand or published,
    and no script of the folder names bits per byte, or turns nats into bits.
    """
    program, submission = case.program, case.submission
    trace, scripts = program.trace, program.scripts.values()
    if trace is None or trace.exhausted or program.reports or program.not_understood or program.native:
        return False
    if submission.claims.val_bpb is None or any(s.packed or s.error or s.unresolved or s.local_files for s in scripts):
        return False
    inside = {path.rsplit("/", 1)[-1].removesuffix(".py") for path in program.scripts}
    names = {name.partition(".")[0] for s in scripts for name, _ in s.imports if foreign(name)}
    texts = [submission.files[path].read(_MOST) for path in submission.scripts if path in submission.files]
    return bool(texts) and names <= inside and not any(_BITS.search(text) or _RUNS.search(text) for text in texts)


def _printed(case: Case) -> Iterator[tuple[Evidence, float]]:
    """Numbers in constant texts that running calls print, and where."""
    program = case.program
    assert program.trace is not None
    for path, tree in program.trees.items():
        for call in of(tree, (ast.Call,)):
            if (path, call.lineno) not in program.trace.executed:
                continue
            for text in call.args:
                said = text.value if isinstance(text, ast.Constant) else None
                match = _TYPED.search(said) if isinstance(said, str) else None
                if match is not None:
                    yield program.at(path, call.lineno, "prints a fixed val_bpb", "report"), float(match[1])
