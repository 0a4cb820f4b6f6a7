"""The part of ngram-target-only in C-like code: tables read at the hash of the token being scored, gated hints."""

from __future__ import annotations

from checks.program.native.flow import read_native
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering, target_conditioned_gate
from checks.verdict import Evidence, Finding

_ORDER = (
    (
        "late",
        "the table learns the token",
        "writes a prediction from an entry that has already learnt the token it predicts.",
        "Write the prediction first, then let the table learn the token.",
    ),
    (
        "again",
        "sweeps over the stream again",
        "sweeps over the stream more than once with the same table: the last predictions know the tokens they predict.",
        "One sweep: each prediction from what lies before it.",
    ),
)


def native_breach(case: Case, say: Verdicts) -> Finding | None:
    """The finding that native code decides; None when the Python code alone does.

    Organisers closed n-gram tilts whose use depends on the target's class under this rule (#2041, #2118): they fail
    this rule and target-conditioned-gate.
    """
    program = case.program
    reading = read_native(program)
    reports = [ordering.report_row(program, r) for r in program.reports]
    tables = [u for u in reading.uses if u.kind == "lookup"]
    if tables:
        rows = target_conditioned_gate.native_rows(case, tables, "a table read at a hash of the token being scored")
        return say.fail(
            f"{tables[0].function} mixes the count of the true token alone, read at a hash of context and token, into "
            "its probability; the blend was never normalised over the vocabulary.",
            [*rows[:6], *reports],
            "Gather the table's counts for every token of the vocabulary, normalise them, mix the two whole "
            "distributions, and only then read off the true token.",
        )
    for kind, what, why, clears in _ORDER:
        uses = [u for u in reading.uses if u.kind == kind]
        if uses:
            rows = target_conditioned_gate.native_rows(case, uses, what)
            return say.fail(f"{uses[0].function} {why}", [*rows[:6], *reports], clears)
    if not any(u.kind == "gate" for u in reading.uses) or target_conditioned_gate.dormant(case):
        return _unread(say, reading.not_understood)
    gated, why = target_conditioned_gate.gates(case)
    return say.fail(
        f"{why} The tilt is then no function of the context (see target-conditioned-gate).",
        [*gated[:6], *reports],
        "Decide from the tokens before the one that is scored whether and which hint applies.",
    )


def _unread(say: Verdicts, failed: tuple[str, ...]) -> Finding | None:
    if not failed:
        return None
    shown = [Evidence(text.partition(":")[0], 0, 0, "", text.partition(": ")[2]) for text in failed]
    return say.unknown(f"Native code with tables was not understood: {failed[0]}.", shown, "Plain C or Python.")
