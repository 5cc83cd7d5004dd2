"""Trainings in PyTorch and in JAX that do the same, and mistakes that people make in them, one at a time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from torch.nn.functional import cross_entropy
from zoo import ARCHITECTURES
from zoo.architecture import channels_last
from zoo.decoder import VOCABULARY
from zoo.plain import Array, batch_norm_train, gelu, rms_norm

from crosscheck import Fact, TrainingReport, compare_training

RATE, WARM_UP, NORM, DECAY, MOMENTUM = 0.01, 5, 1.0, 0.1, 0.9
EPOCH = 4
Loss = Callable[[Any, Any], Any]
Change = Callable[[Any], Any]


@dataclass(frozen=True)
class Training:
    """Both sides of a training, as ``compare_training`` takes them."""

    torch_step: Callable[..., Any]
    jax_step: Callable[..., Any]
    torch_state: tuple[Any, ...]
    jax_state: Any
    batches: list[Any]
    more: Mapping[str, Any] = field(default_factory=dict)

    def compared(self, **options: Any) -> TrainingReport:
        given = {"controls": 0, **self.more, **options}
        states = {"torch_state": self.torch_state, "jax_state": self.jax_state}
        return compare_training(self.torch_step, self.jax_step, self.batches, **states, **given)


def itself(tree: Any) -> Any:
    return tree


def mean_loss(logits: Any, labels: Any) -> Any:
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def clip_exactly(norm: float = NORM) -> optax.GradientTransformation:
    """As PyTorch's ``clip_grad_norm_``, which adds 1e-6 to the norm; optax does not."""

    def update(updates: Any, state: Any, params: Any = None) -> Any:
        length = jnp.sqrt(sum((gradient**2).sum() for gradient in jax.tree.leaves(updates)))
        factor = jnp.minimum(norm / (length + 1e-6), 1.0)
        return jax.tree.map(lambda gradient: gradient * factor, updates), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def warmed_up(step: Any) -> Any:
    return RATE * jnp.minimum((step + 1) / WARM_UP, 1.0)


def halved(step: Any) -> Any:
    return 0.05 * 0.5 ** (step // EPOCH)


def momentum(rate: Any) -> optax.GradientTransformation:
    return optax.sgd(rate, momentum=MOMENTUM)


def clip_norm(parameters: Any) -> None:
    torch.nn.utils.clip_grad_norm_(parameters, NORM)


def transformer(
    steps: int = 4,
    *,
    loss: Loss = mean_loss,
    tx: optax.GradientTransformation | None = None,
    clip: optax.GradientTransformation | None = None,
    rate: Any = warmed_up,
    labels: Change = itself,
    grads: Change = itself,
    each: Change = itself,
    parts: int = 1,
    seen: bool = True,
    torch_clip: Callable[[Any], None] = clip_norm,
    torch_options: Mapping[str, Any] | None = None,
    torch_loss: Loss = cross_entropy,
    zero: bool = True,
    every: int = 1,
    jax_batches: Change | None = None,
    **model: Any,
) -> Training:
    """A decoder of language: AdamW with a warm-up, after clipping by the norm. The options are mistakes of one side.

    With ``parts``, each batch is two, whose gradients are averaged: ``each`` changes those of one, ``grads`` the average.
    """
    net = ARCHITECTURES["decoder"].torch_model(0).train()
    port = ARCHITECTURES["decoder"].jax("plain", 0, **model)
    optimizer = torch.optim.AdamW(net.parameters(), **{"lr": RATE, "weight_decay": DECAY, **(torch_options or {})})
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step // every + 1) / WARM_UP, 1.0))

    def torch_step(ids: Any, wanted: Any) -> Any:
        if zero:
            optimizer.zero_grad()
        total = 0.0
        for own, next_ones in zip(ids.chunk(parts), wanted.chunk(parts), strict=True):
            value = torch_loss(net(own).flatten(0, 1), next_ones.flatten()) / parts
            value.backward()
            total = total + value
        torch_clip(net.parameters())
        optimizer.step()
        scheduler.step()
        return total

    chain = optax.chain(clip or clip_exactly(), tx or optax.adamw(rate, weight_decay=DECAY))

    def jax_step(state: Any, ids: Any, wanted: Any) -> Any:
        params, held = state
        losses, gradients = [], []
        for own, next_ones in zip(jnp.split(ids, parts), jnp.split(labels(wanted), parts), strict=True):
            value, by = jax.value_and_grad(lambda p, x=own, y=next_ones: loss(port.model(p, x), y))(params)
            losses.append(value)
            gradients.append(each(by))
        average = grads(jax.tree.map(lambda *given: sum(given) / parts, *gradients))
        updates, held = chain.update(average, held, params)
        values = {"loss": sum(losses) / parts} | ({"gradients": average} if parts > 1 and seen else {})
        return (optax.apply_updates(params, updates), held), values

    rng = np.random.default_rng(0)
    ids = [rng.integers(0, VOCABULARY, (4, 10)) for _ in range(steps)]
    batches = [[tokens[:, :-1].astype(np.int32), tokens[:, 1:].copy()] for tokens in ids]
    more = {} if jax_batches is None else {"jax_batches": jax_batches(batches)}
    state = (port.params, chain.init(port.params))
    return Training(torch_step, jax_step, (net, optimizer, scheduler), state, batches, more)


def images(
    steps: int = 6,
    *,
    tx: Callable[[Any], optax.GradientTransformation] = momentum,
    rate: Any = halved,
    torch_options: Mapping[str, Any] | None = None,
    train: bool = True,
    updates: Change = itself,
    **model: Any,
) -> Training:
    """A convolutional net with batch normalisation: SGD with momentum, whose rate is halved every 4 steps."""
    net = ARCHITECTURES["conv_batchnorm_train"].torch_model(0).train(train)
    port = ARCHITECTURES["conv_batchnorm_train"].jax("plain", 0, **model)
    optimizer = torch.optim.SGD(net.parameters(), **{"lr": 0.05, "momentum": MOMENTUM, **(torch_options or {})})
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, EPOCH, 0.5)

    def torch_step(x: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        value = cross_entropy(net(x), labels)
        value.backward()
        optimizer.step()
        scheduler.step()
        return value

    def parted(params: Any) -> tuple[Any, Any]:
        kinds = ({}, {})
        for layer, arrays in params.items():
            for kind, own in enumerate((False, True)):
                kinds[kind][layer] = {name: array for name, array in arrays.items() if (name in ("mean", "var")) == own}
        return kinds

    def joined(params: Any, statistics: Any) -> Any:
        return {layer: params[layer] | statistics[layer] for layer in params}

    transform = tx(rate)

    def jax_step(state: Any, x: Any, labels: Any) -> Any:
        params, statistics, held = state

        def of(params: Any) -> Any:
            logits, moved = port.model(joined(params, statistics), x)
            return mean_loss(logits, labels), parted(moved)[1]

        (value, statistics), by = jax.value_and_grad(of, has_aux=True)(params)
        changes, held = transform.update(by, held, params)
        return (optax.apply_updates(params, updates(changes)), statistics, held), value

    rng = np.random.default_rng(0)
    batches = [[rng.normal(size=(8, 3, 8, 8)), rng.integers(0, 5, 8)] for _ in range(steps)]
    params, statistics = parted(port.params)
    state = (params, statistics, transform.init(params))
    return Training(torch_step, jax_step, (net, optimizer, scheduler), state, batches, {"torch_to_jax": channels_last})


def sequences(steps: int = 4) -> Training:
    """An LSTM, whose two biases JAX holds as their sum, trained by SGD."""
    net = ARCHITECTURES["lstm"].torch_model(0).train()
    port = ARCHITECTURES["lstm"].jax("plain", 0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)

    def first(outputs: Any) -> Any:
        return outputs[0] if isinstance(outputs, tuple | list) else outputs

    def torch_step(*inputs: Any) -> Any:
        optimizer.zero_grad()
        value = (first(net(*inputs)) ** 2).mean()
        value.backward()
        optimizer.step()
        return value

    def jax_step(params: Any, *inputs: Any) -> Any:
        value, by = jax.value_and_grad(lambda p: (first(port.model(p, *inputs)) ** 2).mean())(params)
        return jax.tree.map(lambda weight, gradient: weight - 0.05 * gradient, params, by), value

    batches = [ARCHITECTURES["lstm"].inputs(seed) for seed in range(steps)]
    return Training(torch_step, jax_step, (net, optimizer), port.params, batches)


# the mistakes


@dataclass(frozen=True)
class Mistake:
    """One of them: what is trained, and where it shows.

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
        Fact("setting", "cross_entropy", "label smoothing", "0", "0.1"),
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
