"""Modules of flax and equinox as functions, treated as those of torch: copied, cast, and observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._arithmetic.formats import Format
from crosscheck._arithmetic.ulp import round_once


class JaxModule:
    """A module of flax (nnx, or linen bound to its variables) or equinox, with its floats in a format.

    Each call gets a copy, so what a call changes, such as running statistics, does not affect the next one. So the module
    can be traced, and two calls give the same.
    """

    def __init__(self, copies: Callable[[], Callable[..., Any]]) -> None:
        self._copies = copies
        self.changed: tuple[str, ...] = ()
        """The arrays that the last call changed in its copy."""

    @classmethod
    def of(cls, function: Any, fmt: Format) -> JaxModule | None:
        """The module, if the function is one; otherwise None."""
        scope = getattr(function, "scope", None)
        if scope is not None and hasattr(function, "unbind"):
            module, variables = function.unbind()
            variables = _cast(variables, fmt)
            return cls(lambda: module.bind(variables, rngs=scope.rngs, mutable=scope.mutable))
        if jax.tree_util.treedef_is_leaf(jax.tree.structure(function)):
            return None
        cast = _cast(function, fmt)
        return cls(lambda: jax.tree.map(lambda leaf: leaf, cast))

    def __call__(self, *arguments: Any) -> Any:
        copy = self._copies()
        before = _state(copy)
        result = copy(*arguments)
        self.changed = tuple(name for name, leaf in _state(copy).items() if before.get(name) is not leaf)
        return result

    @property
    def draws(self) -> bool:
        """Whether the last call drew random numbers: nnx counts them."""
        return any(name.endswith(".count.value") for name in self.changed)


def _cast(tree: Any, fmt: Format) -> Any:
    def cast(leaf: Any) -> Any:
        if not isinstance(leaf, jax.Array | np.ndarray) or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        return jnp.asarray(round_once(np.asarray(leaf), fmt))

    return jax.tree.map(cast, tree)


def _state(module: Any) -> dict[str, Any]:
    """The arrays of a module by name."""
    scope = getattr(module, "scope", None)
    leaves, _ = jax.tree_util.tree_flatten_with_path(module if scope is None else module.variables)
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
