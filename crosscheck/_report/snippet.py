"""Snippets: Python code to paste into a bug report, which prints a result again and says what it prints."""

from __future__ import annotations

from collections.abc import Iterable


def snippet(imports: Iterable[str], lines: Iterable[str], settings: Iterable[str] = ()) -> str:
    """The code: what is imported, each once, what is set before anything is computed, and the lines."""
    return "\n".join([*sorted(dict.fromkeys(imports)), *(line for one in settings for line in ("", one)), "", *lines])


def prints(result: object) -> str:
    """What a line that prints a result ends in."""
    return f"  # prints {result!r}"


def array(framework: str, values: str, dtype: str, more: str = "") -> str:
    """Code that makes an array of a framework; in JAX, of ``jax.numpy`` as ``jnp``."""
    make, module = ("torch.tensor", "torch") if framework == "torch" else ("jnp.array", "jnp")
    return f"{make}({values}, dtype={module}.{dtype}{more})"
