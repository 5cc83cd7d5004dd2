"""The rooms of the package, drawn from its code: what each is for, what each may import, how a call goes through them."""

import ast
import inspect
import re
import sys
import threading
import tomllib
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from products import PACKAGE, ROOT

NAMED = re.compile(r"\w+")


def lines() -> list[list[str]]:
    """The rooms, those first that import all the others; rooms in one line do not import each other."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        contracts = tomllib.load(file)["tool"]["importlinter"]["contracts"]
    return [NAMED.findall(line) for line in contracts[0]["layers"]]


def purpose(name: str) -> str:
    """The first line of a room's docstring."""
    path = PACKAGE / name / "__init__.py" if (PACKAGE / name).is_dir() else PACKAGE / f"{name}.py"
    return (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]


def table() -> str:
    """The rooms in the order in which they import one another, with their sizes and how many other rooms each imports."""
    rows = []
    for name in (name for names in lines() for name in names):
        files = sorted((PACKAGE / name).rglob("*.py")) or [PACKAGE / f"{name}.py"]
        texts = [file.read_text("utf-8") for file in files]
        known = {room for text in texts for room in re.findall(r"\bcrosscheck\.(_\w+)", text)} - {name}
        size = sum(text.count("\n") for text in texts)
        rows.append(f"| `{name}` | {purpose(name)} | {len(files)} | {size:,} | {len(known)} |")
    head = "| room | what it is for | modules | lines | rooms that it imports |"
    return "\n".join([head, "|---|---|--:|--:|--:|", *rows])


def folders(name: str) -> str:
    """The folders of a room, and what each is for."""
    inside = sorted(path.parent.name for path in (PACKAGE / name).glob("*/__init__.py"))
    return "\n".join(f"- `{folder}`: {purpose(f'{name}/{folder}')}" for folder in inside)


def listed() -> str:
    """The lines of rooms, beginning with those that import no other."""
    return "\n".join(f"1. {', '.join(f'`{name}`' for name in names)}" for names in reversed(lines()))


def walk(call: Callable[[], object]) -> str:
    """The way of a call through the rooms, run now: the first function that is entered in each module, and what it does.

    Modules are listed below their room, at the place where the room is entered first.
    """
    entered: dict[str, dict[str, str]] = {}

    def watch(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_globals.get("__name__", "").startswith("crosscheck."):
            room, _, module = frame.f_globals["__name__"].removeprefix("crosscheck.").partition(".")
            modules = entered.setdefault(room, {})
            if module not in modules and (line := _docstring(frame.f_code, frame.f_globals)):
                name = ".".join(filter(None, (module, frame.f_code.co_qualname)))
                modules[module] = f"    - `{name}`: {line}"

    threading.setprofile(watch)
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    return "\n".join(
        f"1. **`{room}`**\n\n" + "\n".join(modules.values()) + "\n" for room, modules in entered.items() if modules
    )


def _docstring(code: CodeType, names: dict[str, Any]) -> str:
    """The first line of the docstring of a function of a module, or of a method, as Markdown."""
    if code.co_name.startswith("__"):
        return ""
    member: Any = names
    for part in code.co_qualname.split("."):
        member = member.get(part) if isinstance(member, dict) else inspect.getattr_static(member, part, None)
    member = getattr(member, "__func__", getattr(member, "fget", member))
    line = (inspect.getdoc(member) or "").partition("\n")[0] if callable(member) else ""
    return line.replace("``", "`")
