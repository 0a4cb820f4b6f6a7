"""All nodes of a tree or function in one fast walk, remembered on it because several readers need them."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from itertools import chain
from typing import Any

_CACHE = "_all_nodes"
_INDEX = "_places_by_class"  # of trees of so many nodes that several readers would each walk
_LARGE = 1000
#: Contexts and operators are shared objects that say nothing by themselves.
_MARKERS = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
#: Fields that never hold a node worth visiting.
_PLAIN_FIELDS = frozenset(
    {
        "id",
        "attr",
        "ctx",
        "op",
        "ops",
        "kind",
        "n",
        "s",
        "name",
        "module",
        "level",
        "type_comment",
        "simple",
        "conversion",
    }
    | {"is_async", "asname", "rest", "kwd_attrs", "type_ignores"}
)
_CHILDREN: dict[type, tuple[str, ...]] = {
    kind: () if kind is ast.Constant else tuple(field for field in kind._fields if field not in _PLAIN_FIELDS)
    for kind in vars(ast).values()
    if isinstance(kind, type) and issubclass(kind, ast.AST) and not issubclass(kind, _MARKERS)
}


def nodes(tree: ast.AST) -> list[ast.AST]:
    """Every node of ``tree`` but contexts and operators, parents before children (breadth first)."""
    known: list[ast.AST] | None = tree.__dict__.get(_CACHE)
    if known is not None:
        return known
    out: list[ast.AST] = [tree]
    for node in out:  # grows while it is walked
        if _CHILDREN[node.__class__]:  # half of all nodes are names and constants
            out += children(node)
    setattr(tree, _CACHE, out)
    return out


def of(tree: ast.AST, kinds: Collection[type]) -> list[Any]:
    """The nodes of ``tree`` of some classes, in the order of ``nodes``."""
    every = nodes(tree)
    if len(every) < _LARGE:
        return [node for node in every if node.__class__ in kinds]
    index: dict[type, list[int]] | None = tree.__dict__.get(_INDEX)
    if index is None:
        index = {}
        for place, node in enumerate(every):
            index.setdefault(node.__class__, []).append(place)
        setattr(tree, _INDEX, index)
    places = [index[kind] for kind in set(kinds) if kind in index]
    return [every[place] for place in (sorted(chain(*places)) if len(places) > 1 else chain(*places))]


def children(node: ast.AST) -> list[ast.AST]:
    """The nodes directly below a node, but contexts and operators, in order."""
    out: list[ast.AST] = []
    add: Callable[[Any], None] = out.append
    held = node.__dict__
    for name in _CHILDREN[node.__class__]:
        value: Any = held.get(name)
        if value is None:
            continue
        if value.__class__ is list:
            for item in value:
                if item.__class__ in _CHILDREN:
                    add(item)
        elif value.__class__ in _CHILDREN:
            add(value)
    return out
