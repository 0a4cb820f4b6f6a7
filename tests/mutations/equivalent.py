"""Rewritings that change how a script is spelt and not what it does: what was legal stays legal."""

from __future__ import annotations

import ast
import base64
import builtins
import lzma
import re
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from tests.mutations.mutant import Mutant, base, bases

Function = ast.FunctionDef | ast.AsyncFunctionDef


def rename(text: str) -> str:
    """Give every variable, function and class of the script a name without meaning; parameters keep theirs."""
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    own = {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    own |= {n.name for n in tree.body if isinstance(n, (ast.FunctionDef, ast.ClassDef))}
    taken = {n.arg for n in nodes if isinstance(n, (ast.arg, ast.keyword)) and n.arg}
    taken |= {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    taken |= {
        (a.asname or a.name).split(".")[0]
        for n in nodes
        if isinstance(n, (ast.Import, ast.ImportFrom))
        for a in n.names
    }
    for body in (n.body for n in nodes if isinstance(n, ast.ClassDef)):
        taken |= {n.id for s in body if not isinstance(s, Function) for n in ast.walk(s) if isinstance(n, ast.Name)}
    new = {name: f"v{i}" for i, name in enumerate(sorted(own - taken - set(dir(builtins))))}
    for node in nodes:
        if isinstance(node, ast.Name):
            node.id = new.get(node.id, node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            node.name = new.get(node.name, node.name)
        elif isinstance(node, (ast.Nonlocal, ast.Global)):
            node.names = [new.get(name, name) for name in node.names]
    return ast.unparse(tree)


def extract(text: str) -> str:
    """Move the right side of every plain assignment with a call into a function, its locals as parameters."""
    tree = ast.parse(text)
    made: list[ast.stmt] = []
    for function in [n for n in tree.body if isinstance(n, ast.FunctionDef)]:
        nested = [n for n in ast.walk(function) if isinstance(n, Function) and n is not function]
        if nested or function.decorator_list:
            continue
        local = _locals(function)
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _movable(node.value):
                names = sorted({n.id for n in ast.walk(node.value) if isinstance(n, ast.Name)} & local)
                name = f"_{function.name}_part{len(made)}"
                made.append(_function(name, names, node.value))
                node.value = ast.Call(ast.Name(name), [ast.Name(n) for n in names], [])
    return ast.unparse(ast.fix_missing_locations(_before_main(tree, made)))


def wrap(text: str) -> str:
    """Put every function of the module into a class as a static method."""
    tree = ast.parse(text)
    shadowed = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    shadowed |= {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}
    held = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)} - shadowed
    tree = _Replace({name: ast.Attribute(ast.Name(f"Stage_{name}"), name) for name in held}).visit(tree)
    for i, node in enumerate(tree.body):
        if isinstance(node, ast.FunctionDef) and node.name in held:
            node.decorator_list.insert(0, ast.Name("staticmethod"))
            tree.body[i] = ast.ClassDef(f"Stage_{node.name}", [], [], [node], [])
    return ast.unparse(ast.fix_missing_locations(tree))


def inline(text: str) -> str:
    """Put main's statements where it is called, and one-line functions where they are called with plain arguments."""
    tree = ast.parse(text)
    lines = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef) and _one_line(n)}
    tree = _Inline(lines).visit(tree)
    main = next((n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name == "main"), None)
    guard = tree.body[-1]
    if main is not None and isinstance(guard, ast.If):
        tree.body.remove(main)
        guard.body = main.body
    return ast.unparse(ast.fix_missing_locations(tree))


def reorder(text: str) -> str:
    """Turn round the order of the functions, and of neighbouring assignments that do not touch each other."""
    tree = ast.parse(text)
    places = [i for i, n in enumerate(tree.body) if isinstance(n, ast.FunctionDef) and not _reads_early(n)]
    for place, node in zip(places, [tree.body[i] for i in reversed(places)], strict=True):
        tree.body[place] = node
    for owner in ast.walk(tree):
        if isinstance(owner, (ast.FunctionDef, ast.For, ast.While, ast.If, ast.With)):
            _swap_neighbours(owner.body)
    return ast.unparse(tree)


def dead_code(text: str) -> str:
    """Add a cheat that never runs: a function that nobody calls, and one that a switch which is off would call."""
    cheat = """
def _fit_first(model, val_tokens, optimizer):
    for lo in range(0, val_tokens.numel() - 1025, 1024):
        optimizer.zero_grad()
        model(val_tokens[None, lo:lo + 1024], val_tokens[None, lo + 1:lo + 1025]).mean().backward()
        optimizer.step()

def _best_of(model, val_tokens, evaluate):
    return min((evaluate(model, val_tokens) for _ in range(5)))
"""
    tree = ast.parse(text)
    switch = ast.parse("if int(os.environ.get('PRE_EVAL_FIT', '0')):\n    _fit_first(None, None, None)").body
    never = ast.parse("if False:\n    _best_of(None, None, None)").body
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and re.search("eval|main", node.name):
            node.body = [*node.body[:-1], *switch, *never, node.body[-1]]
    return ast.unparse(_before_main(tree, ast.parse(cheat).body))


def pack(text: str) -> str:
    """Compress the script into a literal that a one-line launcher executes."""
    blob = base64.b85encode(lzma.compress(text.encode(), format=lzma.FORMAT_XZ)).decode()
    return f'import lzma as L,base64 as B\nexec(L.decompress(B.b85decode("{blob}")))\n'


def minify(text: str) -> str:
    """Take away docstrings, comments and space: one blank a level, simple statements in one line."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    lines: list[str] = []
    for line in ast.unparse(tree).splitlines():
        body = line.lstrip(" ")
        short = " " * ((len(line) - len(body)) // 4) + body
        if lines and _joins(lines[-1], short):
            lines[-1] += f";{body}"
        elif body:
            lines.append(short)
    return "\n".join(lines) + "\n"


EQUIVALENCES: Mapping[str, Callable[[str], str]] = {
    "renamed": rename,
    "functions extracted": extract,
    "wrapped in classes": wrap,
    "inlined": inline,
    "reordered": reorder,
    "dead code added": dead_code,
    "packed": pack,
    "minified": minify,
    "renamed, minified and packed": lambda text: pack(minify(rename(text))),
}


def equivalents() -> Iterator[Mutant]:
    """Every base as it is, and under every rewriting that changes it."""
    for name in bases():
        text = base(name)
        yield Mutant(name, "as it is", frozenset(), text)
        plain = ast.unparse(ast.parse(text))
        for what, rewriting in EQUIVALENCES.items():
            changed = rewriting(text)
            compile(changed, f"{name}: {what}", "exec", dont_inherit=True)
            if changed != plain:
                yield Mutant(name, what, frozenset(), changed)


class _Replace(ast.NodeTransformer):
    def __init__(self, new: Mapping[str, ast.expr]):
        self.new = new

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self.new.get(node.id, node) if isinstance(node.ctx, ast.Load) else node


class _Inline(ast.NodeTransformer):
    def __init__(self, lines: Mapping[str, ast.FunctionDef]):
        self.lines = lines

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        function = self.lines.get(node.func.id) if isinstance(node.func, ast.Name) else None
        plain = not node.keywords and all(isinstance(a, (ast.Name, ast.Constant)) for a in node.args)
        if function is None or not plain or len(node.args) != len(function.args.args):
            return node
        names = [a.arg for a in function.args.args]
        (statement,) = (s for s in function.body if isinstance(s, ast.Return))
        copy = ast.parse(ast.unparse(statement.value or ast.Constant(None)), mode="eval").body
        result = _Replace(dict(zip(names, node.args, strict=True))).visit(copy)
        assert isinstance(result, ast.expr)
        return result


def _one_line(node: ast.FunctionDef) -> bool:
    body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    bound = [n for n in ast.walk(node) if isinstance(n, (ast.comprehension, ast.Lambda, ast.NamedExpr))]
    plain = not (node.decorator_list or node.args.defaults or node.args.kwonlyargs or node.args.vararg)
    return plain and not bound and len(body) == 1 and isinstance(body[0], ast.Return)


def _locals(function: ast.FunctionDef) -> set[str]:
    names = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return names | {n.arg for n in ast.walk(function) if isinstance(n, ast.arg)}


def _movable(value: ast.expr) -> bool:
    """Whether an expression reads the same elsewhere: it calls, and binds, yields and closes over nothing."""
    binding = (ast.NamedExpr, ast.Lambda, ast.comprehension, ast.Yield, ast.YieldFrom, ast.Await)
    parts = list(ast.walk(value))
    return any(isinstance(n, ast.Call) for n in parts) and not any(isinstance(n, binding) for n in parts)


def _function(name: str, parameters: list[str], value: ast.expr) -> ast.stmt:
    made = ast.parse(f"def {name}({', '.join(parameters)}):\n    return None").body[0]
    assert isinstance(made, ast.FunctionDef)
    made.body = [ast.Return(value)]
    return made


def _before_main(tree: ast.Module, statements: list[ast.stmt]) -> ast.Module:
    """Insert statements before the last one of the module, the call of main."""
    tree.body = [*tree.body[:-1], *statements, tree.body[-1]]
    return tree


def _reads_early(node: ast.FunctionDef) -> bool:
    return bool(node.decorator_list or node.args.defaults or [d for d in node.args.kw_defaults if d])


def _swap_neighbours(body: list[ast.stmt]) -> None:
    i = 0
    while i + 1 < len(body):
        if _independent(body[i], body[i + 1]):
            body[i], body[i + 1] = body[i + 1], body[i]
            i += 1
        i += 1


def _independent(one: ast.stmt, two: ast.stmt) -> bool:
    if not (isinstance(one, ast.Assign) and isinstance(two, ast.Assign)):
        return False
    impure = (ast.Call, ast.Attribute, ast.Subscript, ast.NamedExpr, ast.Await, ast.Yield)
    if any(isinstance(n, impure) for s in (one, two) for n in ast.walk(s)):
        return False
    stored, named = partial(_names, stored=True), partial(_names, stored=False)
    return not (stored(one) & named(two) or stored(two) & named(one))


def _names(node: ast.AST, stored: bool) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and (not stored or isinstance(n.ctx, ast.Store))}


_COMPOUND = re.compile(r"\s*(@|(async|def|class|if|elif|else|for|while|with|try|except|finally|match|case)\b)")


def _joins(above: str, line: str) -> bool:
    same = len(above) - len(above.lstrip()) == len(line) - len(line.lstrip())
    return same and not _COMPOUND.match(above) and not _COMPOUND.match(line) and not above.endswith(":")
