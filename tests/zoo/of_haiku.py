"""How layers of haiku get torch's weights: each is a dict in the dict of parameters, by the path of its module."""

from typing import Any

from zoo.architecture import State
from zoo.plain import linear_of, norm_of


def linear(state: State, path: str) -> dict[str, Any]:
    own = linear_of(state, path)
    return {"w": own["weight"], **({"b": own["bias"]} if "bias" in own else {})}


def layer_norm(state: State, path: str) -> dict[str, Any]:
    own = norm_of(state, path)
    return {"scale": own["weight"], "offset": own["bias"]}
