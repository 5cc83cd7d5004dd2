"""Which deviations were observed in the environment of the tests, or in another one, by what is on record."""

from kept import environment

from crosscheck._recorded.files import FOLDER, SCHEMA, Record, files, read, recorded, text
from crosscheck._verdict.environments import (
    Environment,
    examined_here,
    nearest,
    on_record,
    regions_here,
    seen_here,
)

__all__ = [
    "FOLDER",
    "HERE",
    "SCHEMA",
    "Environment",
    "Record",
    "examined_here",
    "files",
    "nearest",
    "on_record",
    "read",
    "recorded",
    "regions_here",
    "seen_here",
    "text",
]

HERE = Environment.of(environment())
