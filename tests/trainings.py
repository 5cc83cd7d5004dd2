"""The trainings of both frameworks, from a setup to a step and its state, that tests of the perceptron plant faults in."""

from crosscheck._training.perceptron import jax_training, torch_training

PREPARE = {"torch": torch_training.prepare, "jax": jax_training.prepare}
