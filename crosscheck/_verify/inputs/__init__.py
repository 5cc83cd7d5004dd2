"""The inputs at which an activation is judged."""
