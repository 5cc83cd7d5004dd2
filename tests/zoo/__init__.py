"""Architectures in PyTorch and ported to JAX, with the same weights carried over by hand: what models are compared on.

Each module with an ``ARCHITECTURE`` is one architecture, in torch and in plain functions; a module ``NAME_LIBRARY`` holds
its port to a library of JAX. None of them knows of crosscheck. Of an architecture there is::

    encoder = ARCHITECTURES["encoder"]
    encoder.torch_model(seed=0), encoder.inputs(seed=0)
    encoder.jax("nnx", seed=0)  # with the same weights: a module, or a function and its parameters
    encoder.jax("plain", seed=0, fresh=True)  # with weights of its own
    encoder.jax("plain", seed=0, act=jax.nn.relu)  # a wrong port; those in zoo.bugs say where they are wrong
"""

from zoo import (
    conv_batchnorm,
    conv_batchnorm_train,
    decoder,
    deep,
    encoder,
    gcn,
    gru,
    lstm,
    mixer,
    mlp,
    moe,
    resnet,
    scanned,
    unet,
    vae,
    vit,
)
from zoo.architecture import Architecture, Port, installed

ARCHITECTURES: dict[str, Architecture] = {
    module.ARCHITECTURE.name: module.ARCHITECTURE
    for module in (
        mlp,
        conv_batchnorm,
        conv_batchnorm_train,
        resnet,
        unet,
        lstm,
        gru,
        encoder,
        decoder,
        vit,
        moe,
        gcn,
        vae,
        scanned,
        mixer,
        deep,
    )
}

__all__ = ["ARCHITECTURES", "Architecture", "Port", "installed"]
