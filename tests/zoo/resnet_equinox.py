"""The residual network in equinox, as it is evaluated: its running statistics are in a state beside the module."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from zoo import of_equinox
from zoo.architecture import Port, State, part
from zoo.resnet import STRIDES

AXIS = "batch"


def norm(state: State, path: str) -> Any:
    own = part(state, path)
    module = eqx.nn.BatchNorm(len(own["bias"]), AXIS, mode="batch", dtype=own["bias"].dtype)
    return of_equinox.carried(module, weight=own["weight"], bias=own["bias"])


class Block(eqx.Module):
    conv1: eqx.nn.Conv2d
    bn1: eqx.nn.BatchNorm
    conv2: eqx.nn.Conv2d
    bn2: eqx.nn.BatchNorm
    shortcut: eqx.nn.Sequential | None

    def __init__(self, state: State, path: str, stride: int) -> None:
        self.conv1 = of_equinox.conv(state, f"{path}.conv1", stride, padding=1)
        self.bn1 = norm(state, f"{path}.bn1")
        self.conv2 = of_equinox.conv(state, f"{path}.conv2", padding=1)
        self.bn2 = norm(state, f"{path}.bn2")
        self.shortcut = None
        if stride > 1:
            conv = of_equinox.conv(state, f"{path}.shortcut.0", stride)
            self.shortcut = eqx.nn.Sequential([conv, norm(state, f"{path}.shortcut.1")])

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        h, state = self.bn1(self.conv1(x), state)
        h, state = self.bn2(self.conv2(jax.nn.relu(h)), state)
        if self.shortcut is not None:
            x, state = self.shortcut(x, state)
        return jax.nn.relu(h + x), state


class ResNet(eqx.Module):
    conv: eqx.nn.Conv2d
    bn: eqx.nn.BatchNorm
    blocks: list[Block]
    head: eqx.nn.Linear

    def __init__(self, state: State) -> None:
        self.conv = of_equinox.conv(state, "conv", padding=1)
        self.bn = norm(state, "bn")
        self.blocks = [Block(state, f"blocks.{i}", stride) for i, stride in enumerate(STRIDES)]
        self.head = of_equinox.linear(state, "head")

    def norms(self) -> dict[str, Any]:
        """Each batch normalisation, by torch's name."""
        shortcut = self.blocks[1].shortcut
        assert shortcut is not None
        inner = {
            f"blocks.{i}.{name}": getattr(block, name) for i, block in enumerate(self.blocks) for name in ("bn1", "bn2")
        }
        return {"bn": self.bn, **inner, "blocks.1.shortcut.1": shortcut[1]}

    def __call__(self, x: Any, state: Any) -> tuple[Any, Any]:
        x, state = self.bn(self.conv(x), state)
        x = jax.nn.relu(x)
        for block in self.blocks:
            x, state = block(x, state)
        return self.head(x.mean((1, 2))), state


class Evaluated(eqx.Module):
    """The model with its state, of a batch."""

    model: ResNet
    state: eqx.nn.State

    def __call__(self, x: Any) -> Any:
        return jax.vmap(self.model, in_axes=(0, None), out_axes=(0, None), axis_name=AXIS)(x, self.state)[0]


def port(state: State, *, counted: bool = False) -> Port:
    """The option ``counted`` carries torch's number of batches over too, by which equinox corrects averages begun at 0."""
    model, kept = eqx.nn.make_with_state(ResNet)(state)
    for path, module in model.norms().items():
        own = {name: jnp.asarray(value) for name, value in part(state, path).items()}
        kept = kept.set(module.batch_state_index, (own["running_mean"], own["running_var"]))
        kept = kept.set(module.batch_counter, jnp.asarray(100 if counted else 0))
    return Port(Evaluated(eqx.nn.inference_mode(model), kept))
