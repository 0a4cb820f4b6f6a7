"""Which printed score is the headline: the one that is claimed, by the foremost claim, under its own label."""

from __future__ import annotations

import pytest

from checks.program.analyse import final_label
from checks.program.order import headline
from checks.program.trace import Place, ReportEvent, Trace
from checks.submission.model import Run, Score


def run(*scores: tuple[str, float]) -> Run:
    found = tuple(Score(label, line, bpb) for line, (label, bpb) in enumerate(scores, 1))
    return Run("train.log", complete=True, val_bpb=scores[-1][1], scores=found)


SIDE = (
    run(("sliding_exact", 1.0991), ("legal_ttt", 1.0906), ("legal_ttt_exact", 1.09064), ("two_pass_exact", 0.1952)),
)


@pytest.mark.parametrize(
    ("claimed", "label"),
    [
        ((), "two_pass_exact"),
        ((1.0906, 0.195), "legal_ttt_exact"),
        ((1.0991,), "sliding_exact"),
        ((0.1952, 1.0906), "two_pass_exact"),
        ((2.5, 1.0906), "legal_ttt_exact"),
        ((2.5, 2.6), "two_pass_exact"),
        ((0.2841, 1.0991), "two_pass_exact"),
    ],
)
def test_the_foremost_claim_picks_the_label(claimed: tuple[float, ...], label: str) -> None:
    assert final_label(SIDE, claimed) == label


def test_a_better_number_of_a_later_claim_is_the_headline() -> None:
    runs = (run(("mixture", 0.979), ("quantized_sliding", 1.0698)),)
    assert final_label(runs, (1.0598, 0.979)) == "mixture"


def report(line: int, template: str) -> ReportEvent:
    return ReportEvent(
        line, Place("train_gpt.py", 386, "timed_eval"), template, frozenset({line}), frozenset(), frozenset()
    )


def test_a_label_that_begins_another_is_not_that_other() -> None:
    printed = ("pre-quantization", "quantized", "quantized_sliding_window")
    reports = [report(i, f"{label} val_loss:{{}} val_bpb:{{}}") for i, label in enumerate(printed)]
    assert [r.template.split()[0] for r in headline(Trace(reports=reports), "quantized")] == ["quantized"]
    assert [r.template.split()[0] for r in headline(Trace(reports=reports), "quantized_sl")] == [printed[2]]


def test_a_run_may_have_used_another_compressor_than_the_label_names() -> None:
    reports = [report(1, "final_int8_zlib_roundtrip_exact val_bpb:{}"), report(2, "final_ttt val_bpb:{}")]
    assert headline(Trace(reports=reports), "final_int8_zstd_roundtrip_exact") == reports[:1]


def test_a_diagnostic_is_the_headline_only_where_the_log_says_so() -> None:
    reports = [report(1, "diagnostic quantized val_loss:{} val_bpb:{}")]
    assert headline(Trace(reports=reports), "requant diagnostic quantized") == reports
    assert headline(Trace(reports=reports), "quantized_ttt_phased") == []
