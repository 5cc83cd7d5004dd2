"""The convolutions with batch normalisation in flax.linen, in training mode: a call returns the new statistics too."""

from typing import Any

from flax import linen as nn

from zoo import of_linen
from zoo.architecture import Port, State, channels_last
from zoo.plain import batch_norm_of, flattened_linear_of

NORMS = ("bn1", "bn2")


class ConvNet(nn.Module):
    momentum: float

    @nn.compact
    def __call__(self, x: Any) -> tuple[Any, dict[str, int]]:
        """The outputs, and of how many numbers each batch normalisation took its statistics."""

        def norm(name: str) -> Any:
            return nn.BatchNorm(False, momentum=self.momentum, epsilon=1e-5, use_fast_variance=False, name=name)

        first = nn.Conv(8, (3, 3), padding=1, use_bias=False, name="conv1")(x)
        x = nn.relu(norm("bn1")(first))
        x = nn.avg_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        second = nn.Conv(16, (3, 3), 2, padding=1, name="conv2")(x)
        x = nn.leaky_relu(norm("bn2")(second))
        counts = {name: y.size // y.shape[-1] for name, y in zip(NORMS, (first, second), strict=True)}
        return nn.Dense(5, name="head")(x.reshape(len(x), -1)), counts


def new_state(variables: Any) -> State:
    return {f"{name}.running_{kind}": variables["batch_stats"][name][kind] for name in NORMS for kind in ("mean", "var")}


def port(state: State, *, momentum: float = 0.9, unbiased: bool = True) -> Port:
    """Flax's momentum is the share of the old; its running variance is divided by n, torch's by n - 1."""
    model = ConvNet(momentum)

    def apply(variables: Any, x: Any) -> tuple[Any, Any]:
        (y, counts), moved = model.apply(variables, x, mutable=["batch_stats"])
        statistics = moved["batch_stats"]
        if unbiased:
            for name, count in counts.items():
                kept = momentum * variables["batch_stats"][name]["var"]
                statistics[name]["var"] = kept + (statistics[name]["var"] - kept) * (count / (count - 1))
        return y, {**variables, "batch_stats": statistics}

    norms = {name: batch_norm_of(state, name) for name in NORMS}
    params = {
        **{name: of_linen.conv(state, name) for name in ("conv1", "conv2")},
        **{name: {kind: own[kind] for kind in ("scale", "bias")} for name, own in norms.items()},
        "head": of_linen.kernel(flattened_linear_of(state, "head", channels=16, height=2, width=2)),
    }
    statistics = {name: {kind: own[kind] for kind in ("mean", "var")} for name, own in norms.items()}
    return Port(apply, {"params": params, "batch_stats": statistics}, channels_last, new_state)
