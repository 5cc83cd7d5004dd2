"""The perceptron, the smallest example of a training."""
