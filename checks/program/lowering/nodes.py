"""LibCST's grammar without its package: the nodes that its parser makes, for reading.

LibCST's parser, in Rust, makes each node by calling the class of that name in the package ``libcst``. Those classes are
frozen dataclasses for those who change code: to import them takes as long as to parse half a script, and to make tens of
thousands of them much of the time of a parse. Nothing here changes a tree, and the lowering reads each node once, so the
parser is given plain namespaces of the same names and fields instead. A field that it leaves out is None.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib import machinery, util
from types import ModuleType, SimpleNamespace
from typing import Any


class Node(SimpleNamespace):
    """A node; the fields that the parser may leave out are None."""

    annotation = asname = asynchronous = cause = comma = comment = conversion = default = equal = exc = finalbody = None
    format_spec = guard = indent = inner_for_in = keyword = lbracket = lpar = msg = name = orelse = pattern = None
    posonly_ind = rbracket = rest = returns = rpar = second_colon = semicolon = separator = star = star_arg = None
    star_kwarg = step = trailing_comma = type = type_parameters = value = whitespace_after_as = None
    whitespace_after_lambda = whitespace_after_raise = whitespace_after_star = whitespace_after_yield = None
    whitespace_before_as = whitespace_before_from = None


class ParserSyntaxError(Exception):
    """The parser refuses the text; ``raw_line`` is 1-based."""

    def __init__(self, *, message: str, lines: Iterable[str], raw_line: int, raw_column: int) -> None:
        super().__init__(message)
        self.message, self.raw_line = message, raw_line


_NAMES = """
Add AddAssign And AnnAssign Annotation Arg AsName Assert Assign AssignEqual AssignTarget Asynchronous Attribute AugAssign
Await BinaryOperation BitAnd BitAndAssign BitInvert BitOr BitOrAssign BitXor BitXorAssign BooleanOperation Break Call
ClassDef Colon Comma Comment CompFor CompIf Comparison ComparisonTarget ConcatenatedString Continue Decorator Del Dict
DictComp DictElement Divide DivideAssign Dot Element Ellipsis Else EmptyLine Equal ExceptHandler ExceptStarHandler Expr
Finally Float FloorDivide FloorDivideAssign For FormattedString FormattedStringExpression FormattedStringText From
FunctionDef GeneratorExp Global GreaterThan GreaterThanEqual If IfExp Imaginary Import ImportAlias ImportFrom ImportStar
In IndentedBlock Index Integer Is IsNot Lambda LazyImport LazyImportFrom LeftCurlyBrace LeftParen LeftShift
LeftShiftAssign LeftSquareBracket LessThan LessThanEqual List ListComp Match MatchAs MatchCase MatchClass
MatchKeywordElement MatchList MatchMapping MatchMappingElement MatchOr MatchOrElement MatchPattern MatchSequence
MatchSequenceElement MatchSingleton MatchStar MatchTuple MatchValue MatrixMultiply MatrixMultiplyAssign Minus Module
Modulo ModuloAssign Multiply MultiplyAssign Name NameItem NamedExpr Newline Nonlocal Not NotEqual NotIn Or Param ParamSlash
ParamSpec ParamStar Parameters ParenthesizedWhitespace Pass Plus Power PowerAssign Raise Return RightCurlyBrace RightParen
RightShift RightShiftAssign RightSquareBracket Semicolon Set SetComp SimpleStatementLine SimpleStatementSuite
SimpleString SimpleWhitespace Slice StarredDictComp StarredDictElement StarredElement Subscript SubscriptElement Subtract
SubtractAssign TemplatedString TemplatedStringExpression TemplatedStringText TrailingWhitespace Try TryStar Tuple
TypeAlias TypeParam TypeParameters TypeVar TypeVarTuple UnaryOperation While With WithItem Yield
"""
#: The classes, by LibCST's names.
NODES = SimpleNamespace(**{name: type(name, (Node,), {}) for name in _NAMES.split()})


def parse_module(text: str) -> Any:
    """Parse a file into a tree with LibCST's fields. Raises ``ParserSyntaxError``."""
    parser = _parser()
    gaps: dict[str, Any] = {}

    def gap(value: str) -> Any:  # two in five nodes are one of a handful of gaps: one node each will do
        known = gaps.get(value)
        if known is None:
            known = gaps[value] = NODES.SimpleWhitespace(value=value)
        return known

    # What the parser takes from the package, and what ``import`` asks of it.
    names = {**vars(NODES), "SimpleWhitespace": gap, "ParserSyntaxError": ParserSyntaxError}
    package: Any = SimpleNamespace(**names, __spec__=SimpleNamespace(_initializing=False))
    before = sys.modules.get("libcst")
    sys.modules["libcst"] = package
    try:
        return parser.parse_module(text)
    finally:
        if before is None:
            del sys.modules["libcst"]
        else:
            sys.modules["libcst"] = before


def whole(node: Any) -> Any:
    """The same node of LibCST's own classes, which can write themselves as code."""
    import libcst

    if isinstance(node, (list, tuple)):
        return [whole(item) for item in node]
    if not isinstance(node, Node):
        return node
    return getattr(libcst, type(node).__name__)(**{name: whole(value) for name, value in vars(node).items()})


def code(node: Any) -> str:
    """The text of a node, as it stands in the file."""
    import libcst

    return libcst.Module([]).code_for_node(whole(node))


def _parser() -> ModuleType:
    """LibCST's parser alone."""
    name = "libcst.native"
    if name not in sys.modules:
        package = util.find_spec("libcst")
        found = machinery.PathFinder.find_spec(name, package.submodule_search_locations if package else None)
        if found is None or found.loader is None:
            raise ImportError("LibCST's parser is not installed")
        parser = util.module_from_spec(found)
        found.loader.exec_module(parser)
        sys.modules[name] = parser
    return sys.modules[name]
