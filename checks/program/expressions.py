"""Abstract evaluation of expressions (``ast`` nodes) to values."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from checks.program.calls import Calls
from checks.program.values import (
    NO_LABELS,
    NO_SYMBOLS,
    NONE,
    NOTHING,
    UNKNOWN,
    Data,
    Flag,
    Function,
    Looked,
    Mapping,
    Scope,
    Scored,
    Sequence,
    Uses,
    Value,
    join,
    merge_labels,
    merge_symbols,
)

_SPLITS = ("train", "val")
_DATA_FILE = re.compile(
    r"fineweb_(train|val)|(?:^|[/_*])(train|val)(?:idation)?(?:_[\w{}*.]*|[\d{}*]*)\.(?:bin|npy|npz|parquet|u16|tokens)|"
    r"(?:^|/)(train|val)_?[\w{}]*\*|(docs_selected)"
)

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.BitAnd: operator.and_, ast.BitOr: operator.or_,
    ast.BitXor: operator.xor, ast.LShift: operator.lshift, ast.RShift: operator.rshift, ast.Pow: operator.pow,
}  # fmt: skip
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
}  # fmt: skip
_FOLD_LIMIT = 1 << 62
_MARKS = frozenset(("", "+1", "-k", "size", "tuple", "slice:", "slice:x", "slice:y"))


class Expressions(Calls):
    """Evaluates expressions in a scope."""

    def eval(self, node: ast.expr | None, scope: Scope) -> Value:
        """Return the abstract value of an expression."""
        if node is None:
            return NONE
        self.tick(node.lineno)
        handler = _HANDLERS.get(type(node))
        return NOTHING if handler is None else handler(self, node, scope)

    # -- leaves ------------------------------------------------------------------------------------------------------

    def _constant(self, node: ast.Constant, _: Scope) -> Value:
        if isinstance(node.value, str):
            return self.string(node.value)
        return Value(node.value) if node.value is not Ellipsis else NOTHING

    def string(self, text: str) -> Value:
        """A string constant; one that names a split's files carries that split's tokens."""
        if len(text) < 400 and ("train" in text or "val" in text or "docs_" in text):
            match = _DATA_FILE.search(text)
            if match is not None:
                split = next(g for g in match.groups() if g)
                split = "val" if split == "docs_selected" else split
                return Value(text, labels=frozenset({Data(split, NO_SYMBOLS, "path")}), text=text)
        return Value(text, text=text)

    def _name(self, node: ast.Name, scope: Scope) -> Value:
        value = scope.lookup(node.id)
        return self.builtin(node.id) if value is None else value

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
                template.append(inner.text if inner.text not in _MARKS else "{}")
                known = False
        text = "".join(template)
        self.line = node.lineno
        return self._text(text, known, parts)

    def _text(self, text: str, known: bool, parts: list[Value]) -> Value:
        labels = merge_labels(parts)
        if "bpb" in text.lower() and any(isinstance(x, Scored) for x in labels):
            self.report(text, Value(labels=labels))
        base = self.string(text)
        return Value(text if known else UNKNOWN, labels=base.labels | labels, symbols=merge_symbols(parts), text=text)

    # -- operators ---------------------------------------------------------------------------------------------------

    def _binop(self, node: ast.BinOp, scope: Scope) -> Value:
        left, right = self.eval(node.left, scope), self.eval(node.right, scope)
        self.line = node.lineno
        return self.binary(type(node.op), left, right)

    def binary(self, op: type[ast.operator], left: Value, right: Value) -> Value:
        """Combine two values with an arithmetic operator."""
        if left.known and right.known:
            folded = _fold(op, left.const, right.const)
            if folded is not UNKNOWN:
                if isinstance(folded, str):
                    return self._text(folded, True, [left, right])
                return Value(folded, symbols=left.symbols | right.symbols, text=_shift(op, left, right))
        if op is ast.Mod and left.text and isinstance(left.const, str):
            return self._text(left.text, False, [right])
        if op is ast.Add and left.refs and right.refs and isinstance(left.refs[0], Sequence):
            joined = [r for v in (left, right) for r in v.refs if isinstance(r, Sequence)]
            items = [i for s in joined for i in s.items][:24]
            return Value(refs=(Sequence(items, all(s.exact for s in joined)),))
        if op is ast.Mult and left.refs and isinstance(left.refs[0], Sequence) and not left.labels:
            return Value(refs=(Sequence(list(left.refs[0].items), exact=False),))
        if op is ast.Add and (left.text or right.text) and (isinstance(left.const, str) or isinstance(right.const, str)):
            return self._text((left.text or "{}") + (right.text or "{}"), False, [left, right])
        shifted = _shift_loop(op, left, right)
        if shifted is not None:
            return shifted
        return self.combine([left, right], op, _shift(op, left, right))

    def combine(self, values: list[Value], op: type[ast.operator] | None = None, text: str = "") -> Value:
        """Join the labels of operands; record blends of scores with tables and scaled scores."""
        self.stored_match(values)
        blended = self.blend(values)
        if blended is not None:
            return blended
        labels = merge_labels(values)
        if op in (ast.Add, ast.Sub):
            self._gated_sum(values)
        if op in (ast.Div, ast.FloorDiv, ast.Pow) and len(values) == 2:
            labels = labels | self._quotient(values[0], values[1])
        if op in (ast.Add, ast.Sub) and any(isinstance(v.const, float) and 1e-6 < abs(v.const) < 0.5 for v in values):
            if any(self.is_score(v) for v in values):
                labels = labels | {Flag("offset", self.line, self.file)}
        if op is ast.Mult or op is ast.Div:
            scaled = self._scaled(op, values, labels)
            if scaled is not None:
                labels = labels | {scaled}
            names = [{x.name for x in v.labels if isinstance(x, Flag)} for v in values]
            if op is ast.Mult and len(names) == 2 and any("prob" in a and "logprob" in b for a, b in (names, names[::-1])):
                dropped = {x for x in labels if isinstance(x, Flag) and x.name in ("prob", "logprob")}
                labels = (labels - dropped) | {Flag("entropy", self.line, self.file)}
        labels = self.keyed(values, op, labels)
        return Value(labels=labels, symbols=merge_symbols(values), text=text if not labels else text)

    def _gated_sum(self, values: list[Value]) -> None:
        """Note scores that something chosen by the target's class is added to."""
        scores = [x.event for v in values for x in v.labels if isinstance(x, Scored)]
        plain = frozenset().union(*(self.target_class(v.labels) for v in values if not self.is_score(v)))
        if scores and plain:
            self.note_blend("target-class", scores, plain)

    def _quotient(self, left: Value, right: Value) -> frozenset[Flag]:
        """What a division makes: a normalised row of a table, or a score spread over the bytes of its token."""
        if self.is_score(left) and any(isinstance(x, Flag) and x.name == "target-bytes" for x in right.labels):
            return frozenset({Flag("bytes-spread", self.line, self.file)})
        mine = {x for x in left.labels if isinstance(x, Looked)}
        below = frozenset(x.event for x in right.labels if isinstance(x, Looked))
        if below and {x.event for x in mine} - below:
            return frozenset({Flag("ratio", 0, (frozenset(x.event for x in mine), below))})
        if mine and mine == {x for x in right.labels if isinstance(x, Looked)}:
            return frozenset({Flag("row", 0)})
        return frozenset()

    def _scaled(self, op: type[ast.operator], values: list[Value], labels: frozenset[Any]) -> Flag | None:
        scores = [v for v in values if any(isinstance(x, Scored) for x in v.labels)]
        consts = [v for v in values if v.known and isinstance(v.const, (int, float)) and not isinstance(v.const, bool)]
        if len(scores) == 1 and len(consts) == 1:
            return Flag("scaled", self.line, (self.file, "*" if op is ast.Mult else "/", float(consts[0].const), self.function))
        return None

    def _unary(self, node: ast.UnaryOp, scope: Scope) -> Value:
        value = self.eval(node.operand, scope)
        if isinstance(node.op, ast.Not):
            truth = self.truth(value)
            return Value(UNKNOWN if truth is None else not truth, labels=_mask(value.labels), symbols=value.symbols)
        if value.known and isinstance(value.const, (int, float)):
            if isinstance(node.op, ast.USub):
                return Value(-value.const, symbols=value.symbols)
            if isinstance(node.op, ast.UAdd):
                return value
        labels = merge_labels([value])
        if isinstance(node.op, ast.Invert) and any(isinstance(x, Flag) and x.name == "upper" for x in labels):
            labels = labels | {Flag("not-upper", node.lineno, self.file)}
        return Value(labels=labels, symbols=value.symbols)

    def _boolop(self, node: ast.BoolOp, scope: Scope) -> Value:
        values = []
        decisive = isinstance(node.op, ast.Or)
        for item in node.values:
            value = self.eval(item, scope)
            truth = self.truth(value)
            if truth is decisive:
                if values and isinstance(value.const, bool):
                    return value
                return value if not values else _either([*values, value], decisive)
            if truth is None or item is node.values[-1]:
                values.append(value)
        if not values:
            return Value(not decisive)
        return values[0] if len(values) == 1 else _either(values, None)

    def _compare(self, node: ast.Compare, scope: Scope) -> Value:
        left = self.eval(node.left, scope)
        operands = [left]
        result: Any = True
        for op, comparator in zip(node.ops, node.comparators, strict=True):
            right = self.eval(comparator, scope)
            operands.append(right)
            if result is not UNKNOWN:
                outcome = self._compare_one(op, left, right)
                result = outcome if outcome is UNKNOWN or not outcome else result
            left = right
        labels = _mask(merge_labels(operands))
        if self._stored_match(node, operands):
            labels = labels | {Flag("stored-match", node.lineno, self.file)}
        if sum(any(isinstance(x, Scored) for x in o.labels) for o in operands) > 1:
            labels = labels | {Flag("compared-scores", node.lineno, self.file)}
        return Value(result, labels=labels, symbols=merge_symbols(operands))

    def _stored_match(self, node: ast.Compare, operands: list[Value]) -> bool:
        """``stored == target``: data of a file that is no token file against validation targets."""
        if len(operands) != 2 or not isinstance(node.ops[0], (ast.Eq, ast.NotEq)):
            return False
        target = [any(isinstance(x, Data) and x.source == "val" and x.role != "path" for x in o.labels) for o in operands]
        filed = [
            any(isinstance(x, Flag) and x.name == "artifact" for x in o.labels)
            and not any(isinstance(x, (Data, Looked, Scored, Uses)) for x in o.labels)
            for o in operands
        ]
        return (target[0] and filed[1]) or (target[1] and filed[0])

    def _compare_one(self, op: ast.cmpop, left: Value, right: Value) -> Any:
        if left.known and right.known:
            if isinstance(op, (ast.In, ast.NotIn)):
                try:
                    return (left.const in right.const) is isinstance(op, ast.In)
                except TypeError:
                    return UNKNOWN
            try:
                return bool(_COMPARE[type(op)](left.const, right.const))
            except (KeyError, TypeError):
                return UNKNOWN
        if isinstance(op, (ast.In, ast.NotIn)) and left.known:
            for ref in right.refs:
                if isinstance(ref, Sequence) and ref.exact and all(i.known for i in ref.items):
                    return any(i.const == left.const for i in ref.items) is isinstance(op, ast.In)
                if isinstance(ref, Mapping) and ref.keys_known and not self.maybe:
                    if left.const not in ref.items and (right.labels or len(right.refs) > 1):
                        return UNKNOWN  # it may be something else as well, e.g. what a file holds
                    return (left.const in ref.items) is isinstance(op, ast.In)
            return UNKNOWN
        if isinstance(op, (ast.Is, ast.IsNot, ast.Eq, ast.NotEq)):
            for a, b in ((left, right), (right, left)):
                if a.known and a.const is None and not b.known and (b.refs or b.labels or b.text):
                    return isinstance(op, (ast.IsNot, ast.NotEq))
        if left.later and right.known and isinstance(right.const, (int, float)) and right.const <= 0:
            return {ast.Eq: False, ast.NotEq: True, ast.Gt: True, ast.LtE: False, ast.Lt: False}.get(type(op), UNKNOWN)
        return UNKNOWN

    def _ifexp(self, node: ast.IfExp, scope: Scope) -> Value:
        test = self.eval(node.test, scope)
        truth = self.truth(test)
        if truth is not None:
            return self.eval(node.body if truth else node.orelse, scope)
        self.maybe += 1
        a, b = self.eval(node.body, scope), self.eval(node.orelse, scope)
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
            if key.known and _hashable(key.const):
                mapping.items[key.const] = value
                if isinstance(key.const, str) and "bpb" in key.const:
                    self.line = key_node.lineno
                    labels = self.full_labels(value)
                    if any(isinstance(x, Scored) for x in labels):
                        self.report(key.const, Value(labels=labels))
            else:
                mapping.rest = value if mapping.rest is None else join(mapping.rest, value)
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
            if key.known and _hashable(key.const):
                mapping.items[key.const] = value
            else:
                mapping.rest = value if mapping.rest is None else join(mapping.rest, value)

        exact = self._generate(node.generators, 0, inner, produce)
        if mapping is not None:
            mapping.keys_known = exact
            return Value(refs=(mapping,))
        return Value(refs=(Sequence(collected[:24], exact, line=node.lineno),))

    def _generate(self, generators: list[ast.comprehension], depth: int, scope: Scope, produce: Callable[[], None]) -> bool:
        if depth == len(generators):
            produce()
            return True
        generator = generators[depth]
        exact = True
        for element, symbol, certain in self.iterations(self.eval(generator.iter, scope), generator):
            exact = exact and certain
            if symbol is not None:
                self.loops.append(symbol)
            self.assign(generator.target, element, scope)
            truths = [self.truth(self.eval(test, scope)) for test in generator.ifs]
            if False not in truths:
                exact = exact and None not in truths
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
        return self.subscript(owner, index, node.slice)

    def index(self, node: ast.expr, scope: Scope) -> Value:
        """Evaluate an index: slices and tuples become the union of their parts, constants stay constants."""
        if isinstance(node, ast.Slice):
            parts = [self.eval(p, scope) for p in (node.lower, node.upper, node.step) if p is not None]
            role = _slice_role(node, parts)
            ahead = self._ahead(node.lower, scope)
            split = self._split(node)
            if split is not None:
                return Value(labels=merge_labels(parts), symbols=merge_symbols(parts) | {split}, text=f"slice{role}")
            if ahead is not None:
                return Value(labels=merge_labels(parts), symbols=ahead, text=f"slice{role}")
            labels = merge_labels(parts)
            if len(parts) == 1 and node.upper is not None and isinstance(parts[0].const, int) and parts[0].const > 1:
                labels = labels | {Flag("head", node.lineno, parts[0].const)}
            return Value(labels=labels, symbols=merge_symbols(parts), text=f"slice{role}")
        if isinstance(node, ast.Tuple):
            parts = [self.index(e, scope) for e in node.elts]
            const = tuple(p.const for p in parts) if parts and all(p.known for p in parts) else UNKNOWN
            text = next((p.text for p in reversed(parts) if p.text.startswith("slice")), "")
            if any(p.text.startswith("slice") for p in parts):
                const = UNKNOWN
            labels = frozenset(x for x in merge_labels(parts) if not (isinstance(x, Flag) and x.name == "head"))
            return Value(const, labels=labels, symbols=merge_symbols(parts), text=text or "tuple")
        value = self.eval(node, scope)
        if value.refs:
            return Value(value.const, value.refs, merge_labels([value]), value.symbols, value.text)
        return value

    def _split(self, node: ast.Slice) -> tuple[int, int] | None:
        """``[:s]`` and ``[s:]`` of one name hold different positions."""
        if node.step is None and node.lower is None and isinstance(node.upper, ast.Name):
            return (self.split_id(node.upper.id), 0)
        if node.step is None and node.upper is None and isinstance(node.lower, ast.Name):
            return (self.split_id(node.lower.id), 1)
        return None

    def _ahead(self, node: ast.expr | None, scope: Scope) -> frozenset[tuple[int, int]] | None:
        """Symbols of a slice that begins at ``(i + k) * n`` of a loop counter ``i``: iterations ahead."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant):
            if isinstance(node.left, ast.BinOp) and isinstance(node.left.op, ast.Mult):
                node = node.left
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            node = node.left if isinstance(node.left, ast.BinOp) else node.right
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add) and isinstance(node.right, ast.Constant):
                counter = scope.lookup(node.left.id) if isinstance(node.left, ast.Name) else None
                if counter is not None and counter.loop and isinstance(node.right.value, int):
                    delta = node.right.value
                    return frozenset((l, k + delta) if l == counter.loop else (l, k) for l, k in counter.symbols)
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
        callee = self.eval(node.func, scope)
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
        return self.call(callee, args, keywords, scope)

    def _yield(self, node: ast.Yield | ast.YieldFrom, scope: Scope) -> Value:
        value = self.eval(node.value, scope)
        if isinstance(node, ast.YieldFrom):
            self.yielded[-1].extend(self.items(value)[0])
        else:
            self.yielded[-1].append(value)
        return NOTHING

    def _await(self, node: ast.Await, scope: Scope) -> Value:
        return self.eval(node.value, scope)


def _fold(op: type[ast.operator], left: Any, right: Any) -> Any:
    simple = (int, float, str, tuple)
    if not isinstance(left, simple) or not isinstance(right, simple):
        return UNKNOWN
    if isinstance(left, str) and not (op is ast.Add and isinstance(right, str)):
        return UNKNOWN
    if isinstance(left, tuple) or isinstance(right, tuple):
        return UNKNOWN
    if op in (ast.Pow, ast.LShift) and (not isinstance(right, (int, float)) or abs(right) > 64):
        return UNKNOWN
    if op is ast.Mult and isinstance(left, int) and isinstance(right, int) and abs(left) > _FOLD_LIMIT:
        return UNKNOWN
    try:
        result = _BINARY[op](left, right)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return UNKNOWN
    if isinstance(result, str) and len(result) > 4096:
        return UNKNOWN
    return result if not isinstance(result, complex) else UNKNOWN


def _shift(op: type[ast.operator], left: Value, right: Value) -> str:
    """Mark an index as shifted to the target ("+1") or back into the context ("-k")."""
    if op is ast.Add and right.known and isinstance(right.const, int) and right.const >= 1:
        return "+1"
    if op is ast.Sub and not (right.known and not right.const):
        return "-k" if isinstance(right.const, int) or right.symbols or not right.known else ""
    return left.text if left.text in ("+1", "-k") else ""


def _shift_loop(op: type[ast.operator], left: Value, right: Value) -> Value | None:
    """``i - 1`` of a loop counter selects the iteration before."""
    if left.loop and op is ast.Sub and right.known and isinstance(right.const, int) and 0 < right.const <= 8:
        moved = frozenset((loop, k - right.const) if loop == left.loop else (loop, k) for loop, k in left.symbols)
        return Value(symbols=moved, labels=left.labels, text="-k")
    return None


def _slice_role(node: ast.Slice, parts: list[Value]) -> str:
    lower, upper = node.lower, node.upper
    if isinstance(upper, ast.UnaryOp) and isinstance(upper.op, ast.USub) and lower is None:
        return ":x"
    if isinstance(lower, ast.Constant) and isinstance(lower.value, int) and lower.value >= 1 and (
        upper is None or (isinstance(upper, ast.BinOp) and isinstance(upper.op, ast.Add))
    ):
        return ":y"
    if isinstance(lower, ast.BinOp) and isinstance(lower.op, ast.Add) and isinstance(lower.right, ast.Constant):
        return ":y" if lower.right.value == 1 else ":"
    if isinstance(lower, ast.BinOp) and isinstance(lower.op, ast.Sub):
        return ":x"
    return ":"


def _mask(labels: frozenset[Any]) -> frozenset[Any]:
    """Labels of a truth value: that tokens were compared is kept as a flag, the tokens are not."""
    if not labels:
        return NO_LABELS
    kept = {x for x in labels if not isinstance(x, (Data, Scored))}
    roles = frozenset(x.role for x in labels if isinstance(x, Data) and x.source == "val")
    if roles:
        kept.add(Flag("mask", 0, roles))
    return frozenset(kept)


def _either(values: list[Value], _: bool | None) -> Value:
    result = values[0]
    for value in values[1:]:
        result = join(result, value)
    return result


def _hashable(value: Any) -> bool:
    return isinstance(value, (str, int, float, bytes, bool, type(None)))


_HANDLERS: dict[type[ast.expr], Callable[[Any, Any, Scope], Value]] = {
    ast.Constant: Expressions._constant,
    ast.Name: Expressions._name,
    ast.JoinedStr: Expressions._joined,
    ast.BinOp: Expressions._binop,
    ast.UnaryOp: Expressions._unary,
    ast.BoolOp: Expressions._boolop,
    ast.Compare: Expressions._compare,
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
