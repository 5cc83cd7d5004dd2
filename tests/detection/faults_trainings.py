"""Trainings of the perceptron that are not what their setup says."""

import jax.numpy as jnp

from detection.trained import Trained, descend, trainer

PARTS = {
    "sum": ("loss", 1),
    "no-reset": ("clipping", 2),
    "flipped-label": ("data", 1),
    "transposed": ("data", 1),
    "learning-rate": ("schedule", 1),
    "start": ("start", 1),
}


def another(name, train, part, epoch=1, **options):
    return Trained(name=name, kind="trainings", train=train, cause=part, side="jax", at=f"epoch {epoch}", **options)


def decayed(epoch, weights, gradients, rate):
    return {name: w * 0.999 for name, w in descend(epoch, weights, gradients, rate).items()}


def without_bias(epoch, weights, gradients, rate):
    return {**descend(epoch, weights, gradients, rate), "bias": weights["bias"]}


def slower(epoch, weights, gradients, rate):
    return descend(epoch, weights, gradients, rate * jnp.where(epoch > 20, 0.5, 1.0))


def one_epoch_left_out(epoch, weights, gradients, rate):
    return descend(epoch, weights, gradients, rate * (epoch != 7))


def upwards(epoch, weights, gradients, rate):
    return descend(epoch, weights, gradients, -rate)


def in_sixteen_bits(epoch, weights, gradients, rate):
    stepped = descend(epoch, weights, gradients, rate)
    return {name: w.astype(jnp.bfloat16).astype(w.dtype) for name, w in stepped.items()}


def last_point_left_out(losses):
    return losses[:-1].sum() / losses.size


def one_gradient(epoch, weights, gradients, rate):
    changed = {**gradients, "bias": gradients["bias"] * jnp.where(epoch == 4, 1 + 1e-6, 1.0)}
    return descend(epoch, weights, changed, rate)


FAULTS = [
    *(
        Trained(
            name=f"{fault} in {what}, {side}",
            kind="trainings",
            fault=fault,
            what=what,
            cause=part,
            side=side,
            at=f"epoch {epoch}",
        )
        for fault, (part, epoch) in PARTS.items()
        for what, side in (("or", "torch"), ("nand", "jax"))
    ),
    another("momentum", trainer(momentum=0.9), "optimiser", 2),
    another("weight decay", trainer(decayed), "optimiser"),
    another("the bias is not trained", trainer(without_bias), "gradients"),
    another("another rate from epoch 21 on", trainer(slower), "schedule", 21),
    another("one epoch changes nothing", trainer(one_epoch_left_out), "optimiser", 7),
    another("uphill", trainer(upwards), "schedule"),
    another("weights kept in bfloat16", trainer(in_sixteen_bits), "optimiser"),
    another("the last point left out", trainer(reduce=last_point_left_out), "loss"),
    another(
        "one loss of the history", trainer(returned=lambda epoch, loss: loss * jnp.where(epoch == 12, 1.001, 1)), "loss", 12
    ),
    another("one gradient in float64", trainer(one_gradient), "optimiser", 4, dtype="float64"),
]
