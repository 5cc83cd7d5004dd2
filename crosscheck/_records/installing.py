"""How to install what is missing: a command that works where crosscheck was installed from."""

import json
from importlib.metadata import PackageNotFoundError, distribution

NAME = "torch-jax-crosscheck"
"""The distribution; it is on no package index, so its name alone installs nothing."""


def how_to_install(extra: str) -> str:
    """The command for an extra: from the repository that crosscheck was installed from, or in a clone of it."""
    address = repository()
    if address is None:
        return f"python -m pip install '.[{extra}]' in a clone of crosscheck's repository"
    return f"python -m pip install '{NAME}[{extra}] @ git+{address}'"


def repository() -> str | None:
    """The address of the repository that pip installed crosscheck from; None if it was another place, such as a folder."""
    try:
        text = distribution(NAME).read_text("direct_url.json")  # PEP 610
    except PackageNotFoundError:
        return None
    said = json.loads(text) if text else {}
    return said["url"] if "vcs_info" in said else None
