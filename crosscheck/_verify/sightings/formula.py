"""Formulas as plain text, for a terminal."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from typing import Any


def described(function: object) -> str:
    """The docstring of a formula, in one line."""
    return " ".join((inspect.getdoc(function) or "not described").split())


def formula(definition: Callable[..., Any]) -> str:
    """The words of a definition's docstring; without a docstring its code, where ``m.exp`` is written ``exp``."""
    if definition.__doc__:
        return described(definition)
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(definition)))
    except (OSError, SyntaxError, TypeError):  # defined in a session, or in a line with other code
        return described(definition)
    written = next((node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)), None)
    if written is None or not written.args.args:
        return described(definition)
    bare = _Bare(written.args.args[0].arg)
    return "; ".join(ast.unparse(bare.visit(line)).removeprefix("return ") for line in written.body)


class _Bare(ast.NodeTransformer):
    """Removes the name of the namespace from code."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        if isinstance(node.value, ast.Name) and node.value.id == self.namespace:
            return ast.Name(node.attr)
        self.generic_visit(node)
        return node
