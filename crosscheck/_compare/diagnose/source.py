"""A function as Python source that makes it again: its import, or its own text."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch

PUBLIC = (
    *("torch", "torch.nn.functional", "torch.special", "torch.linalg", "torch.fft", "jax", "jax.numpy", "jax.nn", "jax.lax"),
    *("jax.numpy.linalg", "jax.scipy.special", "jax.scipy.linalg", "numpy", "numpy.linalg"),
)
"""Modules that are searched first: many functions of the frameworks name a private module as their home."""
MOST_ELEMENTS = 64


class _NoSourceError(Exception):
    """Something has no source that can be pasted."""


def sources(functions: Mapping[str, Any]) -> tuple[list[str], list[str]]:
    """The imports, and the lines that assign each function to its name.

    A function that cannot be written as code becomes ``...``, with a comment that says so.
    """
    source = _Source()
    lines: list[str] = []
    for name, function in functions.items():
        before = len(source.lines)
        try:
            assignment = f"{name} = {source.expression(function)}"
        except (_NoSourceError, RecursionError):
            del source.lines[before:]
            assignment = f"{name} = ...  # the function that was compared; its source is not at hand"
        lines += ["", *source.lines[before:], assignment]
    return sorted(source.imports), lines


class _Source:
    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.lines: list[str] = []
        self._named: dict[str, Any] = {}

    def expression(self, value: Any) -> str:
        """Code that gives the value; the imports and lines that it needs are added."""
        if value is None or isinstance(value, bool | int | str):
            return repr(value)
        if isinstance(value, float):
            return repr(value) if np.isfinite(value) else f'float("{value}")'
        if isinstance(value, tuple | list):
            inside = ", ".join(map(self.expression, value))
            return f"[{inside}]" if isinstance(value, list) else f"({inside}{',' * (len(value) == 1)})"
        if isinstance(value, functools.partial):
            self.imports.add("import functools")
            keywords = [f"{key}={self.expression(item)}" for key, item in value.keywords.items()]
            return f"functools.partial({', '.join([*map(self.expression, (value.func, *value.args)), *keywords])})"
        if isinstance(value, torch.nn.Module):
            return self._module(value)
        if hasattr(value, "dtype") and hasattr(value, "tolist"):
            return self._array(value)
        path = _path(value)
        if path is not None:
            self.imports.add(f"import {path[0]}")
            return ".".join(path)
        if isinstance(value, FunctionType):
            return self._function(value)
        raise _NoSourceError(value)

    def _module(self, module: Any) -> str:
        """A module without weights, by its own representation."""
        text = repr(module)
        if next(module.parameters(), None) is not None or next(module.buffers(), None) is not None or "\n" in text:
            raise _NoSourceError(module)
        if getattr(torch.nn, type(module).__name__, None) is not type(module):
            raise _NoSourceError(module)
        self.imports.add("import torch")
        return f"torch.nn.{text}"

    def _array(self, array: Any) -> str:
        kind = type(array).__module__.partition(".")[0]
        dtype = str(array.dtype).removeprefix("torch.")
        if np.prod(array.shape) > MOST_ELEMENTS or dtype not in ("float32", "float64", "int32", "int64", "bool"):
            raise _NoSourceError(array)
        make, module = {"torch": ("torch.tensor", "torch"), "numpy": ("numpy.array", "numpy")}.get(
            kind, ("jax.numpy.array", "jax.numpy")
        )
        self.imports.add(f"import {module}")
        return f"{make}({self.expression(array.tolist())}, dtype={module}.{dtype})"

    def _function(self, function: FunctionType) -> str:
        text, node = _text(function)
        closure = _closure(function)
        for name in _free(node):
            if name in closure or name in function.__globals__:
                self._define(name, closure.get(name, function.__globals__.get(name)))
            elif not hasattr(builtins, name):
                raise _NoSourceError(name)
        if isinstance(node, ast.Lambda):
            return f"({text})" if "\n" in text else text
        self._add(function.__name__, function, text.splitlines())
        return function.__name__

    def _define(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType):
            self.imports.add(f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else ""))
        elif isinstance(value, FunctionType) and value.__name__ == name and _path(value) is None:
            self._function(value)
        else:
            self._add(name, value, [f"{name} = {self.expression(value)}"])

    def _add(self, name: str, value: Any, lines: list[str]) -> None:
        if name not in self._named:
            self._named[name] = value
            self.lines += lines
        elif self._named[name] is not value:  # two functions use the name for different things
            raise _NoSourceError(name)


def _closure(function: FunctionType) -> dict[str, Any]:
    """The variables in the closure of a function; one that is not assigned yet has an empty cell."""
    variables = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            variables[name] = cell.cell_contents
        except ValueError as error:
            raise _NoSourceError(name) from error
    return variables


def _path(value: Any) -> tuple[str, str] | None:
    """The module and the name by which something can be imported."""
    name, qualified = (getattr(value, key, None) for key in ("__name__", "__qualname__"))
    if not isinstance(name, str) or "<" in f"{name}{qualified}":
        return None
    places = [*((public, name) for public in PUBLIC), ("torch", f"Tensor.{name}")]
    home = getattr(value, "__module__", None)
    if isinstance(home, str) and home != "__main__":
        places.append((home, qualified or name))
    for module, path in places:
        try:
            imported = pkgutil.resolve_name(f"{module}:{path}")
        except (ImportError, AttributeError, ValueError):
            continue
        if imported is value:
            return module, path
    return None


def _text(function: FunctionType) -> tuple[str, Any]:
    """The source of a function as written, and its node."""
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError) as error:
        raise _NoSourceError(function) from error
    whole = "".join(lines)
    try:
        tree = ast.parse(whole)
    except SyntaxError as error:
        raise _NoSourceError(function) from error
    code = function.__code__
    kinds = (ast.Lambda,) if code.co_name == "<lambda>" else (ast.FunctionDef,)
    nodes = [node for node in ast.walk(tree) if isinstance(node, kinds) and _holds(node, code)]
    if not nodes or getattr(nodes[-1], "decorator_list", None):
        raise _NoSourceError(function)
    node = nodes[-1]
    text = ast.get_source_segment(whole, node, padded=True)
    assert text is not None
    return textwrap.dedent(text), node


def _holds(node: Any, code: CodeType) -> bool:
    """Whether the code comes from a node: the node starts on its line and spans all of it."""
    if node.lineno != code.co_firstlineno:
        return False
    body = node.body if isinstance(node, ast.Lambda) else node
    start, end = (body.lineno, body.col_offset), (body.end_lineno, body.end_col_offset)
    return all(start <= first and last <= end for first, last in _spans(code))


def _spans(code: CodeType) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    for line, end_line, column, end_column in code.co_positions():
        if None not in (line, end_line, column, end_column) and (line, column) != (code.co_firstlineno, 0):
            yield (line, column), (end_line, end_column)  # type: ignore[misc]


def _free(node: Any) -> list[str]:
    """The names that a function uses from outside, in the order of use."""
    bound = {argument.arg for argument in ast.walk(node) if isinstance(argument, ast.arg)}
    names = [name for name in ast.walk(node) if isinstance(name, ast.Name)]
    bound |= {name.id for name in names if isinstance(name.ctx, ast.Store)}
    bound |= {function.name for function in ast.walk(node) if isinstance(function, ast.FunctionDef)}
    return list(dict.fromkeys(name.id for name in names if name.id not in bound))
