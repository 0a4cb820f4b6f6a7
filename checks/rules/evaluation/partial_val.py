"""partial-val: the score covers all 50,000 validation documents."""

from __future__ import annotations

import re
from dataclasses import replace

from checks.rules.base import Case, Verdicts
from checks.rules.counted import behind_claim
from checks.rules.evaluation import ordering
from checks.rules.evaluation.coverage_code import by_code
from checks.rules.evaluation.coverage_proof import proved
from checks.rules.evaluation.fingerprints import Coverage, coverage, documents_left_out, export_words, fewest_tokens
from checks.rules.evaluation.halves import together
from checks.rules.evaluation.stated_bound import stated_bound
from checks.rules.evaluation.told_coverage import by_word
from checks.rules.evaluation.typed_score import uncomputed
from checks.rules.places import at, name_run, of_run
from checks.submission.headline import lower_than_logged
from checks.submission.model import Run, Setting
from checks.verdict import Evidence, Finding, Group, Status

CODE = "partial-val"

_LIMIT = re.compile(
    r"^(VAL|EVAL|PPM|NGRAM|BYTE|[A-Z]+_EVAL)\w*(LIMIT|SUBSET|MAX)\w*(TOKENS?|DOCS?|SEQS?|BATCHES)?$|^(VAL|EVAL)_MAX_(TOKENS|DOCS|SEQS|BATCHES)$"
)
_TOKENS = re.compile(r"TOKENS?$")
_PLACE = re.compile(r"(?:default )?(.+):(\d+)$")


def check(case: Case) -> Finding:
    """Check how many validation tokens the author and the logs say were scored, and what the code leaves out."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    told = by_word(case, say)
    found = _computed(case, say)
    return found if told is None else together(found, told)


def _computed(case: Case, say: Verdicts) -> Finding:
    """What the logs and the code say."""
    unknown = ordering.undecidable(case, say)
    if unknown is not None and lower_than_logged(case.submission.claims, case.submission.runs):
        return unknown  # the logs are not of the evaluation that the claim comes from
    logs, code = by_logs(case, say), by_code(case, say)
    sample = _of_bound(case, code) if code is not None and logs.status is not Status.FAIL else None
    if sample is not None:
        return sample
    if logs.status is Status.UNKNOWN and uncomputed(case):
        return say.not_applicable("No script of the folder computes a score: what is claimed was made elsewhere.")
    if logs.status is Status.UNKNOWN and code is None and _uncounted(case):
        return proved(case, say) or logs
    return together(logs, code)


def _of_bound(case: Case, code: Finding) -> Finding | None:
    """A bound on the likelihood may be estimated from a sample outside the record track: a warning (#1106, merged so)."""
    bound = stated_bound(case) if case.non_record and code.status is Status.FAIL else None
    if bound is None:
        return None
    return replace(code, status=Status.WARN, evidence=(bound, *code.evidence), sources=(*code.sources, "#1106"))


def _uncounted(case: Case) -> bool:
    """Whether no log prints a number of validation tokens."""
    return all(r.val_tokens is None for r in behind_claim(case))


def by_logs(case: Case, say: Verdicts) -> Finding:
    """Compare token counts with the known exports, and look for a limit in the configuration of the headline."""
    runs = behind_claim(case)
    if not runs:
        return say.not_applicable("No complete run counts, so there is no score to check.")
    allowed = float(case.rulebook.rule(CODE).numbers["fail_share"])
    found = [(r, coverage(r, case.rulebook)) for r in runs]
    short = [(r, c, s) for r, c in found if (s := _share(case, c)) is not None and s < 1 - allowed]
    clears = "Score the whole validation split, as the reference does."
    if short:
        run, cover, share = min(short, key=lambda row: row[2])
        slight = share > 1 - float(case.rulebook.rule(CODE).numbers["other_export"])
        return (say.warn if slight else say.fail)(
            f"{len(short)} of {len(runs)} runs load {cover.tokens:,} validation tokens, {share:.1%} of the split.",
            [_tokens(case, r, c) for r, c, _ in short],
            clears,
        )
    if fewer := [(r, c) for r, c in found if documents_left_out(c, case.rulebook)]:
        run, cover = min(fewer, key=lambda row: row[1].documents or 0)
        return say.fail(
            f"The log counts {cover.documents:,} validation documents of {case.rulebook.constants['validation_documents']:,}, "
            f"and the bytes scored are {cover.byte_share:.1%} of the split's.",
            [
                of_run(
                    case, run, "val_documents", f"{name_run(run)}: {cover.documents:,} validation documents", "source"
                ),
                *(_tokens(case, r, c) for r, c in fewer),
                of_run(case, run, "val_bpb", f"{name_run(run)}: {cover.ratio or 0:.4f} bytes per token", "report"),
            ],
            clears,
        )
    if sample := sampled(case, runs):
        run, scored = sample
        printed = of_run(case, run, "val_bpb", f"{name_run(run)}: scored_tokens {scored:,}, {run.val_bpb}", "report")
        return say.fail(
            f"The headline's line says that {scored:,} tokens were scored, of {run.val_tokens:,} loaded.",
            [printed],
            clears,
        )
    if limit := limited(case, runs):
        name, setting, tokens = limit
        return say.fail(
            f"{name} limits the scored validation data to {setting.value} tokens of {tokens:,}.",
            [_setting(case, name, setting), of_run(case, runs[0], "val_bpb", f"headline {runs[0].val_bpb}", "report")],
            clears,
        )
    whole = [(r, c) for r, c in found if _share(case, c) is not None]
    if whole:
        run, cover = whole[0]
        known = f", {words}" if (words := export_words(cover)) else ""
        return say.passed(
            f"{cover.tokens:,} validation tokens are loaded{known}.", [_tokens(case, r, c) for r, c in whole[:6]]
        )
    if all(c.tokens is None for _, c in found):
        return say.unknown(
            "No log prints the number of validation tokens.",
            [of_run(case, runs[0], "val_bpb", f"{name_run(runs[0])}: {runs[0].val_bpb}")],
            "Attach logs that print val_tokens.",
        )
    run, cover = found[0]
    return say.unknown(
        f"{cover.tokens:,} validation tokens fit no known export, and the log does not tell how many bytes they are.",
        [_tokens(case, run, cover)],
        "Log the number of bytes scored.",
    )


def _share(case: Case, cover: Coverage) -> float | None:
    """The part of the split that was loaded; None when it cannot be told."""
    if cover.share is not None:
        return cover.share
    if cover.byte_share is None:
        fewest = fewest_tokens(case.rulebook)
        return cover.tokens / fewest if cover.tokens and cover.tokens < fewest / 2 else None
    tolerance = float(case.rulebook.rule(CODE).numbers["export_tolerance"])
    return 1.0 if cover.byte_share > 1 - tolerance else cover.byte_share


def sampled(case: Case, runs: tuple[Run, ...]) -> tuple[Run, int] | None:
    """A run whose headline's line prints that so few tokens were scored that they are not even one rank's."""
    share = float(case.rulebook.rule(CODE).numbers["printed_share"])
    found = [(r, int(n)) for r in runs if (n := r.details.get("scored_tokens")) and n < share * (r.val_tokens or 0)]
    return min(found, key=lambda row: row[1], default=None)


def limited(case: Case, runs: tuple[Run, ...]) -> tuple[str, Setting, int] | None:
    """A token limit of the configuration that bites in the evaluation that the headline came from."""
    tokens = max((r.val_tokens or 0 for r in runs), default=0)
    labels = " ".join(str(r.details.get("score_label", "")) for r in runs).lower()
    for name, setting in case.submission.configuration.items():
        value = setting.value.replace("_", "")
        if not (_LIMIT.search(name) and _TOKENS.search(name) and value.isdigit() and 0 < int(value) < tokens):
            continue
        subject = name.split("_", 1)[0].lower()
        if subject in ("val", "eval") or subject in labels:
            return name, setting, tokens
    return None


def _setting(case: Case, name: str, setting: Setting) -> Evidence:
    match = _PLACE.match(setting.from_)
    if match is None:
        return at(case, case.submission.script or "", 1, f"{name} = {setting.value}")
    return at(case, match[1], int(match[2]), f"{name} = {setting.value}", "source")


def _tokens(case: Case, run: Run, cover: Coverage) -> Evidence:
    return of_run(case, run, "val_tokens", f"{name_run(run)}: {cover.tokens:,} validation tokens", "source")
