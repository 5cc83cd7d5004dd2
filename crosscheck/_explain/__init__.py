"""The mistake named: edits of PyTorch's program that give JAX's values, and their words."""
