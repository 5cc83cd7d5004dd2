"""Weights that were not copied are named where their numbers are, not blamed on what applies them."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from facts import assert_facts
from ported import Attention, X, joined_attention, joined_params, normals, randomised, split, weights_of
from torch import nn

import crosscheck
from crosscheck import Fact


class Tokens(nn.Module):
    """A learned token before the others, a scale for each feature, and attention."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.randn(1, 1, 4))
        self.attention, self.gamma, self.head = Attention(), nn.Parameter(torch.rand(4) + 0.5), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1)
        return self.head(x + self.gamma * self.attention(x))


def port(p: Any, x: Any) -> Any:
    x = jnp.concatenate([jnp.broadcast_to(p["token"], (len(x), 1, 4)), x], 1)
    return (x + p["gamma"] * joined_attention(p, x)) @ p["head"]["w"] + p["head"]["b"]


MODEL = randomised(Tokens())
OWN = weights_of(MODEL)
ATTENTION = {name.removeprefix("attention."): array for name, array in OWN.items() if name.startswith("attention.")}
PARAMS = {
    "token": OWN["token"],
    "gamma": OWN["gamma"],
    "head": {"w": OWN["head.weight"].T, "b": OWN["head.bias"]},
    **joined_params(ATTENTION),
}


def joined(*parts: np.ndarray) -> dict[str, Any]:
    return {"qkv": {"w": np.concatenate(parts).T, "b": OWN["attention.qkv.bias"]}}


Q, K, V = (split(OWN["attention.qkv.weight"], part) for part in range(3))


@pytest.mark.parametrize(
    ("held", "where", "name", "leaf"),
    [
        ({"token": np.zeros((1, 1, 4), np.float32)}, "", "token", "['token']"),
        ({"token": normals(1, 1, 4, seed=5)}, "", "token", "['token']"),
        ({"gamma": np.zeros(4, np.float32)}, "", "gamma", "['gamma']"),
        ({"gamma": np.ones(4, np.float32)}, "", "gamma", "['gamma']"),
        (joined(normals(4, 4, seed=5), K, V), "attention.qkv", "attention.qkv.weight", "['qkv']['w']"),
        (joined(Q, K, normals(4, 4, seed=5)), "attention.qkv", "attention.qkv.weight", "['qkv']['w']"),
        (joined(Q, K, K), "attention.qkv", "attention.qkv.weight", "['qkv']['w']"),
    ],
)
def test_a_weight_that_was_not_copied_is_named(held: dict[str, Any], where: str, name: str, leaf: str) -> None:
    report = crosscheck.compare_models(MODEL, port, [X], params=PARAMS | held)
    (fault,) = report.faults
    assert fault.torch == where, report.story()
    assert_facts(fault.facts, Fact("values", name, jax=leaf))


def test_the_right_numbers_are_certified_and_another_function_is_not_blamed_on_weights() -> None:
    assert crosscheck.compare_models(MODEL, port, [X], params=PARAMS).passed
    report = crosscheck.compare_models(MODEL, lambda p, x: port(p, jnp.tanh(x)), [X], params=PARAMS)
    assert [fact.kind for fault in report.faults for fact in fault.facts if fact.kind == "values"] == []
    assert not report.passed
