"""Sizes in a log: code, model and their total, raw and quantised; the quantised ``Total submission size`` counts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from checks.submission import log_lines as pat
from checks.submission.log_facts import Facts

_MAX_TOTALS = 50
_LEAST_ARTIFACT = 100_000  # a smaller "artifact: N" is no model, whatever it is
_MOST_RAW = 30_000_000  # a total without a codec's name above this is the raw model's
_VAL_BYTES = (100_000_000, 200_000_000)
_CAP = 16_000_000  # as logs print it; the rule's is the rulebook's
_FITS = re.compile(r"\b(?:fits|ok|yes|pass(?:ed)?|under)\b|\b1[0-5]\.\d+ ?MB", re.IGNORECASE)
_UNITS = {"bytes": 1, "kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20}
_MAX_FILES = 50
_CODE_DETAIL = {"": "code_bytes", "compressed": "code_bytes_compressed", "lzma": "code_bytes_compressed"}


@dataclass
class Sizes:
    """Reads the size lines of one run; sizes in bytes."""

    facts: Facts
    totals: list[dict[str, object]] = field(default_factory=list)
    artifact: tuple[int, int] | None = None
    summed: tuple[int, int] | None = None

    def feed(self, number: int, line: str) -> None:
        """Take a line that speaks of sizes, bytes or artifacts."""
        facts = self.facts
        self.beside(number, line)
        if total := pat.TOTAL_SIZE.search(line):
            size = pat.integer(total[2])
            if size is not None and len(self.totals) < _MAX_TOTALS:
                self.totals.append({"codec": total[1], "bytes": size, "line": number})
        elif code := pat.CODE_SIZE.search(line):
            form = (code[1] or "").lower()
            size = pat.integer(code[2])
            if size is not None:
                name = _CODE_DETAIL.get(form, "code_bytes_uncompressed")
                facts.details[name] = size
                facts.set("code_bytes", size, number, keep_first=name == "code_bytes_uncompressed")
        elif raw := pat.RAW_MODEL.search(line):
            facts.details["raw_model_bytes"] = pat.integer(raw[1])
        elif model := pat.MODEL_SIZE.search(line):
            facts.set("model_bytes", pat.integer(model[2]), number)
            facts.details["codec"] = model[1]
        elif artifact := pat.ARTIFACT_SIZE.search(line):
            size = pat.integer(artifact[1])
            if size is not None and _LEAST_ARTIFACT <= size < _VAL_BYTES[0]:
                self.artifact = (size, number)
        if scored := pat.SCORED_BYTES.search(line):
            size = pat.integer(scored[1])
            if size and _VAL_BYTES[0] < size < _VAL_BYTES[1]:
                facts.detail("val_bytes", size, number)

    def beside(self, number: int, line: str) -> None:
        """Take a line that may give a total beside its parts or the cap; a line of a score may."""
        found = pat.SUM_OF_PARTS.search(line) or pat.OF_CAP.search(line) or pat.TOTAL_ALONE.search(line)
        size = pat.integer(found[1]) if found and "raw_model" not in line.lower() else None
        if size is None or not _LEAST_ARTIFACT <= size < _MOST_RAW:
            return
        if size <= _CAP or not _FITS.search(line):  # "budget:16216336/16000000 (15.95 MB) FITS" contradicts itself
            self.summed = (size, number)

    def file(self, number: int, line: str) -> None:
        """Take a line that may name a file and its size."""
        named = pat.FILE_SIZE.search(line)
        files = self.facts.details.setdefault("files", {}) if named else {}
        if named and len(files) < _MAX_FILES:
            files[named[1]] = (int(float(named[2].replace(",", "")) * _UNITS[named[3].lower()]), number)

    def conclude(self) -> None:
        """Choose the artifact's size: the last quantised total, else the last artifact size."""
        if self.totals:
            self.facts.details["totals"] = self.totals
        named = [t for t in self.totals if t["codec"]]
        plain = [t for t in self.totals if not t["codec"] and int(str(t["bytes"])) < _MOST_RAW]
        chosen = (named or plain or self.totals)[-1:]
        if chosen:
            self.facts.set("artifact_bytes", chosen[0]["bytes"], int(str(chosen[0]["line"])))
        elif named_size := self.artifact or self.summed:
            self.facts.set("artifact_bytes", *named_size)
