"""bpb-accounting: the score is the summed loss over the true number of bytes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from checks.rules.base import Case, Verdicts
from checks.rules.counted import behind_claim, finals, with_score
from checks.rules.evaluation.byte_accounting_code import by_code
from checks.rules.evaluation.byte_accounting_proof import proved
from checks.rules.evaluation.fingerprints import Coverage, coverage, cut_elsewhere, documents_left_out
from checks.rules.evaluation.halves import together
from checks.rules.evaluation.partial_val import limited, sampled
from checks.rules.evaluation.typed_score import typed_score, uncomputed
from checks.rules.places import name_run, of_claim, of_folder, of_run
from checks.submission.log_scores import base_label
from checks.submission.model import Run
from checks.verdict import Evidence, Finding, Group, Status

CODE = "bpb-accounting"


def check(case: Case) -> Finding:
    """Check the byte count that the logs imply, and how the code counts losses and bytes."""
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    logs, code = by_logs(case, say), by_code(case, say) or typed_score(case, say)
    if logs.status is Status.UNKNOWN and uncomputed(case):
        return say.not_applicable("No script of the folder computes a score: what is claimed was made elsewhere.")
    if logs.status is Status.UNKNOWN and code is None and _no_bytes(case):
        return proved(case, say) or logs
    return together(logs, code)


def _no_bytes(case: Case) -> bool:
    """Whether no final score has a loss beside it from which its bytes could be recounted."""
    return all(coverage(r, case.rulebook).ratio is None for r in behind_claim(case))


def by_logs(case: Case, say: Verdicts) -> Finding:
    """Recompute bytes per token from every final (val_loss, val_bpb) pair and compare it with the tokenizer's own.

    Too many bytes fail; too few make the score look worse than it is and are a warning.
    """
    runs = behind_claim(case)
    if not runs:
        return _by_claim(case, say) or say.not_applicable("No complete run counts, so there is no score to recompute.")
    runs = tuple(_with_loss(case, r) for r in runs)
    found = [(r, coverage(r, case.rulebook)) for r in (*runs, *_lower_finals(runs))]
    wrong = [(r, c, miss) for r, c in found if (miss := _miscount(case, c)) is not None]
    apart = _of_two_evaluations(case, wrong)
    wrong = [row for row in wrong if (row[0], row[1]) not in apart]
    few = _few_tokens(case, runs) if wrong else None
    if few is not None and few[0] < case.rulebook.rule(CODE).numbers["least_sample"]:
        return say.unknown(
            f"Only {few[0]:,} tokens were scored ({few[1]}): their bytes per token need not be the split's.",
            [_pair(case, r, c) for r, c, _ in wrong],
            "Score the whole validation split, as the reference does.",
        )
    if wrong:
        run, cover, miss = max(wrong, key=lambda row: row[2].factor)
        where = len({(r.log, r.index) for r, _, _ in wrong})
        return (say.fail if miss.factor > 1 else say.warn)(
            f"The logs imply {cover.ratio:.4f} bytes per token, {miss.why}; {where} of {len(runs)} runs.",
            [_pair(case, r, c) for r, c, _ in wrong],
            "Count the bytes of the original text: sum over targets of the reference byte table.",
        )
    if apart:
        return say.unknown(
            f"The headline's val_loss and val_bpb imply {apart[0][1].ratio:.4f} bytes per token, other scores of the "
            "logs another number: they are not of one evaluation, and the headline's bytes cannot be recounted.",
            [_pair(case, r, c) for r, c in apart],
            "Log the loss of the mixture beside its val_bpb.",
        )
    fitting = [(r, c) for r, c in found if _fits(c)]
    if fitting:
        run, cover = fitting[0]
        what = f"that of {cover.by_ratio.name}" if cover.by_ratio else "and with the token count the canonical bytes"
        evidence = [_pair(case, r, c) for r, c in fitting[:6]]
        return say.passed(f"The logs imply {cover.ratio:.4f} bytes per token, {what}.", evidence)
    run, cover = found[0]
    if cover.ratio is None:
        return say.unknown(
            "The logs give no val_loss in nats per token beside the final val_bpb: the bytes cannot be recounted.",
            [of_run(case, run, "val_bpb", f"{name_run(run)}: {run.val_bpb}")],
            "Log val_loss and val_bpb of the same evaluation.",
        )
    share = cover.byte_share
    if share is not None:
        what = (
            f"The logs imply {cover.ratio:.4f} bytes per token, no known tokenizer's; with {cover.tokens:,} tokens they "
            f"are {share:.1%} of the canonical bytes"
        )
        least = 1 - float(case.rulebook.rule("partial-val").numbers["export_tolerance"])
        if least < share < 1:
            why = (
                "too few, as are the documents that the log counts: text is left out"
                if documents_left_out(cover, case.rulebook)
                else "too few, which makes the score worse unless text is left out"
            )
            return say.warn(f"{what}: {why}.", [_pair(case, run, cover)])
        return say.unknown(
            f"{what}: whether the bytes or the text differ is not told.",
            [_pair(case, run, cover)],
            "Prove the byte count of the tokenizer.",
        )
    return say.unknown(
        f"The logs imply {cover.ratio:.4f} bytes per token: no known tokenizer's, and no token count to check it with.",
        [_pair(case, run, cover)],
        "Log the number of validation tokens and prove the byte count of the tokenizer.",
    )


def _with_loss(case: Case, run: Run) -> Run:
    """The run as the log has it that prints a loss beside the very same exact score, where its own log prints none."""
    if run.val_loss is not None or run.val_bpb is None:
        return run
    same = [
        (r, s) for r in case.submission.runs for s in r.scores if s.val_loss and s.exact and s.val_bpb == run.val_bpb
    ]
    return with_score(*same[0]) if same else run


def _by_claim(case: Case, say: Verdicts) -> Finding | None:
    """A warning where no log counts and the stated val_loss and val_bpb fit no known tokenizer; None where they do.

    The two may be of two evaluations, and the tokenizer the author's own: what is only stated does not fail.
    """
    claims = case.submission.claims
    if claims.val_bpb is None or claims.val_loss is None or claims.val_bpb <= 0 or _own_tokenizer(case):
        return None
    ratio = claims.val_loss / (claims.val_bpb * math.log(2))
    stated = Run("", val_bpb=claims.val_bpb, val_loss=claims.val_loss, bytes_per_token=ratio)
    cover = coverage(stated, case.rulebook)
    if cover.ratio is None or cover.by_ratio is not None:
        return None
    return say.warn(
        f"The stated val_loss {claims.val_loss} and val_bpb {claims.val_bpb} imply {cover.ratio:.4f} bytes per token, "
        "no known tokenizer's, and no log of a complete run is there to check them with.",
        [of_claim(case, fact, f"claims {fact} {getattr(claims, fact)}") for fact in ("val_loss", "val_bpb")],
        "Attach the logs; state val_loss and val_bpb of the same evaluation.",
    )


def _own_tokenizer(case: Case) -> bool:
    return any(f.lower().endswith((".model", ".vocab")) for f in case.submission.files)


def _few_tokens(case: Case, runs: tuple[Run, ...]) -> tuple[int, str] | None:
    """How many tokens a limit or a sample left to be scored, and what says so."""
    if sample := sampled(case, runs):
        return sample[1], sample[0].log
    limit = limited(case, runs)
    return (int(limit[1].value.replace("_", "")), limit[0]) if limit is not None else None


@dataclass(frozen=True)
class _Miscount:
    """By which factor the bytes are too many (below 1: too few), in words. ``known``: a miscount seen before."""

    factor: float
    why: str
    known: bool


def _miscount(case: Case, cover: Coverage) -> _Miscount | None:
    """How the ratio differs from the tokenizer's; None when it does not, or cannot be told."""
    if _of_another(case, cover) and cover.ratio is not None and cover.named is not None:
        factor = cover.ratio / cover.named.bytes_per_token
        own = (
            f"{factor:.4f} times the {cover.named.bytes_per_token} of {cover.named.name}, whose tokenizer the log names"
        )
        return _Miscount(factor, own + _cause(case, factor), True)
    if cover.ratio is None or (cover.by_ratio is not None and cover.by_tokens in (None, cover.by_ratio)):
        return None
    if cover.by_tokens is not None:
        factor = cover.ratio / cover.by_tokens.bytes_per_token
        if abs(factor - 1) <= float(case.rulebook.rule(CODE).numbers["tolerance"]):
            return None
        own = f"{factor:.4f} times the {cover.by_tokens.bytes_per_token} of {cover.by_tokens.name}"
        return _Miscount(factor, own + _cause(case, factor), bool(_cause(case, factor)))
    share = cover.byte_share
    if cut_elsewhere(cover, case.rulebook):  # val-partition's
        return None
    if cover.by_ratio is None and share is not None and share > float(case.rulebook.rule(CODE).numbers["most_bytes"]):
        cause = _cause(case, share)
        text = f"with the token count {share:.4f} times the canonical bytes of the validation text"
        return _Miscount(share, text + (cause or ": bytes miscounted, or another text scored"), bool(cause))
    return None


def _of_another(case: Case, cover: Coverage) -> bool:
    """Whether the log counts no tokens and the ratio is that of another tokenizer, far from the one that the log names."""
    if cover.tokens is not None or cover.named is None or cover.by_ratio is None:
        return False
    apart = abs(cover.by_ratio.bytes_per_token / cover.named.bytes_per_token - 1)
    return not _own_tokenizer(case) and apart > float(case.rulebook.rule(CODE).numbers["most_bytes"]) - 1


def _of_two_evaluations(case: Case, wrong: Sequence[tuple[Run, Coverage, _Miscount]]) -> list[tuple[Run, Coverage]]:
    """The pairs whose val_loss is of another evaluation than their val_bpb, and those that are printed like them."""
    open_ = [row for row in wrong if not row[2].known and row[2].factor > 1]
    labels = {_label(r) for r, c, miss in open_ if _others_fit(case, r, c, miss)} - {""}
    return [(r, c) for r, c, miss in open_ if _label(r) in labels or _others_fit(case, r, c, miss)]


def _label(run: Run) -> str:
    return base_label(str(run.details.get("score_label") or ""))


def _others_fit(case: Case, run: Run, cover: Coverage, miss: _Miscount) -> bool:
    """Whether another score of the run is far nearer the tokenizer's own bytes per token than the headline's pair.

    A wrong byte table miscounts every score of a run by the same factor.
    """
    own = (cover.ratio or 0.0) / miss.factor * math.log(2)
    margin = max(float(case.rulebook.rule(CODE).numbers["tolerance"]), (miss.factor - 1) / 2)
    pairs = [(s.val_loss, s.val_bpb) for s in run.scores if s.val_loss and s.val_bpb]
    return own > 0 and any(abs(loss / (bpb * own) - 1) <= margin for loss, bpb in pairs)


def _lower_finals(runs: Sequence[Run]) -> list[Run]:
    """Runs with a final score below the one that counts: a headline withdrawn by hand shows how the script counts."""
    return [
        with_score(r, s)
        for r in runs
        for s in finals(r)
        if r.val_bpb is not None and s.val_loss and s.exact and s.val_bpb < r.val_bpb - 0.001
    ]


def _fits(cover: Coverage) -> bool:
    if cover.ratio is None or cover.by_ratio is not None:
        return cover.ratio is not None
    return cover.byte_share is not None and abs(cover.byte_share - 1) <= 0.01


def _cause(case: Case, factor: float) -> str:
    known = case.rulebook.rule(CODE).numbers["known_inflations"]
    return next((f": {k['cause']}" for k in known if abs(factor / float(k["factor"]) - 1) <= 0.004), "")


def _pair(case: Case, run: Run, cover: Coverage) -> Evidence:
    if run.val_bpb is None:
        return of_folder(case, "no score")
    what = (
        f"{name_run(run)}: val_loss {run.val_loss} / (val_bpb {run.val_bpb} * ln 2) = {cover.ratio:.4f} bytes per token"
    )
    return of_run(case, run, "val_bpb", what, "report")
