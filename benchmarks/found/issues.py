"""Run the program in the text of each issue, and put what it prints into the text.

``python benchmarks/found/issues.py [NAME ...]``: all without names. The programs use no crosscheck. Each is run by this
Python, in a process of its own; PYTHONPATH holds the clones that they need.
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent / "issues"
PROGRAM = re.compile(r"```python\n(.*?)```", re.DOTALL)
PRINTED = re.compile(r"(```text\n).*?(```)", re.DOTALL)


def printed(text: str) -> str:
    """What the program in the text prints; raises with what it says where it fails."""
    program = PROGRAM.search(text)
    if program is None:
        raise ValueError("no block of Python")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "program.py")
        path.write_text(program[1], encoding="utf-8")
        done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return done.stdout


def main(names: list[str]) -> int:
    for path in [FOLDER / f"{name}.md" for name in names] or sorted(FOLDER.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        output = printed(text)
        print(f"{path.stem}\n{output}")
        path.write_text(PRINTED.sub(lambda found, output=output: f"{found[1]}{output}{found[2]}", text, count=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
