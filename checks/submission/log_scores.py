"""Which of the scores that a log prints is the headline: the last one of the final evaluation that is no diagnostic."""

from __future__ import annotations

import re
from collections.abc import Sequence

from checks.submission.log_lines import EVAL_TIME, EXACT_BPB, PERCENT, VAL_BPB, VAL_LOSS, number, seconds
from checks.submission.model import Score

_PROGRESS = re.compile(
    r"\[\s*\d+\s*/\s*\d+\s*\]|progress|\bbatch\b|running|run_bpb|rank:\d|chunk|epoch|phase:|^(?:tc|ttp|ttpp|tttg)\b"
    r"|_batch|\bpass ?\d|window \d|AR \d+/\d+|\bat step\b|iter",
    re.IGNORECASE,
)
_DIAGNOSTIC = re.compile(
    r"diag|pre[-_ ]?quant|prequant|pre_ttt|post[-_ ]?(?:ema|swa|average|prequant|training)|^\W*(?:ema|swa|raw|lawa)\b|^(?:ema|swa)_"
    r"|raw[_ ]model|temp_?(?:search|fine|re)|neural[_ -]only|fp32|bf16|\bfloat\b|unquant|sanity|best|gain|gap|delta|improvement|ablation"
    r"|warmup|\bbefore\b|\bvs\b|10k|subset|tokenizer|target|record|baseline|sota|predicted|estimate|threshold",
    re.IGNORECASE,
)
_FIELD = re.compile(r"\b(?:val_loss|val_bpb|vl|bpb|loss|bits_per_byte)\"?\s*[:=]", re.IGNORECASE)
_EXACT = re.compile(r"(?:[_ ]exact|_x)\b", re.IGNORECASE)


def score_line(line: str, number_: int) -> Score | None:
    """Read a result line such as ``legal_ttt_exact val_loss:1.97 val_bpb:1.1677``; None when it carries no score."""
    found = VAL_BPB.search(line)
    if found is None or _PROGRESS.search(line) or PERCENT.search(line):
        return None
    first = _FIELD.search(line)
    label = line[: first.start() if first else found.start()].strip(" \t:=-|>*\"'{")
    bpb = number((EXACT_BPB.search(line) or found)[1])
    if bpb is None or not 0.0 <= bpb <= 100.0:
        return None
    loss, time = VAL_LOSS.search(line), EVAL_TIME.search(line)
    return Score(
        label=label[:120],
        line=number_,
        val_bpb=bpb,
        val_loss=number(loss[1]) if loss else None,
        exact=_EXACT.search(label) is not None or len((EXACT_BPB.search(line) or found)[1].partition(".")[2]) >= 6,
        eval_seconds=seconds(time[1], time[2]) if time else None,
    )


def is_diagnostic(label: str) -> bool:
    """Whether a label names a score beside the headline (before quantisation, of an average, of a search)."""
    return _DIAGNOSTIC.search(label) is not None


def base_label(label: str) -> str:
    """The label without its ``_exact`` suffix: the rounded and the exact line of one evaluation share it."""
    return _EXACT.sub("", label).strip().lower()


def headline(scores: Sequence[Score]) -> Score | None:
    """Return the final score, or None when only diagnostics were printed.

    The last evaluation counts; of its lines the exact one.
    """
    finals = [s for s in scores if s.step is None and not is_diagnostic(s.label)]
    if not finals:
        return None
    last = finals[-1]
    same = [s for s in finals if abs(s.val_bpb - last.val_bpb) < 6e-5 and s.line >= last.line - 50]
    exact = [s for s in same if s.exact and s.val_loss is not None] or [s for s in same if s.exact]
    return exact[-1] if exact else last


def eval_seconds_of(scores: Sequence[Score], head: Score) -> float | None:
    """Return how long the headline's own evaluation took: printed on it or on its rounded twin."""
    twins = [
        s.eval_seconds
        for s in scores
        if s.eval_seconds is not None and abs(s.val_bpb - head.val_bpb) < 6e-5 and not is_diagnostic(s.label)
    ]
    return max(twins, default=None)
