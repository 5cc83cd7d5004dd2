"""Any program of torch or JAX run again in float64, with every narrower dtype inside it widened, and under noise."""
