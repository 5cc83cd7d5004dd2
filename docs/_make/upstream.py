"""What is known of a disagreement elsewhere: the issue that somebody filed, and whether a newer release has it."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from packaging.version import Version

from crosscheck._recorded.files import by_name
from crosscheck._verify.sightings.explanation import Disagreement

ISSUE = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)/(?:issues|pull)/(\d+)")
LOOKED_UP = "November 2026"
STATES = {
    "https://github.com/jax-ml/jax/issues/37281": "closed",
    "https://github.com/jax-ml/jax/issues/39707": "open",
    "https://github.com/pytorch/pytorch/issues/108072": "closed",
    "https://github.com/pytorch/pytorch/issues/196700": "open",
}
"""The state of an issue about something that looks like a bug, when it was looked up."""


class Upstream(NamedTuple):
    """An issue or a pull request about a disagreement."""

    name: str
    link: str
    state: str

    def __str__(self) -> str:
        state = f", {self.state} when it was looked up in {LOOKED_UP}" if self.state else ""
        return f"[{self.name}]({self.link}){state}"


def known(link: str) -> Upstream | None:
    """The issue that a link leads to; None if it leads to code or a page."""
    match = ISSUE.fullmatch(link)
    return Upstream(f"{match[1]}#{match[2]}", link, STATES.get(link, "")) if match else None


@cache
def releases() -> dict[str, tuple[Version, Version]]:
    """The versions of PyTorch and JAX of each environment on record."""
    records = by_name()
    return {name: (version(record.seen.torch), version(record.seen.jax)) for name, record in records.items()}


def version(range_: str) -> Version:
    return Version(range_.removeprefix("~="))


def with_releases_of(described: Mapping[str, Any]) -> str:
    """The environments on record that have the releases of this one, whatever the CPU: with ``|`` between them."""
    here = tuple(Version(described[side]["version"]).release[:2] for side in ("torch", "jax"))
    return "|".join(name for name, pair in releases().items() if tuple(release.release[:2] for release in pair) == here)


@cache
def newest_environments() -> frozenset[str]:
    """The environments with the newest releases on record."""
    last = max(releases().values())
    return frozenset(name for name, pair in releases().items() if pair == last)


def seen_in_the_newest(disagreement: Disagreement) -> bool:
    """Whether a disagreement is in the newest releases on record; what was not looked for there counts as seen."""
    return not (set(disagreement.not_seen_in) >= newest_environments())


def newest(side: str) -> list[str]:
    """The newest release of a framework on record, ``torch 2.15``; nothing if it is the one that runs here."""
    from importlib.metadata import version as installed

    last = max(releases().values())[("torch", "jax").index(side)]
    said = f"{last.major}.{last.minor}"
    return [] if installed(side).startswith(f"{said}.") else [f"{side} {said}"]


def fixed_in(disagreement: Disagreement) -> str:
    """The releases in which a disagreement is gone, "" if it is not."""
    if seen_in_the_newest(disagreement):
        return ""
    torch, jax = max(releases().values())
    return f"torch {torch.major}.{torch.minor} and jax {jax.major}.{jax.minor}"
