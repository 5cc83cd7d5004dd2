"""The shadow execution, with which tests run programs in float64 and under noise."""

from crosscheck._shadow.base import Noise, UntraceableError
from crosscheck._shadow.jax.lift import JaxLifted, lift
from crosscheck._shadow.torch.lift import LeftOutError, TorchLifted

__all__ = ["JaxLifted", "LeftOutError", "Noise", "TorchLifted", "UntraceableError", "lift"]
