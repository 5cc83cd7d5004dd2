"""The residual network in flax.linen, whose running statistics are a collection of their own."""

from functools import partial
from typing import Any

from flax import linen as nn

from zoo.architecture import Port, State, channels_last, part
from zoo.plain import batch_norm_of, conv_of, linear_of
from zoo.resnet import STRIDES


class Block(nn.Module):
    width: int
    stride: int
    eps: float

    @nn.compact
    def __call__(self, x: Any) -> Any:
        conv = partial(nn.Conv, self.width, use_bias=False)
        norm = partial(nn.BatchNorm, use_running_average=True, epsilon=self.eps)
        h = conv((3, 3), self.stride, padding=1, name="conv1")(x)
        h = nn.relu(norm(name="bn1")(h))
        h = norm(name="bn2")(conv((3, 3), padding=1, name="conv2")(h))
        if self.stride > 1:
            x = norm(name="shortcut_bn")(conv((1, 1), self.stride, name="shortcut_conv")(x))
        return nn.relu(h + x)


class ResNet(nn.Module):
    eps: float = 1e-5

    @nn.compact
    def __call__(self, x: Any) -> Any:
        x = nn.Conv(8, (3, 3), padding=1, use_bias=False, name="conv")(x)
        x = nn.relu(nn.BatchNorm(use_running_average=True, epsilon=self.eps, name="bn")(x))
        for i, (width, stride) in enumerate(zip((8, 16), STRIDES, strict=True)):
            x = Block(width, stride, self.eps, name=f"blocks_{i}")(x)
        return nn.Dense(5, name="head")(x.mean((1, 2)))


CONVOLUTIONS = {"conv": "conv", "conv1": "conv1", "conv2": "conv2", "shortcut_conv": "shortcut.0"}
NORMS = {"bn": "bn", "bn1": "bn1", "bn2": "bn2", "shortcut_bn": "shortcut.1"}


def collections_of(state: State) -> tuple[dict[str, Any], dict[str, Any]]:
    """The parameters and the running statistics of a part of the model, by the names of its layers here."""
    params: dict[str, Any] = {}
    statistics: dict[str, Any] = {}
    for jax_name, torch_name in CONVOLUTIONS.items():
        if f"{torch_name}.weight" in state:
            params[jax_name] = {"kernel": conv_of(state, torch_name)["weight"]}
    for jax_name, torch_name in NORMS.items():
        if f"{torch_name}.weight" in state:
            own = batch_norm_of(state, torch_name)
            params[jax_name] = {name: own[name] for name in ("scale", "bias")}
            statistics[jax_name] = {name: own[name] for name in ("mean", "var")}
    return params, statistics


def port(state: State, **options: Any) -> Port:
    params, statistics = collections_of(state)
    for i in range(len(STRIDES)):
        params[f"blocks_{i}"], statistics[f"blocks_{i}"] = collections_of(part(state, f"blocks.{i}"))
    head = linear_of(state, "head")
    params["head"] = {"kernel": head["weight"], "bias": head["bias"]}
    return Port(ResNet(**options).apply, {"params": params, "batch_stats": statistics}, channels_last)
