"""Trees of arrays, flattened in one order for any framework.

Nodes are dicts, lists, tuples, named tuples, dataclasses, and classes registered with JAX: ``nnx.State``, equinox modules.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class TreeStructure:
    """The structure of a tree: the kind of each node, and the names of the leaves as Python code would index them."""

    kind: str
    keys: tuple[Any, ...] = ()
    children: tuple[TreeStructure, ...] = ()
    make: Callable[[list[Any]], Any] | None = None

    def build(self, leaves: list[Any]) -> Any:
        """The tree with these leaves, which are taken from the front of the list."""
        if self.kind == "leaf":
            return leaves.pop(0)
        parts = [child.build(leaves) for child in self.children]
        return self.make(parts) if self.make is not None else None

    def same(self, other: TreeStructure) -> bool:
        """Whether two trees have the same structure.

        Lists and tuples of every kind count as the same, and so do dicts and objects with the same names.
        """
        return (
            self.kind == other.kind
            and self.keys == other.keys
            and all(a.same(b) for a, b in zip(self.children, other.children, strict=True))
        )

    def __str__(self) -> str:
        if self.kind == "leaf":
            return "array"
        inside = [str(child) for child in self.children]
        if self.kind == "mapping":
            return "{" + ", ".join(f"{key!r}: {child}" for key, child in zip(self.keys, inside, strict=True)) + "}"
        return "None" if self.kind == "none" else f"[{', '.join(inside)}]"


def flatten(value: Any, name: str, leaf: tuple[type, ...] = ()) -> tuple[TreeStructure, list[Any], list[str]]:
    """The structure of a tree, its leaves and their names, such as ``y[0]['loss']``; named children are sorted by name.

    Instances of the classes ``leaf`` are leaves, even if they could be nodes.
    """
    leaves: list[Any] = []
    names: list[str] = []

    def visit(value: Any, name: str) -> TreeStructure:
        if value is None:
            return TreeStructure("none")
        node = None if isinstance(value, leaf) else _node(value)
        if node is None:
            leaves.append(value)
            names.append(name)
            return TreeStructure("leaf")
        children = tuple(visit(child, name + label) for child, label in zip(node.children, node.labels, strict=True))
        return TreeStructure(node.kind, node.keys, children, node.make)

    return visit(value, name), leaves, names


@dataclass(frozen=True)
class _Node:
    """One node of a tree; ``labels`` are appended to its name to name its children."""

    kind: str
    keys: tuple[Any, ...]
    children: Sequence[Any]
    labels: Sequence[str]
    make: Callable[[list[Any]], Any]


def _node(value: Any) -> _Node | None:
    """The node that a value is; None for a leaf."""
    if isinstance(value, list | tuple):
        fields, kind = getattr(value, "_fields", None), type(value)
        labels = [f".{field}" for field in fields] if fields else [f"[{i}]" for i in range(len(value))]
        keys = tuple(range(len(value)))
        return _Node("sequence", keys, value, labels, lambda parts: kind(*parts) if fields else kind(parts))
    registered = None if isinstance(value, dict) else _registered(value)
    if registered is not None:
        return registered
    if isinstance(value, Mapping):
        return _mapping(value, [f"[{key!r}]" for key in value], dict)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        return _mapping(parts, [f".{key}" for key in parts], lambda by_name: dataclasses.replace(value, **by_name))
    return None


def _mapping(parts: Mapping[Any, Any], labels: Sequence[str], make: Callable[[dict[Any, Any]], Any]) -> _Node:
    by_key = dict(zip(parts, labels, strict=True))
    keys = tuple(sorted(parts, key=lambda key: (str(type(key)), str(key))))
    children, labels = [parts[key] for key in keys], [by_key[key] for key in keys]
    return _Node("mapping", keys, children, labels, lambda values: make(dict(zip(keys, values, strict=True))))


def _registered(value: Any) -> _Node | None:
    """A node of a class that is registered with JAX; without JAX imported, no such object exists."""
    if "jax" not in sys.modules:
        return None
    from jax import tree_util

    paths, structure = tree_util.tree_flatten_with_path(value, is_leaf=lambda other: other is not value)
    if tree_util.treedef_is_leaf(structure):
        return None
    labels = [tree_util.keystr(path) for path, _ in paths]
    children = [child for _, child in paths]
    named = [getattr(path[0], "name", getattr(path[0], "key", None)) for path, _ in paths]
    if not all(isinstance(key, str) for key in named):
        return _Node("sequence", tuple(range(len(children))), children, labels, structure.unflatten)
    return _mapping(
        dict(zip(named, children, strict=True)), labels, lambda by_name: structure.unflatten([by_name[key] for key in named])
    )
