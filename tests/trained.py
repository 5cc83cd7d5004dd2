"""Trainings in PyTorch and in JAX that do the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
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

from crosscheck import TrainingReport, compare_training

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
