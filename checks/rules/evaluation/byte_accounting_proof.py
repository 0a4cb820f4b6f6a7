"""Where no log gives the bytes: whether the code counts them as the reference does, from the table to the quotient."""

from __future__ import annotations

import ast
import math
import re
from collections import Counter
from collections.abc import Iterator

from checks.program.engine.labels import Flag
from checks.program.nodes import nodes, of
from checks.program.program import Program
from checks.program.trace import ScoreEvent
from checks.rules.base import Case, Verdicts
from checks.rules.counted import counted
from checks.rules.evaluation import ordering
from checks.rules.evaluation.byte_table import Table, calls, last, names_in, reference_table
from checks.submission.log_scores import base_label
from checks.verdict import Evidence, Finding

_WORD = re.compile(r"[A-Za-z]\w*")
_LN2 = math.log(2.0)
#: Methods and functions that change neither the sum of a tensor nor which tokens it is of.
_PLAIN = frozenset(
    ("to", "double", "float", "item", "detach", "cpu", "reshape", "view", "flatten", "contiguous", "long", "int", "sum")
)
_MOST_STEPS = 64  # assignments followed backwards from one expression


def proved(case: Case, say: Verdicts) -> Finding | None:
    """A pass where every score of the headline is summed beside the reference's bytes of the same targets; else None.

    The proof asks for the reference's table (one for a fallback byte, none for a control token, the UTF-8 length of a
    piece without its word mark), for the space that is added unless the token before is a boundary, for sums of losses
    and of bytes over the same targets, and for a result that is their quotient over ln 2 and nothing else.
    """
    program = case.program
    trace = program.trace
    if trace is None or trace.exhausted or not program.reports or program.not_understood or not printed(case):
        return None
    flags = {x for r in program.reports for x in r.labels if isinstance(x, Flag)}
    if any(x.name in ("capped", "plus-each") or (x.name == "scaled" and not _is_unit(x.detail[2])) for x in flags):
        return None
    table = reference_table(program)
    scores = [s for s in ordering.headline_scores(program) if any(d.source == "val" for d in s.targets)]
    if table is None or not scores:
        return None
    rows: list[Evidence] = [program.at(table.file, table.line, "bytes of a piece without its word mark", "source")]
    for score in scores:
        found = next((r for path, f in _around(program, score) if (r := _Sums(program, path, f, table).rows())), None)
        if found is None:
            return None
        rows += found
    rows += [ordering.report_row(program, r) for r in program.reports]
    return say.passed(
        "No log gives val_loss beside the final val_bpb; the code counts the bytes of its targets as the reference does.",
        ordering.unique(rows),
    )


def printed(case: Case) -> bool:
    """Whether every score that counts stands on a line that a report of the program begins: another script may print others."""
    trace, reports = case.program.trace, case.program.reports
    same = [r for r in trace.reports if any(r.scores == h.scores for h in reports)] if trace is not None else []
    begun = {_first_word(r.template) for r in same} - {""}
    return all(_first_word(str(r.details.get("score_label", ""))) in begun for r in counted(case).runs)


def _first_word(text: str) -> str:
    found = _WORD.match(text.strip())
    return base_label(found[0]).removesuffix("_val") if found else ""


def _is_unit(constant: float) -> bool:
    return any(abs(constant / unit - 1) < 1e-6 for unit in (1.0, _LN2, 1 / _LN2))


def _around(program: Program, score: ScoreEvent) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions that hold a score and the calls to it, innermost first."""
    for file, line in ((score.place.file, score.place.line), *reversed(score.place.calls)):
        functions = of(program.trees[file], (ast.FunctionDef,)) if file in program.trees else []
        held = [n for n in functions if n.lineno <= line <= (n.end_lineno or 0)]
        for function in sorted(held, key=lambda n: n.lineno, reverse=True):
            yield file, function


# -- the sums --------------------------------------------------------------------------------------------------------


class _Sums:
    """The sums of losses and bytes of one function, and the quotient that it returns."""

    def __init__(self, program: Program, path: str, function: ast.FunctionDef, table: Table) -> None:
        self.program, self.path, self.function, self.table = program, path, function, table
        self.sets: dict[str, list[tuple[int, ast.expr]]] = {}
        self.adds: dict[str, list[tuple[int, ast.expr]]] = {}
        known: set[int] = set()
        for node in nodes(function):
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and len(node.targets) == 1:
                known.add(id(node.targets[0]))
                if self._runs(node.lineno):
                    self.sets.setdefault(node.targets[0].id, []).append((node.lineno, node.value))
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                known.add(id(node.target))
                if self._runs(node.lineno):
                    value = node.value if isinstance(node.op, ast.Add) else ast.Constant(value=None)
                    self.adds.setdefault(node.target.id, []).append((node.lineno, value))
        self.altered = {name for node in nodes(function) if id(node) not in known for name in _alters(node)}

    def rows(self) -> list[Evidence]:
        """The lines of the sums and of the quotient; empty where they are not the reference's."""
        for node in nodes(self.function):
            if not isinstance(node, ast.Return) or node.value is None or not self._runs(node.lineno):
                continue
            for part in node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]:
                found = self._quotient(part, node.lineno)
                if found:
                    return [*found, self.program.at(self.path, node.lineno, "nats / ln 2 / bytes", "score")]
        return []

    def _runs(self, line: int) -> bool:
        return self.program.trace is not None and (self.path, line) in self.program.trace.executed

    def _quotient(self, part: ast.expr, line: int) -> list[Evidence]:
        powers = self._powers(part, line, _MOST_STEPS)
        if powers is None or powers.pop("ln 2", 0) != -1 or sorted(powers.values()) != [-1, 1]:
            return []
        loss, count = (next(n for n, p in powers.items() if p == wanted) for wanted in (1, -1))
        losses, counts = self.adds.get(loss, []), self.adds.get(count, [])
        if len(losses) != 1 or len(counts) != 1 or any(len(self.sets.get(n, ())) != 1 for n in (loss, count)):
            return []
        targets = self._counted(*counts[0])
        if targets is None or not self._summed(*losses[0], targets):
            return []
        at = self.program.at
        return [
            at(self.path, losses[0][0], "sums the losses of the targets", "score"),
            at(self.path, counts[0][0], "sums the bytes of the same targets", "score"),
        ]

    def _powers(self, node: ast.expr, line: int, steps: int) -> Counter[str] | None:
        """The expression as a product of powers of running sums and ln 2; None where it is no such product."""
        node = _bare(node)
        if steps <= 0:
            return None
        if (
            isinstance(node, ast.Call)
            and last(node.func) == "log"
            and [ast.unparse(a) for a in node.args] in (["2.0"], ["2"])
        ):
            return Counter({"ln 2": 1})
        if isinstance(node, ast.Name):
            if node.id in self.altered:
                return None
            if node.id in self.adds:
                return Counter({node.id: 1})
            before = [(n, v) for n, v in self.sets.get(node.id, ()) if n < line]
            return self._powers(before[-1][1], before[-1][0], steps - 1) if before else None
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Mult, ast.Div)):
            left, right = self._powers(node.left, line, steps // 2), self._powers(node.right, line, steps // 2)
            if left is None or right is None:
                return None
            sign = 1 if isinstance(node.op, ast.Mult) else -1
            total = Counter({n: left[n] + sign * right[n] for n in {*left, *right}})
            return Counter({n: p for n, p in total.items() if p})
        return None

    def _counted(self, line: int, value: ast.expr) -> ast.expr | None:
        """The targets whose bytes are summed: ``(table[targets] + (space[targets] & ~boundary[before])).sum()``."""
        name = _bare(value)
        if not isinstance(name, ast.Name) or not calls(value, "sum"):
            return None
        sets, adds = self.sets.get(name.id, []), self.adds.get(name.id, [])
        if name.id in self.altered or len(sets) != 1 or len(adds) != 1 or not sets[0][0] <= adds[0][0] <= line:
            return None
        base, space = _bare(sets[0][1]), _bare(adds[0][1])
        if not isinstance(base, ast.Subscript) or last(base.value) != self.table.bytes:
            return None
        if not isinstance(space, ast.BinOp) or not isinstance(space.op, ast.BitAnd):
            return None
        left, right = space.left, space.right
        if not isinstance(right, ast.UnaryOp) or not isinstance(right.op, ast.Invert):
            return None
        left, right = _bare(left), _bare(right.operand)
        if not isinstance(left, ast.Subscript) or not isinstance(right, ast.Subscript):
            return None
        if (last(left.value), last(right.value)) != (self.table.space, self.table.boundary):
            return None
        targets, before = self._origin(base.slice, line), self._origin(right.slice, line)
        same = ast.unparse(left.slice) == ast.unparse(base.slice)
        apart = ast.unparse(targets) != ast.unparse(before) and _sliced(targets) == _sliced(before)
        once = all(len(self.sets.get(n, ())) <= 1 for n in names_in(targets) | names_in(base.slice))
        return targets if same and apart and once else None

    def _summed(self, line: int, value: ast.expr, targets: ast.expr) -> bool:
        """Whether a sum of losses is over these targets: their own losses, or their mean times their number."""
        whole = last(targets.value) if isinstance(targets, ast.Subscript) else last(targets)
        if not whole or whole not in self._reached(value, line):
            return False
        value = _bare(value)
        if isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult):
            number = self._origin(value.right, line)
            counts = isinstance(number, ast.Call) and ast.unparse(number) == f"{whole}.numel()"
            return counts and isinstance(targets, ast.Name) and isinstance(_bare(value.left), ast.Name)
        if not isinstance(value, ast.Name):
            return isinstance(value, ast.Subscript) and _sliced(value) == _sliced(targets)
        made = self.sets.get(value.id, [])
        if len(made) == 1 and _sums_itself(made[0][1]):
            asked = made[0][1].args[1:2] if isinstance(made[0][1], ast.Call) else []
            return [ast.unparse(self._origin(a, line)) for a in asked] == [ast.unparse(targets)]
        return bool(made) and all(_sliced(_bare(v)) == _sliced(targets) for _, v in made)

    def _origin(self, node: ast.expr, line: int) -> ast.expr:
        """What a name stands for, one assignment back, without views of it."""
        node = _bare(node)
        if isinstance(node, ast.Name):
            made = [(n, v) for n, v in self.sets.get(node.id, ()) if n <= line]
            if len(made) == 1:
                value = _bare(made[0][1])
                if isinstance(value, ast.Name) and value.id in self.sets and value.id != node.id:
                    return self._origin(value, made[0][0] - 1)
                numbered = isinstance(value, ast.Call) and last(value.func) == "numel"
                return value if numbered or (isinstance(value, (ast.Name, ast.Subscript)) and _index(value)) else node
        return node

    def _reached(self, node: ast.expr, line: int) -> set[str]:
        """The names that an expression is made from, through assignments of the function."""
        found, todo = set[str](), names_in(node)
        while todo and len(found) < 4 * _MOST_STEPS:
            name = todo.pop()
            found.add(name)
            for _, value in self.sets.get(name, ()):
                todo |= names_in(value) - found
        return found


def _alters(node: ast.AST) -> Iterator[str]:
    """Names that a node binds beside plain assignments, or changes in place: by an index, by a method such as ``mul_``."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        yield node.id
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store):
        yield last(node.value)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr.endswith("_"):
        yield last(node.func.value)


def _index(node: ast.expr) -> bool:
    """Whether a value is a view of a batch: a name, or a selection of rows and columns of one."""
    return isinstance(node, ast.Name) or (isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Tuple))


def _sums_itself(node: ast.expr) -> bool:
    """``F.cross_entropy(logits, targets, reduction="sum")``."""
    if not isinstance(node, ast.Call) or last(node.func) != "cross_entropy" or len(node.args) != 2:
        return False
    return [(k.arg, ast.unparse(k.value)) for k in node.keywords] == [("reduction", "'sum'")]


def _sliced(node: ast.expr) -> str:
    return ast.unparse(node.slice) if isinstance(node, ast.Subscript) else ""


def _bare(node: ast.expr) -> ast.expr:
    """An expression without conversions, views and sums around it."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Attribute) and node.func.attr in _PLAIN and not _is_module(node.func.value):
            node = node.func.value
        elif isinstance(node.func, ast.Name) and node.func.id in ("float", "int") and len(node.args) == 1:
            node = node.args[0]
        else:
            break
    return node


def _is_module(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id in ("torch", "np", "numpy", "F")
