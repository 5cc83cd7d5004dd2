"""The tutorial that ports a model from PyTorch to JAX leaves LayerNorm's epsilon at Flax's 1e-6, where PyTorch has 1e-5."""

import sys
from functools import partial

from finding import Finding, main
from maxvit_gelu import GELU, NORMS, OWN, PROJECT, TUTORIAL, VERSION, maxvit, mended

FINDING = Finding(
    name="maxvit_layer_norm",
    project=PROJECT,
    version=VERSION,
    file=TUTORIAL,
    line=725,
    what="Every LayerNorm of the tutorial's MaxViT has epsilon 1e-6, in torchvision's 1e-5.",
    sides=partial(maxvit, GELU),
    mended=partial(mended, NORMS),
    distributions=("flax", "torchvision"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
