"""Collects the facts of one run, line by line, and concludes whether it reached its final score.

``Run.details`` keys: ``stop`` (what the run said when training ended), ``eval_parts`` (timed parts of the evaluation;
``counts`` tells whether the headline needs one), ``eval_seconds_all``, ``totals`` (each "Total submission size"),
``raw_model_bytes``, ``codec``, ``code_bytes``, ``code_bytes_uncompressed``, ``code_bytes_compressed``, ``gptq``,
``warmup_seconds``, ``ngram_hint_seconds``, ``ngram_hint_outside``, ``gates``, ``scored_tokens`` (on the headline's
line), ``val_bytes``, ``gpu_count``, ``ran`` (mechanism -> first line that shows it at work), ``ttt_stopped_at``
(chunk, chunks), ``step_ms``, ``stalls``, ``kind`` (train, eval or train+eval), ``score_label``, ``source_script``,
``source_lines``, ``source_sha256``, ``source_difference`` (from the nearest script, where none is the printed one),
``files`` (file name -> its size in bytes, and the line), ``tokenizer`` (the organisers', by its file's name).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from checks.submission import log_lines as pat
from checks.submission.log_curve import Curve, thin
from checks.submission.log_facts import Facts
from checks.submission.log_mechanisms import mechanisms_at_work
from checks.submission.log_pairs import Pairs
from checks.submission.log_scores import headline, is_diagnostic, scores_in
from checks.submission.log_settings import Settings
from checks.submission.log_sizes import Sizes
from checks.submission.log_source import EmbeddedSource
from checks.submission.log_timing import Timing
from checks.submission.model import Run, Score

_MAX_SCORES = 2000
_MAX_TTT = 4000
_ERROR_WORDS = ("error", "exception", "traceback", "kill", "sigterm", "segmentation", "out of memory", "time limit")
_TTT_START = re.compile(r"\bttt\w*:\s?start|\bbeginning TTT eval", re.IGNORECASE)
_PHASE = re.compile(r"\bstart|mode:|enabled", re.IGNORECASE)  # lines after training that still print settings
_ADAPTED = re.compile(r"ttt|tto|adapt", re.IGNORECASE)
_ADAPTIVE = re.compile(r"tt|tc|slot")
_SEED_IN_NAME = re.compile(r"seed[_-]?(\d{1,9})(?!\d)|[_-]s(\d{1,6})(?![a-z\d])", re.IGNORECASE)
_STRIDES = {"16", "32", "64", "128", "256", "512"}  # "_s64" in a file name is a stride
_SIZE_WORDS = ("size", "bytes", "artifact", "serialized", "total", "budget")
_MOST_SAID, _LONGEST_SAID = 200, 120
_DIGIT = re.compile(r"\d")
_HEADER_FACTS = 2
_HEADER_SETTINGS = 12


@dataclass
class RunBuilder:
    """Facts of one run while its lines are read; ``build`` freezes them."""

    log: str
    first_line: int
    source: EmbeddedSource | None = None
    last_line: int = 0

    def __post_init__(self) -> None:
        self.facts = Facts()
        self.curve = Curve()
        self.sizes = Sizes(self.facts)
        self.timing = Timing(self.facts)
        self.settings = Settings(self.facts)
        self.pairs = Pairs()
        self.scores: list[Score] = []
        self.validation: list[Score] = []
        self.progress: dict[str, tuple[int, int, int]] = {}
        self.ttt_curve: list[tuple[int, float]] = []
        self.ttt_started = 0
        self.notes: list[str] = []
        self.said: dict[str, int] = {}  # lines without a number, which a constant text of the script may be
        self.error: tuple[int, str] | None = None

    @property
    def has_body(self) -> bool:
        """Whether training, evaluation or export has been seen: a new header then starts a new run."""
        return bool(self.curve.points or self.scores or self.sizes.totals or self.progress)

    @property
    def is_run(self) -> bool:
        """Whether there is enough to speak of a run at all: a body, a source, or a header's facts."""
        header = len(self.facts.values) >= _HEADER_FACTS or len(self.settings.values) >= _HEADER_SETTINGS
        return self.has_body or self.source is not None or header

    def feed(self, number: int, line: str) -> None:
        """Take one cleaned, non-empty line."""
        self.last_line = number
        if len(line) <= _LONGEST_SAID and len(self.said) < _MOST_SAID and not _DIGIT.search(line):
            self.said.setdefault(line.strip(), number)
        step = pat.step_line(line)
        if step is not None:
            self.settings.in_block = False
            self.curve.add(step, number)
            if step.val_bpb is not None:
                self.validation.append(Score("step", number, step.val_bpb, step.val_loss, step=step.step))
                self.validation = thin(self.validation) if len(self.validation) >= _MAX_SCORES else self.validation
            return
        if self.settings.block(number, line):
            return
        lower = line.lower()
        is_score = self._result(number, line, lower)
        if not is_score:
            self._fact(number, line, lower)
        elif "total" in lower or "artifact" in lower:
            self.sizes.beside(number, line)
        for mechanism in mechanisms_at_work(line, lower):
            self.facts.details.setdefault("ran", {}).setdefault(mechanism, number)
        self.settings.in_brackets(number, line)
        header = not self.has_body or _PHASE.search(line) is not None
        if header and not is_score and line[0] not in "|+" and "bytes" not in lower:
            if "seed" in lower and not self.has_body:
                self.settings.seed(number, line)
            self.settings.header(number, line)

    def _result(self, number: int, line: str, lower: str) -> bool:
        scores = scores_in(line, number) if "bpb" in lower or "bits_per" in lower else []
        if scores:
            self.scores += scores
            if len(self.scores) > _MAX_SCORES:
                del self.scores[_MAX_SCORES // 2]
            if "tokens" in lower:
                self.pairs.score(number, line)
            first = scores[0]
            self.timing.part(first.label, first.eval_seconds, number, val_bpb=first.val_bpb)
            return True
        at = pat.PROGRESS.search(line) if "/" in line and "b" in lower else None
        bpb = pat.RUNNING_BPB.search(line) if at else None
        if at is None or bpb is None:
            return False
        done, total, value = pat.integer(at[1]), pat.integer(at[2]), pat.number(bpb[1])
        if done is not None and total and value is not None and done <= total and len(self.progress) < 100:
            name = re.sub(r"[^A-Za-z_]+.*", "", line.strip())[:40] or "progress"
            self.progress[name] = (done, total, number)
            if _ADAPTIVE.match(name):
                self.ttt_curve.append((done, value))
                self.ttt_curve = self.ttt_curve[::2] if len(self.ttt_curve) >= _MAX_TTT else self.ttt_curve
        return True

    def _fact(self, number: int, line: str, lower: str) -> None:
        facts = self.facts
        if any(word in lower for word in _SIZE_WORDS):
            self.sizes.feed(number, line)
        if "." in line and ("mb" in lower or "mib" in lower or "bytes" in lower):
            self.sizes.file(number, line)
        if "gptq" in lower or "hessian" in lower or "calib" in lower:
            self.timing.calibration(number, line, lower)
        if "|" in line and (gpu := pat.GPU_ROW.search(line)):
            facts.set("gpu", gpu[2].strip(), number, keep_first=True)
            facts.details["gpu_count"] = max(facts.details.get("gpu_count", 0), int(gpu[1]) + 1)
        elif "gpu" in lower and (named := pat.GPU_NAMED.search(line)):
            facts.set("gpu", named[1].strip(), number, keep_first=True)
        if ".model" in lower and (tokenizer := pat.TOKENIZER.search(line)):
            self._tokenizer(f"sp{tokenizer[1]}", number)
        if "tokens" in lower:
            facts.first_integer("val_tokens", pat.VAL_TOKENS, number, line)
        if "doc" in lower and (documents := pat.VAL_DOCUMENTS.search(line)):
            counted = pat.integer(documents[1]) or 0
            if counted > facts.details.get("val_documents", 0):  # counts on the way are smaller
                facts.detail("val_documents", counted, number)
        if "windows" in lower and "val_tokens" not in facts.values and (windows := pat.WINDOWS.search(line)):
            count, stride = pat.integer(windows[1]), pat.integer(windows[2])
            facts.set("val_tokens", count * stride if count and stride else None, number)
        if "loss" in lower:
            self.pairs.loss(number, line)
        if "param" in lower:
            facts.first_integer("model_params", pat.MODEL_PARAMS, number, line)
        if "_shards" in lower:
            facts.first_integer("train_shards", pat.TRAIN_SHARDS, number, line)
        if "world_size" in lower:
            facts.first_integer("world_size", pat.WORLD_SIZE, number, line)
        if "ttt" in lower and _TTT_START.search(line):
            self.ttt_started = number
        self.timing.feed(number, line, lower)
        if self.error is None and any(w in lower for w in _ERROR_WORDS) and (trouble := pat.TRACEBACK.search(line)):
            self.error = (number, trouble[1].strip())

    def _tokenizer(self, name: str, number: int) -> None:
        """Keep the one tokenizer that the log names; of two, neither."""
        first = self.facts.details.get("tokenizer", name)
        self.facts.detail("tokenizer", name if first == name else "", number)

    def build(self) -> Run:
        """Freeze the facts into a Run."""
        facts, settings = self.facts, self.settings.values
        facts.details["said"] = self.said
        self._header_facts()
        self.sizes.conclude()
        self.curve.conclude(facts)
        head = self._conclude()
        self.timing.conclude(head, self.scores, settings)
        trained = bool(self.curve.points)
        facts.details["kind"] = ("train+eval" if head else "train") if trained else "eval"
        return Run(
            log=self.log,
            first_line=self.first_line,
            last_line=self.last_line,
            source_bytes=len(self.source.text) if self.source else None,
            scores=tuple(sorted([*thin(self.validation), *self.scores], key=lambda s: s.line)),
            settings=settings,
            lines=facts.lines,
            curve=self.curve.rows(),
            ttt_curve=tuple(thin(self.ttt_curve)),
            notes=tuple(self.notes),
            details=facts.details,
            **facts.values,
        )

    def _header_facts(self) -> None:
        """Facts that a ``Hyperparameters:`` block prints, and the seed."""
        for name in ("world_size", "train_shards", "val_tokens"):
            value = pat.integer(self.settings.values.get(name.upper(), ""))
            self.facts.set(name, value, self.facts.lines.get(f"settings.{name.upper()}", 0), keep_first=True)
        seed = pat.integer(self.settings.values.get("SEED", ""))
        if seed is not None:
            self.facts.set("seed", seed, self.facts.lines["settings.SEED"])
            return
        named = _SEED_IN_NAME.search(self.log.rsplit("/", 1)[-1])
        if named is not None and named[2] not in _STRIDES:
            self.facts.values["seed"] = int(named[1] or named[2])
            self.notes.append("the log prints no seed; it is taken from the file name")

    def _conclude(self) -> Score | None:
        """Decide on the headline; an unfinished run has none."""
        facts = self.facts
        head = headline(self.scores)
        reason = self._unfinished(head)
        if head is not None and not reason:
            facts.set("val_bpb", head.val_bpb, head.line)
            loss, line = self.pairs.with_loss(head, self.scores)
            facts.set("val_loss", loss, line)
            tokens, line = self.pairs.count(head, self.scores)
            facts.set("val_tokens", tokens, line, keep_first=True)
            facts.details["score_label"] = head.label
            facts.details["scored_tokens"] = head.tokens
            if loss and head.val_bpb:
                facts.set("bytes_per_token", loss / (head.val_bpb * math.log(2)), head.line)
        elif head is not None:
            reason += f"; the last score before it is {head.val_bpb:.4f} ({head.label}, line {head.line})"
        if reason and self.error:
            reason += f"; ends with an error at line {self.error[0]} ({self.error[1]})"
        facts.values["complete"], facts.values["reason"] = not reason, reason
        if reason:
            facts.lines["reason"] = self.last_line
        return head if not reason else None

    def _unfinished(self, head: Score | None) -> str:
        last_score = max((s.line for s in self.scores), default=0)
        for name, (done, total, number) in self.progress.items():
            if number > last_score and done < total and not name.startswith(("ttp", "ev")):
                what = "TTT" if re.match(r"tt|tc", name) else name
                unit = "window" if "slid" in name else "batch" if "batch" in name else "chunk"
                self.facts.details["ttt_stopped_at"] = (done, total)
                return f"{what} stops at {unit} {done} of {total}, no final score"
        if self.ttt_started > last_score and head is not None and _ADAPTED.search(head.label):
            self.notes.append(f"a further TTT starts at line {self.ttt_started} and prints no score")
        elif self.ttt_started > last_score:
            return f"the TTT evaluation that starts at line {self.ttt_started} prints no final score"
        if head is not None:
            return ""
        if any(is_diagnostic(s.label) for s in self.scores):
            return "only diagnostic scores, no final score"
        last = self.curve.last
        if last is None:
            return "no final score" if self.scores or self.progress else "the run stops before its first step"
        if "stop" in self.facts.details or last.step == last.total:
            return f"training ends at step {last.step}, no score after quantisation"
        return f"training stops at step {last.step}" + (f" of {last.total}" if last.total else "") + ", no final score"
