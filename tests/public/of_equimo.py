"""A vision transformer of equimo in equinox, which needs Python 3.12; the original is that of timm."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import timm
import torch
from equimo.vision.models.vit import VisionTransformer

from public.records import Fault, PublicPort, Sides, drawn, normals

LAYERS, WIDTH, HEADS = 12, 12 * 16, 12
IN_TIMM = {
    r"\.blocks\[0\]\.blocks\[(\d+)\]": r"blocks.\1",
    "prenorm": "norm1",
    r"(blocks\.\d+)\.norm\.": r"\1.norm2.",
    r"global_pos_embed\.weight": "pos_embed",
    r"^\.": "",
}
"""What of equimo's paths has another name in timm."""


class Batched(eqx.Module):
    """Of several images."""

    model: Any

    def __call__(self, images: Any) -> Any:
        return jax.vmap(lambda image: self.model(image, inference=True))(images)


def carried(model: Any, state: dict[str, torch.Tensor]) -> Any:
    """The module with torch's values: both have them in the same order."""

    def value(path: Any, leaf: Any) -> Any:
        if not eqx.is_inexact_array(leaf):
            return leaf
        name = jax.tree_util.keystr(path)
        for torch_name, jax_name in IN_TIMM.items():
            name = re.sub(torch_name, jax_name, name)
        return jnp.asarray(state[name].numpy().reshape(leaf.shape))

    return jax.tree_util.tree_map_with_path(value, model)


def sides(activation: str = "gelu") -> Sides:
    original = drawn(
        lambda: timm.models.VisionTransformer(
            img_size=32, patch_size=8, embed_dim=WIDTH, depth=LAYERS, num_heads=HEADS, num_classes=10
        )
    )
    ported = VisionTransformer(
        img_size=32,
        in_channels=3,
        dim=WIDTH,
        patch_size=8,
        num_heads=HEADS,
        depths=[LAYERS],
        reg_tokens=0,
        num_classes=10,
        global_pool="token",
        eps=1e-6,
        act_layer=activation,
        key=jax.random.key(0),
    )
    return Sides(original, Batched(carried(ported, original.state_dict())), [normals(2, 3, 32, 32)])


TANH = Fault("blocks.0.mlp.act", "its gelu is the tanh form unless it is called exactgelu, in the original the exact one")

PORTS = [
    PublicPort("equimo.VisionTransformer", "equimo", "timm", LAYERS, sides, TANH),
    PublicPort("equimo.VisionTransformer, exact gelu", "equimo", "timm", LAYERS, lambda: sides("exactgelu")),
]
