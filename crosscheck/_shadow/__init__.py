"""The same program run in float64 beside the one in the dtype, clean or under noise: shadow execution."""
