"""Documents, text, JSON and figures: what every report is made of."""
