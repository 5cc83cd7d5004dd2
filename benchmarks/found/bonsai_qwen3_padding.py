"""bonsai's Qwen3 counts the padding before a prompt as positions once it decodes from its cache."""

import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import torch
from bonsai_qwen3_rope_theta import models
from finding import Finding, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, integers

PADS = np.array([0, 2])
"""Before each prompt of the batch."""
PROMPT = 7
FAR = 2**30
"""The position that bonsai gives to padding, which nothing sees."""


def sides() -> Sides:
    from bonsai.models.qwen3 import modeling

    original, port, config = models(1_000_000)
    columns = np.arange(PROMPT + 1)
    real = columns >= PADS[:, None]
    places = torch.as_tensor(np.where(real, columns - PADS[:, None], FAR))
    seen = torch.as_tensor((columns[:, None] >= columns) & (real[:, :, None] == real[:, None, :]))[:, None]

    def theirs(model: Any, tokens: torch.Tensor) -> torch.Tensor:
        hidden = torch.zeros((), dtype=model.lm_head.weight.dtype).masked_fill(~seen, torch.finfo(torch.float32).min)
        prompt, rest = slice(PROMPT), slice(PROMPT, None)
        first = model(tokens[:, prompt], hidden[:, :, prompt, prompt], places[:, prompt], use_cache=True)
        return model(tokens[:, rest], hidden[:, :, rest], places[:, rest], first.past_key_values).logits

    def call(model: Any, tokens: jax.Array) -> jax.Array:
        cache = modeling.init_cache(config, *tokens.shape, 0, dtype=model.embedder.embedding[...].dtype)
        for part in (tokens[:, :PROMPT], tokens[:, PROMPT:]):
            logits = model(part, cache=cache, segment_ids=(part != 0).astype(jnp.int32))
        return logits

    tokens = np.where(real, integers(1, 32, 2, PROMPT + 1), 0)
    return Sides(Called(original, theirs), Port(port, call), [tokens])


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.qwen3 import modeling

    counted = modeling.compute_positions_from_segment_ids

    def places(segments: jax.Array) -> jax.Array:
        return counted(segments) if segments.shape[1] == PROMPT else counted(segments) - PADS[:, None]

    return mock.patch.object(modeling, "compute_positions_from_segment_ids", places)


FINDING = Finding(
    name="bonsai_qwen3_padding",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/qwen3/modeling.py",
    line=294,
    what="a decoded token's position counts the padding before its prompt, which the prompt's positions do not",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
