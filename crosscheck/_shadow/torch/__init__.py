"""A program of PyTorch in float64, by shadows of its tensors."""
