"""A challenge's rulebook: numbers, dates, sources and the record table, read from a TOML file.

One such file per challenge; ``checks/rulebook.toml`` is Parameter Golf's. Exchanging the file exchanges the challenge.
"""

from __future__ import annotations

import datetime as dt
import functools
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.rulebook_shape import problems

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUNDLED = Path(__file__).with_name("rulebook.toml")


class RulebookError(Exception):
    """The rulebook file cannot be used; the message names the file, the key and what to do."""


@dataclass(frozen=True)
class RuleEntry:
    """What the rulebook says of one rule. ``numbers`` are its parameters by name."""

    code: str
    title: str
    since: dt.date
    authority: str
    sources: tuple[str, ...]
    numbers: Mapping[str, Any]


@dataclass(frozen=True)
class Record:
    """One row of the record table. ``val_bpb`` lower is better; ``shown`` is when the README first showed it.

    ``scores`` are the final val_bpb of the merged logs, one a seed; empty where no such logs are known.
    """

    created: dt.datetime
    pr: int | None
    val_bpb: float
    author: str
    shown: dt.datetime | None
    scores: tuple[float, ...] = ()


@dataclass(frozen=True)
class Fingerprint:
    """How a tokenizer's export of the validation split shows in a log; ``documents`` < 50,000 for a partial one."""

    name: str
    scored_tokens: tuple[int, ...]
    bytes_per_token: float
    source: str
    documents: int = 50_000


@dataclass(frozen=True)
class Rulebook:
    """A parsed rulebook file."""

    name: str
    version: str
    record_track: str
    non_record_track: str
    constants: Mapping[str, Any]
    rules: Mapping[str, RuleEntry]
    records: tuple[Record, ...]
    fingerprints: tuple[Fingerprint, ...]
    as_of: dt.date | None = None

    def rule(self, code: str) -> RuleEntry:
        """Return the entry of a rule.

        Raises:
            RulebookError: the file has no such rule.
        """
        try:
            return self.rules[code]
        except KeyError:
            raise RulebookError(f"the rulebook has no rule {code!r}: add a [rules.{code}] table") from None

    def in_force(self, code: str, created: dt.date | None) -> bool:
        """Whether a rule binds a submission created that day (unknown day: every rule binds)."""
        day = self.as_of or created
        return day is None or day >= self.rule(code).since


def load(path: Path = BUNDLED) -> Rulebook:
    """Read and validate a rulebook file.

    Raises:
        RulebookError: the file is missing, no TOML, or lacks what the bundled file has.
    """
    book = _load(path)
    if path != BUNDLED:
        found = list(problems(book, _load(BUNDLED)))
        if found:
            more = f" (and {len(found) - 1} more problems)" if len(found) > 1 else ""
            raise RulebookError(f"{path}: {found[0]}{more}")
    return book


@functools.cache
def _load(path: Path) -> Rulebook:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RulebookError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RulebookError(f"{path}: no valid TOML ({error})") from error
    try:
        return _build(data)
    except (KeyError, TypeError, ValueError) as error:
        raise RulebookError(f"{path}: missing or malformed entry {error}") from error


def _build(data: Mapping[str, Any]) -> Rulebook:
    challenge = data["challenge"]
    return Rulebook(
        name=challenge["name"],
        version=challenge["version"],
        record_track=challenge["record_track"],
        non_record_track=challenge["non_record_track"],
        constants=data["constants"],
        rules={code: _entry(code, row) for code, row in data["rules"].items()},
        records=tuple(
            Record(
                _utc(r["created"]),
                r.get("pr"),
                float(r["val_bpb"]),
                r["author"],
                _utc(r["shown"]) if "shown" in r else None,
                tuple(float(score) for score in r.get("scores", ())),
            )
            for r in data["records"]
        ),
        fingerprints=tuple(
            Fingerprint(
                f["name"],
                tuple(f["scored_tokens"]),
                float(f["bytes_per_token"]),
                f["source"],
                int(f.get("documents", data["constants"]["validation_documents"])),
            )
            for f in data["fingerprints"]
        ),
    )


def _entry(code: str, row: Mapping[str, Any]) -> RuleEntry:
    known = {"title", "since", "authority", "sources"}
    since = row["since"]
    if not isinstance(since, dt.date):
        raise ValueError(f"rules.{code}.since must be a date, is {since!r}")
    numbers = {k: v for k, v in row.items() if k not in known}
    return RuleEntry(code, row["title"], since, row["authority"], tuple(row["sources"]), numbers)


def _utc(value: dt.datetime) -> dt.datetime:
    if not isinstance(value, dt.datetime):
        raise ValueError(f"expected a date and time, got {value!r}")
    return value.replace(tzinfo=dt.timezone.utc) if value.tzinfo is None else value.astimezone(dt.timezone.utc)
