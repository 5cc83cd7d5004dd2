"""Models of JAX as functions of their weights: modules of flax and equinox, and functions of a tree of parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._arithmetic.ulp import round_once
from crosscheck._frameworks.jax_shardings import as_held, unlike
from crosscheck._frameworks.programs import Array, Inputs, Outputs, describe
from crosscheck._records.errors import UsageError


@dataclass
class JaxModel:
    """A model of JAX.

    Attributes:
        names: The names of its weights and other arrays, such as ``['blocks'][0]['w']``.
        weights: Their values, floats in the dtype.
        function: A function of (weights, inputs), both flat, that returns the flat outputs.
        outputs: What it returned when it was last traced.
        changed: The arrays of a module that its call changed, such as running statistics; they follow the outputs.
        unlike: The arrays of which a device holds other numbers than another that should hold the same; that device, and
            how far the two are apart.
    """

    names: tuple[str, ...]
    weights: tuple[Array, ...]
    function: Callable[[list[Any], list[Any]], list[Any]]
    outputs: Outputs | None = None
    changed: tuple[str, ...] = ()
    unlike: Mapping[str, tuple[int, float]] = field(default_factory=dict)


def jax_model(model: Any, params: Any, inputs: Inputs) -> JaxModel:
    """The model as a function of its weights.

    Raises:
        UsageError: If ``model`` is neither a module that holds its weights nor a function with ``params``.
    """
    if params is None:
        if hasattr(model, "unbind") and getattr(model, "scope", None) is not None:
            module, tree = model.unbind()

            def call(variables: Any, *arguments: Any) -> Any:
                return module.apply(variables, *arguments)

        else:
            tree = model

            def call(variables: Any, *arguments: Any) -> Any:
                return variables(*arguments)

            if jax.tree_util.treedef_is_leaf(jax.tree.structure(model)):
                of_linen = hasattr(model, "unbind")
                what = "module of linen without its variables" if of_linen else "function without its parameters"
                raise UsageError(
                    f"jax_model: got a {what}, expected a module of flax or equinox that holds them, "
                    "or params=, the tree that the function takes first"
                )
    else:
        # a module of linen that is not bound to its variables
        tree, call = params, model.apply if hasattr(model, "unbind") else model
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    names, arrays, places, others = [], [], [], [leaf for _, leaf in paths]
    shardings = []
    for place, (path, leaf) in enumerate(paths):
        if isinstance(leaf, jax.Array | np.ndarray) and not _is_key(leaf):
            names.append(jax.tree_util.keystr(path).removesuffix(".value"))
            arrays.append(_cast(leaf, inputs.fmt.name))
            places.append(place)
            shardings.append(getattr(leaf, "sharding", None))

    def function(weights: list[Any], leaves: list[Any]) -> list[Any]:
        parts = list(others)
        for place, weight in zip(places, as_held(weights, shardings), strict=True):
            parts[place] = weight
        built = jax.tree.unflatten(structure, parts)
        outputs, returned = describe(call(built, *inputs.tree.build(as_held(leaves, inputs.shardings))), "JAX")
        after = jax.tree.leaves(built)
        changed = {name: after[place] for name, place in zip(names, places, strict=True) if after[place] is not parts[place]}
        result.outputs, result.changed = outputs, tuple(changed)
        return [jnp.asarray(leaf) for leaf in (*returned, *changed.values())]

    other = {name: unlike(others[place]) for name, place in zip(names, places, strict=True)}
    result = JaxModel(tuple(names), tuple(arrays), function)
    result.unlike = {name: difference for name, difference in other.items() if difference is not None}
    return result


def _is_key(leaf: Any) -> bool:
    """Whether a leaf is the state of a random number generator."""
    return bool(jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key))


def _cast(leaf: Any, dtype: str) -> Array:
    if not jnp.issubdtype(leaf.dtype, jnp.floating):
        return leaf  # unchanged: a counter of a weak type does not widen other operands
    array = np.asarray(leaf)
    return array if array.dtype == FORMATS[dtype].dtype else round_once(array, FORMATS[dtype])
