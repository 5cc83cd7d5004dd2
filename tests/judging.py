"""What tests of numerics share that judge single results: from errors to causes, and how large a formula's terms are."""

from crosscheck._verdict.causes import CODE, Setting, judge
from crosscheck._verdict.scale import scale

__all__ = ["CODE", "Setting", "judge", "scale"]
