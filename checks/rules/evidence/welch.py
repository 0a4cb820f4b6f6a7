"""One-sided tests of "the new scores are lower than the record's by more than a margin" (rulebook section 9)."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def p_lower(new: Sequence[float], old: Sequence[float], margin: float = 0.0) -> float | None:
    """Return the one-sided p of H0: mean(old) - mean(new) <= margin.

    Welch's t with Welch-Satterthwaite degrees of freedom and sample deviations; with one old score, a one-sample t
    against it. None when ``new`` has fewer than two scores. All in bits per byte.
    """
    if len(new) < 2 or not old:
        return None
    gain = statistics.fmean(old) - statistics.fmean(new) - margin
    part_new = statistics.variance(new) / len(new)
    part_old = statistics.variance(old) / len(old) if len(old) > 1 else 0.0
    spread = part_new + part_old
    if spread == 0.0:
        return 0.0 if gain > 0 else 1.0
    freedom = spread**2 / (part_new**2 / (len(new) - 1) + (part_old**2 / (len(old) - 1) if len(old) > 1 else 0.0))
    from scipy.special import stdtr  # scipy.stats costs half a second to import

    return float(stdtr(freedom, -gain / math.sqrt(spread)))


def margin_in_bpb(nats: float, bytes_per_token: float) -> float:
    """Convert a margin in nats per token into bits per byte: nats / (ln 2 * bytes per token)."""
    return nats / (math.log(2) * bytes_per_token)
