"""How layers of flax.linen get torch's weights: each is a dict in the tree of parameters, by the names of its modules."""

from typing import Any

import numpy as np

from zoo.architecture import State
from zoo.plain import as_arrays, conv_of, linear_of, norm_of


def kernel(own: Any) -> dict[str, Any]:
    """What is a weight elsewhere is called a kernel in flax."""
    return {"kernel": own["weight"], **({"bias": own["bias"]} if "bias" in own else {})}


def dense(state: State, path: str) -> dict[str, Any]:
    return kernel(linear_of(state, path))


def conv(state: State, path: str) -> dict[str, Any]:
    return kernel(conv_of(state, path))


def norm(state: State, path: str) -> dict[str, Any]:
    own = norm_of(state, path)
    return {"scale": own["weight"], **({"bias": own["bias"]} if "bias" in own else {})}


def attention(weight: np.ndarray, bias: np.ndarray, out: State, heads: int) -> dict[str, Any]:
    """Flax folds the heads into the shapes of the weights, which torch joins in one matrix of queries, keys and values."""
    width = weight.shape[1]
    projections = {
        name: as_arrays({"kernel": own.T.reshape(width, heads, -1), "bias": its.reshape(heads, -1)})
        for name, own, its in zip(("query", "key", "value"), np.split(weight, 3), np.split(bias, 3), strict=True)
    }
    return {**projections, "out": as_arrays({"kernel": out["weight"].T.reshape(heads, -1, width), "bias": out["bias"]})}
