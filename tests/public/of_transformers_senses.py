"""Models of images and of sound: the Flax models of transformers before its release 5."""

from public.flax_transformers import HEADS, LAYERS, WIDTH, WORDS, port
from public.records import integers, normals

IMAGE = {"pixel_values": normals(2, 3, 32, 32)}
OF_PATCHES = {
    "image_size": 32,
    "patch_size": 8,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": 4 * WIDTH,
}
OF_STAGES = {"embedding_size": 16, "hidden_sizes": [16, 32, 48, 64], "depths": [3, 4, 6, 3]}

PORTS = [
    port("ViTModel", "ViTConfig", IMAGE, **OF_PATCHES),
    port("BeitModel", "BeitConfig", IMAGE, **OF_PATCHES, use_relative_position_bias=True, layer_scale_init_value=0.1),
    port("Dinov2Model", "Dinov2Config", IMAGE, mlp_ratio=4, **OF_PATCHES),
    port("CLIPVisionModel", "CLIPVisionConfig", IMAGE, **OF_PATCHES),
    port(
        "CLIPTextModel",
        "CLIPTextConfig",
        {"input_ids": integers(3, WORDS, 2, 10)},
        vocab_size=WORDS,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        max_position_embeddings=16,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    ),
    port("ResNetModel", "ResNetConfig", IMAGE, layers=50, **OF_STAGES),
    port("RegNetModel", "RegNetConfig", IMAGE, layers=16, groups_width=16, **OF_STAGES),
    port(
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        {"input_values": normals(1, 2000)},
        vocab_size=32,
        hidden_size=WIDTH,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        intermediate_size=4 * WIDTH,
        conv_dim=[32] * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=4,
        # the port has these alone
        do_stable_layer_norm=True,
        feat_extract_norm="layer",
    ),
]
