"""New models drawn at random: their branches may be computed in any order, and one stopped gradient is found."""

import random
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from ported import weights_of
from sampled import sampled
from torch import nn

from crosscheck import compare_models

WIDTH = 8


class Branches(nn.Module):
    """Branches of one value, added up: some have a norm or biases; their sum may have a norm, and the value added."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__()
        count = rng.choice([1, 2, 3])
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) if rng.random() < 0.7 else nn.Identity() for _ in range(count))
        self.up = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=rng.random() < 0.85) for _ in range(count))
        self.down = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=rng.random() < 0.85) for _ in range(count))
        self.scales = nn.ParameterList(torch.ones(WIDTH) for _ in range(count))
        self.norm = nn.LayerNorm(WIDTH) if rng.random() < 0.4 else nn.Identity()
        self.residual = rng.random() < 0.7
        self.order = rng.sample(range(count), count)
        self.joined = rng.random() < 0.4
        """Whether JAX computes all branches' first layers as one, in its order."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        branches = [
            scale * down(torch.tanh(up(norm(x))))
            for scale, down, up, norm in zip(self.scales, self.down, self.up, self.norms, strict=True)
        ]
        return self.norm(sum(branches, x if self.residual else 0.0))


class Drawn:
    """A model and its port, whose names say what the weights are, or nothing."""

    def __init__(self, seed: int) -> None:
        rng = random.Random(seed)
        torch.manual_seed(seed)
        blocks = [Branches(rng) for _ in range(rng.choice([1, 2, 3]))]
        self.model = nn.Sequential(*blocks, nn.Linear(WIDTH, 5))
        for name, parameter in self.model.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
        self.blocks = blocks
        self.weights = weights_of(self.model)
        self.stopped = rng.choice([None, *self.weights])
        names = rng.sample([*self.weights], len(self.weights))
        self.names = (
            {name: f"p{k}" for k, name in enumerate(names)} if rng.random() < 0.5 else {name: name for name in names}
        )

    def port(self, params: Any, x: Any) -> Any:
        def of(name: str) -> Any:
            array = params[self.names[name]] if name in self.names else None
            return jax.lax.stop_gradient(array) if name == self.stopped else array

        def norm(path: str, given: Any) -> Any:
            if of(f"{path}.weight") is None:
                return given
            given = (given - given.mean(-1, keepdims=True)) / jnp.sqrt(given.var(-1, keepdims=True) + 1e-5)
            return given * of(f"{path}.weight") + of(f"{path}.bias")

        def linear(path: str, given: Any) -> Any:
            bias = of(f"{path}.bias")
            return given @ of(f"{path}.weight").T + (0 if bias is None else bias)

        for number, block in enumerate(self.blocks):
            total = x if block.residual else 0.0
            joint: dict[int, Any] = {}
            biases = [of(f"{number}.up.{k}.bias") for k in block.order]
            if block.joined and not any(isinstance(norm, nn.LayerNorm) for norm in block.norms) and None not in biases:
                weight = jnp.concatenate([of(f"{number}.up.{k}.weight") for k in block.order])
                together = jnp.split(x @ weight.T + jnp.concatenate(biases), len(block.order), -1)
                joint = dict(zip(block.order, together, strict=True))
            for k in block.order:
                up = joint[k] if joint else linear(f"{number}.up.{k}", norm(f"{number}.norms.{k}", x))
                total = total + of(f"{number}.scales.{k}") * linear(f"{number}.down.{k}", jnp.tanh(up))
            x = norm(f"{number}.norm", total)
        return linear(str(len(self.blocks)), x)


@pytest.mark.full
@pytest.mark.parametrize("seed", [pytest.param(seed, marks=() if seed < 4 else sampled(seed)) for seed in range(120)])
def test_only_a_stopped_gradient_is_wrong(seed: int) -> None:
    drawn = Drawn(seed)
    params = {drawn.names[name]: jnp.array(weight) for name, weight in drawn.weights.items()}
    x = np.random.default_rng(seed).standard_normal((6, WIDTH), np.float32)
    report = compare_models(drawn.model, drawn.port, [x], params=params)
    wrong = [gradient.parameter for gradient in report.gradients if gradient.cause is not None]
    assert wrong == ([] if drawn.stopped is None else [drawn.stopped]), report.story()
    assert all(gradient.share == 1.0 for gradient in report.gradients)
    assert {(weight.torch, weight.jax) for weight in report.weights} >= {
        (name, f"['{own}']") for name, own in drawn.names.items()
    }, report.story()
