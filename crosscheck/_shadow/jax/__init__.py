"""A program of JAX in float64: its equations run again, clean or under noise."""
