"""Bugs of the speech workloads of mlcommons/algorithmic-efficiency: batch norm, loss and augmentation."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import linen
from torch import nn
from torch.nn import functional as F
from zoo.architecture import State, normals, state_of
from zoo.of_linen import dense
from zoo.plain import batch_norm_of

from field.of_algoperf import PROJECT, random_model
from field.records import Bug, Functions, Trainings

Array = Any


# batch norm over the frames that are not padding

FEATURES, HIDDEN, LABELS = 5, 6, 4
MOMENTUM, EPSILON = 0.999, 1e-3


class FrameNorm(nn.Module):
    """``momentum`` is torch's: the share of the new batch in the running statistics."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, features: int, momentum: float) -> None:
        super().__init__()
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))

    def forward(self, x: Any, paddings: Any) -> Any:
        seen = (1 - paddings)[..., None]
        count = seen.sum()
        mean = (x * seen).sum((0, 1)) / count
        var = ((x - mean) ** 2 * seen).sum((0, 1)) / count
        with torch.no_grad():
            self.running_mean += self.momentum * (mean - self.running_mean)
            self.running_var += self.momentum * (var - self.running_var)
        return ((x - mean) * torch.rsqrt(var + EPSILON) * self.weight + self.bias) * seen


class Speech(nn.Module):
    """Labels for frames: two layers, each behind a batch norm."""

    def __init__(self, momentum: float) -> None:
        super().__init__()
        self.norm1 = FrameNorm(FEATURES, momentum)
        self.linear = nn.Linear(FEATURES, HIDDEN)
        self.norm2 = FrameNorm(HIDDEN, momentum)
        self.head = nn.Linear(HIDDEN, LABELS)

    def forward(self, x: Any, paddings: Any) -> Any:
        x = F.relu(self.linear(self.norm1(x, paddings)))
        return self.head(self.norm2(x, paddings))


class LinenFrameNorm(linen.Module):
    """``momentum`` is flax's: the share of the old running statistics."""

    momentum: float = MOMENTUM

    @linen.compact
    def __call__(self, x: Array, paddings: Array) -> Array:
        features = x.shape[-1:]
        scale = self.param("scale", linen.initializers.ones, features)
        bias = self.param("bias", linen.initializers.zeros, features)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, features)
        running_var = self.variable("batch_stats", "var", jnp.ones, features)
        seen = (1 - paddings)[..., None]
        count = seen.sum()
        mean = (x * seen).sum((0, 1)) / count
        var = ((x - mean) ** 2 * seen).sum((0, 1)) / count
        running_mean.value = self.momentum * running_mean.value + (1 - self.momentum) * mean
        running_var.value = self.momentum * running_var.value + (1 - self.momentum) * var
        return ((x - mean) * jax.lax.rsqrt(var + EPSILON) * scale + bias) * seen


class LinenSpeech(linen.Module):
    @linen.compact
    def __call__(self, x: Array, paddings: Array) -> Array:
        x = linen.relu(linen.Dense(HIDDEN, name="linear")(LinenFrameNorm(name="norm1")(x, paddings)))
        return linen.Dense(LABELS, name="head")(LinenFrameNorm(name="norm2")(x, paddings))


def speech_trees(state: State) -> tuple[Any, Any]:
    """flax's parameters and statistics."""
    norms = {name: batch_norm_of(state, name) for name in ("norm1", "norm2")}
    params = {name: dense(state, name) for name in ("linear", "head")}
    params |= {name: {kind: own[kind] for kind in ("scale", "bias")} for name, own in norms.items()}
    return params, {name: {kind: own[kind] for kind in ("mean", "var")} for name, own in norms.items()}


def speech(*, momentum: float) -> Trainings:
    model = random_model(Speech(momentum)).train()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def torch_step(x: Any, paddings: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        losses = F.cross_entropy(model(x, paddings).flatten(0, 1), labels.flatten(), reduction="none")
        loss = (losses * (1 - paddings).flatten()).sum() / (1 - paddings).sum()
        loss.backward()
        optimizer.step()
        return loss

    chain = optax.sgd(0.1)

    def jax_step(held: Any, x: Array, paddings: Array, labels: Array) -> Any:
        params, statistics, inner = held

        def loss_of(params: Any) -> Any:
            variables = {"params": params, "batch_stats": statistics}
            logits, moved = LinenSpeech().apply(variables, x, paddings, mutable=["batch_stats"])
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return (losses * (1 - paddings)).sum() / (1 - paddings).sum(), moved["batch_stats"]

        (loss, moved), gradients = jax.value_and_grad(loss_of, has_aux=True)(params)
        updates, inner = chain.update(gradients, inner, params)
        return (optax.apply_updates(params, updates), moved, inner), loss

    params, statistics = speech_trees(state_of(model))
    rng = np.random.default_rng(2)
    paddings = (np.arange(7) >= np.array([[7], [5], [4]])).astype(np.int32)
    batches = [
        [rng.normal(0.5, 2, (3, 7, FEATURES)).astype(np.float32), paddings, rng.integers(0, LABELS, (3, 7))]
        for _ in range(6)
    ]
    return Trainings(torch_step, jax_step, batches, (model, optimizer), (params, statistics, chain.init(params)))


# the CTC loss of several batches


def torch_ctc(logits: Any, logit_paddings: Any, targets: Any, target_paddings: Any) -> Any:
    """The sum of all losses by the number of all labels."""
    total, count = logits.new_zeros(()), 0
    for own, own_paddings, labels, label_paddings in zip(logits, logit_paddings, targets, target_paddings, strict=True):
        log_probs = own.log_softmax(-1).transpose(0, 1)
        lengths, label_lengths = (1 - own_paddings).sum(1).long(), (1 - label_paddings).sum(1).long()
        total = total + F.ctc_loss(log_probs, labels.long(), lengths, label_lengths, blank=0, reduction="none").sum()
        count = count + label_lengths.sum()
    return total / count


def jax_ctc(logits: Array, logit_paddings: Array, targets: Array, target_paddings: Array, *, each: bool) -> Array:
    """With ``each``, the mean over batches of what each has by its own number of labels."""
    paddings = logit_paddings.astype(logits.dtype), target_paddings.astype(logits.dtype)
    losses = jax.vmap(optax.ctc_loss)(logits, paddings[0], targets, paddings[1]).sum(1)
    counts = (1 - paddings[1]).sum((1, 2))
    return (losses / counts).mean() if each else losses.sum() / counts.sum()


def ctc(*, each: bool) -> Functions:
    batches, frames, labels, vocabulary = 2, 8, 3, 5
    logits = normals(3, (batches, 2, frames, vocabulary))[0]
    lengths, label_lengths = np.array([[8, 7], [6, 8]]), np.array([[3, 3], [1, 1]])
    logit_paddings = (np.arange(frames) >= lengths[..., None]).astype(np.int32)
    target_paddings = (np.arange(labels) >= label_lengths[..., None]).astype(np.int32)
    targets = np.random.default_rng(4).integers(1, vocabulary, (batches, 2, labels)).astype(np.int32)
    inputs = [logits, logit_paddings, targets, target_paddings]
    return Functions(torch_ctc, partial(jax_ctc, each=each), inputs, order=0)  # the loss of an evaluation


# masks over times and frequencies


class Masks(NamedTuple):
    """How many masks, and how long: at most a number of places, and at most a share of all of them."""

    number: int
    longest: int | None
    share: float


FREQUENCIES, TIMES = Masks(2, 27, 1.0), Masks(10, None, 0.05)
"""What the speech model is trained with."""
ONE_FREQUENCY, ONE_TIME = Masks(1, 15, 1.0), Masks(1, 50, 1.0)
"""The defaults of the layer, which JAX uses if no options are given."""


def torch_seen(sizes: Any, portions: Any, starts: Any, places: int, masks: Masks) -> Any:
    """1 where no mask is. A mask begins at ``starts`` and is as long as ``portions`` of what it may be."""
    sizes, portions, starts = sizes[:, None], portions[:, : masks.number], starts[:, : masks.number]
    longest = sizes * masks.share if masks.longest is None else torch.full_like(sizes, masks.longest)
    length = torch.minimum((longest * portions).floor(), (sizes * masks.share).floor().clamp(min=1))
    start = (starts * (sizes - length + 1)).floor()
    place = torch.arange(places)
    hidden = (place >= start[..., None]) & (place < (start + length)[..., None])
    return (~hidden.any(1)).to(portions.dtype)


def torch_masked(x: Any, paddings: Any, times: Any, time_starts: Any, bins: Any, bin_starts: Any) -> Any:
    sizes = (1 - paddings).sum(1).to(x.dtype)
    x = x * torch_seen(sizes, times, time_starts, x.shape[1], TIMES)[:, :, None]
    return x * torch_seen(torch.full_like(sizes, x.shape[2]), bins, bin_starts, x.shape[2], FREQUENCIES)[:, None]


def jax_seen(sizes: Array, portions: Array, starts: Array, places: int, masks: Masks) -> Array:
    sizes, portions, starts = sizes[:, None], portions[:, : masks.number], starts[:, : masks.number]
    longest = sizes * masks.share if masks.longest is None else jnp.full_like(sizes, masks.longest)
    length = jnp.minimum(jnp.floor(longest * portions), jnp.maximum(jnp.floor(sizes * masks.share), 1))
    start = jnp.floor(starts * (sizes - length + 1))
    place = jnp.arange(places)
    hidden = (place >= start[..., None]) & (place < (start + length)[..., None])
    return (~hidden.any(1)).astype(portions.dtype)


def jax_masked(
    x: Array,
    paddings: Array,
    times: Array,
    time_starts: Array,
    bins: Array,
    bin_starts: Array,
    *,
    one_key: bool = False,
    masks: tuple[Masks, Masks] = (TIMES, FREQUENCIES),
) -> Array:
    """With ``one_key``, the starts are drawn with the key of the lengths: they are the same numbers."""
    if one_key:
        time_starts, bin_starts = times, bins
    sizes = (1 - paddings).sum(1).astype(x.dtype)
    x = x * jax_seen(sizes, times, time_starts, x.shape[1], masks[0])[:, :, None]
    return x * jax_seen(jnp.full_like(sizes, x.shape[2]), bins, bin_starts, x.shape[2], masks[1])[:, None]


def spectrum(**options: Any) -> Functions:
    batch, frames, bins = 2, 60, 32
    rng = np.random.default_rng(5)
    x = rng.normal(size=(batch, frames, bins)).astype(np.float32)
    paddings = (np.arange(frames) >= np.array([[60], [44]])).astype(np.int32)
    draws = [rng.uniform(size=(batch, mask.number)).astype(np.float32) for mask in (TIMES, TIMES, FREQUENCIES, FREQUENCIES)]
    return Functions(torch_masked, partial(jax_masked, **options), [x, paddings, *draws], order=0)


BUGS = (
    Bug(
        name="algoperf_batch_norm_momentum",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/pull/231",
        what="PyTorch's batch norm gets flax's momentum 0.999, which is 0.001 in PyTorch.",
        shows="training",
        right=lambda: speech(momentum=1 - MOMENTUM),
        wrong=lambda: speech(momentum=MOMENTUM),
        cause=(r"momentum", r"\b0\.(999|001)\b"),
        where=r"statistics|norm1|running",
    ),
    Bug(
        name="algoperf_ctc_normaliser",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/issues/318",
        what="JAX averages the CTC losses per label of batches, where PyTorch divides the sum of all by all labels.",
        shows="values",
        right=lambda: ctc(each=False),
        wrong=lambda: ctc(each=True),
        cause=(
            r"mean of (the )?(means|averages|ratios)",
            r"normali[sz]",
            r"weighted",
            r"divid",
            r"number of (labels|targets|batches|examples)",
        ),
    ),
    Bug(
        name="algoperf_one_random_key",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/aa9c9ebf",
        what="SpecAugment in JAX draws the lengths of masks and their starts with one key, so they are the same numbers.",
        shows="training",
        right=spectrum,
        wrong=lambda: spectrum(one_key=True),
        cause=(
            r"(ignores|not (use|read|depend)|independent|has no (effect|influence))\b.*(input|argument|start)",
            r"(input|argument|start)\w*\b.*(ignored|not used|unused|no (effect|influence))",
            r"same (random )?(key|numbers|draws)",
        ),
    ),
    Bug(
        name="algoperf_mask_defaults",
        project=PROJECT,
        place="https://github.com/mlcommons/algorithmic-efficiency/commit/aa9c9ebf",
        what="SpecAugment in JAX keeps its defaults: one long mask of frames, not 10 short ones; one of bins, not 2.",
        shows="training",
        right=spectrum,
        wrong=lambda: spectrum(masks=(ONE_TIME, ONE_FREQUENCY)),
        cause=(r"number of masks|fewer masks|(one|\b1) mask", r"\b0\.05\b", r"\b27\b.*\b15\b|\b15\b.*\b27\b"),
    ),
)
