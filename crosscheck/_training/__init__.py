"""`compare_training`, `compare_optimizers`, `perceptron`, `losses`: the same training in both frameworks, step by step."""
