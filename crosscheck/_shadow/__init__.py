"""Shadow execution: the same program in float64 beside the one in the dtype, clean or under noise."""
