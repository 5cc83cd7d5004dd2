"""ESM-2 of proteins in equinox; the original is in fair-esm."""

from typing import Any

import equinox as eqx
import esm
import esm2quinox
import jax

from public.records import Called, PublicPort, Sides, drawn

LAYERS, WIDTH, HEADS = 12, 12 * 16, 12


class Batched(eqx.Module):
    """Of several proteins, what torch gives of them."""

    model: Any

    def __call__(self, tokens: Any) -> Any:
        result = jax.vmap(self.model)(tokens)
        return result.hidden, result.logits


def call(model: Any, tokens: Any) -> Any:
    result = model(tokens, repr_layers=[LAYERS])
    return result["representations"][LAYERS], result["logits"]


def sides() -> Sides:
    original = drawn(lambda: esm.ESM2(num_layers=LAYERS, embed_dim=WIDTH, attention_heads=HEADS))
    tokens = esm2quinox.tokenise(["SP#DERM#NKL", "SPUDMAN"]).astype("int32")
    return Sides(Called(original, call), Batched(esm2quinox.from_torch(original)), [tokens])


PORTS = [PublicPort("esm2quinox.ESM2", "esm2quinox", "fair-esm", LAYERS, sides)]
