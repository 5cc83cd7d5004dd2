"""The Flax model of Mistral lets a token see one position more than its sliding window has."""

import sys
from functools import partial

from edited import edited
from finding import Finding, main
from tiny_flax import DECODER, OWN, tiny

MODULE = "transformers.models.mistral.modeling_flax_mistral"
FILE, LINE = "transformers/models/mistral/modeling_flax_mistral.py", 243
WRITTEN = "jnp.triu(causal_mask, k=-(config.sliding_window or 0))"

FINDING = Finding(
    name="flax_mistral_window",
    project="transformers",
    version="4.57.6",
    file=FILE,
    line=LINE,
    what="With a sliding window of W the Flax model lets a token see W positions before itself, the PyTorch model W - 1.",
    sides=partial(tiny, "MistralModel", "MistralConfig", {**DECODER, "sliding_window": 4}),
    mended=partial(edited, MODULE, WRITTEN, "jnp.triu(causal_mask, k=1 - config.sliding_window)"),
    distributions=("transformers", "flax"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
