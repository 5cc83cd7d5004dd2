"""Layers that are given the results of all earlier ones: what no weight marks is used again by every layer that follows."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from ported import normals, randomised
from torch import nn

import crosscheck
from crosscheck import ModelsReport

CHANNELS, GROWTH, LAYERS = 4, 3, 2


class Dense(nn.Module):
    """A dense block behind a stem of a convolution, a norm, an activation and a pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, CHANNELS, 3, 2, 1, bias=False), nn.BatchNorm2d(CHANNELS)
        self.relu, self.pool = nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        widths = [CHANNELS + GROWTH * k for k in range(LAYERS + 1)]
        self.norms = nn.ModuleList(map(nn.BatchNorm2d, widths))
        self.convs = nn.ModuleList(nn.Conv2d(width, GROWTH, 3, padding=1, bias=False) for width in widths[:-1])
        self.head = nn.Linear(widths[-1], 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = [self.pool(self.relu(self.norm(self.conv(x))))]
        for norm, conv in zip(self.norms, self.convs, strict=False):
            features.append(conv(torch.relu(norm(torch.cat(features, 1)))))
        return self.head(self.norms[-1](torch.cat(features, 1)).mean((2, 3)))


def port(p: dict[str, Any], x: Any, *, relu: bool = True, padding: tuple[int, int] = (1, 1), turned: int = -1) -> Any:
    """Channels first. Layer ``turned`` puts its result before the others."""

    def conv(name: str, h: Any, stride: int) -> Any:
        return jax.lax.conv_general_dilated(h, p[f"{name}.weight"], (stride, stride), [(1, 1)] * 2)

    def norm(name: str, h: Any) -> Any:
        mean, var, scale, shift = (
            p[f"{name}.{what}"][:, None, None] for what in ("running_mean", "running_var", "weight", "bias")
        )
        return (h - mean) / jnp.sqrt(var + 1e-5) * scale + shift

    h = norm("norm", conv("conv", x, 2))
    h = jax.nn.relu(h) if relu else h
    pads = ((0, 0), (0, 0), padding, padding)
    features = jax.lax.reduce_window(h, -jnp.inf, jax.lax.max, (1, 1, 3, 3), (1, 1, 2, 2), pads)
    for k in range(LAYERS):
        new = conv(f"convs.{k}", jax.nn.relu(norm(f"norms.{k}", features)), 1)
        features = jnp.concatenate([new, features] if k == turned else [features, new], 1)
    pooled = norm(f"norms.{LAYERS}", features).mean((2, 3))
    return pooled @ p["head.weight"].T + p["head.bias"]


def compared(**mistakes: Any) -> ModelsReport:
    """The models' report; the running means are those of a new model, so that a norm subtracts zeros."""
    model = randomised(Dense()).eval()
    params = {
        name: jnp.asarray(np.asarray(value)) for name, value in model.state_dict().items() if value.is_floating_point()
    }
    return crosscheck.compare_models(model, partial(port, **mistakes), [normals(1, 3, 16, 16)], params=params, order=0)


def test_two_mistakes_before_a_value_that_later_layers_use_again_are_no_faults_of_these() -> None:
    report = compared(relu=False, padding=(0, 1))
    assert [fault.torch for fault in report.faults] == ["relu", "pool"]
    assert not report.notes  # the segment of each fault has its error alone, too


def test_a_layer_that_puts_its_result_before_the_others_is_named() -> None:
    report = compared(turned=1)
    assert report.first is not None
    assert report.first.torch == "norms.2"
    assert [(fact.kind, fact.jax) for fact in report.first.facts] == [("order", "with part 2 first")]
