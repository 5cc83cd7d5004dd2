"""The vision transformers of equimo that have the names of timm's take the approximation of GELU by tanh; timm's do not."""

import sys
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jax
import timm
from equimo.vision.models.vit import vit_tiny_patch16_224
from finding import Finding, Sides, main

sys.path.append(str(Path(__file__).parents[2] / "tests"))
from public.of_equimo import Batched, carried
from public.records import drawn, normals

SIZES = {"img_size": 32, "num_classes": 10}
FILE, CONFIGURATION = "equimo/vision/models/vit.py", "equimo.vision.models.vit._VIT_BASE_CFG"


def vit(**right: Any) -> Sides:
    """``vit_tiny_patch16_224`` of one narrow layer; ``right`` sets what another finding is about."""
    original = drawn(lambda: timm.create_model("vit_tiny_patch16_224", embed_dim=48, depth=1, **SIZES))
    # the pooling is that of timm
    port = vit_tiny_patch16_224(dim=48, depths=[1], global_pool="token", key=jax.random.key(0), **right, **SIZES)
    return Sides(original, Batched(carried(port, original.state_dict())), [normals(2, 3, 32, 32)])


FINDING = Finding(
    name="equimo_vit_gelu",
    project="equimo",
    version="2.7.0",
    file=FILE,
    line=785,
    what='vit_tiny_patch16_224 and its sisters have act_layer "gelu", the approximation by tanh; timm has the exact GELU.',
    sides=partial(vit, eps=1e-6),
    mended=partial(patch.dict, CONFIGURATION, act_layer="exactgelu"),
    distributions=("equimo", "equinox", "timm"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
