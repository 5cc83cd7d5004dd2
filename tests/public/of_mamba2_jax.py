"""Mamba-2 in flax.nnx; the original is that of transformers, of several chunks."""

from typing import Any

import mamba2_jax
import transformers
from mamba2_jax.params import load_pytorch_weights

from public.records import Called, PublicPort, Sides, drawn, integers

LAYERS, WIDTH, WORDS = 12, 96, 61


def call(model: Any, ids: Any) -> Any:
    return model(ids, use_cache=False).logits


class Logits(mamba2_jax.Mamba2ForCausalLM):
    """What torch gives of it."""

    def __call__(self, ids: Any) -> Any:
        return super().__call__(ids)["logits"]


def sides() -> Sides:
    from flax import nnx

    settings = {"vocab_size": WORDS, "hidden_size": WIDTH, "state_size": 16, "head_dim": 16, "chunk_size": 8}
    config = transformers.Mamba2Config(
        **settings, num_heads=12, n_groups=1, num_hidden_layers=LAYERS, tie_word_embeddings=True, use_cache=False
    )
    original = drawn(lambda: transformers.Mamba2ForCausalLM(config))
    ported = Logits(mamba2_jax.Mamba2Config(**settings, num_hidden_layers=LAYERS), rngs=nnx.Rngs(0))
    state = {name.replace("embeddings.", "embedding."): value.numpy() for name, value in original.state_dict().items()}
    load_pytorch_weights(ported, state, strict=True)
    return Sides(Called(original, call), ported, [integers(5, WORDS, 2, 20)])


PORTS = [PublicPort("mamba2_jax.Mamba2ForCausalLM", "mamba2-jax", "transformers", LAYERS, sides)]
