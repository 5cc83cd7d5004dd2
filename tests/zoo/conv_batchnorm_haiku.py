"""The convolutions with batch normalisation in haiku, whose running statistics are a state beside the parameters."""

from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from zoo import of_haiku
from zoo.architecture import Port, State, channels_last
from zoo.plain import flattened_linear_of


def norm(name: str) -> Any:
    """The statistics are given, so that the rate at which they would move does not matter."""
    return hk.BatchNorm(True, True, 0.9, name=name)


def port(state: State, *, pool_padding: str = "VALID") -> Port:
    """Haiku pads as SAME or VALID do: torch's padding is laid around the image by hand, unless it is SAME."""

    def pool(x: Any) -> Any:
        if pool_padding == "VALID":
            x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        return hk.avg_pool(x, (3, 3, 1), (2, 2, 1), pool_padding)

    def convnet(x: Any) -> Any:
        x = hk.Conv2D(8, 3, with_bias=False, padding=(1, 1), name="conv1")(x)
        x = pool(jax.nn.relu(norm("bn1")(x, is_training=False)))
        x = hk.Conv2D(16, 3, stride=2, padding=(1, 1), name="conv2")(x)
        x = jax.nn.leaky_relu(norm("bn2")(x, is_training=False))
        return hk.Linear(5, name="head")(hk.Flatten()(x))

    params1, averages1 = of_haiku.batch_norm(state, "bn1")
    params2, averages2 = of_haiku.batch_norm(state, "bn2")
    head = flattened_linear_of(state, "head", channels=16, height=2, width=2)
    params = {
        "conv1": of_haiku.conv(state, "conv1"),
        **params1,
        "conv2": of_haiku.conv(state, "conv2"),
        **params2,
        "head": {"w": head["weight"], "b": head["bias"]},
    }
    model = hk.without_apply_rng(hk.transform_with_state(convnet))
    return Port(lambda p, x: model.apply(*p, x)[0], (params, averages1 | averages2), channels_last)
