"""The rulebook file: complete, consistent with itself, and refused with a clear word when it is not."""

from __future__ import annotations

import datetime as dt
import statistics
from pathlib import Path

import pytest

from checks import rulebook
from checks.rulebook import RulebookError
from checks.rules.registry import rules

BOOK = rulebook.load()


def test_records_are_in_order_of_creation() -> None:
    created = [r.created for r in BOOK.records]
    assert created == sorted(created)
    assert all(r.shown is None or r.shown >= r.created for r in BOOK.records)


def test_scores_of_a_record_average_to_its_row() -> None:
    told = [r for r in BOOK.records if r.scores]
    assert len(told) > 25
    for record in told:
        assert statistics.fmean(record.scores) == pytest.approx(record.val_bpb, abs=6e-5), record.pr


@pytest.mark.parametrize(
    ("moment", "best"),
    [
        ("2026-03-19T17:20", 1.2197),
        ("2026-03-20T12:00", 1.1748),
        ("2026-03-21T12:00", 1.1428),
        ("2026-03-24T12:00", 1.1228),
        ("2026-03-28T05:00", 1.1194),
        ("2026-04-05T00:00", 1.1147),
        ("2026-04-20T00:00", 1.0810),
        ("2026-05-01T00:00", 1.0611),
    ],
)
def test_best_on_the_readme_at_a_time(moment: str, best: float) -> None:
    """The times and values of rulebook section 12, last paragraph."""
    when = dt.datetime.fromisoformat(moment).replace(tzinfo=dt.timezone.utc)
    shown = [r.val_bpb for r in BOOK.records if r.shown is not None and r.shown <= when]
    assert min(shown) == best


def test_fingerprints_multiply_to_the_canonical_bytes() -> None:
    canonical = BOOK.constants["canonical_validation_bytes"]
    for f in BOOK.fingerprints:
        if f.documents == BOOK.constants["validation_documents"] and "launch" not in f.name:
            assert f.scored_tokens[0] * f.bytes_per_token == pytest.approx(canonical, rel=2e-3), f.name


def test_every_rule_stands_in_the_rulebook_with_sources() -> None:
    for rule in rules():
        entry = BOOK.rule(rule.code)
        assert entry.sources and entry.title and entry.authority in ("readme", "ruling", "practice", "community")


def test_a_rule_binds_from_its_day_on() -> None:
    since = BOOK.rule("cross-doc-leak").since
    assert not BOOK.in_force("cross-doc-leak", since - dt.timedelta(days=1))
    assert BOOK.in_force("cross-doc-leak", since)
    assert BOOK.in_force("cross-doc-leak", None)


@pytest.mark.parametrize("text", ["[challenge", "[challenge]\nname = 'x'\n", "x = 1\n"])
def test_a_broken_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    path = tmp_path / "other.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RulebookError, match=r"other\.toml"):
        rulebook.load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RulebookError, match="cannot be read"):
        rulebook.load(tmp_path / "none.toml")
