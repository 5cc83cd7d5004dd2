"""Encoders of text: the Flax models of transformers before its release 5."""

import numpy as np

from public.flax_transformers import HEADS, LAYERS, WIDTH, WORDS, port
from public.records import Fault, integers

TOKENS = 10
LENGTHS = np.array([10, 7])
SIZES = {
    "vocab_size": WORDS,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 4 * WIDTH,
    "max_position_embeddings": 32,
}
TEXT = {
    "input_ids": integers(5, WORDS, 2, TOKENS),  # none is the padding's, whose row PyTorch gives no gradient
    "attention_mask": (np.arange(TOKENS) < LENGTHS[:, None]).astype(np.int32),
}

PORTS = [
    port("BertModel", "BertConfig", TEXT, **SIZES),
    port("RobertaModel", "RobertaConfig", TEXT, **SIZES),
    port("RobertaPreLayerNormModel", "RobertaPreLayerNormConfig", TEXT, **SIZES),
    port("RoFormerModel", "RoFormerConfig", TEXT, **SIZES),
    port(
        "ElectraModel",
        "ElectraConfig",
        TEXT,
        **SIZES,
        fault=Fault("embeddings.token_type_embeddings", "token types default to ones, in the original to zeros"),
    ),
    port(
        "DistilBertModel",
        "DistilBertConfig",
        TEXT,
        vocab_size=WORDS,
        dim=WIDTH,
        n_layers=LAYERS,
        n_heads=HEADS,
        hidden_dim=4 * WIDTH,
        max_position_embeddings=32,
    ),
    port("AlbertModel", "AlbertConfig", TEXT, embedding_size=64, **SIZES),
    port("BigBirdModel", "BigBirdConfig", TEXT, attention_type="original_full", **SIZES),
]
