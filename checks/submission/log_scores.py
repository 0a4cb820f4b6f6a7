"""Which of the scores that a log prints is the headline: the last one of the final evaluation that is no diagnostic."""

from __future__ import annotations

import re
from collections.abc import Sequence

from checks.submission.log_lines import (
    EVAL_TIME,
    EXACT_BPB,
    NAMED_BPB,
    PERCENT,
    SCORED_TOKENS,
    VAL_LOSS,
    integer,
    number,
    seconds,
)
from checks.submission.model import Score

_PROGRESS = re.compile(
    r"\[\s*\d+\s*/\s*\d+\s*\]|progress|\bbatch\b|running|run_bpb|\brank:\d|chunk(?!_size|=\d+(?![\d/]))|epoch|phase:"
    r"|^(?:tc|ttp|ttpp|tttg)\b|_batch|\bpass ?\d|window \d|AR \d+/\d+|\bat step\b|iter",
    re.IGNORECASE,
)
_DIAGNOSTIC = re.compile(
    r"diag|pre[-_ ]?quant|pre_ttt|post[-_ ]?(?:ema|swa|average|prequant|training)|^\W*(?:ema|swa|raw|lawa)\b"
    r"|^(?:ema|swa)_|raw[_ ]model|temp_?(?:search|fine|re)|neural[_ -]only|\bllm|fp32|bf16|\bfloat\b|unquant|sanity"
    r"|\bbest\b|^best|gain|\bgap|_gap|delta|improvement|ablation|warmup|\bbefore\b|\bvs\b|10k|subset|tokenizer|target"
    r"|record|baseline|sota|predicted|estimate|threshold|\b(?:mean|average|std|loaded|min|max)\b|\bxsa\b",
    re.IGNORECASE,
)
_LABEL_END = re.compile(r"\b\w{0,40}(?:loss|bpb|bits_per_byte|vl)\"?\s*[:=]|\bbpb\b", re.IGNORECASE)
_EXACT = re.compile(r"(?:[_ ]exact|_x)\b", re.IGNORECASE)
_CODE = re.compile(r"\{[a-z_]|\blog\w{0,3}\(|\bf\"|print\(|^\s*#|\bdef |=\s*f?[\"']")
_VAL_END = re.compile(r"_?val_?$", re.IGNORECASE)  # ngram_val_bpb and its exact twin ngram_bpb are one score's
_SAME = 6e-5  # a rounded line and its exact twin differ by at most half of the fourth decimal
_OWN_NAMES = {"", "val", "total"}


def scores_in(line: str, line_number: int) -> list[Score]:
    """Read a result line such as ``legal_ttt_exact val_loss:1.97 val_bpb:1.1677``; empty when it carries no score.

    A line may name several (``ngram_val_bpb:0.35 model_val_bpb:1.16``); the plain ``val_bpb`` is then the only one.
    """
    found = list(NAMED_BPB.finditer(line))
    if not found or _PROGRESS.search(line) or PERCENT.search(line) or _CODE.search(line):
        return []
    plain = [m for m in found if (m[1] or "").lower().strip("_") in _OWN_NAMES]
    end = _LABEL_END.search(line)
    label = line[: min(end.start() if end else found[0].start(), found[0].start())].strip(" \t:=-|>*\"'{")
    tokens = SCORED_TOKENS.search(line)
    exact, loss, time = EXACT_BPB.search(line), VAL_LOSS.search(line), EVAL_TIME.search(line)
    scores = []
    for match in plain[:1] or found[:4]:
        text = exact[1] if exact else match[2]
        bpb = number(text)
        if bpb is None or not 0.0 <= bpb <= 100.0:
            continue
        name = "" if match in plain else (match[1] or "")
        scores.append(
            Score(
                label=f"{label} {_VAL_END.sub('', name)}".strip()[:120],
                line=line_number,
                val_bpb=bpb,
                val_loss=_loss(line, name) if name else number(loss[1]) if loss else None,
                exact=_EXACT.search(label) is not None or len(text.partition(".")[2]) >= 6,
                eval_seconds=seconds(time[1], time[2]) if time else None,
                tokens=integer(tokens[1]) if tokens else None,
            )
        )
    return scores


def _loss(line: str, name: str) -> float | None:
    """The loss that goes with ``ngram_val_bpb`` is ``ngram_val_loss``."""
    match = re.search(rf"\b{re.escape(name[:40])}_?loss\s*[:=]\s*([\d.]+)", line)
    return number(match[1]) if match else None


def is_diagnostic(label: str) -> bool:
    """Whether a label names a score beside the headline (before quantisation, of an average, of a search)."""
    return _DIAGNOSTIC.search(label) is not None


def base_label(label: str) -> str:
    """The label without its ``_exact`` suffix: the rounded and the exact line of one evaluation share it."""
    return _EXACT.sub("", label).strip().lower()


def finals(scores: Sequence[Score]) -> list[Score]:
    """The scores that can be a headline: of an evaluation after training, and no diagnostic."""
    return [s for s in scores if s.step is None and not is_diagnostic(s.label)]


def headline(scores: Sequence[Score]) -> Score | None:
    """Return the final score, or None when only diagnostics were printed.

    The last evaluation counts; of its lines the exact one.
    """
    candidates = finals(scores)
    if not candidates:
        return None
    last = next(s for s in candidates if s.line == candidates[-1].line)
    return exact_twin(candidates, last)


def exact_twin(scores: Sequence[Score], score: Score) -> Score:
    """Return the most precise line of the evaluation that this score belongs to."""
    same = [s for s in scores if abs(s.val_bpb - score.val_bpb) < _SAME and abs(s.line - score.line) <= 50]
    exact = [s for s in same if s.exact and s.val_loss is not None] or [s for s in same if s.exact]
    return exact[-1] if exact and not (score.exact and score.val_loss is not None) else score


def eval_seconds_of(scores: Sequence[Score], head: Score) -> float | None:
    """Return how long the headline's own evaluation took: printed on it or on its rounded twin."""
    twins = [
        s.eval_seconds for s in finals(scores) if s.eval_seconds is not None and abs(s.val_bpb - head.val_bpb) < _SAME
    ]
    return max(twins, default=None)
