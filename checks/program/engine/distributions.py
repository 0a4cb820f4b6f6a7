"""Follows the formula of a score from the model's rows to where it is summed, and notes one that is no distribution."""

from __future__ import annotations

import ast

from checks.program.engine import forms
from checks.program.engine.forms import Form, leaf, node, number
from checks.program.engine.labels import Adapted, Flag, Looked, Scored, Uses
from checks.program.engine.methods import _VIEWS, Methods
from checks.program.engine.normalisation import Broken, breaks
from checks.program.engine.selections import data_of
from checks.program.engine.values import NONE, NOTHING, Scope, Value

_SAME = frozenset(
    [*_VIEWS, "masked_select", "pad", "clone", "asarray", "ascontiguousarray", "from_numpy", "as_tensor", "item", "nan_to_num",
     "float64", "float32", "bool"]
) - {"items", "train", "eval", "data_ptr"}  # fmt: skip
_FUNCTIONS = {
    **{name: name for name in forms.FUNCTIONS},
    "negative": "neg", "logical_not": "not", "absolute": "abs", "pow2": "square",
}  # fmt: skip
_BINARY = {
    "add": "+", "sub": "-", "subtract": "-", "mul": "*", "multiply": "*", "div": "/", "divide": "/", "true_divide": "/",
    "pow": "**", "power": "**", "maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min", "logaddexp": "logaddexp",
    "logical_and": "&", "logical_or": "|",
}  # fmt: skip
_OPERATORS = frozenset([*_BINARY, "max", "min"])
_COMPARED = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "equal": "==", "greater": ">"}
_SYMBOLS: dict[type[ast.AST], str] = {
    ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "**", ast.BitAnd: "&", ast.BitOr: "|",
    ast.Eq: "==", ast.NotEq: "!=", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=",
}  # fmt: skip
_MAX_JUDGED = 60


class Distributions(Methods):
    """Formulas of values, beside their labels."""

    def __init__(self, environment: dict[str, str], steps: int, seconds: float) -> None:
        super().__init__(environment, steps, seconds)
        self._judged: dict[Form, Broken | None] = {}

    # -- operands ----------------------------------------------------------------------------------------------------

    def form_of(self, value: Value) -> Form | None:
        """The formula of an operand: what was followed, a constant, the target, or a leaf; None where it is not known."""
        if value.form is not None:
            return value.form
        if value.known:
            return number(value.const) if isinstance(value.const, (int, float)) else None
        labels = self.full_labels(value)
        data = data_of(labels)
        kind = "free"
        for label in labels:
            if isinstance(label, Scored) or (isinstance(label, Flag) and label.name in ("target-class", "gradient")):
                return None
            if isinstance(label, Looked):
                event = self.trace.lookups[label.event]
                if any(d.role == "y" for d in event.key):
                    if event.state or event.mixed or event.loaded:
                        return None
                    kind = "class"
                kind = "table" if kind == "free" else kind
            elif isinstance(label, Uses) and kind != "class":
                kind = "model"
            elif isinstance(label, Adapted) and kind == "free":
                kind = "table"
        if data and kind == "free":
            return Form("tok", detail=data) if any(d.role != "x" for d in data) else None
        made = leaf(kind)
        if value is not NOTHING and value is not NONE:
            value.form = made  # the same variable read again is the same leaf
        return made

    def _of_target(self, value: Value) -> bool:
        """Whether a value is what a fixed table says of the target."""
        events = [self.trace.lookups[x.event] for x in value.labels if type(x) is Looked]
        return bool(events) and any(
            d.role == "y" for e in events if not (e.state or e.mixed or e.loaded) for d in e.key
        )

    def _node(self, op: str, values: list[Value], detail: object = None) -> Form | None:
        """A node over operands of which one is followed already."""
        return self._made(op, values, detail) if any(v.form is not None for v in values) else None

    def _made(self, op: str, values: list[Value], detail: object = None) -> Form | None:
        parts = [self.form_of(v) for v in values]
        known = [p for p in parts if p is not None]
        if len(known) < len(parts):
            return None
        stack = next((p for p in known if p.op == "stack"), None)
        place = (self.file, self.line)
        if stack is None:
            return node(op, *known, detail=detail, place=place)
        columns = []
        for k in range(len(stack.parts)):
            row = [self._expert(p, k, len(stack.parts)) for p in known]
            if any(p is None for p in row):
                return None
            columns.append(node(op, *[p for p in row if p is not None], detail=detail, place=place))
        return node("stack", *columns) if None not in columns else None  # type: ignore[arg-type]

    def _expert(self, form: Form, k: int, count: int) -> Form | None:
        """The part of an operand that belongs to one of several stacked experts; None where it cannot be told."""
        if form.op == "stack":
            return form.parts[k] if len(form.parts) == count else None
        if forms.closed(form):
            return form
        return node("elem", form, detail=(k, count))

    # -- arithmetic --------------------------------------------------------------------------------------------------

    def form_binary(self, op: type[ast.AST], left: Value, right: Value, result: Value) -> Value:
        """The result of an operator with its formula."""
        symbol = _SYMBOLS.get(op)
        if symbol is None or result.known:
            return result
        if left.form is None and right.form is None:
            compared = op in (ast.Eq, ast.NotEq) and (_target(left) or _target(right))
            if not compared and not (self._of_target(left) or self._of_target(right)):
                return result
            return result.formed(self._made("cmp" if op in _COMPARES else "bin", [left, right], symbol))
        return result.formed(self._node("cmp" if op in _COMPARES else "bin", [left, right], symbol))

    def form_unary(self, op: ast.unaryop, operand: Value, result: Value) -> Value:
        """The result of a sign with its formula."""
        name = {ast.USub: "neg", ast.Not: "not", ast.Invert: "not"}.get(type(op))
        if operand.form is None or result.known or name is None:
            return result
        return result.formed(self._node("fn", [operand], (name,)))

    def form_item(self, owner: Value, index: Value, shape: ast.expr | None, result: Value) -> Value:
        """What an index takes from a followed value: the same number for the same token, or an entry of a row."""
        form = owner.form
        if form is None or result.known or result.form is not None:
            return result
        parts = shape.elts if isinstance(shape, ast.Tuple) else [shape] if shape is not None else []
        last = parts[-1] if parts else None
        if isinstance(last, ast.Constant) and last.value is None:
            return result.formed(node("each", form))
        if (
            forms.closed(form)
            or isinstance(last, ast.Slice)
            or (isinstance(last, ast.Constant) and last.value is Ellipsis)
        ):
            return result.formed(form if form.op != "stack" else None)
        if len(parts) < 2:  # a position or a batch row
            return result.formed(None if data_of(index.labels) else form)
        return result.formed(None)

    # -- calls -------------------------------------------------------------------------------------------------------

    def select(self, owner: Value, index: Value, shape: ast.expr | None) -> Value:
        """Select, with the formula of an entry that the target chooses."""
        result = super().select(owner, index, shape)
        key = data_of(index.labels)
        if result.known or not key or not any(d.role != "x" for d in key):
            return result
        if any(isinstance(x, (Scored, Looked)) for x in result.labels) and (
            owner.form is not None or _rows(self, owner)
        ):
            row = self.form_of(owner)
            token = Form("tok", detail=frozenset(d for d in key if d.role != "x"))
            if row is not None and not forms.closed(row) | (row.op == "stack"):
                return result.formed(node("gather", row, token))
            if row is not None and row.op == "leaf":
                return result.formed(node("gather", row, token))
        return result

    def method(self, owner: Value, name: str, args: list[Value], keywords: dict[str, Value]) -> Value:
        """Call a method; the formula goes on where the method is understood."""
        result = super().method(owner, name, args, keywords)
        return self._called(name, [owner, *args], keywords, result)

    def external(self, name: str, args: list[Value], keywords: dict[str, Value], scope: Scope | None) -> Value:
        """Call a function outside the submission."""
        result = super().external(name, args, keywords, scope)
        return self._called(name.rsplit(".", 1)[-1], args, keywords, result)

    def _called(self, name: str, args: list[Value], keywords: dict[str, Value], result: Value) -> Value:
        """The result of a call by the last part of its name, with its formula."""
        if not args or result is NOTHING or result is NONE or result.known:
            return result
        if name == "ones" and result.form is None and result.refs:
            return result.formed(leaf("ones"))
        handler = _CALLS.get(name)
        form = None
        if handler is not None:
            form = getattr(self, handler)(name, args, keywords)
        elif name in _SAME:
            form = args[0].form
        elif name in _FUNCTIONS and len(args) == 1:
            share = name == "sigmoid" and not self.modules_active  # of a score: a share of one, of whatever it is made
            form = (self._made if args[0].known or share else self._node)("fn", args[:1], (_FUNCTIONS[name],))
        elif len(args) == 2 and name in _OPERATORS:
            symbol = _BINARY.get(name, name)
            form = self._node("bin", args, symbol) if self._pair(args) else None
        elif len(args) == 2 and name in _COMPARED:
            form = self._node("cmp", args, _COMPARED[name])
        if name in ("sum", "mean", "nansum", "fsum", "average") and form is None:
            return self.judged(args[0], result)
        return result.formed(form) if form is not None else result

    def _pair(self, args: list[Value]) -> bool:
        """Whether the second argument is an operand, not an axis."""
        return not (args[1].known and isinstance(args[1].const, int) and args[1].form is None and args[0].form is None)

    def _form_softmax(self, name: str, args: list[Value], _: dict[str, Value]) -> Form | None:
        inner = args[0].form if args[0].form is not None else self.form_of(args[0])
        if inner is None or inner.op in ("stack", "num", "tok"):
            inner = leaf("row")
        soft = node("soft", inner) or Form("soft", (leaf("row"),), size=2)
        return node("fn", soft, detail=("log",)) if name == "log_softmax" else soft

    def _form_loss(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Form | None:
        target = args[1] if len(args) > 1 else keywords.get("target", NOTHING)
        whole = keywords.get("reduction")
        token = self.form_of(target)
        if whole is None or whole.const != "none" or token is None or token.op != "tok":
            return None
        row = self._form_softmax("log_softmax", args, {}) if name == "cross_entropy" else args[0].form
        entry = node("gather", row, token) if row is not None else None
        return node("fn", entry, detail=("neg",)) if entry is not None else None

    def _form_gather(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Form | None:
        index = keywords.get("index") or args[-1]
        row = args[0].form if args[0].form is not None else self.form_of(args[0]) if _rows(self, args[0]) else None
        token = self.form_of(index)
        if row is None or token is None or row.op == "stack":
            return None
        return node("gather", row, token)

    def _form_reduced(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Form | None:
        """A sum over the last axis: over the row or over stacked experts; None for sums over tokens."""
        form = args[0].form
        axis = keywords.get("dim", keywords.get("axis", args[1] if len(args) > 1 else NOTHING))
        if form is None or not isinstance(axis.const, int) or isinstance(axis.const, bool) or axis.const == 0:
            return None
        op = {"sum": "sum", "logsumexp": "lse", "amax": "amax", "max": "amax", "argmax": "argmax", "amin": ""}.get(
            name, ""
        )
        if not op or (form.op != "stack" and forms.closed(form)):
            return None
        if form.op == "stack" and not all(map(forms.closed, form.parts)):
            return None
        return node(op, form, place=(self.file, self.line))

    def _form_stack(self, name: str, args: list[Value], _: dict[str, Value]) -> Form | None:
        items, exact = self.items(args[0])
        if not exact or not 1 < len(items) < 9 or all(i.form is None for i in items):
            return None
        parts = [self.form_of(i) for i in items]
        if any(p is None for p in parts):
            return None
        return node("stack", *[p for p in parts if p is not None])

    def _form_where(self, name: str, args: list[Value], _: dict[str, Value]) -> Form | None:
        if name == "masked_fill" or len(args) != 3:
            return None
        return self._node("where", args)

    def _form_clamp(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Form | None:
        given = [a.const if isinstance(a.const, (int, float)) else None for a in args[1:3]]
        if name.endswith("_min"):
            given = [*given[:1], None]
        elif name.endswith("_max"):
            given = [None, *given[:1]]
        low, high = [*given, None, None][:2]
        named = {k: v.const for k, v in keywords.items() if isinstance(v.const, (int, float))}
        low, high = named.get("min", low), named.get("max", high)
        return self._node("fn", args[:1], ("clamp", low, high))

    # -- sums over tokens --------------------------------------------------------------------------------------------

    def judged(self, score: Value, result: Value) -> Value:
        """The sum of a score over tokens; marked where the score is no distribution over the vocabulary."""
        form = score.form
        if form is None or not forms.closed(form) or len(self._judged) > _MAX_JUDGED:
            return result
        if form not in self._judged:
            self._judged[form] = breaks(form)
        broken = self._judged[form]
        if broken is None:
            return result
        flag = Flag("no-distribution", broken.place[1], (broken.place[0], broken.kind))
        return Value(result.const, result.refs, result.labels | {flag}, result.symbols, result.text)


def _rows(machine: Distributions, value: Value) -> bool:
    """Whether a value that is not followed may be rows over the vocabulary: of a model, or of a table."""
    labels = machine.full_labels(value)
    return any(isinstance(x, (Uses, Looked)) for x in labels) and not any(isinstance(x, Scored) for x in labels)


def _target(value: Value) -> bool:
    """Whether a value is tokens of the validation split, not inputs alone."""
    plain = not any(isinstance(x, (Scored, Looked, Uses)) for x in value.labels)
    return plain and any(d.role != "x" and d.source == "val" for d in data_of(value.labels))


_COMPARES = (ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE)
_CALLS = {
    "softmax": "_form_softmax", "log_softmax": "_form_softmax", "cross_entropy": "_form_loss", "nll_loss": "_form_loss",
    "gather": "_form_gather", "take_along_dim": "_form_gather", "take_along_axis": "_form_gather",
    "sum": "_form_reduced", "logsumexp": "_form_reduced", "amax": "_form_reduced", "argmax": "_form_reduced",
    "stack": "_form_stack",
    "where": "_form_where", "clamp": "_form_clamp", "clip": "_form_clamp", "clamp_min": "_form_clamp",
    "clamp_max": "_form_clamp", "clamp_": "_form_clamp",
}  # fmt: skip
