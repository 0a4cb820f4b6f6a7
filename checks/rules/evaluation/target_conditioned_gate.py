"""target-conditioned-gate: nothing that shapes the prediction may depend on a class of the token being predicted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from checks.program.engine.labels import Flag, Looked
from checks.program.native.flow import NativeUse, read_native
from checks.program.trace import Trace
from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.evaluation import ordering
from checks.rules.places import at, name_run
from checks.submission.model import Run, Setting
from checks.verdict import Evidence, Finding, Group

CODE = "target-conditioned-gate"
#: Counters of the experts whose gates read the target's class, as the logs print them.
_COUNTERS = ("within_gate", "word_gate")
_STRENGTH = re.compile(r"^(?:NGRAM_)?(?:WITHIN|WORD)_(?:BOOST|BETA)$")
_CLEARS = "Decide every gate, weight and temperature from the tokens before the one that is scored."


def check(case: Case) -> Finding:
    """Look for gates on the target's class in Python and C, and whether configuration and logs show them at work."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    rows, why = gates(case)
    if rows:
        off = dormant(case)
        if off:
            return say.passed("Gates on the target's class are in the code and switched off.", off)
        rows = ordering.unique(
            [*rows[:6], *_at_work(case), *(ordering.report_row(case.program, r) for r in case.program.reports)]
        )
        return say.fail(why, rows, _CLEARS)
    unknown = ordering.undecidable(case, say) or ordering.unread(case, say)
    if unknown is not None:
        return unknown
    failed = read_native(case.program).not_understood
    if failed:
        shown = [Evidence(text.partition(":")[0], 0, 0, "", text.partition(": ")[2]) for text in failed]
        return say.unknown(f"Native code with tables was not understood: {failed[0]}.", shown, "Plain C or Python.")
    active = _at_work(case)
    if active:
        return say.warn(
            "The logs count gates that in this family of scripts read the target's class; the code that decides them "
            "was not followed.",
            active,
            _CLEARS,
        )
    return say.passed("No gate of the headline was found that reads the token it predicts.")


def gates(case: Case) -> tuple[list[Evidence], str]:
    """The lines of gates on the target's class and the sentence that explains them; empty when there are none."""
    program = case.program
    trace = program.trace
    if trace is None:
        return [], ""
    uses = [u for u in read_native(program).uses if u.kind == "gate"]
    if uses:
        return native_rows(case, uses, "decides by the class of the token being scored"), (
            f"{uses[0].function} decides by the class of the current token whether and how that token's probability is "
            "changed, before the token is scored."
        )
    rows = [
        program.at(file, line, "reads the class of the token being scored", "source")
        for file, line in _python(case, trace)
    ]
    return rows, "What shapes the prediction of a token is chosen by the class of that very token."


def _python(case: Case, trace: Trace) -> list[tuple[str, int]]:
    """Where the class of the target was read for something that the headline's predictions depend on."""
    scores = ordering.headline_scores(case.program)
    mixed = {i for b in trace.blends if b.detail == "bytes-spread" for i in (*b.scores, b.result)}
    if mixed & {s.ident for s in scores}:
        return []  # which bytes the token has is read to spread it over them: unnormalised-mixture, not a second breach
    found = set()
    for score in scores:
        found |= {(str(x.detail), x.line) for x in score.used if isinstance(x, Flag) and x.name == "target-class"}
    wanted = {s.ident for s in scores}
    for blend in trace.blends:
        if blend.kind == "target-class" and blend.scores & wanted:
            for x in blend.other:
                if isinstance(x, Flag) and x.name == "target-class":
                    found.add((str(x.detail), x.line))
                elif isinstance(x, Looked):
                    place = trace.lookups[x.event].place
                    found.add((place.file, place.line))
    learned = {(e.place.file, e.place.line) for e in trace.lookups.values() if e.state or e.mixed}
    return sorted(found - learned)  # a table that is filled on the way is a cache, not a class: ngram-target-only


def native_rows(case: Case, uses: Iterable[NativeUse], what: str) -> list[Evidence]:
    """Evidence of uses in native code: the line that reads the target, then the prediction it decides."""
    rows = []
    for use in uses:
        script = case.program.scripts.get(use.source.file)
        shown = script.display if script is not None else use.source.file
        for line, text in zip(use.lines, (what, "the prediction that depends on it"), strict=False):
            role = "source" if line == use.lines[0] else "score"
            rows.append(Evidence(shown, line, line, use.function, text, use.source.excerpt(line), role))
    return ordering.unique(rows)


def dormant(case: Case) -> list[Evidence]:
    """What shows that the gates never decide anything: all counters of the counted runs are 0, or all strengths."""
    runs = [r for r in counted(case).runs if _counters(r)]
    if runs:
        silent = [r for r in runs if not any(_counters(r).get(name) for name in _COUNTERS)]
        if len(silent) == len(runs):
            return [_row(case, r) for r in runs]
    strengths = _strengths(case.submission.configuration)
    if strengths and all(_zero(s.value) for s in strengths.values()):
        script = case.submission.script or ""
        return [_setting(case, name, s, script) for name, s in strengths.items()]
    return []


def _strengths(configuration: Mapping[str, Setting]) -> dict[str, Setting]:
    return {name: s for name, s in configuration.items() if _STRENGTH.match(name)}


def _zero(value: str) -> bool:
    try:
        return float(value) == 0.0
    except ValueError:
        return False


def _at_work(case: Case) -> list[Evidence]:
    """The counters of runs that count, where one is not 0."""
    if dormant(case):
        return []
    return [_row(case, r) for r in counted(case).runs if any(_counters(r).get(name) for name in _COUNTERS)][:3]


def _counters(run: Run) -> Mapping[str, int]:
    found = run.details.get("gates")
    return found if isinstance(found, Mapping) else {}


def _row(case: Case, run: Run) -> Evidence:
    values = ", ".join(f"{name}={value}" for name, value in _counters(run).items())
    line = run.lines.get("gates")
    return at(case, run.log, line if isinstance(line, int) else run.first_line, f"{name_run(run)}: {values}")


def _setting(case: Case, name: str, setting: Setting, script: str) -> Evidence:
    match = re.match(r"(?:default )?(.+):(\d+)$", setting.from_)
    file, line = (match[1], int(match[2])) if match else (script, 1)
    return at(case, file, line, f"{name} = {setting.value}")
