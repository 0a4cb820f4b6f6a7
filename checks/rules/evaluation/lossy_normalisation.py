"""lossy-normalisation: the text must be recoverable from the tokens whose bytes are counted. Unruled: a warning."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from checks.program import parse
from checks.program.nodes import nodes, of
from checks.rules.base import Case, Verdicts
from checks.rules.places import at
from checks.verdict import Evidence, Finding, Group

CODE = "lossy-normalisation"
_HINTS = re.compile(r"casefold\(|unicodedata|normalization_rule_name|\.lower\(\)")
_ENCODERS = frozenset(["encode", "encode_as_ids", "EncodeAsIds", "encode_ordinary", "encode_batch"])
_FORMS = ("NFKC", "NFKD")
_FOLDS = re.compile(r"\bcase-?\s?fold(?:ed|ing|s)?\b|casefold|\blower-?cas(?:ed|ing|e)\b", re.I)
_OF_TEXT = re.compile(r"text|token|corpus|fineweb|dataset|vocab", re.I)
_DENIED = re.compile(r"\b(?:no|not|without|never)\b|n't\b|#1604", re.I)
_COMES_BACK = re.compile(r"lossless|case-?_?ops|revers|invertib|biject|sidecar", re.I)
_MAX_FILE = 400_000
_MAX_FILES = 24


def check(case: Case) -> Finding:
    """Look for case folding and compatibility forms between the text and the encoder, in every script of the folder.

    Shards are often made elsewhere: then what the README says of them counts.
    """
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    rows: list[Evidence] = []
    paths = [p for p in sorted(case.submission.files) if p.endswith(".py")][:_MAX_FILES]
    for path in paths:
        tree = case.program.trees.get(path) or _parsed(case, path)
        if tree is not None:
            rows += [at(case, path, line, what, "source", _excerpt(case, path, line)) for line, what in _lossy(tree)]
    told = [] if rows else _told(case)
    if rows or told:
        by = "By the README, text" if told else "Text"
        return say.warn(
            f"{by} is normalised before it is encoded in a way that cannot be undone; whether that is allowed was never "
            "ruled on (#1604), and no such submission was ranked.",
            (rows or told)[:8],
            "A normalisation that can be undone, or the bytes of the original text as the denominator.",
        )
    if not paths:
        return say.not_applicable("There is no script to check.")
    return say.passed("No normalisation that loses text stands before an encoder.")


def _told(case: Case) -> list[Evidence]:
    """Lines of a README that say that the text's case was folded, where it says nothing of how it comes back."""
    found: list[Evidence] = []
    for path in sorted(case.submission.files):
        if not path.lower().endswith("readme.md") or case.submission.files[path].kind != "file":
            continue
        text = case.submission.files[path].read(_MAX_FILE).decode("utf-8", "replace")
        if _COMES_BACK.search(text):
            continue
        for number, line in enumerate(text.splitlines(), 1):
            if _FOLDS.search(line) and _OF_TEXT.search(line) and not _DENIED.search(line):
                found.append(at(case, path, number, line.strip()[:160], "source"))
    return found


def _parsed(case: Case, path: str) -> ast.Module | None:
    text = case.submission.files[path].read(_MAX_FILE).decode("utf-8", "replace")
    if not _HINTS.search(text):
        return None
    try:
        return parse.parse(text).tree
    except parse.Unparsable:
        return None


def _excerpt(case: Case, path: str, line: int) -> str:
    lines = case.submission.files[path].read(_MAX_FILE).decode("utf-8", "replace").split("\n")
    return lines[line - 1].strip()[:200] if 0 < line <= len(lines) else ""


def _lossy(tree: ast.Module) -> Iterator[tuple[int, str]]:
    functions = {n.name: n for n in of(tree, (ast.FunctionDef,))}
    lines = [n.lineno for n in of(tree, (ast.Call,)) if _encodes(n)]
    inside = [f for f in functions.values() if any(f.lineno <= line <= (f.end_lineno or line) for line in lines)]
    for node in of(tree, (ast.keyword,)):
        if node.arg != "normalization_rule_name":
            continue
        if isinstance(node.value, ast.Constant) and str(node.value.value).endswith("_cf"):
            yield node.value.lineno, "the tokenizer folds case"
    seen: set[int] = set()
    for scope in (tree, *inside):
        assigned = of(scope, (ast.Assign,))
        for call in of(scope, (ast.Call,)):
            if not _encodes(call) or not call.args or isinstance(call.args[0], ast.Constant):
                continue
            for line, what in _before(call.args[0], assigned, functions):
                if line not in seen:
                    seen.add(line)
                    yield line, what


def _encodes(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr in _ENCODERS


def _before(
    text: ast.expr, assigned: list[ast.Assign], functions: dict[str, ast.FunctionDef]
) -> Iterator[tuple[int, str]]:
    """Lossy calls in what is encoded, in what its names were assigned from, and in functions it calls."""
    names = {n.id for n in ast.walk(text) if isinstance(n, ast.Name)}
    direct = [text, *(a.value for a in assigned if any(isinstance(t, ast.Name) and t.id in names for t in a.targets))]
    for expression in direct:
        for node in ast.walk(expression):
            what = _loses(node, direct=True)
            if what:
                yield getattr(node, "lineno", 0), what
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                for inner in nodes(functions[node.func.id]):
                    what = _loses(inner, direct=False)
                    if what:
                        yield getattr(inner, "lineno", 0), what


def _loses(node: ast.AST, direct: bool) -> str:
    """What a call loses; ``lower`` only where it is applied to the text itself, since marked case can come back."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    name = node.func.attr
    if name == "casefold" or (direct and name == "lower" and not node.args):
        return "folds case"
    if name == "normalize" and node.args and isinstance(node.args[0], ast.Constant) and node.args[0].value in _FORMS:
        return f"takes compatibility forms ({node.args[0].value})"
    return ""
