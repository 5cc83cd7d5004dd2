"""What an architecture of the zoo is: a model of PyTorch, its inputs, and its ports to JAX with the same weights."""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn

State = Mapping[str, np.ndarray]
"""The parameters and buffers of a torch model, by torch's names."""

PACKAGES = {"nnx": "flax", "linen": "flax", "equinox": "equinox", "haiku": "haiku"}
"""What must be installed for a library's ports; those in plain functions need JAX alone."""


class Port(NamedTuple):
    """A port to JAX, as ``compare_models`` takes it."""

    model: Any
    """Called with the inputs, after the parameters where there are any."""
    params: Any = None
    torch_to_jax: Callable[[Sequence[Any]], Sequence[Any]] | None = None
    new_state: Callable[[Any], State] | None = None
    """In training mode: torch's buffers after a call, by torch's names, from the model (nnx) or the state that it returned.
    A function then returns (outputs, state)."""

    def laid_out(self, inputs: Sequence[Any]) -> list[Any]:
        """The inputs as JAX's side takes them."""
        return [jnp.asarray(x) for x in (self.torch_to_jax(inputs) if self.torch_to_jax else inputs)]


@torch.no_grad()
def randomise(model: nn.Module) -> None:
    """Draw every parameter and buffer, so that none is 0 or 1 and no two are alike."""
    for name, value in model.state_dict().items():
        if not value.is_floating_point():
            continue
        if name.endswith("running_var") or (value.ndim == 1 and name.endswith("weight")):
            value.uniform_(0.5, 1.5)
        elif value.ndim <= 1:
            value.normal_(0, 0.3)
        else:
            value.normal_(0, value[0].numel() ** -0.5)


@torch.no_grad()
def keep_new(model: nn.Module) -> None:
    """Leave a model as PyTorch makes it, with biases of 0, as other libraries make them: norms are 1 and 0 then."""
    for name, value in model.named_parameters():
        if "bias" in name:
            value.zero_()


@dataclass(frozen=True)
class Architecture:
    """One architecture: the module ``zoo.NAME``. Its ports to libraries are in ``zoo.NAME_LIBRARY``."""

    name: str
    torch: Callable[[], nn.Module]
    """Makes the model, whose parameters and buffers are then drawn at random, or left by ``draw``."""
    inputs: Callable[[int], list[Any]]
    """By seed: the arguments of both sides, in torch's layout."""
    plain: Callable[..., Port]
    """From a state and options: the port in plain functions of a pytree."""
    libraries: tuple[str, ...]
    """Those of its other ports."""
    train: bool = False
    """Whether it is compared in training mode."""
    float32_inside: tuple[str, ...] = ()
    """Those whose ports compute a part in float32 in every dtype, as ``jax.nn.dot_product_attention`` does its softmax."""
    tolerances: Mapping[str, float] = field(default_factory=lambda: {"float64": 1e-10, "float32": 1e-4, "bfloat16": 0.05})
    """How far outputs may be from torch's by rounding, relative to their size, in each dtype that it is compared in."""
    draw: Callable[[nn.Module], None] = randomise

    @property
    def ports(self) -> tuple[str, ...]:
        return ("plain", *self.libraries)

    def torch_model(self, seed: int) -> nn.Module:
        """The model with random parameters and buffers, in the mode to be compared."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = self.torch()
            self.draw(model)
        return model.train(self.train)

    def jax(
        self,
        library: str,
        seed: int = 0,
        *,
        dtype: str = "float32",
        fresh: bool = False,
        weights: Callable[[State], State] = dict,
        **options: Any,
    ) -> Port:
        """The port with the weights of ``torch_model(seed)``, or fresh ones; float64 needs ``jax.enable_x64(True)``.

        ``weights`` changes them on their way; the options are the port's own.
        """
        build = self.plain if library == "plain" else importlib.import_module(f"zoo.{self.name}_{library}").port
        port = build(weights(state_of(self.torch_model(seed), dtype)), **options)
        if not fresh:
            return port
        if port.params is None:
            return port._replace(model=initialised(port.model, seed))
        return port._replace(params=initialised(port.params, seed))


def installed(library: str) -> bool:
    """Whether the ports to this library can be made here."""
    return library not in PACKAGES or importlib.util.find_spec(PACKAGES[library]) is not None


def state_of(model: nn.Module, dtype: str = "float32") -> State:
    """The model's parameters and buffers as arrays, the floating ones in this dtype."""
    return {
        name: value.double().numpy().astype(jnp.dtype(dtype)) if value.is_floating_point() else value.numpy().copy()
        for name, value in model.state_dict().items()
    }


def initialised(tree: Any, seed: int) -> Any:
    """The tree as a library would make it: matrices drawn at random, biases and means 0, scales and variances 1."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(tree)
    random = np.random.default_rng(seed + 1000)

    def value(path: Any, leaf: Any) -> Any:
        if not hasattr(leaf, "dtype") or not jnp.issubdtype(leaf.dtype, jnp.floating):
            return leaf
        name = jax.tree_util.keystr(path, simple=True, separator=".").removesuffix(".value")
        if "_ema" in name:  # haiku's averages of a mean and a variance; what is hidden counts in training alone
            return leaf if name.endswith("hidden") else jnp.full_like(leaf, "var_ema" in name)
        name = name.rpartition(".")[2]
        if name in ("b", "offset", "mean") or "bias" in name:
            return jnp.zeros_like(leaf)
        if name in ("scale", "var") or leaf.ndim < 2:
            return jnp.ones_like(leaf)
        return jnp.asarray(random.normal(size=leaf.shape) * leaf.shape[-2] ** -0.5, leaf.dtype)

    return jax.tree_util.tree_unflatten(structure, [value(path, leaf) for path, leaf in leaves])


def part(state: State, path: str) -> dict[str, np.ndarray]:
    """What the state holds of one module, by the names within it."""
    return {name.removeprefix(f"{path}."): value for name, value in state.items() if name.startswith(f"{path}.")}


def layers_of(state: State, path: str) -> range:
    """The numbers of the layers that the state holds under a path."""
    return range(len({name.split(".")[1] for name in state if name.startswith(f"{path}.")}))


def of_layer(options: Mapping[str, Any], index: int) -> dict[str, Any]:
    """The options of one layer out of those of all: ``norm`` is every layer's, ``1.norm`` only that of layer 1."""
    own = f"{index}."
    every = {name: value for name, value in options.items() if "." not in name}
    return every | {name.removeprefix(own): value for name, value in options.items() if name.startswith(own)}


def channels_last(inputs: Sequence[Any]) -> list[Any]:
    """Images as JAX has them: NCHW to NHWC."""
    return [x.transpose(0, 2, 3, 1) if x.ndim == 4 else x for x in inputs]


def normals(seed: int, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """Arrays of standard normal numbers, float32."""
    random = np.random.default_rng(seed)
    return [random.normal(size=shape).astype(np.float32) for shape in shapes]
