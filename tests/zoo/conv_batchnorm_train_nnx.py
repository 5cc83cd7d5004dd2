"""The convolutions with batch normalisation in flax.nnx, in training mode: a call changes the module."""

from typing import Any

import jax
from flax import nnx

from zoo import of_nnx
from zoo.architecture import Port, State, channels_last
from zoo.conv_batchnorm_nnx import ConvNet


class BatchNorm(nnx.BatchNorm):
    """With the running variance divided by n - 1, as in torch; flax divides it by n."""

    def __call__(self, x: Any) -> Any:
        before = self.var[...]
        y = super().__call__(x)
        count = x.size // x.shape[-1]
        kept = self.momentum * before
        self.var[...] = kept + (self.var[...] - kept) * (count / (count - 1))
        return y


def new_state(model: Any) -> State:
    return {
        f"{name}.running_{kind}": getattr(layer, kind)[...]
        for name, layer in (("bn1", model.bn1), ("bn2", model.bn2))
        for kind in ("mean", "var")
    }


def port(state: State, *, momentum: float = 0.9, norm: Any = BatchNorm) -> Port:
    model = ConvNet(state, 1e-5, 1)
    for name in ("bn1", "bn2"):
        given = getattr(model, name)
        made = norm(given.num_features, momentum=momentum, epsilon=1e-5, use_fast_variance=False, rngs=of_nnx.RNGS)
        setattr(model, name, nnx.update(made, nnx.state(given)) or made)
    return Port(jax.tree.map(lambda leaf: leaf, model), torch_to_jax=channels_last, new_state=new_state)
