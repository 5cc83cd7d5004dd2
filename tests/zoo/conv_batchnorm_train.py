"""The convolutions with batch normalisation in training mode: the running statistics are part of what is compared."""

from zoo.architecture import Architecture
from zoo.conv_batchnorm import ConvNet, inputs, plain_train

# Not in bfloat16: flax stores its running statistics with a cast that JAX warns of.
ARCHITECTURE = Architecture(
    "conv_batchnorm_train",
    ConvNet,
    inputs,
    plain_train,
    ("nnx", "linen"),
    train=True,
    tolerances={"float64": 1e-10, "float32": 1e-4},
)
