"""How a Flax model of transformers gets the weights of its original, and how both are called."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import transformers
from transformers.modeling_flax_pytorch_utils import convert_pytorch_state_dict_to_flax

from public.records import Called, Fault, PublicPort, Sides, drawn

WIDTH, HEADS, LAYERS, WORDS = 12 * 16, 12, 12, 61
"""As in the models that are used, of 12 layers and 12 heads, but with heads a quarter as wide."""


def sides(model: str, config: str, settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray], output: str) -> Sides:
    """Both are called with the same arguments, by the same names, and give the same field of their results."""

    def make() -> Any:
        return getattr(transformers, model)(getattr(transformers, config)(**settings))

    def call(model: Any, *given: Any) -> Any:
        return getattr(model(**dict(zip(inputs, given, strict=True))), output)

    original = drawn(make)
    ported = getattr(transformers, f"Flax{model}")(original.config)
    params = convert_pytorch_state_dict_to_flax(original.state_dict(), ported)

    def port(params: Any, *given: Any) -> Any:
        return getattr(ported(**dict(zip(inputs, given, strict=True)), params=params), output)

    return Sides(Called(original, call), port, list(inputs.values()), params)


def port(
    model: str,
    config: str,
    inputs: Mapping[str, np.ndarray],
    *,
    layers: int = LAYERS,
    output: str = "last_hidden_state",
    fault: Fault | None = None,
    **settings: Any,
) -> PublicPort:
    """The port of one model, by the names of its original and of its configuration."""
    return PublicPort(
        f"Flax{model}",
        "transformers",
        "transformers",
        layers,
        lambda: sides(model, config, settings, inputs, output),
        fault,
    )
