"""Without a sliding window the Flax model of Mistral lets a token see itself alone."""

import sys
from functools import partial

from edited import edited
from finding import Finding, main
from flax_mistral_window import FILE, LINE, MODULE, WRITTEN
from tiny_flax import DECODER, OWN, tiny

FINDING = Finding(
    name="flax_mistral_no_window",
    project="transformers",
    version="4.57.6",
    file=FILE,
    line=LINE,
    what="With sliding_window=None the Flax model lets a token see itself alone, the PyTorch model all before it too.",
    sides=partial(tiny, "MistralModel", "MistralConfig", {**DECODER, "sliding_window": None}),
    mended=partial(edited, MODULE, WRITTEN, f"{WRITTEN} if config.sliding_window else causal_mask"),
    distributions=("transformers", "flax"),
    own_test=OWN,
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
