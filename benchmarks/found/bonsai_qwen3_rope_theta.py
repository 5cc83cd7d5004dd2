"""bonsai's Qwen3 ignores the rope_theta of its configuration."""

import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from finding import Finding, OwnTest, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, drawn, integers, loaded
from transformers import Qwen3Config, Qwen3ForCausalLM

THETA = 10_000


def models(theta: int) -> tuple[Any, Any, Any]:
    """The original, its port, and the port's configuration."""
    from bonsai.models.qwen3 import modeling, params

    given = Qwen3Config(
        vocab_size=32,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        rope_theta=theta,
        tie_word_embeddings=False,
    )
    original = drawn(lambda: Qwen3ForCausalLM(given))
    config = modeling.ModelConfig(1, 32, 32, 64, 4, 8, 2, theta, 1, theta, 1e-6, False)
    return original, loaded(original, lambda folder: params.create_model_from_safe_tensors(folder, config)), config


def sides() -> Sides:
    from bonsai.models.qwen3 import modeling

    original, port, config = models(THETA)

    def call(model: Any, tokens: jax.Array) -> jax.Array:
        cache = modeling.init_cache(config, *tokens.shape, 0, dtype=model.embedder.embedding[...].dtype)
        return model(tokens, cache=cache, segment_ids=jnp.ones_like(tokens))

    return Sides(
        Called(original, lambda model, tokens: model(tokens, use_cache=False).logits),
        Port(port, call),
        [integers(1, 32, 2, 8)],
    )


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.qwen3 import modeling

    made = modeling._generate_pos_embeddings
    return mock.patch.object(
        modeling, "_generate_pos_embeddings", lambda positions, head_dim: made(positions, head_dim, THETA)
    )


FINDING = Finding(
    name="bonsai_qwen3_rope_theta",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/qwen3/modeling.py",
    line=295,
    what="the base of rotary positions is 1e6, whatever the configuration says",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(1e-3, 1e-3, f"{MODELS}/qwen3/tests/test_outputs_qwen3.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
