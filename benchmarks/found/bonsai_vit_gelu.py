"""bonsai's vision transformer computes GELU in its tanh form, the original exactly."""

import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

import jax
from finding import Finding, OwnTest, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, channels_last, drawn, loaded, normals
from transformers import ViTConfig, ViTForImageClassification


def sides() -> Sides:
    from bonsai.models.vit import modeling, params

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    original = drawn(lambda: ViTForImageClassification(ViTConfig(image_size=16, patch_size=4, num_labels=5, **sizes)))
    config = modeling.ModelConfig((16, 16), (4, 4), 3, 32, 0.0, 0.0, 4, 64, 1e-12, 2, 5)
    port = loaded(original, lambda folder: params.create_vit_from_pretrained(folder, config))
    return Sides(
        Called(original, lambda model, pixels: model(pixels).logits),
        Port(port, lambda model, pixels: model(pixels, rngs=None)),
        [normals(2, 3, 16, 16)],
        torch_to_jax=channels_last,
    )


def mended() -> AbstractContextManager[Any]:
    return mock.patch.object(jax.nn, "gelu", partial(jax.nn.gelu, approximate=False))


FINDING = Finding(
    name="bonsai_vit_gelu",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/vit/modeling.py",
    line=118,
    what="GELU is the tanh form, in the original the exact one",
    sides=sides,
    mended=mended,
    distributions=("flax", "transformers"),
    own_test=OwnTest(1e-5, 5e-2, f"{MODELS}/vit/tests/test_outputs_vit.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
