"""Switches that only the README turns on: used where no complete log shows what the run really did.

A script whose default is off, a run command that does not set it, and a README that describes the feature as part of the
score: the rulebook (section 15) takes such a switch as on, with less confidence, and says so. A complete log can speak
against the defaults as well: where the bytes per token that its losses and scores imply are not one number, a mixture
made the scores, and the one switch of a mixture that is off by default and described was on (#1782). Where no command
sets anything either, values that the prose names for the run ("evaluated with ``EVAL_MODE=ngram``") are taken (``stated``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from checks.program.program import EnvConstant
from checks.submission.model import Run, Setting
from checks.submission.stated import stated

_OFF = frozenset(("0", "false", "False", "", "no", "off"))
_FILLER = frozenset(["ENABLED", "ENABLE", "USE", "ON", "EVAL", "DO", "RUN", "MODE", "FLAG", "MIX", "MIXER", "MIXTURE"])
_MIXTURES = frozenset(["ngram", "ppm"])
_APART = 0.04  # bytes per token of the scores of one run: parts of the split differ by less
_KNOWN = frozenset(["ttt", "ngram", "slot", "ppm", "twopass"])
_NEGATED = re.compile(r"(?:\bno|\bnot|\bwithout|\bdisabled?|\boff|\bnever|\bno longer)\s+(?:\w+\s+){0,2}$")
_README_CHARACTERS = 60_000
_COMMANDED = re.compile(r"\.(?:md|sh|bash|slurm|sbatch|json):\d+$")


def told(
    environment: Iterable[EnvConstant], configuration: Mapping[str, Setting], runs: Iterable[Run], text: str, where: str
) -> dict[str, Setting]:
    """Return the configuration with the switches on that the text describes, when no complete run says otherwise."""
    result = dict(configuration)
    complete = [run for run in runs if run.complete]
    if complete and not any(map(_mixed, complete)):
        return result
    words = " ".join(re.findall(r"[a-z0-9]+", text[:_README_CHARACTERS].lower().replace("n-gram", "ngram")))
    described = [c for c in environment if _described(c, result, words, text[:_README_CHARACTERS])]
    if complete:
        described = [c for c in described if _phrase(c.name) in _MIXTURES]
        known = any(s.value not in _OFF for name, s in result.items() if _phrase(name) in _MIXTURES)
        if known or len({c.name for c in described}) != 1:
            return result
    commanded = any(_COMMANDED.search(s.from_) for s in result.values())
    named = {} if complete or commanded else stated(text.partition("\n")[2][:_README_CHARACTERS])
    for name in [c.name for c in environment if c.name in named]:
        setting = result.get(name) or Setting("", "default")
        if "default" in setting.from_:
            result[name] = replace(setting, value=named[name][0], from_=f"{where}:{named[name][1]}")
    for constant in described:
        setting = result.get(constant.name) or Setting("0", f"default {where}")
        result[constant.name] = replace(setting, value="1", from_=f"described in {where}, set by no command")
    return result


def _described(constant: EnvConstant, settings: Mapping[str, Setting], words: str, text: str) -> bool:
    """Whether a switch is off by nothing but its default, and the text describes what it switches on."""
    current = settings.get(constant.name)
    value = current.value if current is not None else constant.default
    if value not in _OFF or constant.default not in _OFF or (current is not None and "default" not in current.from_):
        return False
    phrase = _phrase(constant.name)
    return bool(phrase) and _affirmed(phrase, words) and not _said_off(constant.name, text)


def _mixed(run: Run) -> bool:
    """Whether the final score of a run is not its val_loss in bits per byte, by the other scores of the run."""
    if not run.val_loss or not run.val_bpb:
        return False
    own = run.val_loss / run.val_bpb
    return any(abs(s.val_loss / s.val_bpb / own - 1) > _APART for s in run.scores if s.val_loss and s.val_bpb)


def _phrase(name: str) -> str:
    tokens = [t.lower() for t in name.split("_") if t not in _FILLER]
    if len(tokens) == 1:
        return tokens[0] if tokens[0] in _KNOWN else ""
    return " ".join(tokens[-2:]) if len(tokens) >= 2 and set(tokens) & {"pass", "ttt", "slot"} else ""


def _said_off(name: str, text: str) -> bool:
    """Whether the text itself gives the switch by name, and only as off: ``TTT_ENABLED=0``."""
    values = re.findall(rf"\b{re.escape(name)}[`\"'*]*\s*[=:]\s*[`\"'*]*(\w+)", text)
    return bool(values) and all(value in _OFF for value in values)


def _affirmed(phrase: str, words: str) -> bool:
    for match in re.finditer(rf"\b{re.escape(phrase)}\b", words):
        if not _NEGATED.search(words[max(0, match.start() - 40) : match.start()]):
            return True
    return False
