"""Which deviations were observed in the environment of the tests, or in another one, by what is on record."""

from kept import environment

from crosscheck._recorded.files import Record
from crosscheck._verdict.environments import (
    Environment,
    examined_here,
    nearest,
    on_record,
    regions_here,
    seen_here,
)

__all__ = ["HERE", "Environment", "Record", "examined_here", "nearest", "on_record", "regions_here", "seen_here"]

HERE = Environment.of(environment())
