"""Which script of the folder prints the number that is claimed: an evaluation is often a script beside the training's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from checks.program import nodes
from checks.program.analyse import NEAR, Front, final_label, front
from checks.program.order import words_of
from checks.submission.log_scores import scores_in
from checks.submission.model import Run

_HOLE = "0.7077"  # stands for a value in a template, as a log line would show it
_FORMAT = re.compile(r"\{[^{}]{0,80}\}|%[-+ 0-9.]{0,8}[a-zA-Z]")
_SAME = 1e-4  # bpb; a number and its rounded claim differ by less
_STARTS = re.compile(rb"\bsubprocess\b|\bos\.(?:exec|spawn|system)|\btorchrun\b")
_COMPUTES = re.compile(rb"^[ \t]*(?:import|from)\b.*\b(?:torch|mlx|jax|tinygrad)\b", re.MULTILINE)
_MOST = 12  # scripts that are parsed in search of the one
_LONGEST = 2000  # characters of a text that one statement prints


def evaluation_beside(
    code: Mapping[str, bytes], headline: Front, runs: Sequence[Run], claimed: Sequence[float]
) -> str | None:
    """The script that alone prints the claimed number under its label in a log, where the headline script prints others.

    Args:
        code: the folder's files that hold code, by path.
        headline: the script that is the headline by all other witnesses, with what it imports.
        runs: the folder's runs.
        claimed: the claimed scores, the first counts.
    """
    label = final_label(runs, claimed)
    others = _candidates(code, headline, label) if label and claimed and not headline.not_understood else []
    if not others or headline.headline not in headline.trees:
        return None
    shown = [s for r in runs for s in r.scores if abs(s.val_bpb - claimed[0]) <= NEAR * claimed[0]]
    same = {label} | {s.label for s in shown if abs(s.val_bpb - claimed[0]) <= _SAME}
    known = any(r.source_bytes is not None and any(s.label in same for s in r.scores) for r in runs)
    if known or not any(_stem(s.label) == label for s in shown):
        return None
    if any(_prints(tree, x, open_=True) for tree in headline.trees.values() for x in sorted(same)):
        return None
    return _only(path for path in others[:_MOST] if _prints(front(code, path).trees.get(path), label, open_=False))


def _candidates(code: Mapping[str, bytes], headline: Front, label: str) -> list[str]:
    """Scripts that compute, hold the label's words, and are neither part of the headline script nor start it."""
    name = (headline.headline or "").rsplit("/", 1)[-1].encode()
    words = [b"bpb", *(w.encode() for w in re.findall(r"[a-z]{3,}", label.lower()))]
    return [
        path
        for path, text in code.items()
        if path.endswith(".py")
        and path not in headline.scripts
        and all(w in text.lower() for w in words)
        and _COMPUTES.search(text)
        and not (name in text and _STARTS.search(text))
    ]


def _only(paths: Iterable[str]) -> str | None:
    found = list(paths)
    return found[0] if len(found) == 1 else None


def _prints(tree: ast.Module | None, label: str, open_: bool) -> bool:
    """Whether a text of a script prints a log line with this label; ``open_``: or one whose label is not known."""
    wanted = words_of(_stem(label))
    return any(
        _fits(printed, wanted) if re.search(r"[a-z]{3}", printed.replace(_HOLE, "").lower()) else open_
        for printed in _labels(tree)
    )


def _stem(label: str) -> str:
    """A label without the number at its end, as ``final_label`` gives it."""
    return re.sub(r"\d+$", "", label)


def _fits(printed: str, wanted: str) -> bool:
    pattern = ".*".join(re.escape(words_of(part)) for part in printed.split(_HOLE))
    return re.fullmatch(pattern.replace(r"\ ", " "), wanted) is not None


def _labels(tree: ast.Module | None) -> Iterator[str]:
    """The labels under which texts of a script print a score, with ``_HOLE`` for the values in them."""
    texts = nodes.of(tree, (ast.JoinedStr, ast.Constant)) if tree is not None else []
    pieces = {id(p) for t in texts if isinstance(t, ast.JoinedStr) for p in t.values}
    for node in texts:
        if isinstance(node, ast.JoinedStr):
            text = "".join(str(p.value) if isinstance(p, ast.Constant) else _HOLE for p in node.values)
        elif isinstance(node.value, str) and len(node.value) < _LONGEST and id(node) not in pieces:
            text = _FORMAT.sub(_HOLE, node.value) + _HOLE
        else:
            continue
        if "bpb" in text.lower() or "bits_per" in text.lower():
            for line in text.split("\n"):
                yield from (score.label for score in scores_in(line.strip(), 0))
