"""The calls of PyTorch in a file, read from its syntax: nothing of the file is run, and no framework is imported."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from crosscheck._dictionary.names import MODULE, OPTIMIZER, TENSOR

METHODS = Path(__file__).with_name("methods.json")
"""The public methods of PyTorch's classes: a test holds them against the installed PyTorch."""
HOMES = {"torch.optim.lr_scheduler.": "", "torch.optim.": OPTIMIZER, "torch.nn.Parameter": TENSOR, "torch.nn.": MODULE}
"""Where the methods of an object are, by how the name of its class begins."""
COMMON = {"add", "index", "resize", "sort", "split", "values"}
"""Methods of tensors that texts, lists and dicts have too: they count only where the object is known to be a tensor."""
VAGUE = {"apply", "children", "compile", "extra_repr", "forward", "modules"}
"""Methods of modules that much else has: they count only where the object is known to be a module."""
OTHER = ""
"""What is known to be no part of PyTorch."""
LONGEST = 80
WORD = re.compile(r"[\w.]+")


@dataclass(frozen=True)
class CallInFile:
    """A call of PyTorch as a file has it.

    Attributes:
        line: The number of its line.
        code: The call as it is written, shortened if it is long.
        name: The full name of what is called.
        arguments: The values as they are written: by name, or by their place where they have no name.
    """

    line: int
    code: str
    name: str
    arguments: Mapping[str, str]


def calls(text: str) -> list[CallInFile]:
    """Every call of PyTorch in a source text, in order; ``SyntaxError`` if it is no Python."""
    reader = _Reader()
    reader.visit(ast.parse(text))
    return sorted(reader.found, key=lambda call: call.line)  # of one line, the outer call comes first


@cache
def methods(home: str) -> frozenset[str]:
    """The public methods of a class of PyTorch."""
    return frozenset(json.loads(METHODS.read_text("utf-8")).get(home, ()))


@dataclass(frozen=True)
class _Known:
    """What a name stands for: an ``object`` of PyTorch by its full name, an instance of a class, or something else."""

    object: str | None = None
    instance: str | None = None


class _Reader(ast.NodeVisitor):
    def __init__(self) -> None:
        self.found: list[CallInFile] = []
        self._scopes: list[dict[str, _Known]] = [{}]
        self._own: list[set[str]] = [set()]
        """The methods that the classes around a place define."""

    # What names stand for.

    def visit_Module(self, node: ast.Module) -> None:
        self._learn(node)
        self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._own.append({method.name for method in node.body if isinstance(method, ast.FunctionDef)})
        self._scopes.append({})
        for method in node.body:
            if isinstance(method, ast.FunctionDef):  # each method may use what another one sets
                self._scopes.append({})
                self._parameters(method)
                self._learn(method)
                kept = {name: what for name, what in self._scopes.pop().items() if "." in name}
                self._scopes[-1].update(kept)
        self.generic_visit(node)
        self._scopes.pop()
        self._own.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        for decorator in node.decorator_list:
            if not isinstance(decorator, ast.Call) and (name := self._object(decorator)):
                self.found.append(CallInFile(decorator.lineno, f"@{ast.unparse(decorator)}", name, {}))
        self._scopes.append({})
        self._parameters(node)
        self._learn(node)
        self.generic_visit(node)
        self._scopes.pop()

    visit_AsyncFunctionDef = visit_FunctionDef

    def _parameters(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        given = node.args
        names = [*given.posonlyargs, *given.args]
        defaults = dict(
            zip([parameter.arg for parameter in names][len(names) - len(given.defaults) :], given.defaults, strict=True)
        )
        defaults |= {
            parameter.arg: value for parameter, value in zip(given.kwonlyargs, given.kw_defaults, strict=True) if value
        }
        for parameter in [*names, *given.kwonlyargs]:
            said = ast.unparse(parameter.annotation) if parameter.annotation else ""
            if {"Tensor", "torch.Tensor"} & {*WORD.findall(said)}:
                self._scopes[-1][parameter.arg] = _Known(instance=TENSOR)
            elif name := self._object(defaults.get(parameter.arg)):
                self._scopes[-1][parameter.arg] = _Known(object=name)
            else:
                self._scopes[-1][parameter.arg] = _Known()

    def _learn(self, scope: ast.AST) -> None:
        """Note what the imports and assignments of a scope say, those of the functions inside apart."""
        for node in _inside(scope):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    bound = alias.asname or alias.name.partition(".")[0]
                    full = alias.name if alias.asname else bound
                    self._scopes[-1][bound] = _Known(object=full if _of_torch(full) else OTHER)
            elif isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    full = f"{node.module}.{alias.name}" if node.module and not node.level else OTHER
                    self._scopes[-1][alias.asname or alias.name] = _Known(object=full if _of_torch(full) else OTHER)
            elif isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    self._assign(target, node.value)

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple):
            for element in target.elts:
                self._assign(element, value)
        elif name := _dotted(target):
            known = _Known(self._object(value), self._instance(value))
            if known.object or known.instance is not None or name not in self._scopes[-1]:
                self._scopes[-1][name] = known

    def _known(self, name: str) -> _Known | None:
        return next((scope[name] for scope in reversed(self._scopes) if name in scope), None)

    def _object(self, node: ast.expr | None) -> str | None:
        """The full name of an object of PyTorch; empty for one of another library, None where nothing is known."""
        if not isinstance(node, ast.Name | ast.Attribute):
            return None
        if (name := _dotted(node)) and (known := self._known(name)):
            return known.object
        if isinstance(node, ast.Attribute) and (of := self._object(node.value)) is not None:
            return of and f"{of}.{node.attr}"
        return None

    def _instance(self, node: ast.expr) -> str | None:
        """The class of what an expression gives, or where its methods are; empty for what is not PyTorch's."""
        if isinstance(node, ast.Constant | ast.JoinedStr | ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp):
            return OTHER
        if isinstance(node, ast.Name | ast.Attribute):
            if (dotted := _dotted(node)) and (known := self._known(dotted)):
                return OTHER if known.object == OTHER else known.instance
            return OTHER if self._object(node) == OTHER else None
        if isinstance(node, ast.Subscript | ast.BinOp):
            of = self._instance(node.value if isinstance(node, ast.Subscript) else node.left)
            return TENSOR if of == TENSOR else None
        if not isinstance(node, ast.Call):
            return None
        if (name := self._object(node.func)) is not None:
            if not name:
                return OTHER
            return name if name.rpartition(".")[2][:1].isupper() else TENSOR
        if isinstance(node.func, ast.Attribute):
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "self":
                return None if node.func.attr in self._own[-1] else TENSOR  # a module that the class has is called
            return TENSOR if self._method(node.func) in {f"{TENSOR}.{name}" for name in methods(TENSOR)} else None
        return None

    # Calls.

    def visit_Call(self, node: ast.Call) -> None:
        name, arguments = self._object(node.func), node.args
        if not name and _last(node.func) == "partial" and arguments and (name := self._object(arguments[0])):
            arguments = arguments[1:]  # what partial() keeps for a later call
        if name is None and isinstance(node.func, ast.Attribute):
            name = self._method(node.func)
        if name:
            values = {str(k): ast.unparse(argument) for k, argument in enumerate(arguments)}
            values |= {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
            code = " ".join(ast.unparse(node).split())
            code = code if len(code) <= LONGEST else f"{code[: LONGEST - 3]}..."
            self.found.append(CallInFile(node.func.end_lineno or node.lineno, code, name, values))
        self.generic_visit(node)

    def _method(self, func: ast.Attribute) -> str | None:
        """The full name of a method, from what is known of the object, or else from the method's name."""
        method, of = func.attr, self._instance(func.value)
        if isinstance(func.value, ast.Name) and func.value.id == "self":
            ours = method in methods(MODULE) and method not in self._own[-1] | {"forward"}
            return f"{MODULE}.{method}" if ours else None
        if of == OTHER:
            return None
        if of is not None:
            home = next((home for start, home in HOMES.items() if of.startswith(start)), of) or of
            return f"{home}.{method}" if not methods(home) or method in methods(home) else None
        if method in methods(TENSOR) - COMMON:
            return f"{TENSOR}.{method}"
        return f"{MODULE}.{method}" if method in methods(MODULE) - VAGUE else None


def _of_torch(name: str) -> bool:
    return name.partition(".")[0] == "torch"


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a scope in order, those of the functions and classes inside apart."""
    for child in ast.iter_child_nodes(scope):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            yield child
            yield from _inside(child)


def _dotted(node: ast.expr) -> str:
    """A name, or an attribute of ``self``, as it is written; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
        return f"self.{node.attr}"
    return ""


def _last(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
