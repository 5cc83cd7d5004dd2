"""The convolutions with batch normalisation in flax.nnx, in training mode: a call changes the module."""

from typing import Any

from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State, channels_last
from zoo.conv_batchnorm_nnx import ConvNet


class BatchNorm(nnx.BatchNorm):
    """With the running variance divided by n - 1, as in torch; flax divides it by n."""

    def __call__(self, x: Any) -> Any:
        kept = self.momentum * self.var[...]
        y = super().__call__(x)
        count = x.size // x.shape[-1]
        self.var[...] = kept + (self.var[...] - kept) * (count / (count - 1))
        return y


def new_state(model: Any) -> State:
    return {
        f"{name}.running_{kind}": getattr(layer, kind)[...]
        for name, layer in (("bn1", model.bn1), ("bn2", model.bn2))
        for kind in ("mean", "var")
    }


def port(state: State, *, momentum: float = 0.9, unbiased: bool = True) -> Port:
    """Flax's momentum is the share of the old."""
    model = ConvNet(state, 1e-5, 1)
    layer = BatchNorm if unbiased else nnx.BatchNorm
    for name in ("bn1", "bn2"):
        evaluated = getattr(model, name)
        training = layer(evaluated.num_features, momentum=momentum, use_fast_variance=False, rngs=of_nnx.RNGS)
        of_nnx.carried(training, **{kind: getattr(evaluated, kind)[...] for kind in ("scale", "bias", "mean", "var")})
        setattr(model, name, training)
    return Port(model, torch_to_jax=channels_last, new_state=new_state)
