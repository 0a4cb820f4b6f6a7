"""Binding names: assignments to variables, attributes, items and several of them at once."""

from __future__ import annotations

import ast

from checks.program.engine.grid import Mask
from checks.program.engine.items import Items
from checks.program.engine.values import NOTHING, UNKNOWN, Scope, Sequence, Value, join, merge_labels


class Binding(Items):
    """Assignment of abstract values."""

    def assign(self, target: ast.expr, value: Value, scope: Scope) -> None:
        """Bind a target to a value."""
        if isinstance(target, ast.Name):
            home = scope.declared.get(target.id)
            if home is None:
                scope.vars[target.id] = value
            else:
                self.concrete()
                old = home.vars.get(target.id)
                home.vars[target.id] = join(old, value) if old is not None and self.maybe else value
        elif isinstance(target, (ast.Tuple, ast.List)):
            self._unpack(target, value, scope)
        elif isinstance(target, ast.Starred):
            self.assign(target.value, value, scope)
        elif isinstance(target, ast.Attribute):
            owner = self.eval(target.value, scope)
            self.line = target.lineno
            self.set_attribute(owner, target.attr, value)
        elif isinstance(target, ast.Subscript):
            owner = self.eval(target.value, scope)
            index = self.index(target.slice, scope)
            self.line = target.lineno
            self.note_told(index.labels)
            mask = owner.mask
            if owner.refs:
                self.store(owner, index, value)
            elif not self.store_nested(target.value, index, value, scope):
                self._store_plain(target.value, owner, value, scope)
            if mask is not None:
                self._store_block(target, mask, value, scope)

    def _store_block(self, target: ast.Subscript, known: Mask, value: Value, scope: Scope) -> None:
        """Store into a mask of known content (in ``masks``)."""
        raise NotImplementedError

    def store_nested(self, holder: ast.expr, index: Value, value: Value, scope: Scope) -> bool:
        """``table[context][token] = value``: the table changes at both keys."""
        while isinstance(holder, ast.Subscript):
            inner = self.index(holder.slice, scope)
            index = Value(labels=index.labels | inner.labels, symbols=index.symbols | inner.symbols, text="tuple")
            holder = holder.value
            owner = self.eval(holder, scope)
            if owner.refs:
                self.store(owner, index, value)
                return True
        return False

    def _store_plain(self, holder: ast.expr, owner: Value, value: Value, scope: Scope) -> None:
        """Store into an array that is known only by the name that holds it."""
        self.pseudo_expert(owner.labels, [value])
        labels = owner.labels | merge_labels([value])
        owner.form = None
        if labels != owner.labels and isinstance(holder, (ast.Name, ast.Attribute)):
            self.assign(holder, Value(UNKNOWN, (), labels, owner.symbols, owner.text), scope)

    def _unpack(self, target: ast.Tuple | ast.List, value: Value, scope: Scope) -> None:
        count = len(target.elts)
        rows = [r.items for r in value.refs if isinstance(r, Sequence) and r.exact and len(r.items) == count]
        if rows:
            for element, *column in zip(target.elts, *rows, strict=True):
                item = column[0]
                for other in column[1:]:
                    item = join(item, other)
                self.assign(element, item, scope)
            return
        items, _ = self.items(value)
        joined = items[0] if items else NOTHING
        for item in items[1:]:
            joined = join(joined, item)
        for element in target.elts:
            self.assign(element, Value(refs=joined.refs, labels=joined.labels, symbols=joined.symbols), scope)
