"""bonsai's ConvNeXt gives every LayerNorm the epsilon that the original gives only the last."""

import sys
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock

from finding import Finding, OwnTest, Sides, main
from flax import nnx
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, channels_last, drawn, normals, renamed
from transformers import ConvNextConfig, ConvNextForImageClassification

NAMES = {
    r"^embedding_layer\.layers\.0": "convnext.embeddings.patch_embeddings",
    r"^embedding_layer\.layers\.1": "convnext.embeddings.layernorm",
    r"^stages\.": "convnext.encoder.stages.",
    r"downsample_layers": "downsampling_layer",
    r"(layers\.\d+)\.norm": r"\1.layernorm",
    r"gamma$": "layer_scale_parameter",
    r"^norm": "convnext.layernorm",
    r"^head": "classifier",
    r"(kernel|scale)$": "weight",
}


def sides() -> Sides:
    from bonsai.models.convnext import modeling

    depths, widths = (1, 1), (8, 16)
    given = ConvNextConfig(num_stages=2, depths=depths, hidden_sizes=widths, num_labels=5)
    original = drawn(lambda: ConvNextForImageClassification(given))
    port = modeling.ConvNeXt(modeling.ModelConfig(depths, widths, 0.0, 5), rngs=nnx.Rngs(0))
    return Sides(
        Called(original, lambda model, pixels: model(pixels).logits),
        Port(renamed(original, port, NAMES), lambda model, pixels: model(pixels, rngs=None)),
        [normals(2, 3, 16, 16)],
        torch_to_jax=channels_last,
    )


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.convnext import modeling

    begun = modeling.ConvNeXt.__init__

    def begin(model: Any, *given: Any, **more: Any) -> None:
        begun(model, *given, **more)
        for _, layer in nnx.iter_modules(model):
            if isinstance(layer, nnx.LayerNorm) and layer is not model.norm:
                layer.epsilon = 1e-6

    return mock.patch.object(modeling.ConvNeXt, "__init__", begin)


FINDING = Finding(
    name="bonsai_convnext_epsilon",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/convnext/modeling.py",
    line=73,
    what="the epsilon of every LayerNorm is 1e-12, in the original it is 1e-6 in all but the last",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(2e-5, 2e-5, f"{MODELS}/convnext/tests/test_outputs_ConvNext.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
