"""claim-mismatch: the headline is the mean of the final scores that the attached logs show."""

from __future__ import annotations

from collections.abc import Sequence

from checks.rules.base import Case, Verdicts
from checks.rules.counted import Counted, counted
from checks.rules.evaluation import told_only
from checks.rules.evaluation.typed_score import uncomputed
from checks.rules.evidence import claim_support
from checks.rules.evidence.claim_support import Support, supports
from checks.rules.package.missing_files import not_in_scripts
from checks.rules.places import at, name_run, of_claim, of_run
from checks.submission.log_scores import is_diagnostic
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group

CODE = "claim-mismatch"

PROMINENT = 12  # lines at the top of a README in which a score is its headline


def check(case: Case) -> Finding:
    """Compare the claim with the runs, the places that state it with each other, and the logs with the script."""
    say = Verdicts(CODE, Group.EVIDENCE, case.rulebook)
    claim = case.submission.claims.val_bpb
    if claim is None:
        return say.not_applicable("No score is claimed.")
    stated = of_claim(case, "val_bpb", f"claims {claim}")
    if not case.submission.runs:
        for mechanism in told_only.MECHANISMS:
            command = told_only.switched_on(case, mechanism)
            account = told_only.credited(case, mechanism) if command else None
            if command and account:
                text = f"The claim of {claim} is told as a score with {mechanism}: {command.what}."
                return say.fail(text, [stated, account, command], "Add the script that ran, and its logs.")
        text = f"The claim of {claim} cannot be checked: there is no training log."
        return say.unknown(text, [stated], "Attach the training logs.")
    if foreign := not_in_scripts(case):
        text = f"Another script than the submitted one made these numbers: {foreign.what}."
        return say.fail(text, [stated, foreign], "Add the script that ran.")
    if uncomputed(case):
        text = (
            f"No script of the folder computes a score in bits per byte: the claim of {claim} was made by other code."
        )
        return say.fail(text, [stated], "Add the script that ran.")
    runs = counted(case)
    if runs.mean is None:
        return _no_run(case, say, runs, claim, stated)
    flag = claim_support.affirmed_three_seeds(case)
    if flag is not None and len(runs.runs) < int(case.rulebook.constants["seeds"]):
        text = f"submission.json affirms three seeds; {_number(runs)} attached."
        return say.fail(text, [flag, *_scores(case, runs.runs)], "Attach the runs, or withdraw the statement.")
    support = supports(case, runs, claim)
    evidence = [stated, *_scores(case, runs.runs)]
    if support.how == "none":
        return _unsupported(case, say, runs, claim, evidence)
    if conflict := claim_support.mean_of_all(case, runs, claim):
        text = f"submission.json claims {claim}, the mean of {len(runs.runs)} runs; {conflict.what}."
        return say.fail(text, [conflict, *evidence], "State one headline score everywhere.")
    apart = float(case.rulebook.rule(CODE).numbers["headline_bpb"])
    if conflict := claim_support.other_headline(case, runs, claim, apart):
        prominent = conflict.excerpt.startswith("#") or conflict.line <= PROMINENT
        text = f"submission.json says {claim}, {conflict.what}; the logs show {support.mean:.4f}."
        return (say.fail if prominent else say.warn)(
            text, [conflict, *evidence], "State one headline score everywhere."
        )
    return _weigh(case, say, runs, support, claim, evidence)


def _no_run(case: Case, say: Verdicts, runs: Counted, claim: float, stated: Evidence) -> Finding:
    """No complete run counts. A non-record submission may show its score otherwise."""
    found = claim_support.printed(case, claim)
    if found and case.non_record:
        text = f"No complete run supports the claim of {claim}; it is {found.what}."
        return say.warn(text, [stated, found], "Attach a complete log.")
    why = "; ".join(f"{name_run(r)}: {w}" for r, w in runs.left_out[:3])
    seed = claim_support.unlogged_seed(case, claim)
    told = f" It is {seed.what}." if seed else ""
    return say.fail(
        f"No complete run of the submitted script supports the claim of {claim}.{told} {why}.",
        [
            stated,
            *([seed] if seed else []),
            *(of_run(case, r, "reason", f"{name_run(r)}: {w}") for r, w in runs.left_out[:5]),
        ],
        "Attach complete logs of the runs behind the claim.",
    )


def _unsupported(case: Case, say: Verdicts, runs: Counted, claim: float, evidence: list[Evidence]) -> Finding:
    """The runs show another number. One to the author's disadvantage is a warning."""
    mean = runs.mean or 0.0
    clears = f"Claim {mean:.4f}, or attach the logs that show {claim}."
    if claim > mean:
        return say.warn(f"The claim is {claim}; the {_shown(runs)} a better {mean:.4f}.", evidence, clears)
    found = claim_support.printed(case, claim)
    if found and case.non_record:
        text = f"The claim of {claim} is {found.what}; the {_shown(runs)} {mean:.4f}."
        return say.warn(text, [*evidence, found], clears)
    text = f"The claim is {claim}; the {_shown(runs)} {mean:.4f} ({claim - mean:+.4f})."
    found = found or claim_support.unlogged_seed(case, claim)
    if found:
        return say.fail(f"{text} It is {found.what}.", [*evidence, found], clears)
    return say.fail(text, evidence, clears)


def _weigh(
    case: Case, say: Verdicts, runs: Counted, support: Support, claim: float, evidence: Sequence[Evidence]
) -> Finding:
    if found := _partly(case, runs, support, claim):
        text, why, clears = found
        evidence = [*evidence, *why]
        if size := _other_size(case, runs.runs):
            text, evidence, clears = f"{text} {size[0]}", [*evidence, *size[1]], f"{clears} {size[2]}"
        return (say.fail if why else say.warn)(text, evidence, clears)
    if size := _other_size(case, runs.runs):
        return say.warn(f"The claim agrees with the logs. {size[0]}", size[1], size[2])
    if support.how == "one":
        text = f"The claim of {claim} is that of one run; the {_shown(runs)} {support.mean:.4f} in the mean."
        return say.passed(text, evidence)
    label = f" that they call {support.label!r}" if support.label else ""
    return say.passed(f"The claim of {claim} is the mean of the {_number(runs)}{label}.", evidence)


def _partly(case: Case, runs: Counted, support: Support, claim: float) -> tuple[str, list[Evidence], str] | None:
    """What is wrong where the logs bear out the claim in part only: in words, with what makes it a failure, and the way out."""
    clears = f"Claim the mean, {support.mean:.4f}."
    if support.how == "one" and claim <= support.mean:
        text = f"The claim of {claim} is that of one run; the {_shown(runs)} {support.mean:.4f} in the mean."
        told = claim_support.called_mean(case, claim)
        return (f"{text} It is presented as a mean.", [told], clears) if told else (text, [], clears)
    if support.how == "some":
        text = f"The claim of {claim} leaves out some of {_number(runs)}; of all the mean is {support.mean:.4f}."
        return text, [], f"{clears[:-1]}, or say why some do not count."
    if support.how == "table":
        of = len(case.submission.claims.seed_scores)
        text = f"The claim of {claim} is the mean of a table of {of} runs, of which {len(runs.runs)} are logged."
        return text, [], "Attach a log for every run of the table."
    if support.how == "label" and is_diagnostic(support.label):
        text = f"The claim of {claim} is the score that the logs call {support.label!r}, not the final one."
        return text, [], "Claim the score of the quantised artifact."
    return None


def _other_size(case: Case, runs: Sequence[Run]) -> tuple[str, list[Evidence], str] | None:
    """Logs whose code size is that of no file of the folder, and that say nothing of a compressed form."""
    sizes = {f.size for f in case.submission.files.values()}
    odd = [r for r in runs if "code_bytes" in r.details and r.source_matches is not True and r.code_bytes not in sizes]
    odd = [r for r in odd if "code_bytes_compressed" not in r.details]
    script = case.submission.files.get(case.submission.script or "")
    if not odd or script is None:
        return None
    text = (
        f"{len(odd)} of {len(runs)} runs log a script of {odd[0].code_bytes:,} bytes; "
        f"the submitted one has {script.size:,}."
    )
    places = [of_run(case, r, "code_bytes", f"{name_run(r)}: code of {r.code_bytes:,} bytes") for r in odd[:5]]
    places.append(at(case, case.submission.script or "", 0, f"{script.size:,} bytes"))
    return text, places, "Submit the script that ran, or rerun the submitted one."


def _number(runs: Counted) -> str:
    return f"{len(runs.runs)} complete run{'s' * (len(runs.runs) != 1)}"


def _shown(runs: Counted) -> str:
    return f"{_number(runs)} show{'s' * (len(runs.runs) == 1)}"


def _scores(case: Case, runs: Sequence[Run]) -> list[Evidence]:
    return [of_run(case, r, "val_bpb", f"{name_run(r)}: {r.val_bpb:.4f}") for r in runs[:8]]
