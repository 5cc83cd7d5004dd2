"""Mistakes that people make in a training, one at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from trained import DECAY, MOMENTUM, RATE, Change, Training, clip_exactly, halved, images, mean_loss, transformer, warmed_up
from zoo.decoder import VOCABULARY
from zoo.plain import Array, batch_norm_train, gelu, rms_norm

from crosscheck import Fact


@dataclass(frozen=True)
class Mistake:
    """A mistake: what is trained, and where it shows.

    Attributes:
        kind: What people do.
        training: Makes both sides.
        part: The part of the training that is at fault.
        fact: What is said of it, in the fields that are given.
        step: The first step at which it shows.
        tensor: What the tensor's name has in it.
        beside: Other parts in which it shows by itself.
    """

    kind: str
    training: Callable[[], Training]
    part: str
    fact: Fact | None = None
    step: int = 1
    tensor: str = ""
    beside: tuple[str, ...] = ()


def other_label(batches: list[Any]) -> list[Any]:
    """The batches, with another first label in the third."""
    labels = batches[2][1].copy()
    labels[0, 0] = (labels[0, 0] + 1) % VOCABULARY
    return [*batches[:2], [batches[2][0], labels], *batches[3:]]


def half_loss(logits: Any, labels: Any) -> Any:
    return mean_loss(logits, labels) / 2


def sum_loss(logits: Any, labels: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).sum()


def smooth_loss(logits: Any, labels: Any) -> Any:
    smooth = optax.smooth_labels(jax.nn.one_hot(labels, VOCABULARY), 0.1)
    return optax.softmax_cross_entropy(logits, smooth).mean()


def rough_loss(logits: Any, labels: Any) -> Any:
    """In half the digits."""
    return mean_loss(logits.astype(jnp.bfloat16), labels).astype(logits.dtype)


def clipped(tree: Any) -> Any:
    return clip_exactly().update(tree, optax.EmptyState())[0]


def doubled(tree: Any) -> Any:
    return jax.tree.map(lambda leaf: 2 * leaf, tree)


def without(name: str) -> Change:
    """Nothing for the parameters whose path has this in it."""

    def change(tree: Any) -> Any:
        return jax.tree_util.tree_map_with_path(
            lambda path, leaf: jnp.zeros_like(leaf) if name in jax.tree_util.keystr(path) else leaf, tree
        )

    return change


def stopped(p: Any, x: Array) -> Array:
    return jax.lax.stop_gradient(rms_norm(p, x))


def running(p: Any, x: Array) -> Any:
    """In evaluation: by the running statistics, which stay as they are."""
    return (x - p["mean"]) * jax.lax.rsqrt(p["var"] + 1e-5) * p["scale"] + p["bias"], p


def adamw(**options: Any) -> optax.GradientTransformation:
    return optax.adamw(warmed_up, **{"weight_decay": DECAY, **options})


COUPLED = optax.chain(optax.add_decayed_weights(DECAY), optax.adam(warmed_up))
UNCORRECTED = optax.chain(
    optax.scale_by_rms(0.999, eps=1e-8),
    optax.trace(0.9),
    optax.add_decayed_weights(DECAY),
    optax.scale_by_learning_rate(warmed_up),
)
MISTAKES = (
    Mistake(
        "labels shifted by one",
        partial(transformer, labels=partial(jnp.roll, shift=1, axis=1)),
        "data",
        Fact("batch", "x1", where="shifted by -1 along axis 1"),
    ),
    Mistake(
        "batches one step late",
        partial(transformer, jax_batches=lambda batches: [batches[-1], *batches[:-1]]),
        "data",
        Fact("batch", "the batch", where="of the step after"),
    ),
    Mistake(
        "one label is another",
        partial(transformer, jax_batches=other_label),
        "data",
        Fact("batch numbers", "x1", "1 of its 36 numbers differs", "13", "14", " at [0, 0]"),
        step=3,
    ),
    Mistake(
        "sum for mean",
        partial(transformer, loss=sum_loss),
        "loss",
        Fact("loss times", jax="36", near="as a sum is of a mean"),
    ),
    Mistake("half the loss", partial(transformer, loss=half_loss), "loss", Fact("loss divided", jax="2")),
    Mistake(
        "label smoothing on one side",
        partial(transformer, loss=smooth_loss),
        "loss",
        Fact("setting", "cross_entropy", "label_smoothing", "0", "0.1"),
    ),
    Mistake("another activation", partial(transformer, act=gelu), "model", Fact("first", where="blocks.0.act")),
    Mistake("another epsilon", partial(transformer, norm=partial(rms_norm, eps=1e-5)), "model", Fact("first", where="norm")),
    Mistake(
        "mask by one",
        partial(transformer, mask=lambda n: jnp.tril(jnp.ones((n, n), bool), 1)),
        "model",
        Fact("first", where="blocks.0.attention"),
    ),
    Mistake(
        "gradient stopped",
        partial(transformer, **{"1.norm2": stopped}),
        "gradients",
        Fact("other gradients", "16"),
        tensor="blocks",
    ),
    Mistake(
        "layer frozen",
        partial(transformer, grads=without("'gate'")),
        "gradients",
        Fact("zero gradients", "2", "JAX"),
        tensor="gate",
    ),
    Mistake("no clipping", partial(transformer, clip=optax.identity()), "clipping", Fact("clipped in PyTorch")),
    Mistake("clipping by value", partial(transformer, clip=optax.clip(0.01)), "clipping", Fact("cut off", jax="0.01")),
    Mistake("another norm", partial(transformer, clip=clip_exactly(0.5)), "clipping", Fact("norm", torch="1", jax="0.5")),
    Mistake("no zero_grad", partial(transformer, zero=False), "clipping", Fact("not reset"), step=2),
    Mistake(
        "clipped before they are averaged", partial(transformer, parts=2, each=clipped), "gradients", Fact("other gradients")
    ),
    Mistake(
        "summed over parts, not averaged",
        partial(transformer, parts=2, grads=doubled, clip=optax.identity(), torch_clip=lambda _: None),
        "gradients",
        Fact("gradients times", jax="2"),
    ),
    Mistake(
        "weight decay coupled",
        partial(transformer, tx=COUPLED),
        "optimiser",
        Fact("option", role="decoupled_weight_decay", jax="False"),
    ),
    Mistake(
        "weight decay's default",
        partial(transformer, tx=optax.adamw(warmed_up)),
        "optimiser",
        Fact("option", role="weight_decay", jax="0.0001"),
    ),
    Mistake(
        "epsilon's place", partial(transformer, tx=adamw(eps=0.0, eps_root=1e-8)), "optimiser", Fact("epsilon in the root")
    ),
    Mistake(
        "another epsilon of Adam",
        partial(transformer, tx=adamw(eps=1e-6)),
        "optimiser",
        Fact("option", role="eps", jax="1e-06"),
    ),
    Mistake(
        "another beta", partial(transformer, tx=adamw(b2=0.95)), "optimiser", Fact("option", role="betas", jax="(0.9, 0.95)")
    ),
    Mistake("no bias correction", partial(transformer, tx=UNCORRECTED), "optimiser"),
    Mistake(
        "learning rate one step early",
        partial(transformer, rate=lambda step: warmed_up(step + 1)),
        "schedule",
        Fact("rate", where=": that of the step after"),
    ),
    Mistake("no warm-up", partial(transformer, rate=RATE), "schedule", Fact("rate", torch="0.002", jax="0.01")),
    Mistake(
        "schedule by epoch", partial(transformer, every=3), "schedule", Fact("rate", torch="0.002", jax="0.004"), step=2
    ),
    Mistake(
        "momentum of statistics",
        partial(images, bn1=partial(batch_norm_train, momentum=0.9)),
        "statistics",
        Fact("statistics kept", torch="0.9", jax="0.1", where="bn1: "),
        tensor="running",
    ),
    Mistake(
        "biased variance",
        partial(images, bn2=partial(batch_norm_train, unbiased=False)),
        "statistics",
        Fact("variance", "n = 32"),
        tensor="running_var",
    ),
    Mistake(
        "statistics of evaluation", partial(images, bn2=running), "model", Fact("first", where="bn2"), beside=("statistics",)
    ),
    Mistake(
        "PyTorch in evaluation", partial(images, train=False), "model", Fact("first", where="bn1"), beside=("statistics",)
    ),
    Mistake(
        "dampening",
        partial(images, torch_options={"dampening": 0.1}),
        "optimiser",
        Fact("option", role="dampening", jax="0.0"),
        step=2,
    ),
    Mistake(
        "nesterov on one side",
        partial(images, tx=partial(optax.sgd, momentum=MOMENTUM, nesterov=True)),
        "optimiser",
        Fact("option", role="nesterov", jax="True"),
    ),
    Mistake(
        "another momentum",
        partial(images, tx=partial(optax.sgd, momentum=0.95)),
        "optimiser",
        Fact("option", role="momentum", jax="0.95"),
        step=2,
    ),
    Mistake(
        "twice the learning rate",
        partial(images, rate=lambda step: 2 * halved(step)),
        "schedule",
        Fact("rate", torch="0.05", jax="0.1"),
    ),
    Mistake(
        "rate halved one step late",
        partial(images, rate=lambda step: halved(jnp.maximum(step - 1, 0))),
        "schedule",
        Fact("rate", torch="0.025", jax="0.05", where=": that of the step before"),
        step=5,
    ),
    Mistake(
        "other direction",
        partial(images, updates=partial(jax.tree.map, jnp.negative)),
        "schedule",
        Fact("rate", jax="-0.05"),
    ),
)
