"""Layers of Keras: the same model on the backend of torch, and on that of JAX."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import numpy as np
import torch

from public.records import Called, Fault, PublicPort, Sides, normals

version("keras")  # without it these ports are left out; it is imported for each backend

LAYERS, WIDTH, HEADS = 12, 12 * 16, 12


def taken_out() -> dict[str, Any]:
    """The modules of Keras, which Python then imports afresh."""
    names = [name for name in sys.modules if name.partition(".")[0] == "keras"]
    return {name: sys.modules.pop(name) for name in names}


def of_backend(name: str) -> Any:
    """A Keras of its own: it reads its backend once, as it is imported."""
    taken_out()
    os.environ["KERAS_BACKEND"] = name
    return importlib.import_module("keras")


@contextmanager
def inside(modules: dict[str, Any]) -> Iterator[None]:
    """Where what Keras imports as it runs is among these modules."""
    before = taken_out()
    sys.modules.update(modules)
    try:
        yield
    finally:
        modules.update(taken_out())
        sys.modules.update(before)


def transformer(keras: Any) -> Any:
    layers = keras.layers
    x = given = keras.Input((8, WIDTH))
    for _ in range(LAYERS):
        h = layers.LayerNormalization()(x)
        x = x + layers.MultiHeadAttention(HEADS, WIDTH // HEADS)(h, h, use_causal_mask=True)
        h = layers.Dense(2 * WIDTH, activation="gelu")(layers.LayerNormalization()(x))
        x = x + layers.Dense(WIDTH)(h)
    return keras.Model(given, layers.LayerNormalization()(x))


def convolutions(keras: Any) -> Any:
    layers = keras.layers
    x = given = keras.Input((16, 16, 3))
    for channels in (16, 32, 48):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", use_bias=False)(x)
        x = layers.Activation("silu")(layers.BatchNormalization()(x))
        h = layers.DepthwiseConv2D(3, padding="same")(x)
        x = x + layers.Conv2D(channels, 1)(layers.GroupNormalization(8)(h))
    return keras.Model(given, layers.Dense(10)(layers.GlobalAveragePooling2D()(x)))


def recurrent(keras: Any) -> Any:
    layers = keras.layers
    x = given = keras.Input((6, 8))
    x = layers.LSTM(16, return_sequences=True)(x)
    x = layers.GRU(16)(x)
    return keras.Model(given, layers.Dense(3)(x))


def two_pass(x: torch.Tensor, axes: Any, keepdims: bool = False, synchronized: bool = False) -> tuple[Any, Any]:
    """The mean and the variance, with the mean subtracted before the squares are taken, as Keras does it in JAX."""
    assert not synchronized
    return x.mean(axes, keepdim=keepdims), x.var(axes, correction=0, keepdim=keepdims)


def mended(keras: Any) -> Any:
    """The convolutions, with that variance in torch too."""
    if keras.backend.backend() == "torch":
        sys.modules["keras.src.backend.torch.nn"].moments = two_pass
    return convolutions(keras)


def sides(make: Callable[[Any], Any], *shape: int) -> Sides:
    ported = make(of_backend("jax"))
    of_jax = taken_out()
    original = make(of_backend("torch"))  # and torch's stays imported, since its model is copied too
    random = np.random.default_rng(0)
    weights = [
        random.uniform(0.5, 1.5, weight.shape) if weight.ndim == 1 else random.normal(0, 0.1, weight.shape)
        for weight in original.get_weights()
    ]
    original.set_weights(weights)
    with inside(of_jax):
        ported.set_weights(weights)
    held = [[variable.value for variable in some] for some in (ported.trainable_variables, ported.non_trainable_variables)]

    def apply(held: Any, given: Any) -> Any:
        with inside(of_jax):
            return ported.stateless_call(*held, given)[0]

    return Sides(Called(original.eval(), lambda model, given: model(given)), apply, [normals(*shape)], held)


FAST = Fault(
    "model", "its torch backend takes the mean of squares minus the square of the mean for the variance, which loses digits"
)

PORTS = [
    PublicPort("keras, a transformer", "keras", "keras", LAYERS, lambda: sides(transformer, 1, 8, WIDTH)),
    PublicPort("keras, convolutions", "keras", "keras", 6, lambda: sides(convolutions, 2, 16, 16, 3), FAST),
    PublicPort("keras, convolutions, two passes", "keras", "keras", 6, lambda: sides(mended, 2, 16, 16, 3)),
    PublicPort("keras, recurrent layers", "keras", "keras", 2, lambda: sides(recurrent, 2, 6, 8)),
]
