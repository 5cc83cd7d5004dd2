"""Bugs as people make them when they port a model, planted in the JAX side of the zoo one at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from zoo import ARCHITECTURES, decoder, encoder, gcn, moe, scanned, vit, wrong
from zoo.architecture import Port, State
from zoo.plain import batch_norm_train, gelu, layer_norm, softmax_attention
from zoo.unet import group_norm


@dataclass(frozen=True)
class Bug:
    """One wrong port."""

    kind: str
    architecture: str
    library: str
    where: tuple[str, ...]
    """The innermost modules of torch whose step the port does wrongly; "" for a step of the model itself, between its
    modules. Where the port moves numbers wrongly, the module that they are moved to."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the port."""
    weights: Callable[[State], State] = dict
    """What happens to torch's weights on their way."""
    shows: str = "values"
    """In the "values", else only in the "gradients" or, in training mode, in the new "state"."""

    @property
    def name(self) -> str:
        return f"{self.architecture}-{self.library}-{self.kind.replace(' ', '-')}"

    def jax(self, seed: int = 0, dtype: str = "float32") -> Port:
        return planted([self], seed, dtype)


def planted(bugs: Iterable[Bug], seed: int = 0, dtype: str = "float32") -> Port:
    """The port with all of these bugs, which are of one architecture and library and have no option in common."""
    first, *others = bugs

    def weights(state: State) -> State:
        for bug in (first, *others):
            state = bug.weights(state)
        return state

    options = dict(first.options)
    for bug in others:
        assert (bug.architecture, bug.library) == (first.architecture, first.library)
        assert not options.keys() & bug.options.keys()
        options |= bug.options
    return ARCHITECTURES[first.architecture].jax(first.library, seed, dtype=dtype, weights=weights, **options)


def each(layers: int, path: str, list_name: str = "blocks") -> tuple[str, ...]:
    """The module of this path in every layer."""
    return tuple(f"{list_name}.{i}.{path}".rstrip(".") for i in range(layers))


def changed(name: str, change: Callable[[np.ndarray], np.ndarray]) -> Callable[[State], State]:
    """Carries the weights over with this one changed."""
    return lambda state: {**state, name: change(state[name])}


def transposed(name: str) -> Callable[[State], State]:
    return changed(name, np.transpose)


def forgotten(*names: str) -> Callable[[State], State]:
    """Carries the weights over but for these, which are left at 0."""
    return lambda state: {**state, **{name: np.zeros_like(state[name]) for name in names}}


def unpermuted(rows: np.ndarray) -> np.ndarray:
    """A matrix such that the converter, which puts its columns in the order of channels last, leaves them as they were."""
    return rows.reshape(-1, 2, 2, 16).transpose(0, 3, 1, 2).reshape(len(rows), -1)


def norms(layers: int) -> tuple[str, ...]:
    inner = tuple(f"blocks.{i}.{name}" for i in range(layers) for name in ("norm1", "norm2"))
    return (*inner, "norm")


RESNET_NORMS = ("bn", "blocks.0.bn1", "blocks.0.bn2", "blocks.1.bn1", "blocks.1.bn2", "blocks.1.shortcut.1")
E, D, V = encoder.LAYERS, decoder.LAYERS, vit.LAYERS

BUGS = (
    # Normalisation: epsilons, variances, axes, means.
    Bug("epsilon", "encoder", "nnx", norms(E), {"eps": 1e-6}),
    Bug("epsilon in one layer", "encoder", "plain", ("blocks.1.norm2",), {"1.norm2": partial(layer_norm, eps=1e-6)}),
    Bug("epsilon", "vit", "equinox", norms(V), {"eps": 1e-5}),
    Bug("epsilon", "resnet", "linen", RESNET_NORMS, {"eps": 1e-3}),
    Bug("epsilon", "decoder", "linen", norms(D), {"eps": 1e-5}),
    Bug("epsilon", "gcn", "haiku", each(gcn.LAYERS, "norm", "layers"), {"eps": 1e-6}),
    Bug("epsilon", "scanned", "linen", each(scanned.LAYERS, "norm"), {"eps": 1e-6}),
    Bug("epsilon", "scanned", "nnx", each(scanned.LAYERS, "norm"), {"eps": 1e-6}),
    Bug("epsilon", "gcn", "nnx", each(gcn.LAYERS, "norm", "layers"), {"eps": 1e-6}),
    Bug("epsilon", "decoder", "equinox", norms(D), {"eps": 1e-5}),
    Bug("epsilon", "vit", "linen", norms(V), {"eps": 1e-5}),
    Bug("epsilon", "mixer", "linen", ("block.norm1", "block.norm2"), {"eps": 1e-6}),
    Bug("epsilon", "unet", "plain", ("norm",), {"norm": partial(group_norm, eps=1e-3)}),
    Bug("epsilon in one layer", "deep", "plain", ("layers.30.norm",), {"30.norm": partial(layer_norm, eps=1e-3)}),
    Bug("epsilon outside the root", "encoder", "plain", ("blocks.0.norm1",), {"0.norm1": wrong.layer_norm_outside}),
    Bug("epsilon outside the root", "resnet", "plain", ("blocks.1.bn1",), {"1.bn1": wrong.batch_norm_outside}),
    Bug("unbiased variance", "vit", "plain", ("blocks.0.norm1",), {"0.norm1": partial(wrong.layer_norm_unbiased, eps=1e-6)}),
    Bug("wrong axis of the norm", "encoder", "plain", ("blocks.0.norm2",), {"0.norm2": partial(layer_norm, axis=1)}),
    Bug("norm without centring", "scanned", "plain", each(scanned.LAYERS, "norm"), {"norm": wrong.layer_norm_uncentred}),
    Bug("norm with centring", "decoder", "plain", ("blocks.0.norm1",), {"0.norm1": wrong.rms_norm_centred}),
    Bug("scale one more", "decoder", "plain", ("blocks.1.norm2",), {"1.norm2": wrong.rms_norm_one_more}),
    Bug("norm of the batch", "conv_batchnorm", "plain", ("bn2",), {"bn2": wrong.batch_norm_of_the_batch}),
    Bug("groups of channels", "unet", "plain", ("norm",), {"norm": wrong.group_norm_of_strides}),
    Bug("averages corrected twice", "resnet", "equinox", RESNET_NORMS, {"counted": True}),
    # The running statistics.
    Bug(
        "momentum",
        "conv_batchnorm_train",
        "plain",
        ("bn1",),
        {"bn1": partial(batch_norm_train, momentum=0.9)},
        shows="state",
    ),
    Bug("momentum", "conv_batchnorm_train", "nnx", ("bn1", "bn2"), {"momentum": 0.99}, shows="state"),
    Bug("momentum", "conv_batchnorm_train", "linen", ("bn1", "bn2"), {"momentum": 0.99}, shows="state"),
    Bug(
        "biased variance",
        "conv_batchnorm_train",
        "plain",
        ("bn2",),
        {"bn2": partial(batch_norm_train, unbiased=False)},
        shows="state",
    ),
    Bug("biased variance", "conv_batchnorm_train", "nnx", ("bn1", "bn2"), {"unbiased": False}, shows="state"),
    Bug("biased variance", "conv_batchnorm_train", "linen", ("bn1", "bn2"), {"unbiased": False}, shows="state"),
    # Activations.
    Bug("gelu with tanh", "mlp", "equinox", ("act1",), {"approximate": True}),
    Bug("gelu with tanh", "scanned", "linen", each(scanned.LAYERS, "act"), {"approximate": True}),
    Bug("gelu with tanh", "scanned", "nnx", each(scanned.LAYERS, "act"), {"approximate": True}),
    Bug("gelu with tanh", "mlp", "linen", ("act1",), {"approximate": True}),
    Bug("gelu with tanh", "encoder", "haiku", each(E, "act"), {"approximate": True}),
    Bug("gelu with tanh in one layer", "vit", "plain", ("blocks.1.act",), {"1.act": wrong.gelu_tanh}),
    Bug("quick gelu", "encoder", "plain", each(E, "act"), {"act": wrong.quick_gelu}),
    Bug("slope", "conv_batchnorm", "plain", ("act2",), {"act2": partial(jax.nn.leaky_relu, negative_slope=0.2)}),
    Bug("another activation", "mixer", "plain", ("block.act1",), {"act1": jax.nn.silu}),
    Bug("another activation in one layer", "gcn", "plain", ("layers.0.act",), {"0.act": jax.nn.selu}),
    Bug("another activation in one layer", "deep", "plain", ("layers.45.act",), {"45.act": jax.nn.soft_sign}),
    # Attention: masks, scales, heads, positions.
    Bug("causal mask by one", "decoder", "plain", each(D, "attention"), {"mask": wrong.causal_and_next}),
    Bug("no mask", "encoder", "plain", each(E, "attention"), {"attention": wrong.attention_without_mask}),
    Bug("no scale", "encoder", "plain", each(E, "attention"), {"attention": wrong.attention_with(scale=1.0)}),
    Bug(
        "scale of the whole width",
        "vit",
        "plain",
        ("blocks.1.attention",),
        {"1.attend": partial(softmax_attention, scale=vit.WIDTH**-0.5)},
    ),
    Bug("softmax over queries", "vit", "plain", ("blocks.0.attention",), {"0.attend": partial(softmax_attention, axis=-2)}),
    Bug("head order", "vit", "plain", ("blocks.0.attention",), {"0.split": wrong.split_heads_last}),
    Bug("head order at the end", "vit", "plain", ("blocks.1.attention",), {"1.merge": wrong.merge_heads_last}),
    Bug("order of the groups", "decoder", "plain", each(D, "attention"), {"repeat": wrong.tile_groups}),
    Bug("rotary of neighbours", "decoder", "plain", each(D, "attention"), {"rotate": wrong.rotate_neighbours}),
    Bug("rotary base", "decoder", "plain", ("blocks.1.attention",), {"1.base": 1000.0}),
    Bug("position offset", "encoder", "plain", ("positions",), {"first_position": 1}),
    Bug(
        "order of the patches",
        "vit",
        "plain",
        ("",),
        {"flatten": lambda x: x.swapaxes(1, 2).reshape(len(x), -1, vit.WIDTH)},
    ),
    # Recurrence.
    Bug("gate order", "lstm", "plain", ("lstm",), {"split": wrong.gates_ifog}),
    Bug("gate order in one layer", "lstm", "plain", ("lstm",), {"1.split": wrong.gates_ifog}),
    Bug("forget bias", "lstm", "plain", ("lstm",), {"forget_bias": 1.0}),
    Bug("gate order", "lstm", "haiku", ("lstm",), {"gates": (0, 1, 2, 3)}),
    Bug("forget bias", "lstm", "haiku", ("lstm",), {"forget_bias": 0.0}),
    Bug("cell for hidden", "lstm", "nnx", ("lstm",), {"swapped": True}),
    Bug("one bias of two", "lstm", "nnx", ("lstm",), weights=forgotten("lstm.bias_hh_l0", "lstm.bias_hh_l1")),
    Bug("gate order", "gru", "plain", ("gru",), {"split": wrong.gates_zrn}),
    Bug("reset before the product", "gru", "plain", ("gru",), {"reset_after": False}),
    Bug("direction", "gru", "equinox", ("gru",), {"reverse": False}),
    Bug("outputs in reverse", "gru", "linen", ("gru",), {"keep_order": False}),
    # Weights on their way.
    Bug("transposed", "mlp", "plain", ("fc2",), weights=transposed("fc2.weight")),
    Bug("transposed", "decoder", "plain", ("blocks.1.attention.q",), weights=transposed("blocks.1.attention.q.weight")),
    Bug("transposed", "decoder", "linen", ("blocks.0.attention.out",), weights=transposed("blocks.0.attention.out.weight")),
    Bug("transposed", "vit", "equinox", ("blocks.0.attention.out",), weights=transposed("blocks.0.attention.out.weight")),
    Bug("transposed", "vit", "linen", ("blocks.1.attention.out",), weights=transposed("blocks.1.attention.out.weight")),
    Bug("transposed", "encoder", "haiku", ("blocks.0.attention",), weights=transposed("blocks.0.attention.out_proj.weight")),
    Bug("transposed", "deep", "haiku", ("layers.10.fc",), weights=transposed("layers.10.fc.weight")),
    Bug("transposed", "mixer", "haiku", ("block.tokens",), weights=transposed("block.tokens.weight")),
    Bug("not flipped", "unet", "nnx", ("up2",), weights=changed("up2.weight", lambda kernel: kernel[..., ::-1, ::-1])),
    Bug("not flipped", "unet", "equinox", ("up2",), weights=changed("up2.weight", lambda kernel: kernel[..., ::-1, ::-1])),
    Bug("flattened with channels first", "conv_batchnorm", "plain", ("head",), weights=changed("head.weight", unpermuted)),
    Bug("bias forgotten", "mlp", "plain", ("fc3",), weights=forgotten("fc3.bias")),
    Bug("bias forgotten", "vit", "plain", ("blocks.1.attention.qkv",), weights=forgotten("blocks.1.attention.qkv.bias")),
    Bug("bias forgotten", "unet", "nnx", ("up2",), weights=forgotten("up2.bias")),
    Bug("bias forgotten", "resnet", "equinox", ("head",), weights=forgotten("head.bias")),
    Bug(
        "bias forgotten",
        "moe",
        "equinox",
        ("blocks.0.mixture.experts.2.fc2",),
        weights=forgotten("blocks.0.mixture.experts.2.fc2.bias"),
    ),
    Bug(
        "bias forgotten",
        "moe",
        "plain",
        ("blocks.1.mixture.experts.1.fc1",),
        weights=forgotten("blocks.1.mixture.experts.1.fc1.bias"),
    ),
    Bug(
        "half of the scale",
        "moe",
        "plain",
        ("blocks.0.mixture.experts.3.fc1",),
        weights=changed("blocks.0.mixture.experts.3.fc1.weight", lambda matrix: matrix / 2),
    ),
    Bug(
        "transposed",
        "moe",
        "nnx",
        ("blocks.1.mixture.router",),
        weights=changed("blocks.1.mixture.router.weight", lambda rows: rows.T.reshape(rows.shape)),
    ),
    Bug("tied weight not tied", "decoder", "plain", ("head",), {"untied": True}),
    # Convolutions and images.
    Bug("padding side", "conv_batchnorm", "plain", ("conv2",), {"padding": "SAME"}),
    Bug("padding side", "conv_batchnorm", "nnx", ("conv2",), {"padding": "SAME"}),
    Bug("padding side", "resnet", "plain", ("blocks.1.conv1",), {"1.padding": "SAME"}),
    Bug("padding not counted", "conv_batchnorm", "plain", ("pool",), {"count_padding": False}),
    Bug("padding side of the pool", "conv_batchnorm", "haiku", ("pool",), {"pool_padding": "SAME"}),
    Bug("corners aligned", "unet", "plain", ("up1",), {"up1": wrong.bilinear_of_corners}),
    Bug("nearest", "unet", "plain", ("up1",), {"up1": wrong.nearest}),
    Bug("nearest", "unet", "equinox", ("up1",), {"method": "nearest"}),
    # What is added to what.
    Bug("residual missing", "resnet", "plain", ("blocks.0",), {"0.join": lambda h, _: jax.nn.relu(h)}),
    Bug(
        "residual after the activation", "resnet", "plain", ("blocks.1",), {"1.join": lambda h, kept: jax.nn.relu(h) + kept}
    ),
    Bug("residual from before", "encoder", "plain", ("blocks.1",), {"1.second": lambda before, _: before}),
    Bug("order of the joined", "unet", "plain", ("dec2",), {"join2": lambda x, kept: jnp.concatenate((kept, x), -1)}),
    Bug("one call too few", "mixer", "haiku", ("block",), {"times": 2}),
    Bug("one call too few", "mixer", "linen", ("block",), {"times": 2}),
    # Reductions.
    Bug("mean for sum", "gcn", "plain", each(gcn.LAYERS, "", "layers"), {"gather": wrong.segment_mean}),
    Bug("degree without itself", "gcn", "plain", ("layers.1",), {"1.degrees": wrong.degrees_without_itself}),
    Bug("sum for mean", "gcn", "plain", ("",), {"pool": lambda x: x.sum(0)}),
    Bug("maximum for mean", "resnet", "plain", ("",), {"pool": lambda x: x.max((1, 2))}),
    Bug("mean over the padding too", "encoder", "plain", ("",), {"pool": lambda x, _: x.mean(1)}),
    Bug("mean for sum", "vae", "plain", ("",), {"kl": lambda mean, log: 0.5 * (mean**2 + jnp.exp(log) - 1 - log).mean(-1)}),
    Bug("softmax over the batch", "mlp", "plain", ("logs",), {"logs": partial(jax.nn.log_softmax, axis=0)}),
    # The mixture.
    Bug(
        "gates not renormalised",
        "moe",
        "plain",
        each(moe.LAYERS, "mixture"),
        {"gates": partial(moe.gates_of, norm=lambda g: g)},
    ),
    Bug(
        "gates not renormalised",
        "moe",
        "nnx",
        each(moe.LAYERS, "mixture"),
        {"gates": partial(moe.gates_of, norm=lambda g: g)},
    ),
    Bug(
        "gates not renormalised",
        "moe",
        "equinox",
        each(moe.LAYERS, "mixture"),
        {"gates": partial(moe.gates_of, norm=lambda g: g)},
    ),
    Bug("softmax over tokens", "moe", "plain", ("blocks.1.mixture",), {"1.gates": partial(moe.gates_of, axis=-2)}),
    # Dropout left on.
    Bug("dropout left on", "vae", "plain", ("dropout",), {"dropout": wrong.dropout}),
    Bug("dropout left on", "vae", "haiku", ("dropout",), {"dropout": 0.1}),
    # Narrow dtypes.
    Bug("bfloat16 inside", "mlp", "plain", ("act1",), {"act1": wrong.in_bfloat16(gelu)}),
    Bug("bfloat16 inside", "encoder", "plain", ("blocks.0.attention",), {"0.attention": wrong.attention_in_bfloat16}),
    Bug("bfloat16 inside", "scanned", "plain", each(scanned.LAYERS, "act"), {"act": wrong.in_bfloat16(gelu)}),
    # Values that are right, gradients that are not.
    Bug("stopped gradient", "mlp", "plain", ("act2",), {"act2": wrong.stopped(jax.nn.silu)}, shows="gradients"),
    Bug(
        "stopped statistics",
        "encoder",
        "plain",
        ("blocks.1.norm1",),
        {"1.norm1": wrong.layer_norm_stopped},
        shows="gradients",
    ),
    Bug("straight-through gradient", "vit", "plain", ("blocks.0.act",), {"0.act": wrong.gelu_straight}, shows="gradients"),
    Bug(
        "stopped gates",
        "moe",
        "plain",
        each(moe.LAYERS, "mixture"),
        {"gates": wrong.stopped(moe.gates_of)},
        shows="gradients",
    ),
    Bug(
        "stopped embedding",
        "decoder",
        "plain",
        ("tokens",),
        {"embed": lambda p, ids: lax.stop_gradient(p["weight"][ids])},
        shows="gradients",
    ),
)


def trios() -> Iterator[tuple[Bug, ...]]:
    """Bugs to be planted three at once: of one port, in different modules, each showing in the values."""
    kept: dict[tuple[str, str], list[Bug]] = {}
    for bug in BUGS:
        some = kept.setdefault((bug.architecture, bug.library), [])
        if bug.shows != "values" or any(
            bug.options.keys() & planted.options or {*bug.where} & {*planted.where} for planted in some
        ):
            continue
        some.append(bug)
        if len(some) == 3:
            yield tuple(some)
            some.clear()
