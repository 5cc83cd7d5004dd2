"""A vision transformer and residual networks of jaxnn in flax.nnx; the originals are those of timm."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import timm
from flax import nnx
from jaxnn.models import resnet, vision_transformer

from public.by_names import carried
from public.records import Fault, PublicPort, Sides, channels_last, drawn, normals

PATCHES = {
    "img_size": 32,
    "patch_size": 8,
    "embed_dim": 12 * 16,
    "depth": 12,
    "num_heads": 12,
    "num_classes": 10,
}
IN_FLAX = {
    r"^layer(\d)": lambda match: f"stage_modules.{int(match[1]) - 1}",
    r"^(stage_modules\.\d+|blocks)\.": r"\1.layers.",
    r"downsample\.0": "downsample.conv",
    r"downsample\.1": "downsample.bn",
    r"^fc\.": "fc.fc.",
}
"""What of timm's names has another name in jaxnn."""


def renamed(name: str) -> str:
    for torch_name, jax_name in IN_FLAX.items():
        name = re.sub(torch_name, jax_name, name)
    return name


def sides(make: Callable[[], Any], port: Callable[..., Any]) -> Sides:
    original = drawn(make)
    ported = port(rngs=nnx.Rngs(0))
    ported.eval()
    state = {renamed(name): value for name, value in original.state_dict().items()}
    return Sides(original, carried(ported, state), [normals(2, 3, 32, 32)], torch_to_jax=channels_last)


def vit() -> Any:
    return timm.models.VisionTransformer(**PATCHES)


def port(
    name: str, layers: int, make: Callable[[], Any], ported: Callable[..., Any], fault: Fault | None = None
) -> PublicPort:
    return PublicPort(f"jaxnn.{name}", "jaxnn", "timm", layers, lambda: sides(make, ported), fault)


def resnets(block: str, *depths: int) -> tuple[Callable[[], Any], Callable[..., Any]]:
    narrow = {"layers": depths, "num_classes": 10, "channels": (16, 32, 48, 64), "stem_width": 16}
    return (
        lambda: timm.models.ResNet(getattr(timm.models.resnet, block), **narrow),
        partial(resnet.ResNet, getattr(resnet, block), **narrow),
    )


PORTS = [
    port(
        "VisionTransformer",
        12,
        vit,
        partial(vision_transformer.VisionTransformer, **PATCHES),
        Fault("blocks.0.mlp.act", "its gelu is the tanh form, in the original the exact one"),
    ),
    port(
        "VisionTransformer, exact gelu",
        12,
        vit,
        partial(vision_transformer.VisionTransformer, **PATCHES, act_layer=partial(nnx.gelu, approximate=False)),
    ),
    port("ResNet, basic blocks", 34, *resnets("BasicBlock", 3, 4, 6, 3)),
    port("ResNet, bottlenecks", 50, *resnets("Bottleneck", 3, 4, 6, 3)),
]
