"""How a run's tokens and bytes per token compare with the known exports of the validation split."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass

from checks.rulebook import Fingerprint, Rulebook
from checks.submission.model import Run

PRECISE = 0.001  # a ratio of two printed numbers less precise than this proves nothing
WINDOW = 0.001  # trimming to whole windows and small export differences move a count by less than this share


@dataclass(frozen=True)
class Coverage:
    """What a run's numbers say of its validation data.

    ``by_tokens`` and ``by_ratio`` are the exports that its token count and its bytes per token fit; ``named`` is that
    of the tokenizer whose file the log names, by the name that the organisers gave it. ``share`` is the
    part of the validation tokens that was loaded (by the export that the ratio fits), ``byte_share`` the counted bytes
    over the canonical ones, ``documents`` the most validation
    documents that the log counts; None where the log does not say.
    """

    tokens: int | None
    ratio: float | None
    by_tokens: Fingerprint | None
    by_ratio: Fingerprint | None
    share: float | None
    byte_share: float | None
    named: Fingerprint | None = None
    documents: int | None = None


def coverage(run: Run, rulebook: Rulebook) -> Coverage:
    """Compare a run with the fingerprints."""
    tolerance = float(rulebook.rule("bpb-accounting").numbers["tolerance"])
    tokens, ratio = run.val_tokens, _per_token(run)
    by_tokens = next(
        (f for f in rulebook.fingerprints if tokens and any(abs(tokens / n - 1) <= WINDOW for n in f.scored_tokens)),
        None,
    )
    near = [f for f in rulebook.fingerprints if ratio and abs(ratio / f.bytes_per_token - 1) <= tolerance]
    by_ratio = (
        by_tokens
        if by_tokens in near
        else min(near, key=lambda f: abs(f.bytes_per_token - (ratio or 0.0)), default=None)
    )
    share = tokens / min(by_ratio.scored_tokens) if tokens and by_ratio else None
    if by_tokens is not None:
        share = by_tokens.documents / int(rulebook.constants["validation_documents"])
    canonical = int(rulebook.constants["canonical_validation_bytes"])
    some = ratio or _other_ratio(run)
    byte_share = tokens * some / canonical if tokens and some else None
    named = next((f for f in rulebook.fingerprints if f.name == run.details.get("tokenizer")), None)
    return Coverage(tokens, ratio, by_tokens, by_ratio, share, byte_share, named, run.details.get("val_documents"))


def export_words(cover: Coverage) -> str:
    """Of which export a token count is; one that no known export has is only close to it: another export, maybe."""
    known = cover.by_tokens
    if known is None or cover.tokens is None:
        return ""
    least, most = min(known.scored_tokens), max(known.scored_tokens)
    if least <= cover.tokens <= most:
        return f"the export of {known.name}"
    return f"close to the export of {known.name} ({most:,})"


def documents_left_out(cover: Coverage, rulebook: Rulebook) -> bool:
    """Whether an unknown tokenizer's log counts too few documents, and its bytes are as well too few: both are told.

    Too few bytes alone may be bytes that the table misses, and a count of documents alone that of a step on the way.
    """
    least = 1 - float(rulebook.rule("partial-val").numbers["fail_share"])
    whole = int(rulebook.constants["validation_documents"])
    if cover.by_tokens is not None or cover.by_ratio is not None or cover.byte_share is None or not cover.documents:
        return False
    return cover.byte_share < least and cover.documents < least * whole


def fewest_tokens(rulebook: Rulebook) -> int:
    """The fewest tokens that a known tokenizer makes of the whole validation split."""
    whole = int(rulebook.constants["validation_documents"])
    return min(min(f.scored_tokens) for f in rulebook.fingerprints if f.documents == whole)


def cut_elsewhere(cover: Coverage, rulebook: Rulebook) -> bool:
    """Whether a round number of tokens, less a part of a window, holds far more bytes than the split: another cut.

    Any other token count is what a tokenizer made of the whole split, and bytes too many for it are miscounted.
    """
    numbers = rulebook.rule("val-partition").numbers
    if cover.by_tokens is not None or cover.tokens is None or cover.byte_share is None:
        return False
    known = rulebook.rule("bpb-accounting").numbers["known_inflations"]
    return (
        cover.byte_share >= float(numbers["foreign_bytes"])
        and -cover.tokens % int(numbers["round_tokens"]) < int(numbers["window_tokens"])
        and all(abs(cover.byte_share / float(k["factor"]) - 1) > 0.004 for k in known)
    )


def _other_ratio(run: Run) -> float | None:
    """Bytes per token of another score of the run: for how much was scored, not for how the headline was counted."""
    pairs = [(s.val_loss, s.val_bpb) for s in run.scores if s.val_loss and s.val_bpb > 0 and s.exact]
    return statistics.median(loss / (bpb * math.log(2)) for loss, bpb in pairs) if pairs else None


def _rounding(value: float) -> float:
    """The relative error of a printed number: half a unit of its last digit, at most of the fourth."""
    digits = max(4, len(f"{value:.10f}".rstrip("0").partition(".")[2]))
    return float(0.5 * 10.0**-digits / abs(value)) if value else 1.0


def _per_token(run: Run) -> float | None:
    """Bytes per token of the final score; None when val_loss is in nats or bits per byte, or too few digits."""
    ratio = run.bytes_per_token
    if ratio is None or ratio <= 0 or run.val_bpb is None or run.val_loss is None:
        return None
    if _rounding(run.val_loss) + _rounding(run.val_bpb) > PRECISE:
        return None
    per_byte = abs(ratio - 1.0) < 0.01 or abs(ratio * math.log(2) - 1.0) < 0.01
    return None if per_byte and (run.val_tokens or 0) < 100_000_000 else ratio
