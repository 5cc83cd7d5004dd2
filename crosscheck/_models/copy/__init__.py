"""Copy PyTorch's weights into JAX's model."""
