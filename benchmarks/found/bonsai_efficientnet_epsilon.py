"""bonsai's EfficientNet b5 to b7: the last batch norm has not the epsilon of the others."""

import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

import torch
from finding import Finding, OwnTest, Sides, main
from flax import nnx
from of_bonsai import COMMIT, MODELS, PROJECT, channels_last, drawn, normals
from timm.models._efficientnet_builder import decode_arch_def, round_channels
from timm.models.efficientnet import EfficientNet


def sides() -> Sides:
    from bonsai.models.efficientnet import modeling, params

    # What timm gives tf_efficientnet_b5_ap and bonsai its b5, but narrower, and with two blocks only.
    stages = decode_arch_def([["ds_r1_k3_s1_e1_c16_se0.25"], ["ir_r1_k3_s2_e6_c24_se0.25"]])
    original = drawn(
        lambda: EfficientNet(
            stages,
            num_classes=5,
            num_features=320,
            round_chs_fn=partial(round_channels, multiplier=0.25),
            pad_type="same",
            act_layer=torch.nn.SiLU,
            norm_layer=partial(torch.nn.BatchNorm2d, eps=1e-3),
        )
    )
    block = modeling.BlockConfig
    blocks = modeling.BlockConfigs([block(32, 16, 3, 1, 1, 1, 0.25, "SAME"), block(16, 24, 3, 1, 6, 2, 0.25, "SAME")])
    config = modeling.ModelConfig(0.25, 0.3, 16, 0.4, "SAME", 1e-1, 1e-3, blocks, 5)
    port = modeling.EfficientNet(config, rngs=nnx.Rngs(0))
    port = params.load_pretrained_weights(port, {name: value.numpy() for name, value in original.state_dict().items()})
    port.eval()
    return Sides(original, port, [normals(2, 3, 16, 16)], torch_to_jax=channels_last)


def mended() -> AbstractContextManager[Any]:
    from bonsai.models.efficientnet import modeling

    begun = modeling.EfficientNet.__init__

    def begin(model: Any, config: Any, **more: Any) -> None:
        begun(model, config, **more)
        model.head_bn.epsilon = config.bn_epsilon

    return mock.patch.object(modeling.EfficientNet, "__init__", begin)


FINDING = Finding(
    name="bonsai_efficientnet_epsilon",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/efficientnet/modeling.py",
    line=303,
    what="the head's batch norm has an epsilon of 1e-5, in the original of b5 to b7 it is 1e-3",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "timm",
    ),
    own_test=OwnTest(1e-7, 1e-3, f"{MODELS}/efficientnet/tests/test_outputs_efficientnet.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
