"""The Flax model of BLOOM cannot be made with a number of heads that is not a power of 2."""

import sys
from functools import partial

from edited import edited
from finding import Finding, main
from tiny_flax import WORDS, tiny

FINDING = Finding(
    name="flax_bloom_heads",
    project="transformers",
    version="4.57.6",
    file="transformers/models/bloom/modeling_flax_bloom.py",
    line=139,
    what="The Flax model calls jnp.cat, which JAX does not have, if its number of heads is not a power of 2.",
    sides=partial(tiny, "BloomModel", "BloomConfig", {**WORDS, "hidden_size": 48, "n_layer": 1, "n_head": 6}),
    mended=partial(edited, "transformers.models.bloom.modeling_flax_bloom", "jnp.cat(", "jnp.concatenate("),
    distributions=("transformers", "flax"),
    raises=AttributeError,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
