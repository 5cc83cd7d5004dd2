"""Distributions of distrax beside those of PyTorch."""

import distrax
import jax.numpy as jnp
import torch
from torch import distributions

from pairs.records import Pair
from pairs.seeded import integers, normals, uniforms

WRONG = {"passes": False, "cause": "definition"}
PAIR = normals((5, 4), (5, 4))


def density(torch_distribution, jax_distribution):
    """Both densities of the last argument, the parameters being the others."""
    return (
        lambda *x: torch_distribution(*x[:-1], validate_args=False).log_prob(x[-1]),
        lambda *x: jax_distribution(*x[:-1]).log_prob(x[-1]),
    )


def located(shape=(20,)):
    """A location, a scale and a number."""
    return lambda: [*normals(shape)(), *uniforms(0.5, 2, shape)(), *normals(shape, seed=1)()]


def categories():
    return [*normals((6, 5))(), integers(5, 6)]


def torch_categorical(logits, k):
    return distributions.Categorical(logits=logits, validate_args=False).log_prob(k)


def jax_categorical(logits, k):
    return distrax.Categorical(logits=logits).log_prob(k)


def torch_kl(a, b):
    return distributions.kl_divergence(distributions.Normal(a, b.exp()), distributions.Normal(0.0, 1.0))


def jax_kl(a, b):
    return distrax.Normal(a, jnp.exp(b)).kl_divergence(distrax.Normal(0.0, 1.0))


PAIRS = [
    Pair("distrax-normal", *density(distributions.Normal, distrax.Normal), located()),
    Pair("distrax-laplace", *density(distributions.Laplace, distrax.Laplace), located()),
    Pair("distrax-gumbel", *density(distributions.Gumbel, distrax.Gumbel), located()),
    Pair("distrax-normal-against-laplace", *density(distributions.Normal, distrax.Laplace), located(), **WRONG),
    Pair(
        "distrax-logistic-against-normal",
        *density(distributions.Normal, distrax.Logistic),
        located(),
        **WRONG,
    ),
    Pair("distrax-categorical", torch_categorical, jax_categorical, categories),
    Pair(
        "distrax-categorical-of-shares",
        lambda logits, k: distributions.Categorical(probs=logits.abs(), validate_args=False).log_prob(k),
        lambda logits, k: distrax.Categorical(probs=abs(logits) / abs(logits).sum(-1, keepdims=True)).log_prob(k),
        categories,
    ),
    Pair(
        "distrax-entropy",
        lambda x: distributions.Categorical(logits=x, validate_args=False).entropy(),
        lambda x: distrax.Categorical(logits=x).entropy(),
        normals((6, 5)),
    ),
    Pair(
        "distrax-bernoulli",
        lambda x: distributions.Bernoulli(logits=x, validate_args=False).log_prob(torch.ones(())),
        lambda x: distrax.Bernoulli(logits=x).log_prob(1.0),
        normals((30,)),
    ),
    Pair(
        "distrax-bernoulli-of-the-other-value",
        lambda x: distributions.Bernoulli(logits=x, validate_args=False).log_prob(torch.ones(())),
        lambda x: distrax.Bernoulli(logits=x).log_prob(0.0),
        normals((30,)),
        **WRONG,
    ),
    Pair("distrax-kl-divergence", torch_kl, jax_kl, PAIR),
    Pair(
        "distrax-kl-divergence-the-other-way",
        torch_kl,
        lambda a, b: distrax.Normal(0.0, 1.0).kl_divergence(distrax.Normal(a, jnp.exp(b))),
        PAIR,
        **WRONG,
    ),
]
