"""Rows of the page with every disagreement about functions that are no activations: the sections of undocumented.md."""

import json
import re
from collections.abc import Iterator
from html import escape
from typing import NamedTuple

from blocks import blocks
from pieces import html_row
from products import ROOT, Maker

PAGE = "undocumented.md"
SECTION = re.compile(r"^## (?P<title>[^\n]+)\n(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)


class Other(NamedTuple):
    """What a section is about; ``calls`` are those of PyTorch and JAX that differ."""

    function: str
    calls: tuple[str, ...]
    frameworks: tuple[str, ...]
    cause: str
    order: str
    dtypes: tuple[str, ...]
    bug: bool = True


EVERY = ("float32", "float64")
OTHERS = {
    "JAX's attention in float64 is only as accurate as float32": Other(
        "attention", ("jax.nn.dot_product_attention",), ("jax",), "inaccurate", "value", ("float64",)
    ),
    "Attention with a mask that hides every key": Other(
        "attention", ("jax.nn.dot_product_attention",), ("torch", "jax"), "convention", "value", EVERY, bug=False
    ),
    "The sign of NaN": Other("sign", ("torch.sign",), ("torch",), "special", "value", EVERY),
    "The gradient of ldexp": Other("ldexp", ("torch.ldexp",), ("torch",), "definition", "gradient", EVERY),
    "The gradient of as_strided_scatter": Other(
        "as_strided_scatter", ("torch.as_strided_scatter",), ("torch",), "definition", "gradient", EVERY
    ),
    "The last windows of CrossMapLRN2d": Other(
        "CrossMapLRN2d", ("torch.nn.CrossMapLRN2d",), ("torch",), "definition", "value", EVERY
    ),
    "The first step of optax.rprop": Other("Rprop", ("optax.rprop",), ("jax",), "definition", "value", EVERY),
    "The soft margin loss overflows": Other(
        "soft_margin_loss", ("torch.nn.functional.soft_margin_loss",), ("torch",), "special", "value", ("float32",)
    ),
    "The slope of hardsigmoid in float64": Other(
        "hard_sigmoid", ("torch.nn.functional.hardsigmoid",), ("torch",), "inaccurate", "gradient", ("float64",)
    ),
    "The slope of celu in float64": Other(
        "celu", ("torch.nn.functional.celu",), ("torch",), "inaccurate", "gradient", ("float64",)
    ),
    "The trigamma function in float64": Other(
        "polygamma", ("torch.special.polygamma",), ("torch",), "inaccurate", "value", ("float64",)
    ),
    "NAdam in float64": Other("NAdam", ("torch.optim.NAdam",), ("torch",), "inaccurate", "value", ("float64",)),
    "The gradient of the standard deviation of equal numbers": Other(
        "std", ("torch.std", "jax.numpy.std"), ("torch", "jax"), "convention", "gradient", EVERY, bug=False
    ),
    "The slope of the absolute value at 0": Other(
        "abs", ("torch.abs", "jax.numpy.abs"), ("torch", "jax"), "convention", "gradient", EVERY, bug=False
    ),
    "The slope of clamp at its bounds": Other(
        "clamp", ("torch.clamp", "jax.numpy.clip"), ("torch", "jax"), "convention", "gradient", EVERY, bug=False
    ),
    "Gradients that are NaN in PyTorch only": Other(
        "hypot, logaddexp, logcumsumexp", ("torch.hypot", "torch.logaddexp"), ("torch",), "special", "gradient", EVERY
    ),
}
"""By the title of its section, what each is about; the page has the text, and what its program printed."""


def sections() -> Iterator[tuple[str, str]]:
    """The titles and the texts of the page."""
    for section in SECTION.finditer((ROOT / "docs" / PAGE).read_text("utf-8")):
        yield section["title"], section["text"]


def printed(maker: Maker) -> dict[str, str]:
    """What each section's program printed, by the section's title."""
    outputs = json.loads((maker.folder / f"examples-{PAGE}" / "outputs.json").read_text("utf-8"))
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    keys = [block.key for block in blocks(page)]
    return {title: outputs[key] for (title, _), key in zip(sections(), keys, strict=True)}


def rows(maker: Maker, version: str) -> str:
    """A row for each section; ``version`` names the environment in which its program was run."""
    results = printed(maker)
    return "".join(row(title, OTHERS[title], results[title], version) for title, _ in sections())


def row(title: str, other: Other, output: str, version: str) -> str:
    anchor = re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
    data = {
        "function": other.function,
        "cause": other.cause,
        "order": other.order,
        "dtype": "|".join(other.dtypes),
        "mode": "eager",
        "framework": "|".join(other.frameworks),
        "version": version,
        "bug": "yes" if other.bug else "no",
        "newest": "unknown",
    }
    calls = " <br>".join(f"<code>{call}</code>" for call in other.calls)
    cells = (
        f'<a href="../undocumented/#{anchor}">{escape(title)}</a>'
        + (" <strong>looks like a bug</strong>" if other.bug else ""),
        f"{other.function} <br><small>{calls}</small>",
        other.cause,
        other.order,
        ", ".join(other.dtypes),
        "eager",
        "the program prints: " + " <br>".join(f"<code>{escape(line)}</code>" for line in output.splitlines()),
    )
    return html_row(data, cells)


def check() -> list[str]:
    """The sections that the table does not know, and those that the page does not have."""
    return sorted({title for title, _ in sections()} ^ OTHERS.keys())
