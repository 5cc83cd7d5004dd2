"""Decoders of text: the Flax models of transformers before its release 5."""

import numpy as np

from public.flax_transformers import HEADS, LAYERS, WIDTH, WORDS, port
from public.records import Fault, integers

TOKENS = 10
TEXT = {
    "input_ids": integers(5, WORDS, 2, TOKENS),  # none is the padding's, whose row PyTorch gives no gradient
    "attention_mask": np.ones((2, TOKENS), np.int32),
}
OF_GPT = {"vocab_size": WORDS, "n_positions": 32, "n_embd": WIDTH, "n_layer": LAYERS, "n_head": HEADS}
OF_LLAMA = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 4,
    "intermediate_size": 2 * WIDTH,
    "max_position_embeddings": 32,
}

PORTS = [
    port("GPT2LMHeadModel", "GPT2Config", TEXT, output="logits", **OF_GPT),
    port("GPTJModel", "GPTJConfig", TEXT, rotary_dim=8, **OF_GPT),
    port(
        "GPTNeoModel",
        "GPTNeoConfig",
        TEXT,
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_layers=LAYERS,
        num_heads=HEADS,
        attention_types=[[["global", "local"], LAYERS // 2]],
        window_size=4,
        max_position_embeddings=32,
    ),
    port("LlamaModel", "LlamaConfig", TEXT, **OF_LLAMA),
    port(
        "MistralModel",
        "MistralConfig",
        TEXT,
        sliding_window=4,
        **OF_LLAMA,
        fault=Fault("layers.0.self_attn", "the sliding window is one position too long"),
    ),
    port("GemmaModel", "GemmaConfig", TEXT, head_dim=16, **OF_LLAMA),
    port(
        "OPTModel",
        "OPTConfig",
        TEXT,
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        ffn_dim=4 * WIDTH,
        word_embed_proj_dim=WIDTH,
        max_position_embeddings=32,
    ),
    # with 12 heads it calls jnp.cat, which JAX does not have: a number of heads must be a power of 2
    port("BloomModel", "BloomConfig", TEXT, vocab_size=WORDS, hidden_size=WIDTH, n_layer=LAYERS, n_head=8),
    port(
        "XGLMModel",
        "XGLMConfig",
        TEXT,
        vocab_size=WORDS,
        d_model=WIDTH,
        num_layers=LAYERS,
        attention_heads=HEADS,
        ffn_dim=4 * WIDTH,
        max_position_embeddings=32,
    ),
]
