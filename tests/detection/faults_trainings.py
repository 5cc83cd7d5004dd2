"""Trainings of the perceptron that are not what their setup says."""

import ml_dtypes
import numpy as np
from trainings import TRAIN, History

from detection.trained import Trained, descend, trainer

FIRST = {
    "sum": "1 loss",
    "no-reset": "2 gradient.weight",
    "flipped-label": "1 loss",
    "transposed": "1 outputs",
    "learning-rate": "1 weight",
    "start": "0 weight",
}


def unknown(name, train, at, **options):
    return Trained(name=name, kind="trainings", train=train, cause="unknown", side="jax", at=at, **options)


def momentum():
    velocity = {}

    def step(epoch, weights, gradients, rate):
        for name, gradient in gradients.items():
            velocity[name] = gradient + (0.9 * velocity[name] if epoch > 1 else 0)
        return descend(epoch, weights, velocity, rate)

    return step


def decayed(epoch, weights, gradients, rate):
    return {name: w * 0.999 for name, w in descend(epoch, weights, gradients, rate).items()}


def without_bias(epoch, weights, gradients, rate):
    return {**descend(epoch, weights, gradients, rate), "bias": weights["bias"]}


def slower(epoch, weights, gradients, rate):
    return descend(epoch, weights, gradients, rate * 0.5 if epoch > 20 else rate)


def one_epoch_left_out(epoch, weights, gradients, rate):
    return weights if epoch == 7 else descend(epoch, weights, gradients, rate)


def upwards(epoch, weights, gradients, rate):
    return descend(epoch, weights, gradients, -rate)


def in_sixteen_bits(epoch, weights, gradients, rate):
    stepped = descend(epoch, weights, gradients, rate)
    return {name: w.astype(ml_dtypes.bfloat16).astype(w.dtype) for name, w in stepped.items()}


def last_point_left_out(pull):
    return np.concatenate([pull[:-1], 0 * pull[-1:]])


def changed(tensor, index, factor):
    """One recorded number, of which nothing follows."""

    def train(setup, progress=None):
        history = TRAIN["jax"](setup)
        array = history[tensor].copy()
        array[index] *= factor
        return History({**history.tensors, tensor: array})

    return train


FAULTS = [
    *(
        Trained(
            name=f"{fault} in {what}, {side}",
            kind="trainings",
            fault=fault,
            what=what,
            cause=fault,
            side=side,
            at=FIRST[fault],
        )
        for fault in FIRST
        for what, side in (("or", "torch"), ("points", "jax"))
    ),
    unknown("momentum", trainer(momentum()), "2 weight"),
    unknown("weight decay", trainer(decayed), "1 weight"),
    unknown("the bias is not trained", trainer(without_bias), "1 bias"),
    unknown("another rate from epoch 21 on", trainer(slower), "21 weight"),
    unknown("one epoch changes nothing", trainer(one_epoch_left_out), "7 weight"),
    unknown("uphill", trainer(upwards), "1 weight"),
    unknown("weights kept in bfloat16", trainer(in_sixteen_bits), "1 weight"),
    unknown("the last point left out", trainer(weigh=last_point_left_out), "1 gradient.weight"),
    unknown("one loss of the history", changed("loss", 11, 1.001), "12 loss"),
    unknown("the last outputs", changed("outputs", -1, 1.01), f"{41} outputs"),
    unknown("one gradient in float64", changed("gradient.bias", 3, 1 + 1e-9), "4 gradient.bias", dtype="float64"),
]
