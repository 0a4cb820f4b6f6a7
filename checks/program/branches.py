"""Which settings make a statement run that a log proves to have run, and which branches the logs prove not to have run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from checks.program import nodes
from checks.program.order import words_of
from checks.program.program import EnvConstant
from checks.submission.log_mechanisms import mechanisms_at_work
from checks.submission.model import Run, Setting

_MOST = 6
_MOST_TRIED = 3
_SWITCHED = ("0", "1", "true", "false")
_WITHOUT_TRAINING = re.compile(r"ONLY|SKIP|LOAD|RESUME|ITERATIONS|STEPS")  # a hint at which to try first


def settings_that_reach(
    tree: ast.Module, label: str, environment: Sequence[EnvConstant], settings: Mapping[str, str]
) -> dict[str, str]:
    """Settings under which the statement that prints ``label`` is reached, by the conditions around it."""
    wanted = words_of(label)
    if not wanted:
        return {}
    names = {c.name for c in environment} | set(settings)
    parents: dict[ast.AST, ast.AST] = {}
    found: ast.AST | None = None
    for node in nodes.nodes(tree):
        for child in nodes.children(node):
            parents[child] = node
        if isinstance(node, (ast.JoinedStr, ast.Constant)) and words_of(_template(node)).startswith(wanted):
            found = node
    result: dict[str, str] = {}
    while found is not None:
        parent = parents.get(found)
        if isinstance(parent, ast.If) and len(result) < _MOST:
            require(parent.test, found not in parent.orelse, names, result)
        if isinstance(parent, (ast.FunctionDef, ast.AsyncFunctionDef)):
            call = _only_call(tree, parent.name)
            if call is not None and call not in _ancestors(call, parents, parent):
                found = call
                continue
        found = parent
    return result


def switched_off(
    tree: ast.Module, label: str, configuration: Mapping[str, Setting], runs: Sequence[Run]
) -> dict[str, str]:
    """Switches, on by nothing but their default, whose branch always prints what no log shows (#763).

    The logs must be of complete training runs, and print the final label by the function that the branch prints with.
    """
    complete = [run for run in runs if run.complete]
    wanted = words_of(label)
    if not wanted or not complete or not all(run.curve for run in complete):
        return {}
    shown = {mechanism for run in runs for mechanism in run.details.get("ran", {})}
    names = {name for name, setting in configuration.items() if setting.from_.startswith("default")}
    calls = _printed(nodes.of(tree, (ast.Call,)))
    printers = {ast.unparse(call.func) for call, text in calls if words_of(text).startswith(wanted)}
    result: dict[str, str] = {}
    for node in nodes.of(tree, (ast.If,)):
        needed: dict[str, str] = {}
        require(node.test, True, names, needed)
        if len(needed) != 1 or "1" not in needed.values():
            continue
        said = _printed(s.value for s in node.body if isinstance(s, ast.Expr))
        works = {m for call, text in said if ast.unparse(call.func) in printers for m in _at_work(text)}
        if works and not works & shown:
            result |= dict.fromkeys(needed, "0")
    return result


def settings_that_train(configuration: Mapping[str, Setting], runs: Sequence[Run]) -> Iterator[dict[str, str]]:
    """Settings of logs that only evaluate, one at a time, as the logs of the training have them: likely ones first."""
    trained = [run for run in runs if run.steps]
    found: list[tuple[bool, str, str]] = []
    for name, setting in configuration.items() if trained else ():
        if setting.default is None or setting.from_.startswith("default") or _printed_by(trained, setting.from_):
            continue
        value = next((v for v, place in setting.conflicts if _printed_by(trained, place)), setting.default)
        if value != setting.value and (setting.value.lower() in _SWITCHED or not value):
            found.append((not _WITHOUT_TRAINING.search(name), name, value))
    for _, name, value in sorted(found)[:_MOST_TRIED]:
        yield {name: value}


def _printed_by(runs: Sequence[Run], place: str) -> bool:
    """Whether a place (``log:line``) is in one of the runs; a log may hold several."""
    log, _, line = place.rpartition(":")
    return line.isdigit() and any(r.log == log and r.first_line <= int(line) <= r.last_line for r in runs)


def _printed(candidates: Iterable[ast.AST]) -> Iterator[tuple[ast.Call, str]]:
    """Calls with a text as first argument, and the text's template."""
    for node in candidates:
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], (ast.JoinedStr, ast.Constant)):
            yield node, _template(node.args[0])


def _at_work(template: str) -> list[str]:
    line = template.replace("{", "1")
    return mechanisms_at_work(line, line.lower())


def _ancestors(node: ast.AST, parents: Mapping[ast.AST, ast.AST], stop: ast.AST) -> list[ast.AST]:
    """``[node]`` when the node lies inside ``stop`` (following it would go round in circles)."""
    current: ast.AST | None = node
    while current is not None:
        if current is stop:
            return [node]
        current = parents.get(current)
    return []


def _only_call(tree: ast.Module, name: str) -> ast.Call | None:
    calls = [n for n in nodes.of(tree, (ast.Call,)) if isinstance(n.func, ast.Name) and n.func.id == name]
    return calls[0] if len(calls) == 1 else None


def _template(node: ast.JoinedStr | ast.Constant) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(p.value if isinstance(p, ast.Constant) and isinstance(p.value, str) else "{" for p in node.values)


def require(test: ast.expr, holds: bool, names: set[str], result: dict[str, str]) -> None:
    """Add the settings under which a condition holds, or does not, as far as it is one on settings."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And) and holds:
        for part in test.values:
            require(part, True, names, result)
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for part in test.values:
            way_out: dict[str, str] = {}
            require(part, False, names, way_out)
            if way_out:
                result.update(way_out)
                break
    elif isinstance(test, ast.BoolOp) and isinstance(test.op, ast.Or) and holds:
        ways: list[dict[str, str]] = [{} for _ in test.values]
        for part, way in zip(test.values, ways, strict=True):
            require(part, True, names, way)
        known = [way for way in ways if way]
        result.update(known[-1] if known else {})  # what comes last is what was added to let it run
    elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        require(test.operand, not holds, names, result)
    elif isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.comparators[0], ast.Constant):
        name = _setting(test.left, names)
        value = test.comparators[0].value
        equal = (isinstance(test.ops[0], ast.Eq) and holds) or (isinstance(test.ops[0], ast.NotEq) and not holds)
        more = isinstance(test.ops[0], (ast.Gt, ast.GtE)) and holds
        if name and isinstance(test.ops[0], ast.Gt) and not holds:
            result[name] = str(value)
        elif name and (equal or more):
            result[name] = str(
                value + 1 if more and isinstance(value, int) and not isinstance(test.ops[0], ast.GtE) else value
            )
    else:
        name = _setting(test, names)
        if name:
            result[name] = "1" if holds else "0"


def _setting(node: ast.expr, names: set[str]) -> str:
    if isinstance(node, ast.Call):  # ``int(os.environ.get("NAME", "1"))``
        texts = [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]
        return texts[0] if texts and texts[0] in names else ""
    text = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return text.upper() if text.upper() in names else ""
