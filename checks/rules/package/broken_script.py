"""broken-script: the submitted script has to be Python that some parser reads."""

from __future__ import annotations

import re

from checks.program.program import Script
from checks.rules.base import Case, Verdicts
from checks.rules.places import at, of_folder
from checks.verdict import Evidence, Finding, Group

CODE = "broken-script"

_LINE = re.compile(r"\bline (\d+)")
_CONFLICT = re.compile(r"^(<<<<<<< |>>>>>>> )")
_NOT_PYTHON = re.compile(r"\bNUL\b|not [\w-]+ text|encoding that Python does not know|is not an encoding of text")
_TOO_COSTLY = re.compile(r"too deep|too complex|too long|too large|bound|limit|timed? ?out|more than", re.IGNORECASE)


def check(case: Case) -> Finding:
    """Check that the headline script parses; a refusal counts only when every parser asked refuses."""
    say = Verdicts(CODE, Group.PACKAGE, case.rulebook)
    submission, program = case.submission, case.program
    if submission.script is None:
        return say.not_applicable("The folder has no script.")
    script = program.scripts.get(program.headline or submission.script) or program.scripts.get(submission.script)
    if script is None:
        why = program.failure or "it was not analysed"
        return say.unknown(
            f"Whether {submission.script} compiles could not be checked: {why}.", [at(case, submission.script, 1, why)]
        )
    if not script.error and not script.text.strip():
        return say.fail(
            f"{script.path} is empty: nothing runs.", [at(case, script.path, 1, "empty")], "Submit the script that ran."
        )
    if not script.error:
        others = [s for s in program.scripts.values() if s is not script and _refused(s)]
        if others:
            return say.warn(
                f"{submission.script} parses, but another script of the folder does not: {others[0].path}.",
                [_place(case, s) for s in others[:5]],
                "Mend or remove the file.",
            )
        return say.passed(f"{submission.script} parses.", [at(case, submission.script, 1)])
    if _refused(script):
        return say.fail(
            f"{script.path} is no valid Python: {_short(script.error)}.",
            [_place(case, script)],
            "Submit the script that ran.",
        )
    return say.unknown(
        f"Whether {script.path} compiles could not be decided: {_short(script.error)}.", [_place(case, script)]
    )


def _refused(script: Script) -> bool:
    """Every parser asked refused the text itself, not its size or depth."""
    error = script.error
    if not error:
        return False
    if _NOT_PYTHON.search(error):
        return True
    reasons = [r for r in error.split("; ") if r.strip()]
    refusals = [r for r in reasons if _LINE.search(r) and not _TOO_COSTLY.search(r)]
    parsers = {r.partition(":")[0].partition(",")[0].strip() for r in refusals}
    return len(parsers) >= 2 and len(refusals) == len(reasons)


def _place(case: Case, script: Script) -> Evidence:
    named = _LINE.findall(script.error)
    line = int(named[-1]) if named else 1  # Python's own parser comes last and counts as people do
    lines = script.text.splitlines()
    excerpt = lines[line - 1][:160] if 0 < line <= len(lines) else ""
    what = "a merge conflict left in" if _CONFLICT.match(excerpt) else _short(script.error)
    if not script.display:
        return of_folder(case, what)
    return at(case, script.display, line, what, excerpt=excerpt)


def _short(error: str) -> str:
    return error if len(error) <= 240 else error[:237] + "..."
