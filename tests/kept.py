"""What sessions keep: JSON, written whole or not at all, and the environment that it was made in."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any


def environment() -> dict[str, Any]:
    """As ``crosscheck env`` describes it."""
    import cli

    with TemporaryDirectory() as folder:
        path = Path(folder, "env.json")
        done = cli.run("env", "--json", str(path))
        assert done.exit_code == 0, done.output
        return dict(json.loads(path.read_text(encoding="utf-8"))["environment"])


def plain(value: Any) -> Any:
    """The same data as JSON holds it: NaN and the infinities are strings."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    return [plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def write_json(path: Path, data: Any) -> None:
    new = path.with_name(f"{path.name}.new")
    new.write_text(json.dumps(plain(data), indent=2, allow_nan=False) + "\n", encoding="utf-8")
    new.replace(path)
