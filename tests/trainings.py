"""The trainings of both frameworks, from a setup to a step and its state, that tests of the perceptron plant faults in."""

from crosscheck._training import jax_training, torch_training
from crosscheck._training.records import Setup

__all__ = ["PREPARE", "Setup"]

PREPARE = {"torch": torch_training.prepare, "jax": jax_training.prepare}
