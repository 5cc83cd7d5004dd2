"""The proven truth of a program of JAX, by ball arithmetic, or from a definition."""
