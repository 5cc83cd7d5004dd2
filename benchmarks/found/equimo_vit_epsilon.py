"""The vision transformers of equimo that have the names of timm's have LayerNorm's epsilon 1e-5, timm's 1e-6."""

import sys
from functools import partial
from unittest.mock import patch

from equimo_vit_gelu import CONFIGURATION, FILE, vit
from finding import Finding, main

FINDING = Finding(
    name="equimo_vit_epsilon",
    project="equimo",
    version="2.7.0",
    file=FILE,
    line=778,
    what="vit_tiny_patch16_224 and its sisters set no eps, so that it is 1e-5; in timm it is 1e-6.",
    sides=partial(vit, act_layer="exactgelu"),
    mended=partial(patch.dict, CONFIGURATION, eps=1e-6),
    distributions=("equimo", "equinox", "timm"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
