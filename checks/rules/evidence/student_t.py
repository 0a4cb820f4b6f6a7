"""Student's t distribution: the tail beyond a value, and the value that leaves a tail.

Two numbers of each review that has seeds. SciPy gives the same (the tests compare them), but to import it takes as long
as half of the review.
"""

from __future__ import annotations

import math

_PRECISE = 1e-16
_MOST_TERMS = 1_000


def tail(freedom: float, t: float) -> float:
    """Return P(T > t) with ``freedom`` > 0 degrees of freedom."""
    square = t * t
    half = 0.5 * _incomplete_beta(freedom / 2, 0.5, freedom / (freedom + square), square / (freedom + square))
    return half if t > 0 else 1.0 - half


def quantile(freedom: float, p: float) -> float:
    """Return t with P(T < t) = p, for p in [0.5, 1): by bisection."""
    low, high = 0.0, 1.0
    while tail(freedom, high) > 1.0 - p:
        low, high = high, 2.0 * high
    while low < (middle := (low + high) / 2) < high:
        low, high = (middle, high) if tail(freedom, middle) > 1.0 - p else (low, middle)
    return high


def _incomplete_beta(a: float, b: float, x: float, y: float) -> float:
    """The regularised incomplete beta function at x = 1 - y (DLMF 8.17.22, the fraction by Lentz's method)."""
    if x == 0.0 or y == 0.0:
        return float(y == 0.0)
    if x > (a + 1.0) / (a + b + 2.0):
        return 1.0 - _incomplete_beta(b, a, y, x)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(y)
    fraction, above, below = 1.0, math.inf, 1.0
    for m in range(_MOST_TERMS):
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        even = (m + 1) * (b - m - 1) * x / ((a + 2 * m + 1) * (a + 2 * m + 2))
        for step in (odd, even):
            below = 1.0 / (1.0 + step * below)
            above = 1.0 + step / above
            fraction *= above * below
        if abs(above * below - 1.0) < _PRECISE:
            break
    return math.exp(scale) / a * fraction
