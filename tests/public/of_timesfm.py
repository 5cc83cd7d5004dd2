"""TimesFM, of which one distribution holds both: the original in torch, and the port to flax.nnx with scanned layers."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from flax import nnx
from timesfm.timesfm_2p5 import timesfm_2p5_base, timesfm_2p5_flax, timesfm_2p5_torch

from public.by_names import carried
from public.records import Called, PublicPort, Sides, drawn, normals

LAYERS, WIDTH, HEADS, HORIZON = 12, 12 * 16, 12, 128


def scaled_down() -> Any:
    """The configuration with a narrow stack of 12 layers."""
    config = timesfm_2p5_base.TimesFM_2p5_200M_Definition()

    def block(original: Any, **sizes: int) -> Any:
        return dataclasses.replace(original, hidden_dims=WIDTH, **sizes)

    stack = config.stacked_transformers
    return dataclasses.replace(
        config,
        tokenizer=block(config.tokenizer, output_dims=WIDTH),
        stacked_transformers=dataclasses.replace(
            stack, num_layers=LAYERS, transformer=block(stack.transformer, model_dims=WIDTH, num_heads=HEADS)
        ),
        output_projection_point=block(config.output_projection_point, input_dims=WIDTH),
        output_projection_quantiles=block(config.output_projection_quantiles, input_dims=WIDTH),
    )


class Original(timesfm_2p5_torch.TimesFM_2p5_200M_torch_module):
    config = scaled_down()


class Ported(timesfm_2p5_flax.TimesFM_2p5_200M_flax_module):
    config = scaled_down()


class Decoded(nnx.Module):
    """The port as it is used: its own call needs a cache."""

    def __init__(self, model: Ported) -> None:
        self.model = model

    def __call__(self, series: Any, masks: Any) -> Any:
        return call(self.model, series, masks)


def call(model: Any, series: Any, masks: Any) -> Any:
    return model.decode(HORIZON, series, masks)[:2]


def sides() -> Sides:
    original = drawn(Original)
    series = normals(2, 6 * 32)
    masks = np.zeros(series.shape, bool)
    masks[1, : 2 * 32] = True  # a series that begins later
    ported = carried(Ported(), split(original.state_dict()), stacked="stacked_xf")
    return Sides(Called(original, call), Decoded(ported), [series, masks])


def split(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The projections of queries, keys and values, which the original has joined, by themselves."""
    parts = dict(state)
    for name in [name for name in parts if "qkv_proj" in name]:
        for own, value in zip(("query", "key", "value"), parts.pop(name).chunk(3), strict=True):
            parts[name.replace("qkv_proj", own)] = value
    return parts


PORTS = [PublicPort("timesfm.TimesFM_2p5", "timesfm", "timesfm", LAYERS, sides, order=0)]  # torch's decode has no gradients
