"""Tiny Flax models of transformers with random weights, and their originals with the same."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
from finding import OwnTest, Sides

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.flax_transformers import sides
from public.records import integers

IDS = integers(5, 61, 2, 10)
WORDS = {"vocab_size": 61}
LAYER = {**WORDS, "hidden_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 128}
DECODER = {**LAYER, "num_key_value_heads": 2, "max_position_embeddings": 32}

OWN = OwnTest(
    0.0, 4e-2, "huggingface/transformers at 00c60e4, tests/test_modeling_flax_common.py: test_equivalence_flax_to_pt"
)
"""How the project tested its Flax models against PyTorch, each with a configuration of its own."""


def tiny(model: str, config: str, settings: dict[str, Any]) -> Sides:
    """Both are given the words and a mask that hides none, and nothing else: what else they take has its default."""
    inputs = {"input_ids": IDS, "attention_mask": np.ones_like(IDS)}
    return Sides(*sides(model, config, settings, inputs, "last_hidden_state"))
