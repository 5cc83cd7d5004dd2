"""Decoders and encoders of eqx-zoo, which needs Python 3.12; the originals are those of transformers."""

import tempfile
from typing import Any

import equinox as eqx
import eqx_zoo
import jax
import numpy as np
import transformers

from public.records import Called, PublicPort, Sides, drawn, integers

WIDTH, HEADS, LAYERS, WORDS, TOKENS = 12 * 16, 12, 12, 61, 10
IDS = integers(5, WORDS, 2, TOKENS)
MASK = (np.arange(TOKENS) < np.array([[10], [7]])).astype(np.int32)
SIZES = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": 32,
}
OF_DECODERS = {**SIZES, "num_key_value_heads": 4, "head_dim": 16, "pad_token_id": 0}


class Batched(eqx.Module):
    """A model of one sequence, for several. What is at the padding is not compared: it is not specified."""

    model: Any

    def __call__(self, ids: Any, mask: Any) -> Any:
        return jax.vmap(self.model)(ids, mask) * mask[..., None]


class OfOne(eqx.Module):
    """A decoder for a batch of one: its experts cannot be vmapped."""

    model: Any

    def __call__(self, ids: Any) -> Any:
        return self.model(ids[0])[0][None]


def features(model: Any, ids: Any, mask: Any) -> Any:
    return model(ids, attention_mask=mask).last_hidden_state * mask[..., None]


def logits(model: Any, ids: Any) -> Any:
    return model(ids).logits


def port(model: str, config: str, **settings: Any) -> PublicPort:
    def sides() -> Sides:
        original = drawn(lambda: getattr(transformers, model)(getattr(transformers, config)(**settings)))
        library = eqx_zoo.CausalLM if model.endswith("LM") else eqx_zoo.Encoder
        with tempfile.TemporaryDirectory() as folder:  # the port reads what the original writes
            original.save_pretrained(folder)
            ported = library.from_pretrained(folder)
        if library is eqx_zoo.CausalLM:
            return Sides(Called(original, logits), OfOne(ported), [IDS[:1]])
        return Sides(Called(original, features), Batched(ported), [IDS, MASK])

    return PublicPort(f"eqx_zoo.{model}", "eqx-zoo", "transformers", LAYERS, sides)


PORTS = [
    port("BertModel", "BertConfig", **SIZES),
    port("RobertaModel", "RobertaConfig", **SIZES, pad_token_id=1),
    port("LlamaForCausalLM", "LlamaConfig", **OF_DECODERS),
    port("Qwen2ForCausalLM", "Qwen2Config", **{name: value for name, value in OF_DECODERS.items() if name != "head_dim"}),
    port("Qwen3ForCausalLM", "Qwen3Config", **OF_DECODERS),
    port(
        "Qwen3MoeForCausalLM",
        "Qwen3MoeConfig",
        **OF_DECODERS,
        num_experts=8,
        num_experts_per_tok=2,
        moe_intermediate_size=64,
        norm_topk_prob=True,
    ),
]
