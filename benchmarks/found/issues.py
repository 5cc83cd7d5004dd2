"""Run the program in the text of each issue, before and after its fix, and put what it prints into the text.

``python benchmarks/found/issues.py [NAME ...]``: all without names. The programs use no crosscheck. Each is run by this
Python, in a process of its own; PYTHONPATH holds the clones that they need. The fix is applied by ``git apply`` to a copy
of the file that it names, and nothing that is installed is changed. A text without a second block of output has a program
that cannot use the fix; the fix must apply all the same.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

FOLDER = Path(__file__).parent / "issues"
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
FIX = re.compile(r"```diff\n(.*?)```", re.DOTALL)
TOUCHED = re.compile(r"^--- a/(.+)$", re.MULTILINE)
PRINTED = re.compile(r"(```text\n).*?(```)", re.DOTALL)


def only(pattern: re.Pattern[str], text: str) -> str:
    """What the pattern finds in a text that must have it once."""
    (passage,) = pattern.findall(text)
    return passage


def printed(program: Path, first: Path) -> str:
    """What the program prints if modules are looked for in the folder ``first``; raises with what it says where it fails."""
    path = os.pathsep.join([str(first), os.environ.get("PYTHONPATH", "")])
    command = [sys.executable, str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path})
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def fixed(fix: str, folder: Path) -> None:
    """Put into the folder a copy of what the fix changes, with the fix; all other files of the package are links."""
    touched = TOUCHED.findall(fix)
    (top,) = {Path(file).parts[0] for file in touched}
    root = next(root for root in map(Path, sys.path) if (root / touched[0]).exists())
    shutil.copytree(root / top, folder / top, copy_function=os.symlink, ignore=shutil.ignore_patterns("__pycache__"))
    for file in touched:
        (folder / file).unlink()
        shutil.copyfile(root / file, folder / file)
    # A work tree around the folder would have git look for the files there.
    apart = {**os.environ, "GIT_CEILING_DIRECTORIES": str(folder.parent)}
    # Releases made on Windows have other line ends than the fix.
    command = ["git", "apply", "--ignore-whitespace", "-"]
    done = subprocess.run(command, input=fix, cwd=folder, env=apart, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)


def outputs(text: str) -> Iterator[str]:
    """What the program in the text prints, and what it prints with the fix."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        program = folder / "program.py"
        program.write_text(only(PROGRAM, text), encoding="utf-8")
        yield printed(program, folder / "nothing")
        fixed(only(FIX, text), folder / "fixed")
        yield printed(program, folder / "fixed")


def main(names: list[str]) -> int:
    for path in [FOLDER / f"{name}.md" for name in names] or sorted(FOLDER.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        before, after = outputs(text)
        print(f"{path.stem}\n{before}\nwith the fix:\n{after}")
        blocks = iter((before, after))
        path.write_text(PRINTED.sub(lambda match, blocks=blocks: f"{match[1]}{next(blocks)}{match[2]}", text), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
