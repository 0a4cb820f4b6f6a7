"""The reviewer's configuration, ``pgolf.toml``: which rules run, which findings are waived, which rulebook judges.

It belongs to whoever reviews, never to the submission: a pull request must not waive its own findings. So it comes from
``--config``, or from the working directory when that lies outside what is reviewed. What it changes is in the report.
"""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.verdict import Finding, Status, Waiver, waive

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILENAME = "pgolf.toml"
_MAX_BYTES = 1_000_000
_KEYS = {"select", "ignore", "rulebook", "record", "fail-on", "waive"}
_WAIVER_KEYS = {"rule", "pr", "by", "until", "why"}
FAIL_ON = ("fail", "warn", "unknown")


class ConfigError(Exception):
    """The configuration cannot be used: the message names the file, the entry and what to write instead."""


@dataclass(frozen=True)
class Config:
    """A parsed configuration. Empty ``select`` means every rule; ``rulebook`` None means the bundled one."""

    path: Path | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    waivers: tuple[Waiver, ...] = ()
    rulebook: Path | None = None
    record: float | None = None
    fail_on: str | None = None

    def runs(self, rule: str) -> bool:
        """Whether a rule is to be checked."""
        return rule not in self.ignore and (not self.select or rule in self.select)

    def notes(self) -> tuple[str, ...]:
        """Sentences for the report about what this configuration leaves out."""
        said = []
        if self.select:
            said.append(f"Only these rules were checked, as configured: {', '.join(self.select)}.")
        if self.ignore:
            said.append(f"These rules were not checked, as configured: {', '.join(self.ignore)}.")
        return tuple(said)

    def apply(self, findings: Collection[Finding], pr: int | None, today: dt.date) -> tuple[Finding, ...]:
        """Return the findings with the waivers that match rule, pull request and date; expired ones do nothing."""
        return tuple(self._waived(finding, pr, today) for finding in findings)

    def expired(self, today: dt.date) -> tuple[str, ...]:
        """Sentences for the report about waivers that no longer hold."""
        return tuple(
            f"The waiver of {w.rule} by {w.by} ended on {w.until} and was not applied."
            for w in self.waivers
            if dt.date.fromisoformat(w.until) < today
        )

    def _waived(self, finding: Finding, pr: int | None, today: dt.date) -> Finding:
        if finding.status not in (Status.FAIL, Status.WARN, Status.UNKNOWN):
            return finding
        for waiver in self.waivers:
            matches = waiver.rule == finding.rule and waiver.pr in (None, pr)
            if matches and dt.date.fromisoformat(waiver.until) >= today:
                return waive(finding, waiver)
        return finding


def find(directory: Path, target: Path | None) -> Path | None:
    """Return the ``pgolf.toml`` of ``directory``, or None.

    It is not taken when directory and target (the folder, checkout or git directory reviewed) lie within one another:
    the file could then come from the submission. Parents are not searched.
    """
    path = directory / FILENAME
    here = directory.resolve()
    if target is not None and (target.resolve().is_relative_to(here) or here.is_relative_to(target.resolve())):
        return None
    return path if path.is_file() else None


def load(path: Path | None, known_rules: Collection[str]) -> Config:
    """Read and validate a configuration; ``None`` gives the empty one.

    Raises:
        ConfigError: the file cannot be read, is no TOML, or an entry is unknown or of the wrong type.
    """
    if path is None:
        return Config()
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ConfigError(f"{path}: larger than {_MAX_BYTES:,} bytes")
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: no valid TOML ({error})") from error
    return _Reader(path, frozenset(known_rules)).config(data)


@dataclass(frozen=True)
class _Reader:
    path: Path
    rules: frozenset[str]

    def config(self, data: Mapping[str, Any]) -> Config:
        self._only(data, _KEYS, "the file")
        waivers = data.get("waive", [])
        if not isinstance(waivers, list) or not all(isinstance(w, dict) for w in waivers):
            raise self._error("'waive' must be an array of tables: [[waive]]")
        record = data.get("record")
        if record is not None and (isinstance(record, bool) or not isinstance(record, (int, float)) or not record > 0):
            raise self._error(f"'record' must be a positive number of bits per byte, is {record!r}")
        fail_on = data.get("fail-on")
        if fail_on is not None and fail_on not in FAIL_ON:
            raise self._error(f"'fail-on' must be one of {', '.join(FAIL_ON)}, is {fail_on!r}")
        rulebook = data.get("rulebook")
        if rulebook is not None and not isinstance(rulebook, str):
            raise self._error(f"'rulebook' must be a path, is {rulebook!r}")
        return Config(
            path=self.path,
            select=self._codes(data, "select"),
            ignore=self._codes(data, "ignore"),
            waivers=tuple(self._waiver(w, i) for i, w in enumerate(waivers, 1)),
            rulebook=self.path.parent / rulebook if rulebook is not None else None,
            record=float(record) if record is not None else None,
            fail_on=fail_on,
        )

    def _codes(self, data: Mapping[str, Any], key: str) -> tuple[str, ...]:
        codes = data.get(key, [])
        if not isinstance(codes, list):
            raise self._error(f"{key!r} must be an array of rule codes, is {codes!r}")
        return tuple(self._code(code, key) for code in codes)

    def _code(self, code: object, where: str) -> str:
        if not isinstance(code, str) or code not in self.rules:
            raise self._error(f"{where}: there is no rule {code!r} ('pgolf rules' lists them)")
        return code

    def _waiver(self, entry: Mapping[str, Any], index: int) -> Waiver:
        where = f"waive entry {index}"
        self._only(entry, _WAIVER_KEYS, where)
        code = self._code(entry.get("rule"), where)
        by, why = (self._words(entry, key, where) for key in ("by", "why"))
        until = entry.get("until")
        if not isinstance(until, dt.date) or isinstance(until, dt.datetime):
            raise self._error(f"{where}: 'until' must be a date such as 2026-05-31 (no quotes), is {until!r}")
        pr = entry.get("pr")
        if pr is not None and (isinstance(pr, bool) or not isinstance(pr, int) or pr < 1):
            raise self._error(f"{where}: 'pr' must be the number of a pull request, is {pr!r}")
        return Waiver(rule=code, by=by, why=why, until=until.isoformat(), pr=pr)

    def _words(self, entry: Mapping[str, Any], key: str, where: str) -> str:
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            raise self._error(f"{where}: '{key}' is missing; a waiver says who decided and why")
        return value.strip()

    def _only(self, data: Mapping[str, Any], known: set[str], where: str) -> None:
        unknown = sorted(set(data) - known)
        if unknown:
            raise self._error(f"{where} has an unknown key {unknown[0]!r}; known: {', '.join(sorted(known))}")

    def _error(self, message: str) -> ConfigError:
        return ConfigError(f"{self.path}: {message}")
