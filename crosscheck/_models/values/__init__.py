"""Numbers, arrays as rows times features, and records that all steps share."""
