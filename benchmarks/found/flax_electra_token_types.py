"""The Flax model of ELECTRA takes missing token types for ones."""

import sys
from functools import partial

from edited import edited
from finding import Finding, main
from tiny_flax import LAYER, OWN, tiny

FINDING = Finding(
    name="flax_electra_token_types",
    project="transformers",
    version="4.57.6",
    file="transformers/models/electra/modeling_flax_electra.py",
    line=796,
    what="Without token_type_ids the Flax model takes row 1 of the token types' embedding, the PyTorch model row 0.",
    sides=partial(tiny, "ElectraModel", "ElectraConfig", {**LAYER, "embedding_size": 32}),
    mended=partial(
        edited,
        "transformers.models.electra.modeling_flax_electra",
        "token_type_ids = jnp.ones_like(input_ids)",
        "token_type_ids = jnp.zeros_like(input_ids)",
    ),
    distributions=("transformers", "flax"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
