"""bonsai's Whisper computes the GELUs after its convolutions in the tanh form, the original exactly."""

import dataclasses
import sys
from contextlib import AbstractContextManager
from functools import partial
from typing import Any
from unittest import mock

import jax
from finding import Finding, OwnTest, Sides, main
from of_bonsai import COMMIT, MODELS, PROJECT, Called, Port, drawn, loaded, normals
from transformers import WhisperConfig, WhisperForConditionalGeneration

SIZES = {
    "d_model": 32,
    "encoder_attention_heads": 4,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 64,
    "decoder_ffn_dim": 64,
    "encoder_layers": 1,
    "decoder_layers": 1,
    "num_mel_bins": 8,
    "max_source_positions": 6,
    "vocab_size": 16,
}


def sides() -> Sides:
    from bonsai.models.whisper import modeling, params

    special = dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 0)
    original = drawn(lambda: WhisperForConditionalGeneration(WhisperConfig(**SIZES, **special)))
    config = dataclasses.replace(modeling.ModelConfig.whisper_tiny(), **SIZES)
    with mock.patch.object(modeling.ModelConfig, "whisper_tiny", return_value=config):  # the loader takes no configuration
        port = loaded(original, params.create_whisper_from_pretrained)
    return Sides(
        Called(original.model.encoder, lambda encoder, sound: encoder(sound).last_hidden_state),
        Port(port.encoder, lambda encoder, sound: encoder(sound, None)),
        [normals(2, 8, 12)],
        torch_to_jax=lambda inputs: [array.transpose(0, 2, 1) for array in inputs],
    )


def mended() -> AbstractContextManager[Any]:
    return mock.patch.object(jax.nn, "gelu", partial(jax.nn.gelu, approximate=False))


FINDING = Finding(
    name="bonsai_whisper_gelu",
    project=PROJECT,
    version=COMMIT,
    file=f"{MODELS}/whisper/modeling.py",
    line=168,
    what="the GELUs after both convolutions are the tanh form, in the original the exact one",
    sides=sides,
    mended=mended,
    distributions=(
        "flax",
        "transformers",
    ),
    own_test=OwnTest(5e-2, 5e-2, f"{MODELS}/whisper/tests/test_outputs_whisper.py"),
)

if __name__ == "__main__":
    sys.exit(main(FINDING))
