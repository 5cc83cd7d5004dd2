"""`crosscheck.compare` and `identify`: any two functions, judged by runs in float64 under noise."""
