"""Documents, text, JSON and figures: the parts of every report."""
