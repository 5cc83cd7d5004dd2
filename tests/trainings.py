"""The trainings of both frameworks, from a setup to a history, that tests of the perceptron plant faults in."""

from crosscheck._training import jax_training, torch_training
from crosscheck._training.records import TENSORS, History, Setup

__all__ = ["TENSORS", "TRAIN", "History", "Setup"]

TRAIN = {"torch": torch_training.train, "jax": jax_training.train}
