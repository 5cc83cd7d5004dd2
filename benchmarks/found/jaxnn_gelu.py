"""The activation that jaxnn calls gelu is the approximation by tanh; timm, whose models it ports, has the exact one."""

import sys
from functools import partial
from pathlib import Path

import timm
from edited import edited
from finding import Finding, Sides, main
from flax import nnx
from jaxnn.models.vision_transformer import VisionTransformer

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.by_names import carried
from public.of_jaxnn import renamed
from public.records import channels_last, drawn, normals

SIZES = {"img_size": 16, "patch_size": 8, "embed_dim": 48, "depth": 1, "num_heads": 4, "num_classes": 10}


def vit() -> Sides:
    original = drawn(lambda: timm.models.VisionTransformer(**SIZES))
    # jaxnn's own models ask for the activation by its name
    port = VisionTransformer(**SIZES, act_layer="gelu", rngs=nnx.Rngs(0))
    port.eval()
    state = {renamed(name): value for name, value in original.state_dict().items()}
    return Sides(original, carried(port, state), [normals(2, 3, 16, 16)], torch_to_jax=channels_last)


FINDING = Finding(
    name="jaxnn_gelu",
    project="jaxnn",
    version="0.2.0",
    file="jaxnn/layers/create_act.py",
    line=14,
    what='The activation named "gelu" is the approximation by tanh, in timm the exact one.',
    sides=vit,
    mended=partial(
        edited, "jaxnn.layers.create_act", '"gelu": nnx.gelu,', '"gelu": functools.partial(nnx.gelu, approximate=False),'
    ),
    distributions=("jaxnn", "flax", "timm"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
