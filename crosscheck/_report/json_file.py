"""Reports as JSON: strict JSON, since NaN and the infinities are written as strings; files whole or not at all."""

from __future__ import annotations

import dataclasses
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosscheck._report.files import write_whole
from crosscheck._spec.plain import plain

if TYPE_CHECKING:
    from crosscheck._report.report import Report

SCHEMA = "crosscheck.report/1"
ZIPPED = ".gz"


def report_data(report: Report) -> dict[str, Any]:
    """A report as plain data, in the layout of its schema."""
    return {
        "schema": SCHEMA,
        "environment": plain(report.environment),
        "comparisons": [record(comparison) for comparison in report.comparisons],
        "summary": {
            "passed": report.passed,
            "comparisons": len(report.comparisons),
            "failed": sum(not comparison.passed for comparison in report.comparisons),
            "points": report.compared,
            "deviations": sorted(report.deviations),
            "skipped": list(report.skipped),
            "findings": [plain(dataclasses.asdict(finding)) for finding in report.findings],
        },
    }


def record(comparison: Any) -> object:
    """A comparison as plain data, without its profile, which is drawn and not read."""
    data = dataclasses.asdict(dataclasses.replace(comparison, profile=None))
    del data["profile"]
    return plain(data)


def write_json(path: str | Path, data: object) -> None:
    """Write data as JSON, whole or not at all, compressed if the name ends in .gz. Raises ``OSError``."""
    content = (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()
    write_whole(path, gzip.compress(content, mtime=0) if Path(path).suffix == ZIPPED else content)
