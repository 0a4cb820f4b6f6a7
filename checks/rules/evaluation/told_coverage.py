"""The half of partial-val that the author tells: a number of scored tokens, stated with the claimed score."""

from __future__ import annotations

from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.evaluation.fingerprints import fewest_tokens
from checks.rules.places import at, of_claim
from checks.submission.model import ToldPart
from checks.verdict import Evidence, Finding


def by_word(case: Case, say: Verdicts) -> Finding | None:
    """What the author says of the scored part; None where nothing is said, or the whole split.

    A count may be that of one rank, or of another number than the score; words of the README may be of another
    evaluation. What is not said of the claimed score itself, or what the logs speak against, leaves the rule open.
    """
    claims = case.submission.claims
    fewest = fewest_tokens(case.rulebook)
    parts = [p for p in claims.told_parts if p.tokens < fewest / 2]
    if not parts:
        return None
    one_rank = float(case.rulebook.rule(say.code).numbers["printed_share"]) * fewest
    loaded = max((r.val_tokens or 0 for r in counted(case).runs), default=0)
    sure = [p for p in parts if p.sure and (p.words or (p.tokens < one_rank and loaded < fewest / 2))]
    part = min(sure or parts, key=lambda p: p.tokens)
    evidence = [_place(case, p) for p in (sure or parts)[:5]]
    if claims.val_bpb is not None:
        evidence.append(of_claim(case, "val_bpb", f"claims {claims.val_bpb}"))
    if sure:
        return say.fail(
            f"The author states that the claimed score is over {part.tokens:,} validation tokens, a part of the split.",
            evidence,
            "Score the whole validation split, as the reference does.",
        )
    return say.unknown(
        f"The author speaks of {part.tokens:,} scored tokens beside the score: whether it is over the whole split "
        "cannot be told.",
        evidence,
        "Say, and log, how many validation tokens the claimed score is over.",
    )


def _place(case: Case, part: ToldPart) -> Evidence:
    name, _, line = part.place.rpartition(":")
    return at(case, name, int(line), f"{part.tokens:,} tokens", "source")
