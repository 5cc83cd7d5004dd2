"""bonsai's vision transformer resizes its position embeddings by another bicubic kernel than the original."""

import math
import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

import jax
import jax.numpy as jnp
from finding import Finding, OwnTest, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, channels_last, drawn, loaded, normals
from transformers import ViTConfig, ViTForImageClassification


def sides() -> Sides:
    from bonsai.models.vit import modeling, params

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    act = "gelu_pytorch_tanh"  # as the port has it: its GELU is another finding
    given = ViTConfig(image_size=16, patch_size=4, num_labels=5, hidden_act=act, **sizes)
    original = drawn(lambda: ViTForImageClassification(given))
    config = modeling.ModelConfig((16, 16), (4, 4), 3, 32, 0.0, 0.0, 4, 64, 1e-12, 1, 5)
    port = loaded(original, lambda folder: params.create_vit_from_pretrained(folder, config))
    root = jnp.sqrt

    def call(model: Any, pixels: jax.Array) -> jax.Array:
        """The port's logits, though it takes roots of lengths by ``int(jnp.sqrt(...))``, which cannot be traced."""
        with mock.patch.object(jnp, "sqrt", lambda x: math.sqrt(x) if isinstance(x, int) else root(x)):
            return model(pixels, rngs=None)

    return Sides(
        Called(original, lambda model, pixels: model(pixels, interpolate_pos_encoding=True).logits),
        Port(port, call),
        [normals(2, 3, 24, 24)],
        torch_to_jax=channels_last,
    )


def mended() -> AbstractContextManager[Any]:
    resize = jax.image.resize
    return mock.patch.object(
        jax.image, "resize", lambda *given, method: resize(*given, method=f"{method}-pytorch", antialias=False)
    )


FINDING = Finding(
    name="bonsai_vit_bicubic",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/vit/modeling.py",
    line=56,
    what="position embeddings are resized by the bicubic kernel of -0.5, in the original by that of -0.75",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(1e-5, 1e-1, f"{MODELS}/vit/tests/test_outputs_vit.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
