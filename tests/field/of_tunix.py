"""Bugs of tunix, a library for training language models after their pre-training: Gemma in nnx, a sampler, and GRPO."""

from __future__ import annotations

import math
from copy import deepcopy
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
from flax import nnx
from ported import weights_of

from field.of_levanter import (
    EPSILON,
    GEMMA,
    GROUPS,
    HEAD,
    HEADS,
    LAYERS,
    VOCABULARY,
    WIDTH,
    Array,
    State,
    frequencies,
    torch_decoder,
)
from field.records import Bug, Check, Functions, Models, Trainings

PROMPT, COMPLETION, SEQUENCES, STEPS = 4, 8, 4, 6
END = 1
"""The token that ends a completion."""
RATE, BETA = 1e-3, 0.04
KEPT, SHARE = 8, 0.8
"""The sampler's top-k and top-p."""


# Gemma in nnx: matrices are (in, out). torch's side is the decoder of ``of_levanter``


class RMSNorm(nnx.Module):
    def __init__(self, state: State, path: str) -> None:
        self.scale = nnx.Param(jnp.asarray(state[f"{path}.weight"]))

    def __call__(self, x: Array) -> Array:
        return x * jax.lax.rsqrt(jnp.square(x).mean(-1, keepdims=True) + EPSILON) * (1.0 + self.scale[...])


class Linear(nnx.Module):
    def __init__(self, state: State, path: str) -> None:
        self.kernel = nnx.Param(jnp.asarray(state[f"{path}.weight"].T))

    def __call__(self, x: Array) -> Array:
        return x @ self.kernel[...]


def apply_rope(x: Array, positions: Array) -> Array:
    """Of (batch, token, head, feature)."""
    angles = positions[..., None, None] * jnp.asarray(frequencies(GEMMA), x.dtype)
    first, second = jnp.split(x, 2, -1)
    sin, cos = jnp.sin(angles), jnp.cos(angles)
    return jnp.concatenate((first * cos - second * sin, second * cos + first * sin), -1)


class Attention(nnx.Module):
    def __init__(self, state: State, path: str) -> None:
        self.q_proj = Linear(state, f"{path}.q_proj")
        self.k_proj = Linear(state, f"{path}.k_proj")
        self.v_proj = Linear(state, f"{path}.v_proj")
        self.out_proj = Linear(state, f"{path}.o_proj")

    def __call__(self, x: Array, positions: Array, mask: Array) -> Array:
        q, k, v = (layer(x).reshape(*x.shape[:2], -1, HEAD) for layer in (self.q_proj, self.k_proj, self.v_proj))
        q, k = apply_rope(q, positions) / math.sqrt(HEAD), apply_rope(k, positions)
        q = q.reshape(*q.shape[:2], GROUPS, HEADS // GROUPS, HEAD)
        scores = jnp.einsum("bqgnd,bkgd->bgnqk", q, k)
        scores = jnp.where(mask[:, None, None], scores, -jnp.inf)
        y = jnp.einsum("bgnqk,bkgd->bqgnd", jax.nn.softmax(scores, -1), v)
        return self.out_proj(y.reshape(*x.shape[:2], -1))


class FeedForward(nnx.Module):
    def __init__(self, state: State, path: str) -> None:
        self.gate_proj = Linear(state, f"{path}.gate_proj")
        self.up_proj = Linear(state, f"{path}.up_proj")
        self.down_proj = Linear(state, f"{path}.down_proj")

    def __call__(self, x: Array) -> Array:
        return self.down_proj(nnx.gelu(self.gate_proj(x)) * self.up_proj(x))


class Block(nnx.Module):
    """The flags say which norms there are; Gemma 1 has one before the feed-forward, and none after the attention."""

    def __init__(self, state: State, path: str, *, use_post_attn_norm: bool, use_pre_ffw_norm: bool) -> None:
        norm = f"{path}.post_attention_layernorm"
        self.pre_attention_norm = RMSNorm(state, f"{path}.input_layernorm")
        self.attn = Attention(state, f"{path}.self_attn")
        self.post_attn_norm = RMSNorm(state, norm) if use_post_attn_norm else None
        self.pre_ffw_norm = RMSNorm(state, norm) if use_pre_ffw_norm else None
        self.mlp = FeedForward(state, f"{path}.mlp")

    def __call__(self, x: Array, positions: Array, mask: Array) -> Array:
        attended = self.attn(self.pre_attention_norm(x), positions, mask)
        if self.post_attn_norm is not None:
            attended = self.post_attn_norm(attended)
        attended += x
        outputs = attended if self.pre_ffw_norm is None else self.pre_ffw_norm(attended)
        return attended + self.mlp(outputs)


class Transformer(nnx.Module):
    def __init__(self, state: State, *, use_post_attn_norm: bool = False, use_pre_ffw_norm: bool = True) -> None:
        flags = {"use_post_attn_norm": use_post_attn_norm, "use_pre_ffw_norm": use_pre_ffw_norm}
        self.embedder = nnx.Param(jnp.asarray(state["embed_tokens.weight"]))
        self.layers = nnx.List([Block(state, f"layers.{k}", **flags) for k in range(LAYERS)])
        self.final_norm = RMSNorm(state, "norm")

    def __call__(self, ids: Array, seen: Array) -> Array:
        """Of tokens (batch, token), of which the others see those that are ``seen``."""
        positions = jnp.maximum(jnp.cumsum(seen, 1) - 1, 0)
        mask = jnp.tril(jnp.ones((ids.shape[1],) * 2, bool)) & seen[:, None, :]
        x = self.embedder[...][ids] * jnp.sqrt(WIDTH).astype(self.embedder.dtype)
        for layer in self.layers:
            x = layer(x, positions, mask)
        return self.final_norm(x) @ self.embedder[...].T


def gemma(**flags: bool) -> Models:
    model = torch_decoder(GEMMA)
    ids = np.random.default_rng(1).integers(0, VOCABULARY, (2, PROMPT + COMPLETION), np.int32)
    return Models(model, Transformer(weights_of(model), **flags), [ids, np.ones(ids.shape, bool)])


# the sampler: the probabilities of the next token that are left


def torch_kept(logits: Any) -> Any:
    """As vLLM has it: the likeliest tokens, and of these the likeliest that make up the share."""
    ordered, indices = torch.sort(logits, dim=-1, descending=True, stable=True)
    ordered = ordered.masked_fill(torch.arange(logits.shape[-1]) >= KEPT, -torch.inf)
    shares = ordered.softmax(-1)
    ordered = ordered.masked_fill(shares.cumsum(-1) - shares > SHARE, -torch.inf)
    return torch.zeros_like(logits).scatter(-1, indices, ordered.softmax(-1))


def jax_kept(logits: Array, *, renormalised: bool) -> Array:
    """The shares of the likeliest tokens are of these, or of all tokens."""
    likeliest, indices = jax.lax.top_k(logits, KEPT)
    shares = jax.nn.softmax(likeliest, -1)
    if not renormalised:
        shares = jnp.take_along_axis(jax.nn.softmax(logits, -1), indices, -1)
    left = jnp.where(jnp.cumsum(shares, -1) - shares > SHARE, 0.0, shares)
    left = left / left.sum(-1, keepdims=True)
    return jnp.zeros_like(logits).at[jnp.arange(len(logits))[:, None], indices].set(left)


def sampler(*, renormalised: bool) -> Functions:
    logits = 1.5 * np.random.default_rng(3).normal(size=(6, VOCABULARY)).astype(np.float32)
    return Functions(torch_kept, lambda x: jax_kept(x, renormalised=renormalised), [logits], order=0)


# GRPO: the completions are masked where the environment wrote them, and not the policy


def torch_logps(model: Any, prompt: Any, completion: Any, mask: Any) -> Any:
    seen = torch.cat((torch.ones_like(prompt, dtype=torch.bool), mask), 1)
    logits = model(torch.cat((prompt, completion), 1), seen)[:, PROMPT - 1 : -1]
    return logits.log_softmax(-1).gather(-1, completion[..., None].long())[..., 0]


def torch_grpo_loss(own: Any, reference: Any, mask: Any, advantages: Any) -> Any:
    apart = reference - own
    each = -(own - own.detach()).exp() * advantages[:, None] + BETA * (apart.exp() - apart - 1)
    return (each * mask).sum() / mask.sum()


def jax_logps(model: Transformer, prompt: Array, completion: Array, mask: Array) -> Array:
    seen = jnp.concatenate((jnp.ones_like(prompt, dtype=bool), mask), 1)
    logits = model(jnp.concatenate((prompt, completion), 1), seen)[:, PROMPT - 1 : -1]
    return jnp.take_along_axis(jax.nn.log_softmax(logits, -1), completion[..., None], -1)[..., 0]


def jax_grpo_loss(own: Array, reference: Array, mask: Array, advantages: Array) -> Array:
    apart = reference - own
    each = -jnp.exp(own - jax.lax.stop_gradient(own)) * advantages[:, None] + BETA * (jnp.exp(apart) - apart - 1)
    return (each * mask).sum() / mask.sum()


def until_end(completion: Array) -> Array:
    """The mask of a completion that the policy wrote alone: up to the token that ends it."""
    ended = jnp.cumsum(completion == END, 1) - (completion == END)
    return ended == 0


def grpo(*, masked: bool) -> Trainings:
    """The log-probabilities of the reference are computed with the mask of the completion, or without it."""
    model = torch_decoder(GEMMA).train()
    frozen = deepcopy(model).requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.0)

    def torch_step(prompt: Any, completion: Any, mask: Any, advantages: Any) -> Any:
        optimizer.zero_grad()
        reference = torch_logps(frozen, prompt, completion, mask)
        loss = torch_grpo_loss(torch_logps(model, prompt, completion, mask), reference, mask, advantages)
        loss.backward()
        optimizer.step()
        return loss

    graphdef, start = nnx.split(Transformer(weights_of(model)))
    transform = optax.adamw(RATE, weight_decay=0.0)

    def jax_step(state: Any, prompt: Array, completion: Array, mask: Array, advantages: Array) -> Any:
        own, held = state
        of_reference = mask if masked else until_end(completion)
        reference = jax_logps(nnx.merge(graphdef, start), prompt, completion, of_reference)

        def loss_of(params: Any) -> Array:
            logps = jax_logps(nnx.merge(graphdef, params), prompt, completion, mask)
            return jax_grpo_loss(logps, reference, mask, advantages)

        loss, grads = jax.value_and_grad(loss_of)(own)
        updates, held = transform.update(grads, held, own)
        return (optax.apply_updates(own, updates), held), loss

    return Trainings(torch_step, jax_step, batches(), (model, optimizer), (start, transform.init(start)))


def batches() -> list[list[np.ndarray]]:
    """Prompts, completions, masks and advantages. The environment writes the third and fourth token of a completion."""
    rng = np.random.default_rng(4)
    mask = np.ones((SEQUENCES, COMPLETION), bool)
    mask[:, 2:4] = False
    return [
        [
            rng.integers(END + 1, VOCABULARY, (SEQUENCES, PROMPT), np.int32),
            rng.integers(END + 1, VOCABULARY, (SEQUENCES, COMPLETION), np.int32),
            mask,
            rng.normal(size=SEQUENCES).astype(np.float32),
        ]
        for _ in range(STEPS)
    ]


MINE = "https://github.com/google/tunix/commit"

BUGS = (
    Bug(
        name="tunix_gemma_norms",
        project="google/tunix",
        place=f"{MINE}/58c8fab3",
        what="The norm before Gemma's feed-forward is applied to the attention's result, before it is added.",
        shows="values",
        right=gemma,
        wrong=lambda: gemma(use_post_attn_norm=True, use_pre_ffw_norm=False),
        cause=(
            r"norm\S*\b.*\b(before|after|instead of|without|skip\w*|missing)\b",
            r"\b(before|after|instead of|without|skip\w*|missing)\b.*norm",
        ),
        where=r"post_attention_layernorm|self_attn|layers\.0 |mlp",
    ),
    Bug(
        name="tunix_top_p_before_top_k",
        project="google/tunix",
        place=f"{MINE}/6fea21da",
        what="Top-p counts the probabilities among all tokens, not among those that top-k leaves.",
        shows="values",
        right=lambda: sampler(renormalised=True),
        wrong=lambda: sampler(renormalised=False),
        cause=(
            r"top[-_ ]?[kp]\b",
            r"renormali[sz]",
            r"softmax (over|of) (all|the|29|8)",
            r"the other order|reversed order",
            r"mask (before|after) softmax",
        ),
    ),
    Bug(
        name="tunix_reference_mask",
        project="google/tunix",
        place=f"{MINE}/4f8d7237",
        what="The log-probabilities of the reference are computed without the mask of the completion.",
        shows="training",
        right=lambda: grpo(masked=True),
        wrong=lambda: grpo(masked=False),
        cause=(r"\bmask", r"\bcompletion"),
        where=r"loss|model",
        check=Check(1e-2, 1e-1, "tunix, tests/rl/common_test.py: log-probabilities of tokens"),
    ),
)
