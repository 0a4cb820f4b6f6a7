"""One line of a training log: cleaning it, and the patterns of what scripts of this challenge print.

Patterns are linear and only ever see lines of at most ``MAX_LINE`` characters (rulebook section 13).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

MAX_LINE = 4096
FLOAT = r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?"
INT = r"\d[\d,_]*"

_ANSI = re.compile(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?)")
_PREFIX = re.compile(
    r"""\s*(?:\[(?:rank|default)\s?\d+\]:?
    |\[?\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?\]?
        (?:\s*[-|]?\s*(?:INFO|DEBUG|root)\b)?\s*[:|-]?
    |\[\d\d:\d\d:\d\d\]|\d\d:\d\d:\d\d\s*[|-]
    |(?:INFO|DEBUG)(?::root)?:|\[(?:log|train|stdout|stderr|local|remote|run|launch|INFO)\])\s?""",
    re.VERBOSE | re.ASCII,
)

STEP = re.compile(
    r"(?:\[(?=[a-z]{4}))?(?:step|s|iter|iteration)\s*[:=]?\s*(\d+)\s*(?:/\s*(\d+))?\b|(\d+)\s*/\s*(\d+)\s+(?=train_|val_)",
    re.I,
)
TRAIN_LOSS = re.compile(rf"\b(?:train_loss|tl|loss|train)\s*[:=]\s*({FLOAT})")
NAMED_BPB = re.compile(
    rf"(?<!\w)([A-Za-z]\w{{0,60}}?)??_?(?:bpb|bits_per_byte)\"?(?:\s?\([^()]{{0,40}}\))?"
    rf"(?:\s*[:=]\s*|\s+(?=\d+\.\d{{3}}))[*~]*({FLOAT})",
    re.I,
)
VAL_BPB = re.compile(rf"(?<![A-Za-z])(?:val_)?bpb\"?\s*[:=]\s*({FLOAT})", re.I)
VAL_LOSS = re.compile(rf"(?:val_loss|\bvl|\bloss)\"?\s*[:=]\s*({FLOAT})", re.I)
EXACT_BPB = re.compile(rf"\bexact[:=]({FLOAT})")
TRAIN_TIME = re.compile(rf"\b(?:train_time|tt|elapsed|time)\s*[:=]\s*({FLOAT})\s*(ms|min|m|s)?\b")
EVAL_TIME = re.compile(
    rf"\b(?:(?:[a-z][a-z\d]{{0,20}}_){{0,3}}eval_time|eval|elapsed|time|t)\s*[:=]\s*({FLOAT})\s*(ms|s)\b"
)
STOP = re.compile(
    r"(?:stopping_early|early_stop|wallclock[_ ]cap|wall[- ]?clock (?:cap|limit) (?:reached|hit)|Budget [\d.]+s reached"
    r"|(?:time|wallclock)[_ ]?(?:limit|budget)[_ ](?:reached|hit))",
    re.I,
)
STEP_AT = re.compile(r"\bstep\s*[:=]?\s*(\d+)(?:\s*/\s*(\d+))?")
PROGRESS = re.compile(r"(?:\[\s*|\bb|=|:|\s)(\d{1,9})\s*/\s*(\d{1,9})\b")
PERCENT = re.compile(r"\d%")
RUNNING_BPB = re.compile(rf"(?:run(?:ning)?_bpb|val_bpb|\bbpb|\brb)\s*[:=]\s*({FLOAT})")
GPU_ROW = re.compile(
    r"\|\s{1,4}(\d{1,2})\s+((?:NVIDIA|Tesla|GeForce|AMD|Quadro)[^|]{2,40}?)\s+(?:On|Off|WDDM|TCC)\s*\|"
)
GPU_NAMED = re.compile(
    r"\b(?:gpu|device|cuda_device|gpu_name)(?:_name)?\s*[:=]\s*"
    r"((?:NVIDIA|Tesla|GeForce|AMD)[ \w.-]{2,40}?)(?:\s+\w+:|$|[,;|(])",
    re.I,
)
TOTAL_SIZE = re.compile(
    rf"Total[ _](?:\w+ )?submission(?:[ _]size_?)?\s*([^:]{{0,60}}?)\s*:\s*({INT})\s*(?:bytes|B\b|$)", re.I
)
#: A total beside its parts, beside the cap, or alone: "code:53472 total:15621039", "15670651/16000000", "total:15912981B".
SUM_OF_PARTS = re.compile(
    rf"(?:\bcode(?:[_ ](?:bytes|size))?\s*[:=]\s*{INT}\s*(?:bytes|B)?|:\s*{INT}\s*bytes)[\s,|+=]{{1,6}}"
    rf"total(?:[_ ](?:bytes|artifact|submission|size)){{0,2}}\s*[:=]\s*({INT})(?![\d.])",
    re.I,
)
OF_CAP = re.compile(
    rf"\b(?:artifact|submission|budget|size)\b.{{0,80}}?(?<![\d.,])({INT})\s?(?:bytes|B)?\s?"
    rf"(?:/\s?|\((?:limit|cap|budget|max)\s?[:=]?\s?)16[,_]?000[,_]?000\b",
    re.I,
)
TOTAL_ALONE = re.compile(rf"^total\s?[:=]\s?({INT})\s?(?:B|bytes)$", re.I)
ARTIFACT_SIZE = re.compile(
    rf"\b(?:total_artifact_bytes|artifact_total_bytes|artifact_bytes|artifact(?: size)?|submission_bytes|bytes_total"
    rf"|total_bytes)"
    rf"\"?\s*[:=]\s*({INT})(?!\.\d)\s*(bytes|\b)",
    re.I,
)
MODEL_SIZE = re.compile(rf"Serialized[ _]model(?!\s*:)[\s_]*([^:]{{1,60}}?)\s*:\s*({INT})\s*bytes", re.I)
RAW_MODEL = re.compile(rf"Serialized model\s*:\s*({INT})\s*bytes", re.I)
FILE_SIZE = re.compile(
    rf"([\w.+-]{{1,100}}\.(?:pt|pth|bin|ckpt|npz|npy|safetensors|ptz|lzma|xz|zst|br|gz|pkl))\b[\s:=,'\"(\[-]{{1,6}}"
    rf"(?:size\s?[:=]?\s?)?({INT}(?:\.\d+)?)\s?(bytes|[KM]i?B)\b",
    re.I,
)
CODE_SIZE = re.compile(
    rf"Code size\s*(?:\(?\s*(uncompressed|compressed|raw|minified|lzma)[^):]*\)?)?\s*:\s*({INT})\s*bytes", re.I
)
TOKENIZER = re.compile(r"\bfineweb_(\d{3,6})_bpe\.model\b")
VAL_DOCUMENTS = re.compile(rf"(?<![\w/.,])({INT}) val(?:idation)? doc(?:ument)?s\b", re.I)
VAL_TOKENS = re.compile(
    rf"(?:\b(?:val|eval|validation)[_ ]tokens\s*[:=]|val_loader:\S*.{{0,300}}?\btokens\s*[:=]"
    rf"|fineweb_val\S{{0,80}}\s+tokens\s*[:=])\s*({INT})\b|\bVal(?:idation)?:\s*({INT}) tokens\b"
    rf"|\bLoaded ({INT}) tokens from \S{{0,200}}fineweb_val",
    re.I,
)
WINDOWS = re.compile(rf"\btotal_windows\s*[:=]\s*({INT})\s.{{0,40}}?\bstride\s*[:=]\s*({INT})\b", re.I)
SCORED_TOKENS = re.compile(rf"\b(?:scored_tokens|tokens_(?:scored|processed|evaluated))\s*[:=]\s*({INT})\b(?!\.\d)")
TRAIN_SHARDS = re.compile(r"\btrain_shards\s*[:=]\s*(\d+)")
MODEL_PARAMS = re.compile(
    rf"\b(?:model_params|total_params|num_params|n_params|params total|Total parameters|Parameters)\s*[:=]\s*({INT})",
    re.I,
)
WORLD_SIZE = re.compile(r"\bworld_size\s*[:=]\s*(\d+)")
GPTQ_RESERVE = re.compile(rf"gptq:?\s*reserving\s+({FLOAT})\s*(ms|s)\b(?:.*?effective=({FLOAT})ms)?", re.I)
_SPAN = rf"({FLOAT})\s?(ms|s)\b"
HESSIANS = re.compile(rf"(?:collected|calibrated)\s+(\d+)\s+(?:Hessians|layers).{{0,40}}?\bin\s+{_SPAN}", re.I)
HESSIANS_TIMED = re.compile(
    rf"(?:(?<!collecting )\bhessians?|calibration done)(?:_[a-z]+)*?[^:.]{{0,40}}?"
    rf"(?:\bin\s+|\((?=[\d.]+m?s\))|(?:(?<!train)_|\b)(?:time|elapsed)\s?[:=]\s?){_SPAN}",
    re.I,
)
SELF_GENERATED = re.compile(rf"gptq:?\s*generated\s+(\d+)\s+sequences.{{0,20}}?\bin\s+({FLOAT})s", re.I)
CALIBRATION = re.compile(r"(?:collecting hessians|calibrat|autoregressive calibration|self[- ]?gen)", re.I)
WARMUP_DONE = re.compile(
    rf"\b(\w{{1,40}}):\s*(?:compile )?warm-?up (?:done|complete)\D{{0,12}}({FLOAT})\s*(ms|s)\b", re.I
)
HINTS_DONE = re.compile(rf"(?:precompute|hints?)\w{{0,30}}.{{0,80}}?elapsed[=:]({FLOAT})s", re.I)
GATES = re.compile(r"\b(within_gate|word_gate|agree2plus|token_gate|gated)=(\d+)")
SCORED_BYTES = re.compile(rf"\b(?:scored_bytes|N_sidecar_bytes|val_bytes|total_bytes|bytes)[=:]\s*({INT})\b")
SEED = re.compile(r"(?<![A-Za-z_])seed\s*[:=]\s*(\d{1,18})\b", re.I)
TOTAL_EVAL = re.compile(rf"\b(total_eval_time\w{{0,40}})\s*[:=]\s*({FLOAT})\s*(ms|s)\b", re.I)
ADAPTATION = re.compile(
    rf"\b(\w{{0,40}}(?:ttt|tto|adapt)\w{{0,40}}):\s*(?:done\s+|total_)?(?:elapsed|time)\s*[:=]\s*({FLOAT})\s*(ms|s)\b",
    re.I,
)
BLOCK_SETTING = re.compile(r"\s{0,8}([A-Za-z_]\w{0,60})\s*[:=]\s?(.{0,300})$")
SETTING = re.compile(r"(?<![\w./-])([A-Za-z_]\w{0,60})(?:=|:[ ]?)([^\s;()\[\]{}:=]+)")
ENVIRONMENT = re.compile(r"(?<![\w$.])([A-Z][A-Z0-9_]{2,60})=(\"[^\"]{0,200}\"|'[^']{0,200}'|[^\s;&|()\\\"']{1,200})")
IN_BRACKETS = re.compile(r"\(([A-Z][A-Z0-9_]{2,60})=([\w.+-]{1,60})\)")
TRACEBACK = re.compile(
    r"(Traceback \(most recent call last\)|^\w*(?:Error|Exception): |torch\.OutOfMemoryError|CUDA out of memory"
    r"|ChildFailedError|\bKilled$|Segmentation fault|SIGTERM|SIGKILL|DUE TO TIME LIMIT)"
)

_PER_SECOND = {"ms": 1000.0, "m": 1 / 60, "min": 1 / 60}


def clean(raw: bytes) -> str:
    """Decode one line, cut it, drop colour codes, the carriage-return history and launcher prefixes."""
    line = raw[: MAX_LINE * 4].decode("utf-8", "replace").rstrip("\r\n")[:MAX_LINE]
    if "\r" in line:
        line = max(line.split("\r"), key=len)
    if "\x1b" in line:
        line = _ANSI.sub("", line)
    if line[:1] in "[ 0123456789ID" and line:
        for _ in range(3):
            match = _PREFIX.match(line)
            if match is None:
                break
            line = line[match.end() :]
    return line.rstrip()


def number(text: str) -> float | None:
    """Return a finite float, or None for text that is no number or overflows."""
    try:
        value = float(text.replace(",", "").replace("_", ""))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def integer(text: str) -> int | None:
    """Return an int of at most 18 digits (thousands separators allowed), or None."""
    digits = text.replace(",", "").replace("_", "")
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 18 else None


def seconds(value: str, unit: str | None) -> float | None:
    """Return a duration in seconds; the unit is ms, s, m or min."""
    parsed = number(value)
    return None if parsed is None else parsed / _PER_SECOND.get(unit or "s", 1.0)


@dataclass(frozen=True)
class StepLine:
    """One line of the training loop; times in seconds. ``coarse``: the time is rounded (minutes)."""

    step: int
    total: int | None
    train_loss: float | None
    train_seconds: float | None
    val_bpb: float | None
    val_loss: float | None
    coarse: bool


def step_line(line: str) -> StepLine | None:
    """Read ``step:4000/20000 train_loss:1.89 train_time:599549ms`` and its relatives; None for any other line."""
    match = STEP.match(line.lstrip())
    if match is None:
        return None
    step = integer(match[1] or match[3])
    total = integer(match[2] or match[4] or "")
    bpb, loss, train, time = (
        VAL_BPB.search(line),
        VAL_LOSS.search(line),
        TRAIN_LOSS.search(line),
        TRAIN_TIME.search(line),
    )
    if step is None or not (bpb or loss or train or time):
        return None
    is_val = bpb is not None or "val_loss" in line
    return StepLine(
        step,
        total,
        number(train[1]) if train and not is_val else None,
        seconds(time[1], time[2]) if time else None,
        number(bpb[1]) if bpb else None,
        number(loss[1]) if loss and is_val else None,
        bool(time and time[2] in ("m", "min")),
    )
