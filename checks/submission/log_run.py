"""Collects the facts of one run, line by line, and concludes whether it reached its final score.

``Run.details`` keys: ``stop`` (what the run said when training ended), ``eval_parts`` (every timed part of the evaluation;
``counts`` tells whether the headline needs it), ``eval_seconds_all``, ``totals`` (each "Total submission size"),
``raw_model_bytes``, ``code_bytes_uncompressed``, ``code_bytes_compressed``, ``gptq``, ``warmup_seconds``,
``ngram_hint_seconds``, ``ngram_hint_outside``, ``gates``, ``val_bytes``, ``gpu_count``, ``ran`` (mechanism -> first line
that shows it at work), ``ttt_stopped_at`` (chunk, chunks), ``stalls``, ``kind``, ``source_script``, ``source_lines``.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from checks.submission import log_lines as pat
from checks.submission.log_curve import Curve, thin
from checks.submission.log_scores import eval_seconds_of, headline, is_diagnostic, scores_in
from checks.submission.log_source import EmbeddedSource
from checks.submission.model import Run, Score

_MAX_SETTINGS = 2000
_MAX_SCORES = 2000
_MECHANISMS = (
    ("prequant_ttt", re.compile(r"^\W*(?:pre[-_ ]?quant[-_ ]?ttt|dttt|ttt_adamw|ttt_epoch|ttt_pre)\b", re.I)),
    (
        "ttt",
        re.compile(
            r"^\W*(?:(?:legal_|score_first_|quantized_|final_)?\w*ttt\w*|tc|ttp|ttpp|tttg|tto)\b\s*[:\[(]|beginning TTT eval",
            re.I,
        ),
    ),
    ("slot", re.compile(r"^\W*(?:\w*slot\w*)\b\s*[:\[(]|\bslot_(?:batch|sliding|eval)", re.I)),
    ("two_pass", re.compile(r"two[-_ ]pass|\bpass ?2\b|second pass|rescor", re.I)),
    ("ngram", re.compile(r"^\W*\w*(?:ngram|n-gram)\w*\b", re.I)),
    ("ppm", re.compile(r"^\W*\w*ppm\w*\b", re.I)),
)
_MECHANISM_WORDS = ("ttt", "tto", "tc[", "ttp", "slot", "pass", "ngram", "n-gram", "ppm", "rescor")
_ERROR_WORDS = ("error", "exception", "traceback", "kill", "sigterm", "segmentation", "out of memory", "time limit")
_OFF = re.compile(
    r"(?:disabled|skipp|:\s*(?:False|0|off|none)\b|=\s*(?:False|0|off)\b|params:0\b|_mult|not used)", re.I
)


@dataclass
class RunBuilder:
    """Facts of one run while its lines are read; ``build`` freezes them."""

    log: str
    first_line: int
    index: int = 0
    source: EmbeddedSource | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    settings: dict[str, str] = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    curve: Curve = field(default_factory=Curve)
    progress: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    ttt_curve: list[tuple[int, float]] = field(default_factory=list)
    parts: list[dict[str, Any]] = field(default_factory=list)
    error: tuple[int, str] | None = None
    last_line: int = 0
    in_block: bool = False

    @property
    def has_body(self) -> bool:
        """Whether training, evaluation or export has been seen: a new header then starts a new run."""
        return bool(self.curve.points or self.scores or "artifact_bytes" in self.facts or self.progress)

    @property
    def is_run(self) -> bool:
        """Whether there is enough to speak of a run at all: a body, a source, or a header's facts."""
        return self.has_body or self.source is not None or len(self.facts) >= 2 or len(self.settings) >= 12

    def feed(self, number: int, line: str) -> None:
        """Take one cleaned line."""
        self.last_line = number
        step = pat.step_line(line)
        if step is not None:
            self.in_block = False
            self.curve.add(step, number)
            if step.val_bpb is not None and len(self.scores) < _MAX_SCORES:
                self.scores.append(Score("step", number, step.val_bpb, step.val_loss, step=step.step))
            return
        if self._block_setting(number, line):
            return
        lower = line.lower()
        if not self._result(number, line, lower):
            self._fact(number, line, lower)
        if any(word in lower for word in _MECHANISM_WORDS):
            self._mechanism(number, line)
        if line[0] not in "|+":
            self._settings(number, line)

    def _result(self, number: int, line: str, lower: str) -> bool:
        scores = scores_in(line, number) if "bpb" in lower or "bits_per" in lower else []
        if scores:
            if len(self.scores) < _MAX_SCORES:
                self.scores += scores
            if scores[0].eval_seconds is not None:
                self._part(scores[0].label, scores[0].eval_seconds, number)
            return True
        at = pat.PROGRESS.search(line) if "/" in line and "b" in lower else None
        bpb = pat.RUNNING_BPB.search(line) if at else None
        if at is None or bpb is None:
            return False
        done, total, value = pat.integer(at[1]), pat.integer(at[2]), pat.number(bpb[1])
        if done is not None and total and value is not None and done <= total:
            name = re.sub(r"[^A-Za-z_]+.*", "", line.strip()) or "progress"
            self.progress[name] = (done, total, number)
            if re.match(r"tt|tc|slot", name):
                self.ttt_curve.append((done, value))
                if len(self.ttt_curve) >= 4000:
                    self.ttt_curve = self.ttt_curve[::2]
        return True

    def _fact(self, number: int, line: str, lower: str) -> None:
        if "size" in lower or "bytes" in lower or "artifact" in lower or "serialized" in lower:
            self._sizes(number, line)
        if "gptq" in lower or "hessian" in lower or "calib" in lower:
            self._calibration(number, line)
        if "|" in line and (gpu := pat.GPU_ROW.search(line)):
            self._set("gpu", gpu[2].strip(), number, keep_first=True)
            self.details["gpu_count"] = max(self.details.get("gpu_count", 0), int(gpu[1]) + 1)
        elif "gpu" in lower and (named := pat.GPU_NAMED.search(line)):
            self._set("gpu", named[1].strip(), number, keep_first=True)
        if "_tokens" in lower or "tokens:" in lower:
            self._integer("val_tokens", pat.VAL_TOKENS, number, line)
        if "params" in lower or "parameters" in lower:
            self._integer("model_params", pat.MODEL_PARAMS, number, line)
        if "_shards" in lower:
            self._integer("train_shards", pat.TRAIN_SHARDS, number, line)
        if "world_size" in lower:
            self._integer("world_size", pat.WORLD_SIZE, number, line)
        self._times(number, line, lower)
        if self.error is None and any(w in lower for w in _ERROR_WORDS) and (trouble := pat.TRACEBACK.search(line)):
            self.error = (number, trouble[1].strip())

    def _sizes(self, number: int, line: str) -> None:
        if total := pat.TOTAL_SIZE.search(line):
            size, codec = pat.integer(total[2]), total[1]
            if size is not None:
                totals = self.details.setdefault("totals", [])
                if len(totals) < 50:
                    totals.append({"codec": codec, "bytes": size, "line": number})
        elif code := pat.CODE_SIZE.search(line):
            size = pat.integer(code[2])
            form = (code[1] or "").lower()
            if size is not None:
                name = {"": "code_bytes", "compressed": "code_bytes_compressed", "lzma": "code_bytes_compressed"}
                self.details[name.get(form, "code_bytes_uncompressed")] = size
                self._set("code_bytes", size, number, keep_first=form in ("uncompressed", "raw"))
        elif raw := pat.RAW_MODEL.search(line):
            self.details["raw_model_bytes"] = pat.integer(raw[1])
        elif model := pat.MODEL_SIZE.search(line):
            self._set("model_bytes", pat.integer(model[2]), number)
            self.details["codec"] = model[1]
        elif artifact := pat.ARTIFACT_SIZE.search(line):
            size = pat.integer(artifact[1])
            if size is not None and size >= 100_000:
                self.details.setdefault("artifact_sizes", {})[number] = size
        if scored := pat.SCORED_BYTES.search(line):
            size = pat.integer(scored[1])
            if size and size > 100_000_000:
                self.details["val_bytes"] = size

    def _calibration(self, number: int, line: str) -> None:
        gptq = self.details.setdefault("gptq", {})
        if reserve := pat.GPTQ_RESERVE.search(line):
            gptq["reserve_seconds"] = pat.seconds(reserve[1], reserve[2].lower())
            if reserve[3]:
                gptq["effective_seconds"] = pat.seconds(reserve[3], "ms")
            gptq["reserve_line"] = number
        elif hessians := pat.HESSIANS.search(line):
            gptq.update(hessians=pat.integer(hessians[1]), hessian_seconds=pat.number(hessians[2]), hessian_line=number)
        elif timed := pat.HESSIANS_TIMED.search(line):
            gptq.update(hessian_seconds=pat.seconds(timed[1], timed[2].lower()), hessian_line=number)
        elif generated := pat.SELF_GENERATED.search(line):
            gptq.update(generation_seconds=pat.number(generated[2]), generation_line=number)
        if pat.CALIBRATION.search(line):
            gptq.setdefault("calibration_line", number)
            lower = line.lower()
            if "autoregressive" in lower or "self-gen" in lower or "self_gen" in lower:
                gptq["source"] = "self-generated"
            elif "source=val" in lower or "val data" in lower or "validation data" in lower:
                gptq["source"] = "val"
            elif "train" in lower:
                gptq["source"] = "train"
        if not gptq:
            del self.details["gptq"]

    def _times(self, number: int, line: str, lower: str) -> None:
        if ("stop" in lower or "cap" in lower or "budget" in lower or "limit" in lower) and pat.STOP.search(line):
            time, step = pat.TRAIN_TIME.search(line), pat.STEP_AT.search(line)
            value = pat.seconds(time[1], time[2]) if time else None
            self.details["stop"] = {
                "what": line.strip()[:200],
                "seconds": value,
                "step": pat.integer(step[1]) if step else None,
                "line": number,
            }
            if value is not None:
                self._set("train_seconds", value, number)
            if step:
                self._set("steps", pat.integer(step[1]), number)
        if "eval_time" in lower and (total := pat.TOTAL_EVAL.search(line)):
            self._part(total[1], pat.seconds(total[2], total[3]), number)
        elif "warm" in lower and (warm := pat.WARMUP_DONE.search(line)):
            self.details["warmup_seconds"] = pat.seconds(warm[2], warm[3].lower())
            self.lines.setdefault("warmup_seconds", number)
        elif "elapsed" in lower and ("precompute" in lower or "hints" in lower):
            if hints := pat.HINTS_DONE.search(line):
                self.details["ngram_hint_seconds"] = pat.number(hints[1])
                self.lines["ngram_hint_seconds"] = number
                if "outside" in lower:
                    self.details["ngram_hint_outside"] = True
        elif ("ttt" in lower or "tto" in lower) and (adapted := pat.ADAPTATION.search(line)):
            self._part(adapted[1], pat.seconds(adapted[2], adapted[3]), number, adaptation=True)
        if "gate=" in lower or "agree2plus=" in lower:
            gates = {name: int(count[:18]) for name, count in pat.GATES.findall(line)}
            if gates:
                self.details["gates"] = gates
                self.lines["gates"] = number

    def _mechanism(self, number: int, line: str) -> None:
        for name, pattern in _MECHANISMS:
            if pattern.search(line) and not _OFF.search(line):
                self.details.setdefault("ran", {}).setdefault(name, number)
                return

    def _block_setting(self, number: int, line: str) -> bool:
        """Take a line of a ``Hyperparameters:`` block; such a line is nothing else."""
        if line.startswith("Hyperparameters:"):
            self.in_block = True
            return True
        if self.in_block:
            block = pat.BLOCK_SETTING.match(line)
            if block and line.startswith(" "):
                self._keep(block[1], block[2], number)
                return True
            self.in_block = False
        return False

    def _settings(self, number: int, line: str) -> None:
        if not self.has_body or "start" in line or "mode" in line:
            for name, value in pat.ENVIRONMENT.findall(line):
                self._keep(name, value.strip("\"'"), number)
            for name, value in pat.SETTING.findall(line):
                self._keep(name, value, number)

    def _keep(self, name: str, value: str, number: int) -> None:
        key = name.upper()
        known = key in self.settings and not (key == "SEED" and not self.has_body)
        if not known and len(self.settings) < _MAX_SETTINGS:
            self.settings[key] = value.strip().rstrip(",")[:200]
            self.lines[f"settings.{key}"] = number

    def _part(self, label: str, value: float | None, number: int, adaptation: bool = False) -> None:
        if value is not None and len(self.parts) < 500:
            self.parts.append({"label": label, "seconds": value, "line": number, "adaptation": adaptation})

    def _integer(self, name: str, pattern: re.Pattern[str], number: int, line: str) -> None:
        match = pattern.search(line)
        value = pat.integer(match[1]) if match else None
        if value is not None:
            self._set(name, value, number, keep_first=True)

    def _set(self, name: str, value: Any, number: int, keep_first: bool = False) -> None:
        if value is None or (keep_first and name in self.facts):
            return
        self.facts[name] = value
        self.lines[name] = number

    def build(self) -> Run:
        """Freeze the facts into a Run."""
        head = self._conclude()
        self._choose_size()
        self._seed()
        self.curve.conclude(self.facts, self.lines, self.details)
        self._evaluation(head)
        if self.ttt_curve:
            self.ttt_curve = thin(self.ttt_curve)
        trained = bool(self.curve.points)
        self.details["kind"] = ("train+eval" if head else "train") if trained else "eval"
        if "WORLD_SIZE" in self.settings and "world_size" not in self.facts:
            self._set("world_size", pat.integer(self.settings["WORLD_SIZE"]), self.lines["settings.WORLD_SIZE"])
        return Run(
            log=self.log,
            index=self.index,
            first_line=self.first_line,
            last_line=self.last_line,
            source_bytes=len(self.source.text) if self.source else None,
            scores=tuple(self.scores),
            settings=self.settings,
            lines=self.lines,
            curve=self.curve.rows(),
            ttt_curve=tuple(self.ttt_curve),
            notes=tuple(self.notes),
            details=self.details,
            **self.facts,
        )

    def _conclude(self) -> Score | None:
        head = headline(self.scores)
        reason = self._unfinished(head)
        if head is not None and not reason:
            self._set("val_bpb", head.val_bpb, head.line)
            self._set("val_loss", head.val_loss, head.line)
            self.details["score_label"] = head.label
            if head.val_loss and head.val_bpb:
                self._set("bytes_per_token", head.val_loss / (head.val_bpb * math.log(2)), head.line)
        elif head is not None:
            reason += f"; the last score before it is {head.val_bpb:.4f} ({head.label}, line {head.line})"
        if reason and self.error:
            reason += f"; ends with an error at line {self.error[0]} ({self.error[1]})"
        self.facts["complete"], self.facts["reason"] = not reason, reason
        return head if not reason else None

    def _unfinished(self, head: Score | None) -> str:
        last_score = max((s.line for s in self.scores if s.step is None), default=0)
        for name, (done, total, number) in self.progress.items():
            if number > last_score and done < total and not name.startswith(("ttp", "ev")):
                what = "TTT" if re.match(r"tt|tc", name) else name
                unit = "window" if "slid" in name else "batch" if "batch" in name else "chunk"
                self.details["ttt_stopped_at"] = (done, total)
                return f"{what} stops at {unit} {done} of {total}, no final score"
        started = self.details.get("ttt_started", 0)
        if started > last_score:
            return f"the TTT evaluation that starts at line {started} prints no final score"
        if head is not None:
            return ""
        if any(is_diagnostic(s.label) for s in self.scores if s.step is None):
            return "only diagnostic scores (before quantisation), no final score"
        last = self.curve.last
        if last is None:
            return "no final score" if self.scores or self.progress else "the run stops before its first step"
        if "stop" in self.details or last.step == last.total:
            return f"training ends at step {last.step}, no score after quantisation"
        return f"training stops at step {last.step}" + (f" of {last.total}" if last.total else "") + ", no final score"

    def _choose_size(self) -> None:
        totals = self.details.get("totals", [])
        quantised = [t for t in totals if t["codec"]] or totals
        if quantised:
            self._set("artifact_bytes", quantised[-1]["bytes"], quantised[-1]["line"])
        elif "artifact_sizes" in self.details:
            line, size = list(self.details["artifact_sizes"].items())[-1]
            self._set("artifact_bytes", size, line)
        self.details.pop("artifact_sizes", None)

    def _seed(self) -> None:
        value = pat.integer(self.settings.get("SEED", ""))
        if value is not None:
            self._set("seed", value, self.lines["settings.SEED"])
            return
        named = re.search(r"seed[_-]?(\d{1,9})(?!\d)|_s(\d{1,6})\b", self.log.rsplit("/", 1)[-1], re.I)
        if named is not None:
            self.facts["seed"] = int(named[1] or named[2])
            self.notes.append("the log prints no seed; taken from the file name")

    def _evaluation(self, head: Score | None) -> None:
        total = next((p for p in reversed(self.parts) if p["label"].lower() == "total_eval_time"), None)
        own = eval_seconds_of(self.scores, head) if head else None
        exported = max(self.lines.get("artifact_bytes", 0), self.lines.get("train_seconds", 0))
        for part in self.parts:
            part["counts"] = head is not None and (
                part is total if total else part["adaptation"] and exported < part["line"] < head.line
            )
        needed = [p["seconds"] for p in self.parts if p["counts"]]
        if head and own is not None and total is None:
            twin = next((p for p in self.parts if p["seconds"] == own and not p["adaptation"]), None)
            if twin:
                twin["counts"] = True
            needed.append(own)
        if needed:
            outside = self.details.get("ngram_hint_seconds") if self.details.get("ngram_hint_outside") else None
            self._set("eval_seconds", sum(needed) + (outside or 0.0), head.line if head else 0)
        if self.parts:
            scored = [
                p["seconds"] for p in self.parts if p is not total and not p["label"].lower().startswith("total_eval")
            ]
            self.details["eval_parts"] = self.parts
            self.details["eval_seconds_all"] = sum(scored)
