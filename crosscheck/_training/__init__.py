"""`crosscheck.perceptron`, `perceptrons` and `losses`: the same training in both frameworks, step by step."""
