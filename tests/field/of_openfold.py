"""Bugs of OpenFold, a port of AlphaFold from haiku to PyTorch: a mean, attention, a loss, and initial weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from torch import nn
from zoo.architecture import State, normals, state_of
from zoo.plain import layer_norm, linear, linear_of, norm_of

from field.of_algoperf import random_model
from field.records import Bug, Functions, Models

Array = Any
Params = Mapping[str, Any]
MINE = "https://github.com/aqlaboratory/openfold/commit"
PROJECT = "aqlaboratory/openfold"
SEQUENCES, RESIDUES, MSA, PAIR, HIDDEN, HEADS = 4, 6, 8, 10, 3, 2
EPS = 1e-3
NORM_EPS = 1e-5


# the mean of the outer products, which are divided by the number of sequences that are there


class OuterProductMean(nn.Module):
    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.whole = whole
        self.layer_norm = nn.LayerNorm(MSA, eps=NORM_EPS)
        self.linear_1 = nn.Linear(MSA, HIDDEN)
        self.linear_2 = nn.Linear(MSA, HIDDEN)
        self.linear_out = nn.Linear(HIDDEN * HIDDEN, PAIR)

    def forward(self, m: Any, mask: Any) -> Any:
        m = self.layer_norm(m)
        mask = mask.unsqueeze(-1)
        a, b = self.linear_1(m) * mask, self.linear_2(m) * mask
        outer = torch.einsum("sic,sjd->ijcd", a, b)
        outer = self.linear_out(outer.flatten(-2))
        norm = torch.einsum("sic,sjc->ijc", mask, mask)
        return outer / (EPS + norm) if self.whole else outer / EPS + norm


class Evoformer(nn.Module):
    """The part of a block in which the alignment updates the pairs, and the pairs' transition."""

    def __init__(self, *, whole: bool) -> None:
        super().__init__()
        self.outer_product_mean = OuterProductMean(whole=whole)
        self.pair_norm = nn.LayerNorm(PAIR, eps=NORM_EPS)
        self.pair_up = nn.Linear(PAIR, 2 * PAIR)
        self.pair_down = nn.Linear(2 * PAIR, PAIR)

    def forward(self, m: Any, z: Any, mask: Any) -> Any:
        z = z + self.outer_product_mean(m, mask)
        return z + self.pair_down(torch.relu(self.pair_up(self.pair_norm(z))))


def jax_evoformer(p: Params, m: Array, z: Array, mask: Array) -> Array:
    own = p["outer_product_mean"]
    act = layer_norm(own["layer_norm"], m)
    left = mask[..., None] * linear(own["linear_1"], act)
    right = mask[..., None] * linear(own["linear_2"], act)
    outer = jnp.einsum("sic,sjd->ijcd", left, right)
    outer = linear(own["linear_out"], outer.reshape(*outer.shape[:2], -1))
    norm = jnp.einsum("sia,sja->ija", mask[..., None], mask[..., None])
    z = z + outer / (EPS + norm)
    return z + linear(p["pair_down"], jax.nn.relu(linear(p["pair_up"], layer_norm(p["pair_norm"], z))))


def evoformer(*, whole: bool) -> Models:
    model = random_model(Evoformer(whole=whole))
    state = state_of(model)
    mean = {name: linear_of(state, f"outer_product_mean.{name}") for name in ("linear_1", "linear_2", "linear_out")}
    mean["layer_norm"] = norm_of(state, "outer_product_mean.layer_norm")
    params = {name: linear_of(state, name) for name in ("pair_up", "pair_down")}
    params |= {"outer_product_mean": mean, "pair_norm": norm_of(state, "pair_norm")}
    mask = np.ones((SEQUENCES, RESIDUES), np.float32)
    mask[3, 4:] = mask[2, 5] = 0
    return Models(model, jax_evoformer, [*normals(1, (SEQUENCES, RESIDUES, MSA), (RESIDUES, RESIDUES, PAIR)), mask], params)


# attention over residues with a bias of the pairs


class PairBiasAttention(nn.Module):
    """The part of the invariant point attention without points."""

    def __init__(self, *, multiplied: bool) -> None:
        super().__init__()
        self.multiplied = multiplied
        self.linear_q = nn.Linear(MSA, HEADS * HIDDEN)
        self.linear_kv = nn.Linear(MSA, 2 * HEADS * HIDDEN)
        self.linear_b = nn.Linear(PAIR, HEADS)
        self.linear_out = nn.Linear(HEADS * HIDDEN, MSA)

    def forward(self, s: Any, z: Any) -> Any:
        q = self.linear_q(s).view(*s.shape[:-1], HEADS, -1)
        k, v = self.linear_kv(s).view(*s.shape[:-1], HEADS, -1).split(HIDDEN, -1)
        a = torch.matmul(q.permute(1, 0, 2), k.permute(1, 2, 0))
        scale = math.sqrt(1.0 / (3 * HIDDEN))
        a = a * scale if self.multiplied else a + scale
        a = a + math.sqrt(1.0 / 3) * self.linear_b(z).permute(2, 0, 1)
        o = torch.matmul(a.softmax(-1), v.transpose(-2, -3)).transpose(-2, -3)
        return self.linear_out(o.reshape(*o.shape[:-2], -1))


class StructureModule(nn.Module):
    def __init__(self, *, multiplied: bool) -> None:
        super().__init__()
        self.ipa = PairBiasAttention(multiplied=multiplied)
        self.norm = nn.LayerNorm(MSA, eps=NORM_EPS)
        self.transition = nn.Linear(MSA, MSA)

    def forward(self, s: Any, z: Any) -> Any:
        s = self.norm(s + self.ipa(s, z))
        return s + torch.relu(self.transition(s))


def jax_structure(p: Params, s: Array, z: Array) -> Array:
    own = p["ipa"]
    residues = len(s)
    q_scalar = linear(own["linear_q"], s).reshape(residues, HEADS, HIDDEN)
    kv_scalar = linear(own["linear_kv"], s).reshape(residues, HEADS, 2 * HIDDEN)
    k_scalar, v_scalar = jnp.split(kv_scalar, [HIDDEN], axis=-1)
    logits = jnp.einsum("qhc,khc->hqk", np.sqrt(1.0 / (3 * HIDDEN)) * q_scalar, k_scalar)
    logits += np.sqrt(1.0 / 3) * jnp.transpose(linear(own["linear_b"], z), (2, 0, 1))
    result = jnp.einsum("hqk,khc->qhc", jax.nn.softmax(logits), v_scalar)
    s = layer_norm(p["norm"], s + linear(own["linear_out"], result.reshape(residues, -1)))
    return s + jax.nn.relu(linear(p["transition"], s))


def structure(*, multiplied: bool) -> Models:
    model = random_model(StructureModule(multiplied=multiplied))
    state: State = state_of(model)
    own = {name: linear_of(state, f"ipa.{name}") for name in ("linear_q", "linear_kv", "linear_b", "linear_out")}
    params = {"ipa": own, "norm": norm_of(state, "norm"), "transition": linear_of(state, "transition")}
    return Models(model, jax_structure, normals(2, (RESIDUES, MSA), (RESIDUES, RESIDUES, PAIR)), params)


# the loss of the torsion angles, some of which are the same after half a turn

BATCH, TYPES, ANGLES = 2, 21, 4
PERIODIC = (np.arange(TYPES * ANGLES).reshape(TYPES, ANGLES) % 5 == 2).astype(np.float32)
"""For each type of residue: which of its angles are."""


def torch_chi_loss(predicted: Any, true: Any, aatype: Any, mask: Any, *, each: bool) -> Any:
    one_hot = torch.nn.functional.one_hot(aatype.long(), TYPES).to(predicted.dtype)
    table = torch.as_tensor(PERIODIC, dtype=predicted.dtype)
    periodic = torch.einsum("...ij,jk->...ik" if each else "...ij,jk->ik", one_hot, table)
    shifted = (1 - 2 * periodic).unsqueeze(-1) * true
    error = torch.minimum(((true - predicted) ** 2).sum(-1), ((shifted - predicted) ** 2).sum(-1))
    return ((error * mask).sum((-1, -2)) / mask.sum((-1, -2))).mean()


def jax_chi_loss(predicted: Array, true: Array, aatype: Array, mask: Array) -> Array:
    """AlphaFold's own is of one protein."""

    def of_one(predicted: Array, true: Array, aatype: Array, mask: Array) -> Array:
        periodic = jnp.einsum("ij,jk->ik", jax.nn.one_hot(aatype, TYPES, dtype=predicted.dtype), PERIODIC)
        shifted = (1 - 2 * periodic)[..., None] * true
        error = jnp.sum(jnp.square(true - predicted), -1)
        error = jnp.minimum(error, jnp.sum(jnp.square(shifted - predicted), -1))
        return jnp.sum(error * mask) / jnp.sum(mask)

    return jax.vmap(of_one)(predicted, true, aatype, mask).mean()


def chi_loss(*, each: bool) -> Functions:
    rng = np.random.default_rng(3)
    angles = rng.uniform(0, 2 * np.pi, (2, BATCH, RESIDUES, ANGLES))
    predicted, true = np.stack([np.sin(angles), np.cos(angles)], -1).astype(np.float32)
    aatype = rng.integers(0, TYPES, (BATCH, RESIDUES), np.int32)
    mask = (rng.uniform(size=(BATCH, RESIDUES, ANGLES)) < 0.7).astype(np.float32)
    return Functions(lambda *given: torch_chi_loss(*given, each=each), jax_chi_loss, [predicted, true, aatype, mask])


# the initial weights of a layer, from given normal numbers

INPUTS, OUTPUTS = 5, 12


def torch_initial(numbers: Any, *, of_rows: bool) -> Any:
    """The matrix of ``nn.Linear`` is (out, in)."""
    fan_in = numbers.shape[-2] if of_rows else numbers.shape[-1]
    return numbers * math.sqrt(2.0 / max(1, fan_in))


def jax_initial(numbers: Array) -> Array:
    """haiku's matrix is (in, out)."""
    weights = numbers.T
    return (weights * np.sqrt(2.0 / weights.shape[0])).T


def initial(*, of_rows: bool) -> Functions:
    return Functions(lambda x: torch_initial(x, of_rows=of_rows), jax_initial, normals(4, (OUTPUTS, INPUTS)), order=0)


BUGS = (
    Bug(
        name="openfold_outer_product_mean",
        project=PROJECT,
        place=f"{MINE}/ad2e5c9",
        what="The sum of the outer products is divided by epsilon alone, and the number of sequences is added to that.",
        shows="values",
        right=lambda: evoformer(whole=True),
        wrong=lambda: evoformer(whole=False),
        cause=(r"divi(de|des|ded|sion|sor)\b", r"\beps(ilon)?\b.*\b(alone|without|before)", r"\bin the other order\b"),
        where=r"outer_product_mean|linear_out",
    ),
    Bug(
        name="openfold_attention_scale",
        project=PROJECT,
        place=f"{MINE}/e98c202",
        what="The scale of the attention's scores is added to them, and does not multiply them.",
        shows="values",
        right=lambda: structure(multiplied=True),
        wrong=lambda: structure(multiplied=False),
        cause=(r"multipl", r"\bscal(e|ed|es|ing)\b", r"\badd(s|ed|ition)?\b.*\b(product|times)\b"),
        where=r"^ipa",
    ),
    Bug(
        name="openfold_chi_periodic",
        project=PROJECT,
        place=f"{MINE}/495e054",
        what="Which angles are the same after half a turn is summed over the proteins of the batch.",
        shows="training",
        right=lambda: chi_loss(each=True),
        wrong=lambda: chi_loss(each=False),
        cause=(r"\bsum(s|med)?\b.*\b(axis|axes|batch)\b", r"\beinsum\b", r"(axis|axes) 0\b", r"\bbatch\b"),
    ),
    Bug(
        name="openfold_fan_in",
        project=PROJECT,
        place=f"{MINE}/ef82ecd",
        what="The spread of the initial weights is that of the number of a layer's outputs, not of its inputs.",
        shows="weights",
        right=lambda: initial(of_rows=False),
        wrong=lambda: initial(of_rows=True),
        cause=(r"\bfan", r"0\.408.*0\.632|0\.632.*0\.408", r"1\.549|0\.645", r"\b12\b.*\b5\b|\b5\b.*\b12\b"),
    ),
)
