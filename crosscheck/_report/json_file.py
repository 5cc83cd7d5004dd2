"""Reports as strict JSON: NaN and the infinities are strings. Files are written whole or not at all."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import Any

from crosscheck._records.plain import plain
from crosscheck._report.files import write_whole

ZIPPED = ".gz"


def record(comparison: Any) -> object:
    """A comparison as plain data, without its profile, which is only for figures."""
    data = dataclasses.asdict(dataclasses.replace(comparison, profile=None))
    del data["profile"]
    return plain(data)


def write_json(path: str | Path, data: object) -> None:
    """Write data as JSON, whole or not at all, compressed if the name ends in .gz. Raises ``OSError``."""
    content = (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()
    write_whole(path, gzip.compress(content, mtime=0) if Path(path).suffix == ZIPPED else content)
