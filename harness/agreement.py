"""Compares verdicts with rulings on real submissions, as the rulings' own README counts agreement.

- caught: of the invalid ones whose head is what was ruled on, those where a rule that was named or seen, of the groups
  evaluation or limits, fails;
- exact: of the same, those where every code named in the ruling that code, logs or diff can show fails;
- false alarms: of the valid ones, those where an evaluation or integrity rule fails with a code that nobody has seen;
- undecided: those where an evaluation rule is unknown;
- line hits: of the exact ones with evidence lines, those with a failing finding's evidence within 5 lines of one.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checks.verdict import Finding, Group, Status, Verdict
from harness.errors import UsageFault
from harness.sweep import Item
from harness.sweep_summary import findings, undecided

APART = frozenset({"offline-val-tuning", "significance"})  # nothing in code, logs or diff shows them
NEAR = 5
_FILES = (".log", ".md", ".json", ".txt", ".sh", ".csv")


@dataclass(frozen=True)
class Ruling:
    """One row of a rulings file. ``lines`` holds (function or file, line) of the evidence."""

    name: str
    commit: str
    pr: int | None
    created: dt.datetime | None
    folders: tuple[str, ...]
    ruling: str
    ruled: frozenset[str]
    seen: frozenset[str]
    head_matches: bool
    lines: tuple[tuple[str, int], ...]

    @property
    def item(self) -> Item:
        """What to review for this ruling."""
        return Item(self.name, self.commit, self.pr, self.created, () if self.pr is not None else self.folders)

    @property
    def invalid(self) -> bool:
        """Ruled invalid, and the head is what was ruled on."""
        return self.ruling == "invalid" and self.head_matches

    @property
    def valid(self) -> bool:
        """Ruled valid, as a record or not."""
        return self.ruling in ("valid", "valid-not-record")


def read_rulings(path: Path) -> list[Ruling]:
    """Read a JSON-lines file of rulings.

    Raises:
        UsageFault: the file cannot be read or a row lacks a key.
    """
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return [_ruling(row, number) for number, row in enumerate(rows, 1)]
    except OSError as error:
        raise UsageFault(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageFault(f"{path}: no rulings file: {type(error).__name__} {error}") from error


def _ruling(row: Mapping[str, Any], number: int) -> Ruling:
    pr, folders = row["pr"], tuple(row["record_dirs"])
    created = row.get("created")
    return Ruling(
        name=f"pr-{pr}" if pr is not None else folders[0].rsplit("/", 1)[-1] if folders else f"row-{number}",
        commit=row["head_sha"],
        pr=pr,
        created=dt.datetime.fromisoformat(created.replace("Z", "+00:00")) if created else None,
        folders=folders,
        ruling=row["ruling"],
        ruled=frozenset(row["ruled"]),
        seen=frozenset(row["seen"]),
        head_matches=row.get("head_matches_ruling") is not False,
        lines=tuple((e.get("function") or "", int(e["line"])) for e in row["evidence"] if int(e.get("line") or 0) > 0),
    )


@dataclass(frozen=True)
class Compared:
    """One ruling beside the verdict."""

    ruling: Ruling
    verdict: Verdict

    @property
    def failing(self) -> dict[str, Group]:
        """Codes that fail, with their groups."""
        return {f.rule: f.group for f in findings(self.verdict) if f.status is Status.FAIL}

    @property
    def caught(self) -> bool:
        """A named or seen rule of evaluation or limits fails."""
        known = self.ruling.ruled | self.ruling.seen
        return any(c in known and g in (Group.EVALUATION, Group.LIMITS) for c, g in self.failing.items())

    @property
    def to_see(self) -> frozenset[str]:
        """Codes of the ruling that code, logs or diff can show."""
        return self.ruling.ruled - APART

    @property
    def exact(self) -> bool:
        """Every code to see fails."""
        return self.to_see <= self.failing.keys()

    @property
    def false_alarms(self) -> list[str]:
        """Failing evaluation and integrity codes that nobody has seen."""
        groups = (Group.EVALUATION, Group.INTEGRITY)
        return sorted(c for c, g in self.failing.items() if g in groups and c not in self.ruling.seen)

    @property
    def line_hit(self) -> bool:
        """A failing finding of a known code points within a few lines of the ruling's evidence."""
        known = self.ruling.ruled | self.ruling.seen
        failing = [f for f in findings(self.verdict) if f.status is Status.FAIL and f.rule in known]
        return any(_near(f, where, line) for f in failing for where, line in self.ruling.lines)

    def status(self, code: str) -> str:
        """Return what the rule said: its worst status over the folders, "absent" when it was not asked."""
        found = {f.status for f in findings(self.verdict) if f.rule == code}
        order = (Status.FAIL, Status.UNKNOWN, Status.WARN, Status.PASS, Status.NOT_APPLICABLE)
        return next((s.value for s in order if s in found), "absent")


def _near(finding: Finding, where: str, line: int) -> bool:
    named_file = where.lower().endswith(_FILES)
    for entry in finding.evidence:
        name = entry.file.rsplit("/", 1)[-1]
        same = name == where.rsplit("/", 1)[-1] if named_file else name.partition("!")[0].endswith(".py")
        if same and entry.line > 0 and entry.line - NEAR <= line <= max(entry.line, entry.end_line) + NEAR:
            return True
    return False


def tables(compared: Sequence[Compared], missing: Sequence[str] = ()) -> str:
    """Return the agreement as text: totals, one row a code, misses, false alarms and what was not judged."""
    from tabulate import tabulate

    parts = [tabulate(_totals(compared), headers=("measure", "count", "of", "share"), tablefmt="simple")]
    headers = ("code", "ruled", "fail", "seen", "fail", "unknown", "fail, not seen, valid")
    parts.append(tabulate(_per_code(compared), headers=headers, tablefmt="simple"))
    parts.append(_section("Misses (invalid, not caught or not exact)", misses(compared)))
    parts.append(_section("False alarms", alarms(compared)))
    parts.append(_section("Undecided", [_undecided_line(c) for c in compared if undecided(c.verdict)]))
    if missing:
        parts.append(_section("Not judged", list(missing)))
    return "\n\n".join(parts)


def totals(compared: Sequence[Compared]) -> dict[str, tuple[int, int]]:
    """Return measure -> (count, of how many)."""
    invalid = [c for c in compared if c.ruling.invalid]
    to_see = [c for c in invalid if c.to_see]
    valid = [c for c in compared if c.ruling.valid]
    exact = [c for c in to_see if c.exact]
    lined = [c for c in exact if c.ruling.lines]
    return {
        "caught": (sum(c.caught for c in invalid), len(invalid)),
        "exact": (len(exact), len(to_see)),
        "false alarms": (sum(bool(c.false_alarms) for c in valid), len(valid)),
        "undecided": (sum(undecided(c.verdict) for c in compared), len(compared)),
        "line hits": (sum(c.line_hit for c in lined), len(lined)),
    }


def _totals(compared: Sequence[Compared]) -> list[tuple[str, int, int, str]]:
    return [(name, n, of, f"{n / of:.1%}" if of else "-") for name, (n, of) in totals(compared).items()]


def _per_code(compared: Sequence[Compared]) -> list[tuple[object, ...]]:
    codes = sorted({code for c in compared for code in (*c.ruling.ruled, *c.ruling.seen, *c.failing)})
    rows: list[tuple[object, ...]] = []
    for code in codes:
        ruled = [c for c in compared if code in c.ruling.ruled and c.ruling.invalid]
        seen = [c for c in compared if code in c.ruling.seen]
        rows.append(
            (
                code,
                len(ruled),
                sum(code in c.failing for c in ruled),
                len(seen),
                sum(code in c.failing for c in seen),
                sum(c.status(code) == "unknown" for c in compared),
                sum(c.ruling.valid and code in c.failing and code not in c.ruling.seen for c in compared),
            )
        )
    return rows


def misses(compared: Sequence[Compared]) -> list[str]:
    """Return one line for each invalid ruling that was not caught, or not exactly."""
    lines = []
    for c in compared:
        if not c.ruling.invalid or (c.caught and c.exact):
            continue
        left = ", ".join(f"{code} is {c.status(code)}" for code in sorted(c.to_see - c.failing.keys()))
        what = "not exact" if c.caught else "not caught"
        lines.append(f"{c.ruling.name}: {what}; {left or 'no named code of evaluation or limits fails'}")
    return lines


def alarms(compared: Sequence[Compared]) -> list[str]:
    """Return one line for each valid ruling where an unseen rule fails."""
    found = []
    for c in compared:
        if c.ruling.valid and c.false_alarms:
            found.append(f"{c.ruling.name}: {', '.join(c.false_alarms)}")
    return found


def _undecided_line(compared: Compared) -> str:
    codes = {f.rule for f in findings(compared.verdict) if f.status is Status.UNKNOWN and f.group is Group.EVALUATION}
    return f"{compared.ruling.name}: {', '.join(sorted(codes))}"


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}: {len(lines)}", *(f"  {line}" for line in lines)])
