"""The gradients of both sides."""
