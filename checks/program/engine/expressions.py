"""Abstract evaluation of expressions (``ast`` nodes) to values."""

from __future__ import annotations

import ast
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from checks.program.engine.counter import Counter
from checks.program.engine.folding import span
from checks.program.engine.labels import Flag, Scored
from checks.program.engine.naming import Naming
from checks.program.engine.operators import Operators
from checks.program.engine.selections import data_of
from checks.program.engine.values import (
    MARKS,
    NONE,
    NOTHING,
    UNKNOWN,
    Function,
    Mapping,
    Range,
    Scope,
    Sequence,
    Value,
    hashable,
    join,
    merge_labels,
    merge_symbols,
)

_NEAR = 8  # tokens from a loop's counter; farther ones are compared by their iteration alone


class Expressions(Naming):
    """Evaluates expressions in a scope."""

    def eval(self, node: ast.expr | None, scope: Scope) -> Value:
        """Return the abstract value of an expression."""
        if node is None:
            return NONE
        self.line = node.lineno
        self.steps += 1
        if self.steps > self.step_limit or not self.steps & 1023:
            self.spent()
        handler = _HANDLERS.get(type(node))
        return NOTHING if handler is None else handler(self, node, scope)

    # -- leaves ------------------------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, _: Scope) -> Value:
        if isinstance(node.value, str):
            return self.string(node.value)
        return Value(node.value) if node.value is not Ellipsis else NOTHING

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        name = node.id
        value = scope.vars.get(name)
        if value is not None:
            return value
        value = scope.parent.lookup(name) if scope.parent is not None else None
        if self.recordings:
            self.free_name(scope, name, value)
        return self.builtin(name) if value is None else value

    def _joined(self, node: ast.JoinedStr, scope: Scope) -> Value:
        template, parts, known = [], [], True
        for piece in node.values:
            if isinstance(piece, ast.Constant):
                template.append(str(piece.value))
                continue
            inner = self.eval(piece.value, scope) if isinstance(piece, ast.FormattedValue) else NOTHING
            parts.append(inner)
            if inner.known and isinstance(inner.const, (str, int)) and not getattr(piece, "format_spec", None):
                template.append(str(inner.const))
            else:
                template.append(inner.text if inner.text not in MARKS else "{}")
                known = False
        text = "".join(template)
        self.line = node.lineno
        return self._text(text, known, parts)

    # -- operators ---------------------------------------------------------------------------------------------------

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        test = self.eval(node.test, scope)
        truth = self.truth(test)
        if truth is not None:
            return self.eval(node.body if truth else node.orelse, scope)
        self.maybe += 1
        with self.told(node.test, True, scope):
            a = self.eval(node.body, scope)
        with self.told(node.test, False, scope):
            b = self.eval(node.orelse, scope)
        self.maybe -= 1
        self.stored_match([test, a, b])
        if any(isinstance(x, Flag) and x.name == "compared-scores" for x in test.labels):
            chosen = self.choose([a, b], "select")
            if chosen is not None:
                return chosen
        return join(a, b)

    # -- displays ----------------------------------------------------------------------------------------------------

    def _sequence(self, node: ast.List | ast.Tuple | ast.Set, scope: Scope) -> Value:
        items: list[Value] = []
        exact = True
        for element in node.elts:
            if isinstance(element, ast.Starred):
                inner, inner_exact = self.items(self.eval(element.value, scope))
                items.extend(inner)
                exact = exact and inner_exact
            else:
                items.append(self.eval(element, scope))
        const: Any = UNKNOWN
        if isinstance(node, ast.Tuple) and exact and all(i.known for i in items):
            const = tuple(i.const for i in items)
        return Value(const, refs=(Sequence(items, exact, isinstance(node, ast.List), node.lineno),))

    def _dict(self, node: ast.Dict, scope: Scope) -> Value:
        mapping = Mapping(line=node.lineno)
        for key_node, value_node in zip(node.keys, node.values, strict=True):
            value = self.eval(value_node, scope)
            if key_node is None:
                for ref in value.refs:
                    if isinstance(ref, Mapping):
                        mapping.items.update(ref.items)
                        mapping.rest = ref.rest if mapping.rest is None else join(mapping.rest, ref.rest or NOTHING)
                continue
            key = self.eval(key_node, scope)
            if key.known and hashable(key.const):
                mapping.items[key.const] = value
                if isinstance(key.const, str) and "bpb" in key.const:
                    self.line = key_node.lineno
                    labels = self.full_labels(value)
                    if any(isinstance(x, Scored) for x in labels):
                        self.report(key.const, Value(labels=labels))
            else:
                mapping.rest = value if mapping.rest is None else join(mapping.rest, value)
                keyed = self.key_of(key)
                if keyed:
                    self.line = key_node.lineno
                    self.update_table(mapping, keyed, value)
        return Value(refs=(mapping,))

    def _comprehension(self, node: Any, scope: Scope) -> Value:
        inner = Scope({}, scope, module=scope.module)
        collected: list[Value] = []
        mapping = Mapping(line=node.lineno) if isinstance(node, ast.DictComp) else None

        def produce() -> None:
            if mapping is None:
                collected.append(self.eval(node.elt, inner))
                return
            key, value = self.eval(node.key, inner), self.eval(node.value, inner)
            if key.known and hashable(key.const):
                mapping.items[key.const] = value
            else:
                mapping.rest = value if mapping.rest is None else join(mapping.rest, value)

        exact = self._generate(node.generators, 0, inner, produce)
        if mapping is not None:
            mapping.keys_known = exact
            return Value(refs=(mapping,))
        return Value(refs=(Sequence(collected[:24], exact, line=node.lineno),))

    def _generate(
        self, generators: list[ast.comprehension], depth: int, scope: Scope, produce: Callable[[], None]
    ) -> bool:
        if depth == len(generators):
            produce()
            return True
        generator = generators[depth]
        iterable = self.eval(generator.iter, scope)
        exact = not any(isinstance(r, Range) and not r.stop.known for r in iterable.refs)
        for element, symbol, certain in self.iterations(iterable, generator):
            exact = exact and certain
            if symbol is not None:
                self.loops.append(symbol)
            self.assign(generator.target, element, scope)
            truths = [self.truth(self.eval(test, scope)) for test in generator.ifs]
            if False not in truths:
                exact = exact and None not in truths
                with ExitStack() as told:
                    for test in generator.ifs:
                        told.enter_context(self.told(test, True, scope))
                    exact = self._generate(generators, depth + 1, scope, produce) and exact
            if symbol is not None:
                self.loops.pop()
        return exact

    # -- access ------------------------------------------------------------------------------------------------------

    def _attribute(self, node: ast.Attribute, scope: Scope) -> Value:
        owner = self.eval(node.value, scope)
        self.line = node.lineno
        return self.attribute(owner, node.attr)

    def _subscript(self, node: ast.Subscript, scope: Scope) -> Value:
        owner = self.eval(node.value, scope)
        index = self.index(node.slice, scope)
        self.line = node.lineno
        if index.counter is not None and isinstance(node.value, ast.Name) and data_of(owner.labels):
            index = self._placed(index, node.value.id, index.counter)
        return self.form_item(owner, index, node.slice, self.subscript(owner, index, node.slice))

    def index(self, node: ast.expr, scope: Scope) -> Value:
        """Evaluate an index: slices and tuples become the union of their parts, constants stay constants."""
        if isinstance(node, ast.Slice):
            parts = [self.eval(p, scope) for p in (node.lower, node.upper, node.step) if p is not None]
            role = _slice_role(node, parts)
            given = iter(parts)
            cut = self.slice_cut(
                node, *(next(given) if p is not None else None for p in (node.lower, node.upper, node.step))
            )
            counted = any(isinstance(x, Flag) and x.name == "header" for p in parts for x in p.labels)
            split = None if counted else self._split(node)  # the tokens of a shard, as its header counts them
            ends = parts[:-1] if node.step is not None else parts  # how far apart places nothing
            symbols = span(parts[0], self.of_now(merge_symbols(ends))) if node.lower else merge_symbols(ends)
            labels = merge_labels(parts) | cut
            if len(parts) == 1 and node.upper is not None and isinstance(parts[0].const, int) and parts[0].const > 1:
                labels = labels | {Flag("head", node.lineno, parts[0].const)}
            if split is not None:
                symbols, labels = symbols | {split}, labels | self.split_cut(parts)
            later = node.lower is not None and parts[0].const != 0
            return Value(labels=labels, symbols=symbols, text=f"slice{role}", later=later)
        if isinstance(node, ast.Tuple):
            parts = [self.index(e, scope) for e in node.elts]
            const = tuple(p.const for p in parts) if parts and all(p.known for p in parts) else UNKNOWN
            text = next((p.text for p in reversed(parts) if p.text.startswith("slice")), "")
            if any(p.text.startswith("slice") for p in parts):
                const = UNKNOWN
            labels = frozenset(
                x for x in merge_labels(parts) if not (isinstance(x, Flag) and x.name in ("head", "cut", "few-head"))
            )
            for part in parts:
                for mark in (x for x in part.labels if isinstance(x, Flag) and x.name == "cut"):
                    labels = labels | {mark if part is parts[0] else Flag("cut-columns", mark.line, mark.detail)}
            return Value(const, labels=labels, symbols=merge_symbols(parts), text=text or "tuple")
        value = self.eval(node, scope)
        if value.refs:
            return Value(value.const, value.refs, merge_labels([value]), value.symbols, value.text)
        return value

    def _placed(self, index: Value, name: str, at: Counter) -> Value:
        """``tokens[i]`` and ``tokens[i + 1]`` of one name are different tokens, for all that one iteration selects both."""
        if at.step != 1 or abs(at.offset) > _NEAR:
            return index
        place = self.place_id(name, at.loop)
        symbols = index.symbols | {(place, k + at.offset) for loop, k in index.symbols if loop == at.loop}
        return Value(index.const, index.refs, index.labels, symbols, index.text, at, index.later)

    def _split(self, node: ast.Slice) -> tuple[int, int] | None:
        """``[:s]`` and ``[s:]`` of one name hold different positions."""
        if node.step is None and node.lower is None and isinstance(node.upper, ast.Name):
            return (self.split_id(node.upper.id), 0)
        if node.step is None and node.upper is None and isinstance(node.lower, ast.Name):
            return (self.split_id(node.lower.id), 1)
        return None

    def _starred(self, node: ast.Starred, scope: Scope) -> Value:
        return self.eval(node.value, scope)

    def _walrus(self, node: ast.NamedExpr, scope: Scope) -> Value:
        value = self.eval(node.value, scope)
        self.assign(node.target, value, scope)
        return value

    def _lambda(self, node: ast.Lambda, scope: Scope) -> Value:
        return Value(refs=(Function(node, scope, "<lambda>", None, self.file),))

    def _call(self, node: ast.Call, scope: Scope) -> Value:
        method = node.func
        owner = method.value if isinstance(method, ast.Attribute) else None
        if isinstance(owner, ast.IfExp) and self.truth(self.eval(owner.test, scope)) is None:
            assert isinstance(method, ast.Attribute)
            return self._call_of_either(node, owner, method.attr, scope)
        return self._call_with(node, self.eval(node.func, scope), scope)

    def _call_of_either(self, node: ast.Call, owner: ast.IfExp, name: str, scope: Scope) -> Value:
        """``(a if test else b).method(c)``: one of two calls."""
        results = []
        self.maybe += 1
        for branch, holds in ((owner.body, True), (owner.orelse, False)):
            with self.told(owner.test, holds, scope):
                results.append(self._call_with(node, self.attribute(self.eval(branch, scope), name), scope))
        self.maybe -= 1
        return join(*results)

    def _call_with(self, node: ast.Call, callee: Value, scope: Scope) -> Value:
        args: list[Value] = []
        for argument in node.args:
            if isinstance(argument, ast.Starred):
                args.extend(self.items(self.eval(argument.value, scope))[0])
            else:
                args.append(self.eval(argument, scope))
        keywords: dict[str, Value] = {}
        for keyword in node.keywords:
            value = self.eval(keyword.value, scope)
            if keyword.arg is not None:
                keywords[keyword.arg] = value
                continue
            for ref in value.refs:
                if isinstance(ref, Mapping):
                    keywords.update({k: v for k, v in ref.items.items() if isinstance(k, str)})
        self.line = node.lineno
        return self.form_call(node, args, self.call(callee, args, keywords, scope))

    def _yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope) -> Value:
        value = self.eval(node.value, scope)
        if isinstance(node, ast.YieldFrom):
            self.yielded[-1].extend(self.items(value)[0])
        else:
            self.yielded[-1].append(value)
        return NOTHING

    def _await(self, node: ast.Await, scope: Scope) -> Value:
        return self.eval(node.value, scope)


def _slice_role(node: ast.Slice, parts: list[Value]) -> str:
    lower, upper = node.lower, node.upper
    if isinstance(upper, ast.UnaryOp) and isinstance(upper.op, ast.USub) and lower is None:
        return ":x"
    if (
        isinstance(lower, ast.Constant)
        and isinstance(lower.value, int)
        and lower.value >= 1
        and (upper is None or (isinstance(upper, ast.BinOp) and isinstance(upper.op, ast.Add)))
    ):
        return ":y"
    if isinstance(lower, ast.BinOp) and isinstance(lower.op, ast.Add) and isinstance(lower.right, ast.Constant):
        return ":y" if lower.right.value == 1 else ":"
    if isinstance(lower, ast.BinOp) and isinstance(lower.op, ast.Sub):
        return ":x"
    return ":"


_HANDLERS: dict[type[ast.expr], Callable[[Any, Any, Scope], Value]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.JoinedStr: Expressions._joined,
    ast.BinOp: Operators._binop,
    ast.UnaryOp: Operators._unary,
    ast.BoolOp: Operators._boolop,
    ast.Compare: Operators._compare,
    ast.IfExp: Expressions._ifexp,
    ast.List: Expressions._sequence,
    ast.Tuple: Expressions._sequence,
    ast.Set: Expressions._sequence,
    ast.Dict: Expressions._dict,
    ast.ListComp: Expressions._comprehension,
    ast.SetComp: Expressions._comprehension,
    ast.GeneratorExp: Expressions._comprehension,
    ast.DictComp: Expressions._comprehension,
    ast.Attribute: Expressions._attribute,
    ast.Subscript: Expressions._subscript,
    ast.Starred: Expressions._starred,
    ast.NamedExpr: Expressions._walrus,
    ast.Lambda: Expressions._lambda,
    ast.Call: Expressions._call,
    ast.Yield: Expressions._yield,
    ast.YieldFrom: Expressions._yield,
    ast.Await: Expressions._await,
}
