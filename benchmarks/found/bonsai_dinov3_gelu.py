"""bonsai's DINOv3 computes GELU in its tanh form, the original exactly."""

import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

from bonsai_dinov3_rotary import sides as sides_with
from bonsai_dinov3_rotary import turned
from finding import Finding, OwnTest, Sides, main
from flax import nnx
from of_bonsai import COMMIT, MODELS, PROJECT


def sides() -> Sides:
    from bonsai.models.dinov3 import modeling

    modeling.apply_rotary_pos_emb = turned  # another finding, kept out of both comparisons
    return sides_with("gelu")


def mended() -> AbstractContextManager[Any]:
    return mock.patch.object(nnx, "gelu", partial(nnx.gelu, approximate=False))


FINDING = Finding(
    name="bonsai_dinov3_gelu",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/dinov3/modeling.py",
    line=252,
    what="GELU is the tanh form, in the original the exact one",
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
