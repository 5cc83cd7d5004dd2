"""What is made for the documentation: folders, whole or not there, made again when what they rest on changes."""

import datetime
import hashlib
import json
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from crosscheck._frameworks.environment import environment
from crosscheck._verdict.environments import Environment

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PACKAGE = ROOT / "crosscheck"
KEY = "key"
"""The file in a product's folder that says from what it was made."""
MADE_WITH = "made_with"
"""The one that says with what: versions, the CPU, and the day."""
CPU = Path("/proc/cpuinfo")
IMPORTED = re.compile(r"^from crosscheck\._catalogue import (\w+)$", re.MULTILINE)

Content = str | bytes


class Maker:
    """Makes products below a folder, unless they are there and rest on what they rested on; ``again`` makes all."""

    def __init__(self, folder: Path, *, again: bool = False) -> None:
        self.folder, self.again = folder, again
        self.names: set[str] = set()
        folder.mkdir(parents=True, exist_ok=True)

    def make(self, name: str, key: str, content: Callable[[], Mapping[str, Content]], made_with: str | None = None) -> bool:
        """Write the files of a product, by their path in its folder; what ends in the middle leaves the old ones.

        ``made_with`` says with what its numbers were computed; here and now unless it is given, "" where there are none.
        """
        self.names.add(name)
        target = self.folder / name
        if not self.again and (target / KEY).is_file() and (target / KEY).read_text("utf-8") == key:
            return False
        files = content()
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            new = Path(folder, "new")
            for path, text in {**files, KEY: key, MADE_WITH: here_and_now() if made_with is None else made_with}.items():
                (new / path).parent.mkdir(parents=True, exist_ok=True)
                (new / path).write_bytes(text if isinstance(text, bytes) else text.encode())
            if target.exists():
                target.rename(Path(folder, "old"))
            new.rename(target)
        print(f"made {name}", file=sys.stderr, flush=True)
        return True

    def forget(self, prefix: str) -> None:
        """Remove the products with this beginning that were not asked for, such as those of a page that is gone."""
        for path in self.folder.glob(f"{prefix}*"):
            if path.name not in self.names:
                shutil.rmtree(path)


def here_and_now() -> str:
    """With what is computed today: the frameworks, the CPU and its instructions, Python, the day."""
    described = environment()
    cpu = re.search(r"^model name\s*: (.*)$", CPU.read_text("utf-8"), re.MULTILINE) if CPU.is_file() else None
    parts = [str(Environment.of(described)), *([cpu[1]] if cpu else []), f"Python {described['python']}"]
    today = datetime.date.today()
    return f"{', '.join(parts)}, on {today.day} {today:%B %Y}"


def key(*parts: object, files: Iterable[Path] = ()) -> str:
    """What a product rests on: words, files, and always the versions of the frameworks and the code that makes it."""
    made = hashlib.sha256(json.dumps([*map(str, parts), sys.version, *map(_version, ("torch", "jax", "jaxlib"))]).encode())
    for path in sorted({*files, *HERE.glob("*"), HERE.parent / "_hooks" / "blocks.py"}):
        if path.is_file():
            made.update(f"\n{path.relative_to(path.anchor)}\n".encode() + path.read_bytes())
    return made.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def package(folder: Path = PACKAGE) -> list[Path]:
    """The package's source, its templates, and what it has on record."""
    return [path for pattern in ("*.py", "*.json", "templates/*") for path in folder.rglob(pattern)]


def record(path: Path) -> list[Path]:
    """The package's source without the files of other activations, unless this one's imports them."""
    others = {file for file in path.parent.glob("*.py") if not file.name.startswith("_")}
    wanted, needed = {path}, set[Path]()
    while wanted:
        file = wanted.pop()
        needed.add(file)
        wanted |= {file.with_name(f"{name}.py") for name in IMPORTED.findall(file.read_text("utf-8"))} - needed
    return [file for file in package() if file not in others or file in needed]
