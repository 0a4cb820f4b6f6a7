"""Imports, functions and classes of the submission."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from checks.program.engine.expressions import Expressions
from checks.program.engine.flow import Flow
from checks.program.engine.values import (
    NONE,
    NOTHING,
    ClassObject,
    External,
    Function,
    Instance,
    ModuleRef,
    Scope,
    Value,
)
from checks.program.imports import foreign
from checks.program.nodes import children, nodes, of

_SPEC = "importlib.machinery.ModuleSpec"
_CANONICAL = {"np": "numpy", "F": "torch.nn.functional", "th": "torch"}
_CANONICAL_MODULES = frozenset(
    [
        "torch.nn",
        "torch.nn.functional",
        "torch.distributed",
        "torch.optim",
        "numpy.random",
        "os.path",
        "torch.cuda",
        "torch.utils",
        "torch.nn.init",
    ]
)


class Definitions(Expressions):
    """Statements that bind names to modules, functions and classes."""

    def __init__(
        self, environment: dict[str, str], modules: Mapping[str, ast.Module], steps: int, seconds: float
    ) -> None:
        super().__init__(environment, steps, seconds)
        self.modules = modules
        self.scopes: dict[str, Scope] = {}

    def run_module(self, path: str) -> Scope:
        """Interpret a file of the submission (in ``interpreter``)."""
        raise NotImplementedError

    def block(self, body: list[ast.stmt], scope: Scope) -> Flow:
        """Interpret statements in order (in ``interpreter``)."""
        raise NotImplementedError

    def _delete(self, node: ast.Delete, scope: Scope) -> Flow:
        return Flow.NEXT

    def _global(self, node: ast.Global, scope: Scope) -> Flow:
        home = self.scopes.get(self.file)
        for name in node.names:
            if home is not None:
                scope.declared[name] = home
        return Flow.NEXT

    def _nonlocal(self, node: ast.Nonlocal, scope: Scope) -> Flow:
        for name in node.names:
            outer = scope.parent
            while outer is not None and name not in outer.vars:
                outer = outer.parent
            if outer is not None:
                scope.declared[name] = outer
        return Flow.NEXT

    def _import(self, node: ast.Import, scope: Scope) -> Flow:
        for alias in node.names:
            name = alias.name if alias.asname else alias.name.split(".")[0]
            scope.vars[alias.asname or name] = self._module(name)
        return Flow.NEXT

    def _module(self, name: str) -> Value:
        path = self._local(name)
        if path is not None:
            return Value(refs=(ModuleRef(name, self.run_module(path)),))
        self._met(name)
        return Value(refs=(ModuleRef(_CANONICAL.get(name, name)),))

    def _fn_import_module(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        known = bool(args) and isinstance(args[0].const, str) and not args[0].const.startswith(".")
        return self._module(args[0].const) if known else None

    def _fn_spec_from_file_location(self, name: str, args: list[Value], keywords: dict[str, Value]) -> Value | None:
        """``importlib.util``: the file of the folder that a path names, or the only one that the script can mean."""
        given = args[1] if len(args) > 1 else keywords.get("location")
        text = given.const if given is not None and isinstance(given.const, str) else given.text if given else ""
        tree = self.modules.get(self.file)
        named = {n.value for n in nodes(tree) if isinstance(n, ast.Constant)} if tree is not None else set()
        others = [path for path in self.modules if path not in self.scopes]
        fitting = [path for path in others if text.rsplit("/", 1)[-1] == path.rsplit("/", 1)[-1]]
        fitting = fitting or [path for path in others if path.rsplit("/", 1)[-1] in named]
        if len(fitting) != 1:
            return None
        spec = Instance(None, _SPEC, self.line)
        spec.attrs["origin"] = Value(fitting[0])
        return Value(refs=(spec,))

    def _fn_module_from_spec(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        """The module of such a file; it is run here already."""
        spec = next((r for a in args[:1] for r in a.refs if isinstance(r, Instance) and r.external == _SPEC), None)
        if spec is None:
            return None
        path = str(spec.attrs["origin"].const)
        return Value(refs=(ModuleRef(path, self.run_module(path)),))

    def _fn_ModuleType(self, name: str, args: list[Value], _: dict[str, Value]) -> Value:
        """``types.ModuleType(name)``: a module of no file, which the script fills itself."""
        self.concrete()
        return Value(refs=(ModuleRef(str(args[0].const) if args else "", Scope({})),))

    def _fn_globals(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        home = self.scopes.get(self.file)
        return self.namespace(home) if name == "globals" and home is not None else None

    def _fn_vars(self, name: str, args: list[Value], _: dict[str, Value]) -> Value | None:
        modules = bool(args) and all(isinstance(r, ModuleRef) for r in args[0].refs)
        return self.attribute(args[0], "__dict__") if name == "vars" and modules else None

    def _met(self, module: str) -> None:
        if foreign(module):
            self.strangers.add(module.partition(".")[0])

    def _local(self, name: str) -> str | None:
        folder = self.file.rsplit("/", 1)[0] + "/" if "/" in self.file else ""
        for candidate in (f"{folder}{name.replace('.', '/')}.py", f"{name.replace('.', '/')}.py"):
            if candidate in self.modules and candidate != self.file:
                return candidate
        return None

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> Flow:
        name = node.module or ""
        path = self._local(name)
        if path is None:
            base = _CANONICAL.get(name, name)
            self._met(base)
            for alias in node.names:
                scope.vars[alias.asname or alias.name] = self._from_external(base, alias.name)
            return Flow.NEXT
        module = self.run_module(path)
        for alias in node.names:
            if alias.name == "*":
                scope.vars.update({k: v for k, v in module.vars.items() if not k.startswith("__")})
            else:
                scope.vars[alias.asname or alias.name] = module.vars.get(alias.name, NOTHING)
        return Flow.NEXT

    def _from_external(self, base: str, name: str) -> Value:
        full = f"{base}.{name}"
        if full in _CANONICAL_MODULES:
            return Value(refs=(ModuleRef(full),))
        return Value(refs=(External(full),))

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, scope: Scope) -> Flow:
        function = Function(node, scope, node.name, None, self.file)
        function.decorators = tuple(_dotted(d) for d in node.decorator_list)
        function.generator = self._is_generator(node)
        positional = [self.eval(d, scope) for d in node.args.defaults]
        keyword = [NONE if d is None else self.eval(d, scope) for d in node.args.kw_defaults]
        self.defaults[id(node)] = (positional, keyword)
        scope.vars[node.name] = Value(refs=(function,))
        return Flow.NEXT

    def _is_generator(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
        lines = [n.lineno for n in of(self.modules[self.file], (ast.Yield, ast.YieldFrom))]  # few: most files have none
        return any(node.lineno <= line <= (node.end_lineno or line) for line in lines) and _has_yield(node)

    def _class(self, node: ast.ClassDef, scope: Scope) -> Flow:
        bases: list[ClassObject] = []
        external: list[str] = []
        for base in node.bases:
            value = self.eval(base, scope)
            for ref in value.refs:
                if isinstance(ref, ClassObject):
                    bases.append(ref)
                elif isinstance(ref, External):
                    external.append(ref.name)
        inner = Scope({}, scope, module=self.file)
        cls = ClassObject(node.name, bases, external, inner, node.lineno)
        cls.dataclass = any("dataclass" in _dotted(d) for d in node.decorator_list)
        for parent in bases:
            cls.fields.extend(parent.fields)
            cls.dataclass = cls.dataclass or parent.dataclass
        self.block(node.body, inner)
        for name, value in inner.vars.items():
            for ref in value.refs:
                if isinstance(ref, Function) and ref.cls is None and ref.scope is inner:
                    ref.cls = cls
                    ref.scope = scope
            del name
        cls.fields.extend(
            s.target.id for s in node.body if isinstance(s, ast.AnnAssign) and isinstance(s.target, ast.Name)
        )
        scope.vars[node.name] = Value(refs=(cls,))
        return Flow.NEXT


def _dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Call):
        node = node.func
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if isinstance(node, ast.Name):
        parts.append(node.id)
    return ".".join(reversed(parts))


def _has_yield(node: ast.AST) -> bool:
    stack = children(node)
    while stack:
        item = stack.pop()
        if isinstance(item, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)):
            stack.extend(children(item))
    return False
