"""bonsai's Gemma 3 forgets the sliding window once it decodes from its cache."""

import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
import torch
from finding import Finding, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, drawn, integers, loaded
from transformers import Gemma3Config, Gemma3ForConditionalGeneration

WINDOW, PROMPT = 4, 7


def sides() -> Sides:
    from bonsai.models.gemma3 import modeling, params

    vision = {
        "hidden_size": 8,
        "image_size": 8,
        "intermediate_size": 16,
        "layer_norm_eps": 1e-6,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "patch_size": 4,
        "vision_use_head": False,
    }
    text = {
        "vocab_size": 32,
        "hidden_size": 64,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "sliding_window": WINDOW,
        "max_position_embeddings": 64,
    }
    kinds = {"layer_types": ["sliding_attention"], "query_pre_attn_scalar": 16, "pad_token_id": 0}
    given = Gemma3Config({**text, **kinds}, vision, mm_tokens_per_image=4, image_token_id=31, boi_token_index=30)
    original = drawn(lambda: Gemma3ForConditionalGeneration(given))
    slides = {
        "attention_bias": False,
        "attention_dropout": 0.0,
        "layer_types": [modeling.AttentionMode.SLIDE],
        "rms_norm_eps": 1e-6,
        "rope_full_factor": 1.0,
        "rope_full_theta": 1e6,
        "rope_slide_factor": 1.0,
        "rope_slide_theta": 1e4,
        "norm_dtype": jnp.float32,
    }
    config = modeling.ModelConfig(
        modeling.VisionConfig(attention_dropout=0.0, num_channels=3, **vision),
        modeling.TextConfig(**text, **slides),
        mm_tokens_per_image=4,
        dtype="float32",
        final_logit_softcapping=None,
    )
    port = loaded(original, lambda folder: params.create_gemma3_from_pretrained(folder, config))

    def theirs(model: Any, tokens: torch.Tensor) -> torch.Tensor:
        first = model(tokens[:, :PROMPT], use_cache=True)
        return model(tokens[:, PROMPT:], past_key_values=first.past_key_values, use_cache=True).logits

    def call(model: Any, tokens: jax.Array) -> jax.Array:
        cache = modeling.init_cache(config, *tokens.shape, 0, dtype=model.embed_tokens.weight.embedding[...].dtype)
        for part in (tokens[:, :PROMPT], tokens[:, PROMPT:]):
            here = {"segment_ids": jnp.ones_like(part), "token_type_ids": jnp.zeros_like(part)}
            logits = model(part, None, cache=cache, **here)
        return logits

    return Sides(Called(original, theirs), Port(port, call), [integers(1, 30, 2, PROMPT + 1)])


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.gemma3 import modeling

    def windowed(cache: Any, kinds: jax.Array, size: int, **more: Any) -> jax.Array:
        rows, columns = jnp.arange(kinds.shape[1])[:, None], jnp.arange(cache.size)[None, :]
        return modeling.make_causal_mask(cache, kinds, **more) & (rows + cache.cur_ind - columns < size)

    return mock.patch.object(
        modeling,
        "make_window_mask",
        lambda cache, kinds, slide_size, out_sharding: windowed(cache, kinds, slide_size, out_sharding=out_sharding),
    )


FINDING = Finding(
    name="bonsai_gemma3_window",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/gemma3/modeling.py",
    line=752,
    what="while it decodes, a sliding layer sees all that the cache holds, in the original only its window",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
