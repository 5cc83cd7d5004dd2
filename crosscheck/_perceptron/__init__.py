"""The perceptron: one linear layer in both frameworks, its losses, its training, and the agreement of two trainings."""
