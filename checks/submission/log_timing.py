"""Clocks in a log: when training stopped, what calibration took, and every timed part of the evaluation.

The headline is charged its own evaluation, the adaptation on validation data that it needs, and hints computed outside
the timer; diagnostic passes beside it are listed and not charged (rulebook sections 2 and 15).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from checks.submission import log_lines as pat
from checks.submission.log_facts import Facts
from checks.submission.log_scores import eval_seconds_of
from checks.submission.model import Score

_MAX_PARTS = 500
_TWICE = 0.02  # an adaptation within 2 % of the evaluation's own time is that evaluation


@dataclass
class Timing:
    """Reads the timed lines of one run; all times in seconds."""

    facts: Facts
    parts: list[dict[str, Any]] = field(default_factory=list)
    timer_line: int = 0
    hints_say_outside: bool = False

    def feed(self, number: int, line: str, lower: str) -> None:
        """Take a line that is no score."""
        if ("stop" in lower or "cap" in lower or "budget" in lower or "limit" in lower) and pat.STOP.search(line):
            self._stop(number, line)
        if "eval timer" in lower and "before" not in lower:
            self.timer_line = number
        if "eval_time" in lower and (total := pat.TOTAL_EVAL.search(line)):
            self.part(total[1].lower(), pat.seconds(total[2], total[3]), number)
        elif "warm" in lower and (warm := pat.WARMUP_DONE.search(line)):
            self.facts.detail("warmup_seconds", pat.seconds(warm[2], warm[3].lower()), number)
        elif "elapsed" in lower and ("precompute" in lower or "hints" in lower):
            if hints := pat.HINTS_DONE.search(line):
                self.facts.detail("ngram_hint_seconds", pat.number(hints[1]), number)
                self.hints_say_outside = "outside" in lower
        elif ("ttt" in lower or "tto" in lower) and (adapted := pat.ADAPTATION.search(line)):
            self.part(adapted[1], pat.seconds(adapted[2], adapted[3]), number, adaptation=True)
        if "gate=" in lower or "agree2plus=" in lower:
            gates = {name: int(count[:18]) for name, count in pat.GATES.findall(line)}
            if gates:
                self.facts.detail("gates", gates, number)

    def calibration(self, number: int, line: str, lower: str) -> None:
        """Take a line about GPTQ: the reserve, the Hessians' time, and on which data they were collected."""
        gptq: dict[str, Any] = dict(self.facts.details.get("gptq", {}))
        if reserve := pat.GPTQ_RESERVE.search(line):
            gptq.update(reserve_seconds=pat.seconds(reserve[1], reserve[2].lower()), reserve_line=number)
            if reserve[3]:
                gptq["effective_seconds"] = pat.seconds(reserve[3], "ms")
        elif hessians := pat.HESSIANS.search(line):
            took = pat.seconds(hessians[2], hessians[3].lower())
            gptq.update(hessians=pat.integer(hessians[1]), hessian_seconds=took, hessian_line=number)
        elif timed := pat.HESSIANS_TIMED.search(line):
            gptq.update(hessian_seconds=pat.seconds(timed[1], timed[2].lower()), hessian_line=number)
        elif generated := pat.SELF_GENERATED.search(line):
            gptq.update(generation_seconds=pat.number(generated[2]), generation_line=number, source="self-generated")
        if pat.CALIBRATION.search(line):
            gptq.setdefault("calibration_line", number)
            if "autoregressive" in lower or "self-gen" in lower or "self_gen" in lower:
                gptq["source"] = "self-generated"
            elif "source=val" in lower or "val data" in lower or "validation data" in lower:
                gptq["source"] = "val"
            elif "train" in lower:
                gptq["source"] = "train"
        if gptq:
            self.facts.details["gptq"] = gptq

    def part(
        self, label: str, value: float | None, line: int, adaptation: bool = False, val_bpb: float | None = None
    ) -> None:
        """Note one timed part."""
        if value is not None and len(self.parts) < _MAX_PARTS:
            self.parts.append(
                {
                    "label": label,
                    "seconds": value,
                    "line": line,
                    "adaptation": adaptation,
                    "val_bpb": val_bpb,
                    "counts": False,
                }
            )

    def conclude(self, head: Score | None, scores: Sequence[Score], settings: dict[str, str]) -> None:
        """Decide which parts the headline needs and sum them."""
        details = self.facts.details
        if "ngram_hint_seconds" in details and self._hints_outside(settings):
            self.facts.detail("ngram_hint_outside", True, self.facts.lines["ngram_hint_seconds"])
        if head is not None:
            self._charge(head, scores)
        if self.parts:
            details["eval_parts"] = self.parts
            details["eval_seconds_all"] = round(sum(p["seconds"] for p in self._separate()), 3)

    def _hints_outside(self, settings: dict[str, str]) -> bool:
        """Whether hints were computed outside the timer: the printed switch decides, else the order of the lines."""
        switch = settings.get("NGRAM_HINT_PRECOMPUTE_OUTSIDE", "").lower()
        if switch in ("1", "true"):
            return settings.get("NGRAM_TILT_ENABLED", "1").lower() in ("1", "true")
        inside = 0 < self.timer_line < self.facts.lines["ngram_hint_seconds"]
        return self.hints_say_outside and switch == "" and not inside

    def _charge(self, head: Score, scores: Sequence[Score]) -> None:
        details = self.facts.details
        total = next((p for p in reversed(self.parts) if p["label"] == "total_eval_time"), None)
        own = total["seconds"] if total else eval_seconds_of(scores, head)
        needed = 0.0
        if own is not None:
            timed = total or next((p for p in self.parts if p["seconds"] == own and not p["adaptation"]), None)
            if timed:
                timed["counts"] = True
            needed = own
        if total is None:
            stop = self.facts.lines.get("train_seconds", 0)
            for part in self.parts:
                again = any(
                    p["counts"] and abs(p["seconds"] - part["seconds"]) <= _TWICE * p["seconds"] for p in self.parts
                )
                if part["adaptation"] and stop < part["line"] < head.line and not again:
                    part["counts"] = True
                    needed += part["seconds"]
        if needed == 0.0:
            return
        if details.get("ngram_hint_outside"):
            needed += details.get("ngram_hint_seconds") or 0.0
        self.facts.set("eval_seconds", round(needed, 3), head.line)

    def _separate(self) -> list[dict[str, Any]]:
        """The parts without sums and without second lines on the same evaluation."""
        kept: list[dict[str, Any]] = []
        for part in self.parts:
            same = [p for p in kept if p["val_bpb"] is not None and abs(p["val_bpb"] - (part["val_bpb"] or -1)) < 6e-5]
            close = [
                p for p in kept if abs(p["seconds"] - part["seconds"]) <= _TWICE * p["seconds"] and part["adaptation"]
            ]
            if not same and not close and not part["label"].startswith("total_eval"):
                kept.append(part)
        return kept

    def _stop(self, number: int, line: str) -> None:
        time, step = pat.TRAIN_TIME.search(line), pat.STEP_AT.search(line)
        value = pat.seconds(time[1], time[2]) if time else None
        at = pat.integer(step[1]) if step else None
        self.facts.details["stop"] = {"what": line.strip()[:200], "seconds": value, "step": at, "line": number}
        self.facts.set("train_seconds", value, number)
        self.facts.set("steps", at, number)
