"""Ports of twelve layers, one for each library of JAX: as deep as those in use; alike layers are compiled together."""

from functools import partial
from typing import Any

import jax.numpy as jnp
import pytest
from zoo import decoder, encoder, installed
from zoo.architecture import Architecture
from zoo.plain import Array, multihead, softmax_attention

from crosscheck import ModelsReport, compare_models

SEED = 1


def in_float32(q: Array, k: Array, v: Array, mask: Array) -> Array:
    """Attention as large models have it: scores that are cast, and masked with an array of the dtype."""
    scores = (jnp.einsum("bqhd,bkhd->bhqk", q, k) * q.shape[-1] ** -0.5).astype(jnp.float32)
    scores = jnp.where(mask, scores, jnp.array(-jnp.inf).astype(jnp.float32))
    weights = jnp.exp(scores - scores.max(-1, keepdims=True))
    return jnp.einsum("bhqk,bkhd->bqhd", (weights / weights.sum(-1, keepdims=True)).astype(v.dtype), v)


PORTS = [
    pytest.param(encoder.TWELVE, "plain", {"attention": partial(multihead, attention=in_float32)}, id="plain"),
    pytest.param(encoder.TWELVE, "nnx", {}, id="nnx", marks=pytest.mark.full),
    pytest.param(encoder.TWELVE, "haiku", {}, id="haiku", marks=pytest.mark.full),
    pytest.param(decoder.TWELVE, "linen", {}, id="linen", marks=pytest.mark.full),
    pytest.param(decoder.TWELVE, "equinox", {}, id="equinox", marks=pytest.mark.full),
]


def compared(architecture: Architecture, library: str, **options: Any) -> ModelsReport:
    if not installed(library):
        pytest.skip(f"{library} is not installed")
    port = architecture.jax(library, SEED, **options)
    model, inputs = architecture.torch_model(SEED), architecture.inputs(SEED)
    return compare_models(model, port.model, inputs, params=port.params, order=0)


@pytest.mark.parametrize(("architecture", "library", "options"), PORTS)
def test_a_right_port_of_twelve_layers_is_certified(
    architecture: Architecture, library: str, options: dict[str, Any]
) -> None:
    report = compared(architecture, library, **options)
    assert report.passed, report.story()
    assert len(report.layers) > 12 * 6


def test_a_scale_that_is_wrong_in_one_of_twelve_layers_is_found_there() -> None:
    wrong = partial(multihead, attention=partial(softmax_attention, scale=0.4))
    report = compared(encoder.TWELVE, "plain", **{"7.attention": wrong})
    assert report.first
    assert str(report.first.torch).startswith("blocks.7")
