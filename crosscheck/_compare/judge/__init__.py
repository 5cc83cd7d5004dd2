"""The verdict on each result of a pair, from runs in float64 under noise."""
