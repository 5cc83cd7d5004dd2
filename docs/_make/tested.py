"""A test file that a page shows, run with pytest: the page has the file and what pytest prints, and nothing around them."""

import linecache
import subprocess
import sys
import tempfile
from pathlib import Path

from examples import FILE


def run(name: str, *options: str) -> None:
    """Write this example without its hidden lines to a file, run pytest on it, and print what pytest prints."""
    lines = linecache.getlines(FILE)
    shown = [line for line in lines if not line.rstrip().endswith("# hide")]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, name).write_text("".join(shown), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", *options]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    print(done.stdout)
