"""The exact results, as proven enclosures: of definitions at single inputs, and along an axis."""
