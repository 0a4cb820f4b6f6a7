"""What the clock says of calibration after the training loop: inside a reserve, over it, or with none."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from checks.rules.base import Case
from checks.rules.counted import counted
from checks.rules.places import MAX_LINE, name_run, of_run
from checks.submission.model import Run
from checks.verdict import Evidence, Status

_RESERVED_IN_CODE = re.compile(r"-\s*[\w.]*reserve|reserve[\w.]*\s*-", re.I)
_RESERVE_SETTING = re.compile(
    r"(?:GPTQ|CALIB|QUANT|HESS|EXPORT|WALLCLOCK|TIME)\w*RESERVE|RESERVE\w*(?:_S|_MS|_SECONDS)?$"
)
_STEPS_SETTING = re.compile(r"(?:NUM_|MAX_|TRAIN_|TOTAL_)*(?:ITERATIONS|ITERS|STEPS)$")
_WORD = re.compile(r"[A-Za-z]+(?:_[A-Za-z0-9]+)+")  # of two parts: prose and numbers tell nothing
_LOG_LIMIT = 4_000_000
_FEW_STEPS = 10  # a tenth of the script's own number of steps may end long before the clock
_CAP_SETTING = re.compile(r"WALLCLOCK|TRAIN_(?:TIME|SECONDS|BUDGET)|TIME_(?:LIMIT|BUDGET)")


@dataclass(frozen=True)
class Decision:
    """Whether calibration fits into the training time: the status, one sentence, and the log lines or settings."""

    status: Status
    reason: str
    evidence: tuple[Evidence, ...] = ()


def decide(case: Case, code: str) -> Decision:
    """Weigh stop and calibration time of the runs that log them; without a log, the configured cap and reserve."""
    cap = float(case.rulebook.constants["train_cap_seconds"])
    numbers = case.rulebook.rule(code).numbers
    tolerated, honest = float(numbers["warn_seconds"]), float(numbers["reserve_seconds"])
    runs = _relevant(case)
    if not runs:
        return _from_configuration(case, cap)
    decisions = [_of_run(case, r, cap, tolerated, honest) for r in runs]
    order = (Status.FAIL, Status.WARN, Status.PASS)
    worst = min(decisions, key=lambda d: order.index(d.status))
    others = [e for d in decisions if d is not worst and d.status is worst.status for e in d.evidence]
    return Decision(worst.status, worst.reason, (*worst.evidence, *others))


def foreign(case: Case) -> list[Evidence]:
    """Lines of the clock and of the score, where no log that tells a time can have been printed by the folder's scripts.

    Both lines hold a word (``step_avg``) that no script spells; a script that could not be read may spell any.
    """
    scripts = case.program.scripts.values()
    runs = _relevant(case)
    if not runs or any(s.error or (s.packed and "unpacked" not in s.display) for s in scripts):
        return []
    rows: list[Evidence] = []
    for run in runs:
        lines = [_stop_line(run), run.lines.get("val_bpb", 0)]
        words = [dict.fromkeys(_WORD.findall(_text(case, run, line))) for line in lines]
        unknown = [[w for w in found if not any(w in s.text for s in scripts)] for found in words]
        if run.source_matches or not all(unknown):
            return []
        rows += [_line(case, run, n, f"no script holds {w[0]!r}", "clock") for n, w in zip(lines, unknown, strict=True)]
    return rows[:4]


def _text(case: Case, run: Run, line: int) -> str:
    """A line of a log, at most ``MAX_LINE`` letters; empty where it has none of that number."""
    file = case.submission.files.get(run.log)
    rows = file.read(_LOG_LIMIT).split(b"\n") if file is not None and line else []
    return rows[line - 1][:MAX_LINE].decode("utf-8", "replace") if 0 < line <= len(rows) else ""


def _relevant(case: Case) -> list[Run]:
    timed = [r for r in counted(case).trained or case.submission.runs if _stop(r) is not None]
    told = [r for r in timed if _gptq(r, "hessian_line") or _gptq(r, "calibration_line") or _gptq(r, "reserve_line")]
    return told or timed


def _of_run(case: Case, run: Run, cap: float, tolerated: float, honest: float) -> Decision:
    stop = _stop(run) or 0.0
    seconds = _gptq(run, "hessian_seconds")
    spent = stop >= cap and "stop" in run.details  # the log shows that no reserve of the configuration was kept
    reserve = _gptq(run, "reserve_seconds") or (_seconds(_printed(run)) if spent else _reserve(case, run))
    total = max(stop + (seconds or 0.0), run.train_seconds or 0.0)
    evidence = [_line(case, run, _stop_line(run), f"{name_run(run)}: training stops at {stop:.3f} s", "clock")]
    if _gptq(run, "reserve_line"):
        evidence.append(_line(case, run, int(_gptq(run, "reserve_line")), "time kept for the calibration", "clock"))
    line = int(_gptq(run, "hessian_line") or _gptq(run, "calibration_line") or 0)
    if line:
        evidence.append(_line(case, run, line, "the calibration", "source"))
    rows = tuple(evidence)
    if case.non_record and stop > tolerated:
        return Decision(
            Status.PASS, f"a non-record run of {stop:,.0f} s, to which no clock of {cap:.0f} s applies.", rows
        )
    took = f" and the calibration takes {seconds:.1f} s" if seconds else ""
    if stop >= cap and not reserve:
        return Decision(Status.FAIL, f"The clock stops at {stop:.3f} s with nothing in reserve{took}.", rows)
    if not seconds and total <= cap:
        if cap - stop >= honest:
            return Decision(Status.PASS, f"training stops at {stop:.1f} s and leaves {cap - stop:.1f} s for it.", rows)
        return Decision(
            Status.WARN, f"The stop at {stop:.3f} s leaves {cap - stop:.3f} s, and no log says how long it takes.", rows
        )
    if total <= cap:
        return Decision(Status.PASS, f"training stops at {stop:.1f} s{took}, within {cap:.0f} s.", rows)
    status = Status.WARN if total <= tolerated else Status.FAIL
    return Decision(status, f"Training stops at {stop:.3f} s{took}: {total:.1f} s in sum, over the {cap:.0f} s.", rows)


def _from_configuration(case: Case, cap: float) -> Decision:
    """No log shows a stop: the cap and the reserve that the script would use."""
    caps = {n: v for n, v in _numbers(case, _CAP_SETTING).items() if v > 1}
    name = next(iter(caps), "")
    reserve = _reserve(case, None)
    subtracted = _reserved_in_code(case)
    limit = caps.get(name, cap) - reserve
    where = f" ({name}={caps[name]:g})" if name else ""
    rows = tuple(subtracted)
    if few := _few_steps(case):
        return Decision(
            Status.WARN,
            f"The training loop ends after {few} or at {limit:.0f} s{where}; no log shows which, nor how long it takes.",
            rows,
        )
    if (not subtracted and not reserve and caps.get(name, cap) >= cap) and (name or not _mentions_other_cap(case)):
        return Decision(
            Status.FAIL,
            f"The training loop runs to {limit:.0f} s{where}, nothing is in reserve, and no log shows an earlier stop.",
        )
    if case.non_record and limit > 2 * cap:
        return Decision(Status.PASS, f"a non-record run to which no clock of {cap:.0f} s applies.")
    return Decision(
        Status.WARN,
        f"A reserve is configured{where}, but no log shows the stop and how long the calibration takes.",
        rows,
    )


def _few_steps(case: Case) -> str:
    """A number of steps that the author sets, far below the script's default; empty when none is."""
    for name, setting in case.submission.configuration.items():
        if _STEPS_SETTING.match(name) and 0 < _number(setting.value) * _FEW_STEPS <= _number(setting.default or "0"):
            return f"{_number(setting.value):g} steps ({name})"
    return ""


def _reserved_in_code(case: Case) -> list[Evidence]:
    script = case.program.scripts.get(case.program.headline or "")
    if script is None:
        return []
    lines = [n for n, text in enumerate(script.lines, 1) if _RESERVED_IN_CODE.search(text.split("#")[0][:2000])]
    return [case.program.at(script.path, n, "keeps time in reserve", "clock") for n in lines[:2]]


def _mentions_other_cap(case: Case) -> bool:
    """Whether the training loop's own line compares the clock with a constant below the cap."""
    script = case.program.scripts.get(case.program.headline or "")
    text = script.text if script is not None else ""
    found = re.findall(r"(?:perf_counter|time\.time|monotonic|elapsed)[^\n]{0,80}?[<>]=?\s*(\d{3}(?:\.\d+)?)\b", text)
    return any(float(n) < float(case.rulebook.constants["train_cap_seconds"]) for n in found)


def _reserve(case: Case, run: Run | None) -> float:
    """Seconds that a setting keeps in reserve: printed by the run, or configured."""
    printed = _printed(run) if run is not None else {}
    return _seconds(printed or _numbers(case, _RESERVE_SETTING))


def _printed(run: Run) -> dict[str, float]:
    return {n: _number(v) for n, v in run.settings.items() if _RESERVE_SETTING.search(n)}


def _seconds(found: Mapping[str, float]) -> float:
    return max((v / 1000.0 if n.endswith("_MS") else v for n, v in found.items()), default=0.0)


def _numbers(case: Case, pattern: re.Pattern[str]) -> dict[str, float]:
    return {n: _number(s.value) for n, s in case.submission.configuration.items() if pattern.search(n)}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _stop(run: Run) -> float | None:
    stop = run.details.get("stop", {}).get("seconds")
    return float(stop) if stop is not None else run.train_seconds


def _stop_line(run: Run) -> int:
    return int(run.details.get("stop", {}).get("line") or run.lines.get("train_seconds", run.first_line))


def _gptq(run: Run, fact: str) -> float:
    return float(run.details.get("gptq", {}).get(fact) or 0.0)


def _line(case: Case, run: Run, line: int, what: str, role: str) -> Evidence:
    entry = of_run(case, run, "", what, role)
    return Evidence(entry.file, line, line, what=what, role=role)


__all__: Sequence[str] = ["Decision", "decide"]
