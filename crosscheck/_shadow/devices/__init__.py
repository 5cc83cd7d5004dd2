"""A program of JAX that devices share, as one on whole arrays."""
