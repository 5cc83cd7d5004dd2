"""Models with an encoder and a decoder: the Flax models of transformers before its release 5."""

import types
from typing import Any

import jax.numpy as jnp
import numpy as np
from transformers.models.t5 import modeling_flax_t5

from public.flax_transformers import HEADS, WIDTH, WORDS, port
from public.records import integers, normals

LAYERS = 6
"""Of the encoder, and of the decoder."""
TEXT = {
    "input_ids": integers(5, WORDS, 2, 10),  # none is the padding's, whose row PyTorch gives no gradient
    "attention_mask": (np.arange(10) < np.array([10, 7])[:, None]).astype(np.int32),
    "decoder_input_ids": integers(5, WORDS, 2, 8, seed=1),
}
OF_BART = {
    "vocab_size": WORDS,
    "d_model": WIDTH,
    "encoder_layers": LAYERS,
    "decoder_layers": LAYERS,
    "encoder_attention_heads": HEADS,
    "decoder_attention_heads": HEADS,
    "encoder_ffn_dim": 4 * WIDTH,
    "decoder_ffn_dim": 4 * WIDTH,
    "max_position_embeddings": 32,
}
OF_T5 = {
    "vocab_size": WORDS,
    "d_model": WIDTH,
    "d_kv": 16,
    "d_ff": 4 * WIDTH,
    "num_layers": LAYERS,
    "num_decoder_layers": LAYERS,
    "num_heads": HEADS,
}


def clip(x: Any, a_min: Any = None, a_max: Any = None) -> Any:
    """``jnp.clip`` by the names of its arguments before JAX 0.10: the port of T5 was not changed since."""
    return jnp.clip(x, a_min, a_max)


modeling_flax_t5.jnp = types.SimpleNamespace(**{**vars(jnp), "clip": clip})

PORTS = [
    port("BartModel", "BartConfig", TEXT, layers=2 * LAYERS, **OF_BART),
    port("MBartModel", "MBartConfig", TEXT, layers=2 * LAYERS, **OF_BART),
    port("PegasusModel", "PegasusConfig", TEXT, layers=2 * LAYERS, **OF_BART),
    port("BlenderbotModel", "BlenderbotConfig", TEXT, layers=2 * LAYERS, **OF_BART),
    port("MarianModel", "MarianConfig", TEXT, layers=2 * LAYERS, pad_token_id=0, **OF_BART),
    port("T5Model", "T5Config", TEXT, layers=2 * LAYERS, **OF_T5),
    port("MT5Model", "MT5Config", TEXT, layers=2 * LAYERS, **OF_T5),
    port(
        "WhisperModel",
        "WhisperConfig",
        {"input_features": normals(1, 20, 48), "decoder_input_ids": TEXT["decoder_input_ids"][:1]},
        layers=2 * LAYERS,
        num_mel_bins=20,
        max_source_positions=24,
        max_target_positions=32,
        pad_token_id=0,
        bos_token_id=1,
        eos_token_id=2,
        decoder_start_token_id=3,
        **{name: value for name, value in OF_BART.items() if name != "max_position_embeddings"},
    ),
]
