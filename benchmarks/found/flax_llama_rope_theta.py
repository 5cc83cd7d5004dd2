"""The Flax model of Llama ignores the base of the rotary positions that its configuration has."""

import sys
from functools import partial

from edited import edited
from finding import Finding, main
from tiny_flax import DECODER, OWN, tiny

FINDING = Finding(
    name="flax_llama_rope_theta",
    project="transformers",
    version="4.57.6",
    file="transformers/models/llama/modeling_flax_llama.py",
    line=132,
    what="The base of the rotary positions is 10000 whatever the configuration's rope_theta is.",
    sides=partial(tiny, "LlamaModel", "LlamaConfig", {**DECODER, "rope_theta": 500000.0}),  # that of Llama 3
    mended=partial(
        edited,
        "transformers.models.llama.modeling_flax_llama",
        *("create_sinusoidal_positions(num_pos, dim)", "create_sinusoidal_positions(num_pos, dim, base)"),
        *("1.0 / (10000 **", "1.0 / (base **"),
        *("max_position_embeddings, head_dim)", "max_position_embeddings, head_dim, self.config.rope_theta)"),
    ),
    distributions=("transformers", "flax"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
