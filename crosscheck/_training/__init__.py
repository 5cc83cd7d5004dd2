"""`compare_training`, `compare_optimizers`, `perceptron`: the same training in both frameworks, step by step."""
