"""Trees of arrays: dicts, lists, tuples and named tuples, flattened in one order whatever framework the leaves are of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tree:
    """The shape of a tree: what each node is, and the names of the leaves as Python would index them."""

    kind: str
    keys: tuple[Any, ...] = ()
    children: tuple[Tree, ...] = ()
    make: Callable[[list[Any]], Any] | None = None

    def build(self, leaves: list[Any]) -> Any:
        """The tree with these leaves, which are taken from the front of the list."""
        if self.kind == "leaf":
            return leaves.pop(0)
        parts = [child.build(leaves) for child in self.children]
        return self.make(parts) if self.make is not None else None

    def same(self, other: Tree) -> bool:
        """Whether two trees have the same structure; lists and tuples of every kind are alike."""
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


def flatten(value: Any, name: str) -> tuple[Tree, list[Any], list[str]]:
    """The structure of a tree, its leaves and their names, such as ``y[0]['loss']``; the keys of a dict in sorted order."""
    leaves: list[Any] = []
    names: list[str] = []
    return _flatten(value, name, leaves, names), leaves, names


def _flatten(value: Any, name: str, leaves: list[Any], names: list[str]) -> Tree:
    if value is None:
        return Tree("none")
    if isinstance(value, Mapping):
        keys = tuple(sorted(value, key=lambda key: (str(type(key)), str(key))))
        children = tuple(_flatten(value[key], f"{name}[{key!r}]", leaves, names) for key in keys)
        return Tree("mapping", keys, children, lambda parts: dict(zip(keys, parts, strict=True)))
    if isinstance(value, list | tuple):
        fields = getattr(value, "_fields", None)
        labels = [f"{name}.{field}" for field in fields] if fields else [f"{name}[{i}]" for i in range(len(value))]
        children = tuple(_flatten(item, label, leaves, names) for item, label in zip(value, labels, strict=True))
        kind = type(value)
        return Tree("sequence", tuple(range(len(value))), children, lambda parts: kind(*parts) if fields else kind(parts))
    leaves.append(value)
    names.append(name)
    return Tree("leaf")
