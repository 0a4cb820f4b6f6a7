"""The reviewer's pgolf.toml: what it may say, what it does, and where it is not read from."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path

import pytest

from checks.verdict import Finding, Group, Outcome, Status, conclude
from harness import config

RULES = {"size-cap", "seeds", "slot"}
TODAY = dt.date(2026, 5, 1)
FULL = """
select = ["size-cap", "seeds"]
ignore = ["slot"]
rulebook = "other.toml"
record = 1.08
fail-on = "warn"

[[waive]]
rule = "seeds"
pr = 7
by = "maintainer"
until = 2026-05-01
why = "two seeds were agreed on"
"""
SEEDS = Finding("seeds", Status.FAIL, "Too few runs", "1 run.", Group.EVIDENCE, blocking=True)


def write(folder: Path, text: str) -> Path:
    path = folder / config.FILENAME
    path.write_text(text, encoding="utf-8")
    return path


def test_full_file(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, FULL), RULES)
    assert (read.select, read.ignore, read.record, read.fail_on) == (("size-cap", "seeds"), ("slot",), 1.08, "warn")
    assert read.rulebook == tmp_path / "other.toml"
    assert [read.runs(rule) for rule in ("size-cap", "slot", "network")] == [True, False, False]
    assert len(read.notes()) == 2


def test_no_file_changes_nothing() -> None:
    read = config.load(None, RULES)
    assert read.runs("anything")
    assert read.apply([SEEDS], 7, TODAY) == (SEEDS,)
    assert read.notes() == ()


def test_waiver_applies_to_its_rule_pull_request_and_time(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, FULL), RULES)
    (waived,) = read.apply([SEEDS], 7, TODAY)
    assert waived.waiver is not None
    assert not waived.blocking
    assert conclude([waived])[0] is Outcome.COMPLIANT
    assert read.apply([SEEDS], 8, TODAY) == (SEEDS,)
    assert read.apply([replace(SEEDS, rule="size-cap")], 7, TODAY)[0].waiver is None
    late = TODAY + dt.timedelta(days=1)
    assert read.apply([SEEDS], 7, late) == (SEEDS,)
    assert "ended on 2026-05-01" in read.expired(late)[0]


def test_waiver_leaves_what_passed_alone(tmp_path: Path) -> None:
    read = config.load(write(tmp_path, FULL), RULES)
    passed = replace(SEEDS, status=Status.PASS, blocking=False)
    assert read.apply([passed], 7, TODAY) == (passed,)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [", "no valid TOML"),
        ("selct = []", "unknown key 'selct'"),
        ('select = "size-cap"', "must be an array"),
        ('select = ["size"]', "there is no rule 'size'"),
        ('record = "x"', "positive number"),
        ("record = nan", "positive number"),
        ('fail-on = "all"', "must be one of"),
        ("rulebook = 3", "must be a path"),
        ("[waive]\nrule = 'seeds'", "array of tables"),
        ('[[waive]]\nrule = "seeds"\nuntil = 2026-05-01\nwhy = "x"', "'by' is missing"),
        ('[[waive]]\nrule = "seeds"\nuntil = 2026-05-01\nby = "x"\nwhy = " "', "'why' is missing"),
        ('[[waive]]\nrule = "seeds"\nuntil = "soon"\nby = "x"\nwhy = "y"', "must be a date"),
        ('[[waive]]\nrule = "seeds"\nuntil = 2026-05-01\nby = "x"\nwhy = "y"\npr = 0', "number of a pull request"),
        ('[[waive]]\nrule = "no"\nuntil = 2026-05-01\nby = "x"\nwhy = "y"', "there is no rule 'no'"),
        ('[[waive]]\nrules = "seeds"', "unknown key 'rules'"),
    ],
)
def test_clear_errors(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(config.ConfigError, match=says) as error:
        config.load(write(tmp_path, text), RULES)
    assert config.FILENAME in str(error.value)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(config.ConfigError, match="cannot be read"):
        config.load(tmp_path / "absent.toml", RULES)


def test_never_found_in_what_is_reviewed(tmp_path: Path) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    for folder in (here / "records", elsewhere):
        folder.mkdir(parents=True)
    path = write(here, "")
    assert config.find(here, elsewhere) == path
    assert config.find(here, None) == path
    assert config.find(here, here) is None
    assert config.find(here, here / "records") is None
    assert config.find(here, tmp_path) is None
    assert config.find(elsewhere, here) is None
