"""size-cap: code and compressed model together stay within 16,000,000 bytes, for every seed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from checks.rules.base import Case, Verdicts
from checks.rules.counted import Counted, counted
from checks.rules.places import at, name_run, of_claim, of_run, readme_lines
from checks.submission.model import Run, SourceFile
from checks.verdict import Evidence, Finding, Group

CODE = "size-cap"

_ARTIFACT = re.compile(r"\.(ptz|pt|bin|xz|lzma|zst|br|npz|safetensors|zlib|int\d+)$", re.IGNORECASE)
_MEBIBYTES = re.compile(r"16[,_.]?777[,_.]?216")
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_HELPER = (".py", ".c", ".cc", ".cpp", ".cu", ".h")


@dataclass(frozen=True)
class Sizes:
    """Both readings of one run's size in bytes: what its log totals, and its model beside the committed script."""

    run: Run
    logged: int | None
    recounted: int | None
    code: int | None

    def over(self, cap: int) -> tuple[bool, bool]:
        """Whether the logged and the recounted size exceed the cap."""
        return (self.logged or 0) > cap, (self.recounted or 0) > cap


def check(case: Case) -> Finding:
    """Compare both readings of every run that counts with the cap."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    cap = int(case.rulebook.constants["artifact_cap_bytes"])
    script = case.submission.files.get(case.submission.script or "")
    code = script.size if script and script.kind == "file" else None
    runs = counted(case)
    sizes = [_sizes(run, code) for run in _weighed(runs)]
    known = [s for s in sizes if s.logged is not None or s.recounted is not None]
    if not known:
        return _without_log(case, say, cap, code)
    clears = f"Shrink the model or the code until code + model is at most {cap:,} bytes for every seed."
    over_log = [s for s in known if s.over(cap)[0]]
    if over_log:
        return say.fail(_over_log(over_log, len(known), cap), [_logged(case, s, cap) for s in over_log], clears)
    over_recount = [s for s in known if s.over(cap)[1]]
    if over_recount:
        return _over_recount(case, say, over_recount, cap, clears)
    claim = case.submission.claims.bytes_total
    if claim is not None and claim > cap:
        return say.fail(
            f"submission.json states {claim:,} bytes, {claim - cap:,} over the cap of {cap:,}.",
            [of_claim(case, "bytes_total", f"{claim:,} bytes")],
            clears,
        )
    if late := _with_helpers(case, say, known, cap):
        return late
    largest = max(known, key=_total)
    if spare := _only_complete_over(runs, cap):
        return say.warn(
            f"The run of the submitted script fits with {_total(largest):,} bytes, but has no final score; the "
            f"complete run, of another script, logs {spare.artifact_bytes:,}: no score was made under the cap.",
            [_logged(case, largest, cap), _logged(case, _sizes(spare, code), cap), *_binary_cap(case)],
            clears,
        )
    if binary := _binary_cap(case):
        return say.warn(
            f"The largest artifact has {_total(largest):,} bytes, but the README measures it against 16 MiB "
            f"(16,777,216 bytes); the cap is {cap:,}.",
            [*binary, _logged(case, largest, cap)],
            "Measure against the decimal cap.",
        )
    return say.passed(
        f"Largest of {len(known)} run{'s' * (len(known) != 1)}: {_total(largest):,} bytes, "
        f"{cap - _total(largest):,} under the cap.",
        [_logged(case, largest, cap)],
    )


def _weighed(runs: Counted) -> list[Run]:
    """The runs that made the models; where one says no size, the log that quantised and evaluated its model."""
    if not runs.runs:
        return list(runs.trained)
    return [t if t.artifact_bytes or t.model_bytes else r for r, t in zip(runs.runs, runs.trained, strict=True)]


def _only_complete_over(runs: Counted, cap: int) -> Run | None:
    """The left-out complete run over the cap, where no complete run counts."""
    if runs.runs:
        return None
    return next((r for r, _ in runs.left_out if r.complete and (r.artifact_bytes or 0) > cap), None)


def _binary_cap(case: Case) -> list[Evidence]:
    """README lines that take the cap for 16 MiB."""
    lines = readme_lines(case)
    return [at(case, name, number, text.strip()[:160]) for name, number, text in lines if _MEBIBYTES.search(text)][:2]


def _sizes(run: Run, code: int | None) -> Sizes:
    recounted = run.model_bytes + code if run.model_bytes is not None and code is not None else None
    return Sizes(run, run.artifact_bytes, recounted, code)


def _total(sizes: Sizes) -> int:
    return max(sizes.logged or 0, sizes.recounted or 0)


def _over_log(over: Sequence[Sizes], of: int, cap: int) -> str:
    worst = max(over, key=lambda s: s.logged or 0)
    beyond = (worst.logged or 0) - cap
    text = f"{len(over)} of {of} runs log more than {cap:,} bytes; the largest is {worst.logged:,} ({beyond:,} over)."
    if worst.recounted is not None and not worst.over(cap)[1]:
        text += (
            f" Its model with the committed script of {worst.code:,} bytes would be {worst.recounted:,}; "
            "organisers read the logged total."
        )
    return text


def _over_recount(case: Case, say: Verdicts, over: Sequence[Sizes], cap: int, clears: str) -> Finding:
    worst = max(over, key=lambda s: s.recounted or 0)
    text = (
        f"The model of {worst.run.model_bytes:,} bytes with the committed script of {worst.code:,} bytes is "
        f"{worst.recounted:,}, {(worst.recounted or 0) - cap:,} over {cap:,}"
    )
    evidence = [of_run(case, worst.run, "model_bytes", f"model of {worst.run.model_bytes:,} bytes")]
    evidence.append(at(case, case.submission.script or "", 0, f"{worst.code:,} bytes"))
    if all(_counts_compressed_code(s) for s in over):
        return say.warn(
            f"{text}; the log totals {worst.logged:,} because it counts a compressed form of the code.",
            evidence,
            "Commit the compressed script that is counted.",
        )
    logged = f"; the log totals {worst.logged:,}" if worst.logged is not None else ""
    return say.fail(f"{text}{logged}.", evidence, clears)


def _counts_compressed_code(sizes: Sizes) -> bool:
    """The log says that it counts the code in a compressed form (practice since #1530)."""
    run = sizes.run
    if sizes.logged is None:
        return False
    printed = run.details.get("code_bytes_compressed")
    if printed is not None:
        return True
    raw = run.details.get("code_bytes_uncompressed")
    return raw is not None and run.code_bytes is not None and run.code_bytes < int(raw)


def _with_helpers(case: Case, say: Verdicts, known: Sequence[Sizes], cap: int) -> Finding | None:
    """WARN when code files that the script needs besides itself would break the cap (size-code-location)."""
    helpers = _imported_helpers(case)
    extra = sum(case.submission.files[name].size for name in helpers)
    over = [s for s in known if helpers and _total(s) + extra > cap]
    if not over:
        return None
    worst = max(over, key=_total)
    return say.warn(
        f"The script imports {', '.join(helpers[:3])} ({extra:,} bytes), counted nowhere; with them the total is "
        f"{_total(worst) + extra:,}.",
        [at(case, name, 0, f"{case.submission.files[name].size:,} bytes, not counted") for name in helpers[:5]],
        "Move the code into train_gpt.py or count it.",
    )


def _imported_helpers(case: Case) -> list[str]:
    program = case.program
    headline = program.scripts.get(program.headline or "")
    if headline is None:
        return []
    modules = {name.partition(".")[0] for name, _ in headline.imports}
    helpers = []
    for name in case.submission.files:
        stem = name.rsplit("/", 1)[-1].rpartition(".")[0]
        if name != case.submission.script and name.endswith(_HELPER) and "/" not in name:
            native = not name.endswith(".py") and name in headline.text
            if native or (stem in modules and name.endswith(".py")):
                helpers.append(name)
    return helpers


def _logged(case: Case, sizes: Sizes, cap: int) -> Evidence:
    run = sizes.run
    if sizes.logged is not None:
        margin = f"{sizes.logged - cap:,} over" if sizes.logged > cap else f"{cap - sizes.logged:,} under"
        return of_run(case, run, "artifact_bytes", f"{name_run(run)}: {sizes.logged:,} bytes, {margin} the cap")
    return of_run(case, run, "model_bytes", f"{name_run(run)}: model of {run.model_bytes:,} bytes")


def _without_log(case: Case, say: Verdicts, cap: int, code: int | None) -> Finding:
    """No run says how large its artifact is: fall back on the artifact in the folder, then on the claim."""
    models = [f for f in case.submission.files.values() if _ARTIFACT.search(f.name) and "model" in f.name.lower()]
    unread = [f for f in models if not _is_there(f)]
    biggest = max((f for f in models if f not in unread), key=lambda f: f.size, default=None)
    if biggest is not None and code is not None and (not unread or biggest.size + code > cap):
        total = biggest.size + code
        if total > cap:
            return say.fail(
                f"{biggest.name} and the script are {total:,} bytes, {total - cap:,} over {cap:,}.",
                [
                    at(case, biggest.name, 0, f"{biggest.size:,} bytes"),
                    at(case, case.submission.script or "", 0, f"{code:,} bytes"),
                ],
                f"Shrink code and model to {cap:,} bytes.",
            )
        return say.passed(
            f"{biggest.name} and the script are {total:,} bytes.",
            [at(case, biggest.name, 0, f"{biggest.size:,} bytes")],
        )
    claim = case.submission.claims.bytes_total
    if claim is not None and claim > cap:
        return say.fail(
            f"submission.json states {claim:,} bytes, {claim - cap:,} over the cap of {cap:,}.",
            [of_claim(case, "bytes_total", f"{claim:,} bytes")],
            f"Shrink code and model to {cap:,} bytes.",
        )
    incomplete = [r for r in case.submission.runs if r.artifact_bytes is not None]
    evidence = [
        of_run(case, r, "artifact_bytes", f"{name_run(r)} (does not count): {r.artifact_bytes:,} bytes")
        for r in incomplete[:3]
    ]
    evidence += [at(case, f.name, 0, "listed, but its content is not there") for f in unread[:3]]
    if claim is not None:
        evidence.append(of_claim(case, "bytes_total", f"claimed: {claim:,} bytes"))
    listed = f", and the content of {unread[0].name} is not there" if unread else ""
    return say.unknown(
        f"No complete run logs the size of its artifact{listed}, so the cap cannot be checked.",
        evidence or [at(case, case.submission.script or "", 0, "no artifact size in any log")],
        "Attach a complete log with its `Total submission size` line.",
    )


def _is_there(file: SourceFile) -> bool:
    """Whether the file's size is that of its content: no link, no missing blob, no pointer of Git LFS."""
    return file.kind == "file" and not file.read(len(_LFS_POINTER)).startswith(_LFS_POINTER)
