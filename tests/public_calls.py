"""The calls of PyTorch in public models, and how many of them the dictionary has: ``python -m public_calls [--json PATH]``.

Three files as `crosscheck translate --file` reads them, then all files of torchvision. Nothing of them is run.
"""

import argparse
import importlib.util
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kept import environment, write_json

from crosscheck import translate_file

SCHEMA = "crosscheck.public-calls/1"
FILES = {
    "torchvision": ("models/resnet.py", "models/vision_transformer.py", ""),
    "transformers": ("models/gpt2/modeling_gpt2.py",),
}
MOST = 6
"""The most names that are shown of those that the dictionary lacks."""


def rows() -> Iterator[dict[str, Any]]:
    """A row for each file, or folder of files: its calls, the names of these, and those that the dictionary has."""
    for library, places in FILES.items():
        folder = Path(str(importlib.util.find_spec(library).origin)).parent  # type: ignore[union-attr]  # it is installed
        for place in places:
            yield {"library": library, "version": version(library), "place": place or ".", **counted(folder / place)}


def counted(path: Path) -> dict[str, Any]:
    """The numbers of one file, or of all files of a folder."""
    files = sorted(path.rglob("*.py")) if path.is_dir() else [path]
    calls = [call for file in files for call in translate_file(file).calls]
    lacking = Counter(call.name for call in calls if call.entry is None)
    return {
        "files": len(files),
        "calls": len(calls),
        "names": len({call.name for call in calls}),
        "found": len(calls) - lacking.total(),
        "differences": sum(bool(call.differences) for call in calls),
        "lacking": [name for name, _ in lacking.most_common(MOST)],
    }


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the rows here too")
    given = parser.parse_args(words)
    table = []
    for row in rows():
        table.append(row)
        place = f"{row['library']} {row['version']}, {row['place']}"
        found_of_all = f"{row['found']:,} of {row['calls']:,} calls, of {row['names']} names"
        print(f"{place}: {found_of_all}; lacking: {', '.join(row['lacking']) or 'none'}", flush=True)
    if given.json:
        write_json(given.json, {"schema": SCHEMA, "environment": environment(), "rows": table})


if __name__ == "__main__":
    main()
