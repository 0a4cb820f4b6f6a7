"""Files told apart by their names: ``"val" in path.name`` says of which split the files of a branch are."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager

from checks.program.engine.labels import Data
from checks.program.engine.operators import Operators
from checks.program.engine.values import UNKNOWN, Scope, Value

_SPLIT = re.compile(r"(?:^|[^a-z])(train|val)(?:$|[^a-z])")
_OTHER = {"train": "val", "val": "train"}


class Naming(Operators):
    """What a test of a file's name says of the file."""

    @contextmanager
    def told(self, test: ast.expr, holds: bool, scope: Scope, after: bool = False) -> Iterator[None]:
        """Inside (and ``after``), the file whose name ``test`` asks for is one of the split that the answer tells."""
        found = _asked(test)
        old = scope.vars.get(found[0]) if found is not None else None
        if found is None or old is None or old.known or any(isinstance(x, Data) for x in old.labels):
            yield
            return
        name, split, named = found
        files = Data(split if named is holds else _OTHER[split], old.symbols, "path")
        told = Value(UNKNOWN, old.refs, old.labels | {files}, old.symbols, old.text)
        scope.vars[name] = told
        try:
            yield
        finally:
            if not after and scope.vars.get(name) is told:
                scope.vars[name] = old


def _asked(test: ast.expr) -> tuple[str, str, bool] | None:
    """The variable whose name is asked for a split's, the split, and whether it holds for the files that have it."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        found = _asked(test.operand)
        return (found[0], found[1], not found[2]) if found is not None else None
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], (ast.In, ast.NotIn)):
        asked, subject, named = test.left, test.comparators[0], isinstance(test.ops[0], ast.In)
    elif isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and len(test.args) == 1:
        if test.func.attr not in ("startswith", "endswith"):
            return None
        asked, subject, named = test.args[0], test.func.value, True
    else:
        return None
    match = _SPLIT.search(asked.value) if isinstance(asked, ast.Constant) and isinstance(asked.value, str) else None
    while not isinstance(subject, ast.Name):
        if isinstance(subject, ast.Attribute):
            subject = subject.value
        elif isinstance(subject, ast.Call):  # ``os.path.basename(p)``, ``p.name.lower()``
            subject = subject.args[0] if subject.args else subject.func
        else:
            return None
    return (subject.id, match[1], named) if match is not None else None
