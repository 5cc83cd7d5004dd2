"""Activations, layers and models of transformers beside functions of JAX with the same weights."""

import jax
import jax.numpy as jnp
import torch
from transformers import GPT2Config, GPT2LMHeadModel
from transformers.activations import ACT2FN
from transformers.models.llama.modeling_llama import LlamaRMSNorm, apply_rotary_pos_emb, rotate_half

from pairs.records import Pair
from pairs.right_modules import seeded
from pairs.seeded import integers, normals

WRONG = {"passes": False, "cause": "definition"}
X = normals((60,))
HEADS = normals((1, 2, 5, 8), (1, 2, 5, 8), (1, 5, 8), (1, 5, 8))

GPT2 = seeded(
    lambda: GPT2LMHeadModel(
        GPT2Config(vocab_size=17, n_positions=12, n_embd=8, n_layer=2, n_head=2, attn_implementation="eager")
    )
)
P = {name: jnp.asarray(value.detach().numpy()) for name, value in GPT2.state_dict().items()}


def norm(x, name):
    centred = x - x.mean(-1, keepdims=True)
    return centred / jnp.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * P[f"{name}.weight"] + P[f"{name}.bias"]


def affine(x, name):
    return x @ P[f"{name}.weight"] + P[f"{name}.bias"]


def block(x, name):
    tokens = x.shape[-2]
    q, k, v = (
        jnp.swapaxes(part.reshape(*x.shape[:-1], 2, 4), -2, -3)
        for part in jnp.split(affine(norm(x, f"{name}.ln_1"), f"{name}.attn.c_attn"), 3, -1)
    )
    scores = jnp.where(jnp.tril(jnp.ones((tokens, tokens), bool)), q @ jnp.swapaxes(k, -1, -2) / 2, -jnp.inf)
    mixed = jnp.swapaxes(jax.nn.softmax(scores, -1) @ v, -2, -3).reshape(x.shape)
    x = x + affine(mixed, f"{name}.attn.c_proj")
    return x + affine(jax.nn.gelu(affine(norm(x, f"{name}.ln_2"), f"{name}.mlp.c_fc")), f"{name}.mlp.c_proj")


def gpt2(ids, layers=2):
    """GPT-2 from ids to logits."""
    x = P["transformer.wte.weight"][ids] + P["transformer.wpe.weight"][: ids.shape[-1]]
    for k in range(layers):
        x = block(x, f"transformer.h.{k}")
    return norm(x, "transformer.ln_f") @ P["transformer.wte.weight"].T


def ids():
    return [integers(17, 2, 9)]


def rotated(x):
    first, second = jnp.split(x, 2, -1)
    return jnp.concatenate([-second, first], -1)


def rotary(q, k, cos, sin):
    return q * cos[:, None] + rotated(q) * sin[:, None], k * cos[:, None] + rotated(k) * sin[:, None]


def interleaved(x):
    return jnp.stack([-x[..., 1::2], x[..., ::2]], -1).reshape(x.shape)


def rms_norm(x):
    return x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-6)


PAIRS = [
    Pair("transformers-gelu", ACT2FN["gelu"], lambda x: jax.nn.gelu(x, approximate=False), X),
    Pair("transformers-gelu-new", ACT2FN["gelu_new"], jax.nn.gelu, X),
    Pair("transformers-gelu-fast", ACT2FN["gelu_fast"], jax.nn.gelu, X),
    Pair("transformers-gelu-against-jax-s", ACT2FN["gelu"], jax.nn.gelu, X, **WRONG),
    Pair("transformers-quick-gelu", ACT2FN["quick_gelu"], lambda x: x * jax.nn.sigmoid(1.702 * x), X),
    Pair("transformers-quick-gelu-against-gelu", ACT2FN["quick_gelu"], jax.nn.gelu, X, **WRONG),
    Pair("transformers-relu-squared", ACT2FN["relu2"], lambda x: jax.nn.relu(x) ** 2, X),
    Pair("transformers-mish", ACT2FN["mish"], jax.nn.mish, X),
    Pair("transformers-rms-norm-of-llama", LlamaRMSNorm(8), rms_norm, normals((6, 8))),
    Pair(
        "transformers-rms-norm-of-llama-of-another-epsilon",
        LlamaRMSNorm(8),
        lambda x: x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + 1e-5),
        normals((6, 8), scale=0.01),
        **WRONG,
    ),
    Pair("transformers-rotated-half", rotate_half, rotated, normals((3, 8))),
    Pair("transformers-rotated-half-of-interleaved-pairs", rotate_half, interleaved, normals((3, 8)), **WRONG),
    Pair("transformers-rotary-positions", apply_rotary_pos_emb, rotary, HEADS),
    Pair("transformers-gpt2", lambda i: GPT2(i.long()).logits, gpt2, ids, order=0),
    Pair(
        "transformers-gpt2-without-its-last-layer",
        lambda i: GPT2(i.long()).logits,
        lambda i: gpt2(i, 1),
        ids,
        order=0,
        **WRONG,
    ),
    Pair(
        "transformers-gpt2-with-positions-from-one",
        lambda i: GPT2(i.long(), position_ids=torch.arange(1, 10)[None]).logits,
        gpt2,
        ids,
        order=0,
        **WRONG,
    ),
]
