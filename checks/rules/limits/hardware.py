"""hardware: record runs use 8xH100 SXM."""

from __future__ import annotations

import re

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.places import at, name_run, of_folder, of_run, readme_lines
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "hardware"

_GPUS = (
    r"(?:(?:H|GB|B|A|V)\s?[1238]00|H\s?20|L\s?20Z?|L\s?40S?|L\s?4|T\s?4|A\s?6000|A\s?10G?|RTX\s?[A-Z]?\d{4}\w*"
    r"|MI\s?300X?|M[1-4]\s(?:Pro|Max|Ultra))"
)
_STATED = re.compile(rf"\b(\d{{1,2}})\s?[x×*]\s?(?:NVIDIA\s+)?({_GPUS})\b[^.|\n]{{0,24}}", re.IGNORECASE)
_ABOUT_OTHERS = re.compile(
    r"\b(would|will|pending|target|expected|project(?:ed|ion)|equivalent|plan|todo|future|baseline|leaderboard"
    r"|record track|requires?|need|cap|budget|limit|vs\.?|dev|smoke|ablations?|explor\w*|screen\w*|sweeps?|proxy"
    r"|initial\w*|prelim\w*|also|verified on|ported|legacy|non-record|cheap|test(?:ed|ing|s)?)\b",
    re.IGNORECASE,
)


def check(case: Case) -> Finding:
    """Compare the machine that the logs name, else the one that the README states, with 8xH100 SXM."""
    say = Verdicts(CODE, Group.LIMITS, case.rulebook)
    want_gpu, want_count = str(case.rulebook.constants["gpu"]), int(case.rulebook.constants["world_size"])
    runs = counted(case).runs
    wrong = [(r, why) for r in runs if (why := _deviation(case, r, want_gpu, want_count))]
    stated_wrong, stated_right = _stated(case, want_gpu, want_count)
    evidence = [_evidence(case, r, why) for r, why in wrong]
    clears = f"Rerun on {want_count}x{want_gpu} SXM, or file the submission under the non-record track."
    if not wrong and stated_wrong and not stated_right and not any(r.gpu for r in runs):
        evidence = stated_wrong
        wrong_text = f"The README states {stated_wrong[0].what}."
    elif wrong:
        wrong_text = f"{len(wrong)} of {len(runs)} runs: {wrong[0][1]}."
    else:
        wrong_text = ""
    if wrong_text:
        if case.non_record:
            return say.not_applicable(f"Non-record: {wrong_text[0].lower()}{wrong_text[1:]}")
        return say.fail(wrong_text, evidence, clears)
    if not runs and not stated_right:
        if case.non_record:
            return say.not_applicable("A non-record submission may run anywhere.")
        return say.unknown(
            "No complete run says on which machine it ran.",
            [of_folder(case, "no complete run")],
            "Attach complete logs.",
        )
    shown = [r for r in runs if r.gpu or r.world_size]
    if shown:
        run = shown[0]
        fact = "gpu" if run.gpu else "world_size"
        named = run.gpu or f"world_size {run.world_size}"
        return say.passed(f"{len(shown)} of {len(runs)} runs log {named}.", [of_run(case, run, fact, str(named))])
    if stated_right:
        return say.passed(f"The README states {stated_right[0].what}; no log contradicts it.", stated_right[:1])
    return say.passed(
        "No log or README contradicts the record machine.", [of_run(case, runs[0], "val_bpb", "no machine named")]
    )


def _deviation(case: Case, run: Run, gpu: str, count: int) -> str:
    world = run.world_size
    if run.gpu and gpu.lower() not in run.gpu.replace(" ", "").lower():
        return f"it ran on {world or ''}{'x ' if world else ''}{run.gpu}"
    if (
        run.gpu
        and "PCIE" in run.gpu.upper()
        and case.rulebook.rule(CODE).numbers["sxm_since"]
        <= (case.created or case.rulebook.rule(CODE).numbers["sxm_since"])
    ):
        return f"it ran on {run.gpu}, not SXM"
    if world is not None and world != count:
        return f"it ran on {world} GPU{'s' * (world != 1)} instead of {count}"
    return ""


def _evidence(case: Case, run: Run, why: str) -> Evidence:
    fact = "gpu" if "GPU" not in why and run.gpu else "world_size"
    return of_run(case, run, fact, f"{name_run(run)}: {why}")


def _stated(case: Case, gpu: str, count: int) -> tuple[list[Evidence], list[Evidence]]:
    """README lines that state the machine: other than asked for, and as asked for."""
    wrong, right = [], []
    for name, number, line in readme_lines(case):
        for match in _STATED.finditer(line):
            stated = f"{match[1]}x{match[2].replace(' ', '')}"
            entry = at(case, name, number, stated)
            if int(match[1]) == count and gpu.lower() in stated.lower() and "pcie" not in match[0].lower():
                if not re.search(r"\b(pending|would|target|not yet|need|request)\b", line, re.IGNORECASE):
                    right.append(entry)
            elif not _ABOUT_OTHERS.search(line):
                wrong.append(entry)
    return wrong, right
