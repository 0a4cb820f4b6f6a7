"""seeds: a record needs complete runs of one configuration with several seeds."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.counted import Counted, counted, edits_only, seeds_of
from checks.rules.places import name_run, of_claim, of_folder, of_run
from checks.verdict import Evidence, Finding, Group

CODE = "seeds"
SHOWN = 6


def check(case: Case) -> Finding:
    """Count the complete runs with different seeds; a table in the README is no run."""
    say = Verdicts(CODE, Group.EVIDENCE, case.rulebook)
    wanted = int(case.rulebook.constants["seeds"])
    if edits_only(case):
        return say.not_applicable("The pull request only edits a record folder that was there before.")
    runs = counted(case)
    seeds = seeds_of(runs.runs)
    number = len(runs.runs)
    if number >= wanted:
        named = ", ".join(str(s) for s in seeds[:8])
        return say.passed(
            f"{number} complete runs{f' with seeds {named}' if named else ''}.",
            [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}") for r in runs.runs[:SHOWN]],
        )
    if case.non_record:
        return say.not_applicable(f"Non-record: {number} complete run{'s' * (number != 1)}, and one is enough.")
    text = f"{number} complete run{'s' * (number != 1)} of the submitted configuration, {wanted} are asked for."
    return say.fail(
        text + _left_out(runs) + _claimed(case, seeds),
        _evidence(case, runs),
        f"Attach complete logs of {wanted} seeds of the same configuration.",
    )


def _left_out(runs: Counted) -> str:
    if not runs.left_out:
        return ""
    run, why = runs.left_out[0]
    more = f", and {len(runs.left_out) - 1} more do not count" if len(runs.left_out) > 1 else ""
    return f" {name_run(run)} does not count: {why}{more}."


def _claimed(case: Case, seeds: tuple[int, ...]) -> str:
    absent = [s for s in case.submission.claims.seeds if s not in seeds]
    if not absent or len(absent) > 20:
        return ""
    named = ", ".join(str(s) for s in absent[:6])
    return f" No complete run of claimed seed{'s' * (len(absent) > 1)} {named} is attached."


def _evidence(case: Case, runs: Counted) -> list[Evidence]:
    found = [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}") for r in runs.runs]
    found += [of_run(case, r, "reason", f"{name_run(r)}: {why}") for r, why in runs.left_out[:SHOWN]]
    if case.submission.claims.seeds:
        found.append(
            of_claim(case, "seeds", f"claimed seeds {', '.join(str(s) for s in case.submission.claims.seeds[:8])}")
        )
    return found or [of_folder(case, "no training run is attached")]
