"""Compares a lowered tree with the one that the host's own parser makes."""

from __future__ import annotations

import ast
import sys
import warnings

_PLACED = (ast.stmt, ast.expr, ast.arg, ast.keyword, ast.alias, ast.ExceptHandler, ast.pattern)


def host_tree(text: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text)


def difference(lowered: ast.Module, host: ast.Module) -> str:
    """Where two trees of one text differ in structure or line numbers; empty when they do not.

    Pieces of f-strings are compared in structure only: before 3.12 the host gives them the line of the whole string.
    """
    mine, theirs = ast.dump(lowered), ast.dump(host)
    if mine != theirs:
        at = next(
            (i for i, (a, b) in enumerate(zip(mine, theirs, strict=False)) if a != b), min(len(mine), len(theirs))
        )
        return f"structure: {mine[max(0, at - 80) : at + 80]!r} instead of {theirs[max(0, at - 80) : at + 80]!r}"
    for left, right in zip(_lines(lowered), _lines(host), strict=True):
        if left != right:
            return f"lines: {left} instead of {right}"
    return ""


def _lines(tree: ast.Module) -> list[tuple[str, int, int | None]]:
    if sys.version_info < (3, 12):
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                node.values = []
    return [(type(node).__name__, node.lineno, node.end_lineno) for node in ast.walk(tree) if isinstance(node, _PLACED)]
