"""bonsai's Qwen3-VL computes the GELU of its patch mergers in the tanh form, the original exactly."""

import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from finding import Finding, OwnTest, Sides, main
from flax import nnx
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, drawn, normals, renamed
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

NAMES = {r"embedding$|kernel$|scale$": "weight"}
GRID = np.array([[1, 4, 4]])
"""Frames, rows and columns of patches: both models read them from values."""


def sides() -> Sides:
    from bonsai.models.qwen3_vl import modeling

    sizes = {
        "depth": 1,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_heads": 4,
        "patch_size": 4,
        "out_hidden_size": 24,
        "num_position_embeddings": 16,
        "deepstack_visual_indexes": (0,),
    }
    original = drawn(lambda: Qwen3VLVisionModel(Qwen3VLVisionConfig(**sizes)))
    port = modeling.Qwen3VLVisionModel(modeling.Qwen3VLVisionConfig(**sizes), rngs=nnx.Rngs(0))
    return Sides(
        Called(original, lambda model, patches: model(patches, torch.as_tensor(GRID))),
        Port(renamed(original, port, NAMES), lambda model, patches: model(patches, GRID)),
        [normals(16, 96)],
    )


def mended() -> AbstractContextManager[Any]:
    return mock.patch.object(nnx, "gelu", partial(nnx.gelu, approximate=False))  # the blocks ask for theirs by name


FINDING = Finding(
    name="bonsai_qwen3_vl_gelu",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/qwen3_vl/modeling.py",
    line=577,
    what="the GELU of the patch mergers is the tanh form, in the original the exact one",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(1e-3, 5e-3, f"{MODELS}/qwen3_vl/tests/test_outputs_qwen3vl.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
