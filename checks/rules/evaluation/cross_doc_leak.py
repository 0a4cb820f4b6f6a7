"""cross-doc-leak: a mixer with the previous position must not carry a document's last token into the next one."""

from __future__ import annotations

import ast
import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

from checks.program.engine.labels import Flag
from checks.program.nodes import nodes, of
from checks.program.program import Program
from checks.rules.base import Case, Verdicts
from checks.rules.evaluation import ordering
from checks.verdict import Finding, Group

CODE = "cross-doc-leak"
_EMBEDS = re.compile(r"emb|wte|bigram", re.I)
_BLOCKS = re.compile(r"attn|attend|block|layer(?!_?norm)|mlp|rnn|ffn|mixer", re.I)
_BOS = re.compile(r"bos|same_doc|doc_mask|document|segment|is_start", re.I)


@dataclass(frozen=True)
class Mixer:
    """An unmasked sum of a position with the one before it. ``embeds``: on the input, else on hidden states."""

    file: str
    line: int
    summed: int
    function: str
    embeds: bool


def check(case: Case) -> Finding:
    """Look for mixers in the headline's scores that do not stop at BOS, on rows that hold several documents.

    A merged non-record folder has one (2026-04-30): outside the record track, or undated, it is a warning.
    """
    say = Verdicts(CODE, Group.EVALUATION, case.rulebook)
    since = case.rulebook.rule(CODE).since
    if case.created is not None and isinstance(since, dt.date) and case.created < since:
        return say.not_applicable(f"The ruling is of {since}; this pull request is older.")
    unknown = ordering.undecidable(case, say)
    if unknown is not None:
        return unknown
    program = case.program
    mixers = [] if _single_documents(program) else list(_mixers(program))
    if not mixers:
        return say.passed("No mixer with the previous position crosses from one document into the next.")
    inputs = [m for m in mixers if m.embeds]
    chosen = inputs or mixers
    rows = [
        program.at(m.file, m.line, "takes the states of the positions before", "source", m.function) for m in chosen
    ]
    rows += [program.at(m.file, m.summed, "adds them, at BOS too", "score", m.function) for m in chosen]
    rows += [
        program.at(m.file, line, "the same sum, without a mask here as well", "score", name)
        for m in chosen
        for line, name in _elsewhere(program, m)
    ]
    rows += [ordering.report_row(program, r) for r in program.reports]
    clears = "Zero the gate where the current token is BOS, in every forward that trains or scores."
    what = "embeddings" if inputs else "hidden states"
    proven = inputs and case.created is not None and not case.non_record
    return (say.fail if proven else say.warn)(
        f"{chosen[0].function} adds the {what} of the position before without a mask at BOS: on packed rows the last "
        "token of a document leaks into the next one.",
        ordering.unique(rows),
        clears,
    )


def _single_documents(program: Program) -> bool:
    """Whether the function that scores cuts its rows at BOS itself."""
    places = {(s.place.file, s.place.line) for s in ordering.headline_scores(program)}
    places |= {c for s in ordering.headline_scores(program) for c in s.place.calls}
    for path, tree in program.trees.items():
        lines = {line for file, line in places if file == path}
        functions = of(tree, (ast.FunctionDef,))
        for scope in functions:
            if any(scope.lineno < line <= (scope.end_lineno or 0) for line in lines) and _cuts(scope):
                return True
        outside = [n for n in tree.body if not isinstance(n, (ast.FunctionDef, ast.ClassDef))]
        if any(n.lineno <= line <= (n.end_lineno or 0) for n in outside for line in lines) and any(map(_cuts, outside)):
            return True
    return False


def _cuts(scope: ast.AST) -> bool:
    """``(tokens == 1).nonzero()``, or the same with a name for BOS."""
    for node in nodes(scope):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("nonzero", "where")
        ):
            held = [node.func.value, *node.args]
            if any(isinstance(n, ast.Compare) and _of_bos(n) for h in held for n in ast.walk(h)):
                return True
    return False


def _of_bos(node: ast.Compare) -> bool:
    sides = [node.left, *node.comparators]
    constant = any(isinstance(s, ast.Constant) and s.value == 1 for s in sides)
    named = any(_BOS.search(_word(n)) for s in sides for n in ast.walk(s))
    return isinstance(node.ops[0], (ast.Eq, ast.NotEq)) and (constant or named)


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _mixers(program: Program) -> Iterator[Mixer]:
    """Unmasked sums with shifted hidden states that scores of the headline depend on."""
    flags = {
        x for s in ordering.headline_scores(program) for x in s.used if isinstance(x, Flag) and x.name == "shifted"
    }
    for flag in sorted(flags, key=lambda f: f.line):
        tree = program.trees.get(str(flag.detail))
        function = _enclosing(tree, flag.line) if tree is not None else None
        summed = _sum_of(function, flag.line) if function is not None else 0
        if tree is None or function is None or not summed or _masked(function):
            continue
        embeds = _on_input(function, flag.line) or _called_on_input(tree, function)
        yield Mixer(str(flag.detail), flag.line, summed, function.name, embeds)


def _elsewhere(program: Program, mixer: Mixer) -> list[tuple[int, str]]:
    """The lines of other unmasked functions that hold the mixer's very statement: a second forward of the model."""
    tree = program.trees[mixer.file]
    own = _enclosing(tree, mixer.line)
    held = [n for n in nodes(own) if isinstance(n, ast.stmt) and _at(n, mixer.summed)] if own is not None else []
    wanted = ast.dump(max(held, key=lambda n: n.lineno)) if held else ""
    return [
        (node.lineno, function.name)
        for function in nodes(tree)
        if isinstance(function, ast.FunctionDef) and function is not own and not _masked(function)
        for node in nodes(function)
        if isinstance(node, ast.Assign) and ast.dump(node) == wanted and _enclosing(tree, node.lineno) is function
    ]


def _at(node: ast.stmt, line: int) -> bool:
    return node.lineno <= line <= (node.end_lineno or 0)


def _enclosing(tree: ast.Module, line: int) -> ast.FunctionDef | None:
    held = [n for n in of(tree, (ast.FunctionDef,)) if n.lineno <= line <= (n.end_lineno or 0)]
    return max(held, key=lambda n: n.lineno, default=None)


def _masked(function: ast.FunctionDef) -> bool:
    for node in nodes(function):
        if isinstance(node, ast.Compare) and _of_bos(node):
            return True
        if isinstance(node, (ast.Name, ast.Attribute)) and _BOS.search(_word(node)):
            return True
    return any(_BOS.search(a.arg) for a in function.args.args)


def _sum_of(function: ast.FunctionDef, line: int) -> int:
    """The line of the sum that the shifted states are a term of, at once or after being named; 0 if none."""
    names: set[str] = set()
    for node in nodes(function):
        if not (isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0)):
            continue
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.BinOp):
            names |= {t.id for t in node.targets if isinstance(t, ast.Name)}
        for sum_ in ast.walk(node):
            if isinstance(sum_, ast.BinOp) and isinstance(sum_.op, (ast.Add, ast.Sub)) and _shifts(sum_, line):
                return sum_.lineno
    for node in nodes(function):
        adds = isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Sub))
        mixes = isinstance(node, ast.Call) and _word(node.func) in ("lerp", "addcmul")
        if (adds or mixes) and names & {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}:
            return getattr(node, "lineno", line)
    return 0


def _shifts(node: ast.AST, line: int) -> bool:
    """Whether an expression holds ``x[:, :-1]`` of that line."""
    for part in ast.walk(node):
        if (
            isinstance(part, ast.Slice)
            and part.lower is None
            and isinstance(part.upper, ast.UnaryOp)
            and part.upper.lineno == line
        ):
            return True
    return False


def _on_input(function: ast.FunctionDef, line: int) -> bool:
    """Whether the function embeds tokens before the line, and runs no block of the network in between."""
    before = [n for n in of(function, (ast.Call,)) if n.lineno <= line]
    called = [_word(n.func) for n in before]
    return any(_EMBEDS.search(w) for w in called) and not any(_BLOCKS.search(w) for w in called)


def _called_on_input(tree: ast.Module, function: ast.FunctionDef) -> bool:
    """Whether a caller hands the embeddings to the mixer's function or module."""
    owner = next((c for c in of(tree, (ast.ClassDef,)) if function in c.body), None)
    names = {function.name} - {"forward", "__call__"}
    if owner is not None:
        for node in nodes(tree):  # self.smear = SmearGate(dim)
            if isinstance(node, ast.Assign):
                pairs = _pairs(node)
                names |= {
                    _word(t)
                    for t, v in pairs
                    if any(_word(n.func) == owner.name for n in ast.walk(v) if isinstance(n, ast.Call))
                }
    for caller in nodes(tree):
        if not isinstance(caller, ast.FunctionDef) or caller is function:
            continue
        for node in nodes(caller):
            if isinstance(node, ast.Call) and _word(node.func) in names and _word(node.func):
                inside = [_word(n.func) for a in node.args for n in ast.walk(a) if isinstance(n, ast.Call)]
                if any(map(_EMBEDS.search, inside)) or (not inside and _on_input(caller, node.lineno)):
                    return True
    return False


def _pairs(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]]:
    result: list[tuple[ast.expr, ast.expr]] = []
    for target in node.targets:
        if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
            result += list(zip(target.elts, node.value.elts, strict=False))
        else:
            result.append((target, node.value))
    return result
