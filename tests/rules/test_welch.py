"""The record test against scipy's own, and against the numbers that the rulebook gives."""

from __future__ import annotations

import math
import statistics

import pytest
from scipy import stats

from checks.rules.evidence.welch import margin_in_bpb, p_lower

NEW, OLD = (1.0576, 1.0580, 1.0570), (1.0611, 1.0612, 1.0609, 1.0620)


@pytest.mark.parametrize("margin", [0.0, 0.0028])
def test_two_samples_are_welch(margin: float) -> None:
    shifted = [score - margin for score in OLD]
    expected = stats.ttest_ind(NEW, shifted, equal_var=False, alternative="less").pvalue
    assert p_lower(NEW, OLD, margin) == pytest.approx(expected)


def test_one_old_score_is_a_one_sample_test() -> None:
    expected = stats.ttest_1samp(NEW, 1.0581, alternative="less").pvalue
    assert p_lower(NEW, [1.0581]) == pytest.approx(expected)


def test_one_run_allows_no_test() -> None:
    assert p_lower([1.05], OLD) is None
    assert p_lower(NEW, []) is None


def test_equal_scores_do_not_divide_by_zero() -> None:
    assert p_lower([1.05, 1.05], [1.06]) == 0.0
    assert p_lower([1.06, 1.06], [1.05]) == 1.0


def test_margin_of_the_rulebook() -> None:
    """Section 0: 0.005 nats are 0.00296 bpb for sp1024 and 0.00194 for sp8192."""
    assert margin_in_bpb(0.005, 2.4359) == pytest.approx(0.00296, abs=5e-6)
    assert margin_in_bpb(0.005, 3.7266) == pytest.approx(0.00194, abs=5e-6)
    assert margin_in_bpb(0.005, 3.7266) * math.log(2) * 3.7266 == pytest.approx(0.005)


def test_p_rises_with_the_margin() -> None:
    values = [p_lower(NEW, OLD, margin) for margin in (0.0, 0.001, 0.002, 0.003)]
    assert values == sorted(values, key=lambda p: p or 0.0)
    assert statistics.fmean(OLD) > statistics.fmean(NEW)
