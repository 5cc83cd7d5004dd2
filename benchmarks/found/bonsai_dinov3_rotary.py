"""bonsai's DINOv3 turns queries and keys in bfloat16, though the model is in float32."""

import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from finding import Finding, OwnTest, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, drawn, loaded, normals
from transformers import DINOv3ViTConfig, DINOv3ViTModel


def sides(act: str = "silu") -> Sides:
    from bonsai.models.dinov3 import modeling, params

    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "hidden_act": act,
        "num_register_tokens": 2,
    }
    original = drawn(lambda: DINOv3ViTModel(DINOv3ViTConfig(image_size=16, patch_size=4, **sizes)))
    config = modeling.ModelConfig(image_size=16, patch_size=(4, 4), **sizes)
    port = loaded(original, lambda folder: params.create_model_from_safe_tensors(folder, config))
    return Sides(
        Called(original, lambda model, pixels: model(pixels).last_hidden_state),
        Port(port, lambda model, pixels: model(pixels)["last_hidden_state"]),
        [normals(2, 3, 16, 16)],
    )


def turned(q: jax.Array, k: jax.Array, cos: jax.Array, sin: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Queries and keys, those of patches turned by their positions, in the dtype that they come in."""

    def one(x: jax.Array) -> jax.Array:
        others, patches = jnp.split(x, [x.shape[-2] - cos.shape[-2]], axis=-2)
        left, right = jnp.split(patches, 2, axis=-1)
        return jnp.concatenate([others, patches * cos + jnp.concatenate([-right, left], axis=-1) * sin], axis=-2)

    return one(q), one(k)


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.dinov3 import modeling

    return mock.patch.object(modeling, "apply_rotary_pos_emb", turned)


FINDING = Finding(
    name="bonsai_dinov3_rotary",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/dinov3/modeling.py",
    line=172,
    what="queries and keys are cast to bfloat16 before they are turned by their positions",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(1e-5, 3e-2, f"{MODELS}/dinov3/tests/test_outputs_dinov3.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
