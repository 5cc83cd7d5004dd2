"""The convolutions with batch normalisation in training mode: the running statistics are part of what is compared."""

from zoo.architecture import Architecture
from zoo.conv_batchnorm import ConvNet, inputs, plain_train

ARCHITECTURE = Architecture("conv_batchnorm_train", ConvNet, inputs, plain_train, ("nnx",), train=True)
