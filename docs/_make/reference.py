"""The reference: a page for each capability, where every public name is documented, and the JSON schemas.

Real reports must obey the schemas; a public name without a docstring fails the making.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import griffe
from layouts import LAYOUTS, example, schema
from pieces import table
from products import Content

import crosscheck

GROUPS = {
    "Verify and compare": ("verify", "compare", "assert_agree", "explain", "plot", "sweep", "identify"),
    "The catalogue": ("activations",),
    "The atlas of disagreements": ("atlas", "atlas_diff", "Atlas", "AtlasRow", "AtlasDiff"),
    "The dictionary": (
        "translate",
        "TranslationReport",
        "Translation",
        "TranslatedPair",
        "translate_file",
        "FileTranslation",
        "TranslatedCall",
    ),
    "Arrays computed elsewhere": ("dump", "compare_arrays", "ArraysReport"),
    "Whole models": (
        "compare_models",
        "ModelsReport",
        "Layer",
        "Fault",
        "Fact",
        "Segment",
        "Gradient",
        "copy_weights",
        "read_weights",
        "WeightMatch",
    ),
    "Settings": ("precision",),
    "Inputs for compare": ("uniform", "normal", "stratified", "every_value"),
    "Reports": ("Report", "PairReport", "Comparison", "CauseCount", "Point", "Finding", "Diagnosis", "Identity"),
    "Every input": ("SweepReport", "SweepResult", "SweepDifference", "Binade"),
    "Train a perceptron": (
        "perceptron",
        "Perceptron",
        "PerceptronReport",
    ),
    "Trainings": ("compare_training", "TrainingReport", "TrainingFault", "Drift"),
    "Optimisers": ("compare_optimizers", "optimizers", "OptimizerReport", "OptimizersReport", "OptimizerRun"),
    "Records of an activation": ("Activation", "Limits", "Kink", "Native", "Deviation", "Region", "Anchor", "Seen", "Range"),
}
"""By capability, in the order in which people need them; names that are in no group, and errors, come last."""


PYTHON = "python"
"""The folder of the pages, below that of the reference."""


class UndocumentedError(Exception):
    """A public name without a docstring."""


def files() -> dict[str, Content]:
    """The page on the Python interface, and each layout of JSON as a schema and an example."""
    by_title = pages(crosscheck.__all__)
    made: dict[str, Content] = {"api.md": overview(by_title)}
    for title, names in by_title.items():
        made[f"{PYTHON}/{slug(title)}.md"] = page(title, names)
    for name in LAYOUTS:
        made[f"{name}.schema.json"] = json.dumps(schema(name), indent=2)
        made[f"{name}.example.json"] = json.dumps(example(name), indent=2, allow_nan=False)
    return {f"site/reference/{name}": text for name, text in made.items()}


def pages(names: Sequence[str]) -> dict[str, list[str]]:
    """The names on each page, by its title: a page for each capability."""
    missing = [name for name in names if not documented(name)]
    if missing:
        raise UndocumentedError(f"public names without a docstring: {', '.join(missing)}")
    grouped = {name for group in GROUPS.values() for name in group}
    rest = [name for name in names if name not in grouped]
    errors = [name for name in rest if name.endswith("Error")]
    others = [name for name in rest if name not in errors]
    by_title = {title: [name for name in group if name in names] for title, group in GROUPS.items()}
    return {title: group for title, group in {**by_title, "More": others, "Errors": errors}.items() if group}


def overview(by_title: Mapping[str, Sequence[str]]) -> str:
    """The page that leads to the others: every public name, and what it is in a sentence."""
    blocks = [
        "# Python",
        "Every public name is in the package `crosscheck` itself. `import crosscheck` imports neither framework.",
    ]
    for title, names in by_title.items():
        blocks.append(f"## {title}")
        rows = [[f"[`{name}`]({PYTHON}/{slug(title)}.md#{full(name)})", sentence(name)] for name in names]
        blocks.append(table([["name", "what it is"], *rows]))
    return "\n\n".join(blocks)


def page(title: str, names: Sequence[str]) -> str:
    """The page of a capability. It has a description, since it has no text of its own to take one from."""
    description = f"{title}: the reference of {', '.join(names)}."
    return "\n\n".join([f"---\ndescription: {description!r}\n---", f"# {title}", *map(entry, names)])


def slug(title: str) -> str:
    return title.lower().replace(" ", "-")


def sentence(name: str) -> str:
    """The first line of a name's docstring."""
    return str(source()[f"{home(name)}.{name}"].docstring.value).partition("\n")[0].replace("``", "`").replace("|", "\\|")


def home(name: str) -> str:
    """The module of the package in which a public name is defined."""
    return str(getattr(crosscheck, name).__module__).removeprefix("crosscheck.")


def documented(name: str) -> bool:
    return bool(source()[f"{home(name)}.{name}"].has_docstring)


@functools.cache
def source() -> Any:
    """The package as it is written, not as it runs: only there a constant has a docstring."""
    return griffe.load("crosscheck")


def full(name: str) -> str:
    """Where a public name is defined, which is its anchor too."""
    return f"crosscheck.{home(name)}.{name}"


def entry(name: str) -> str:
    return f"::: {full(name)}\n    options:\n      heading_level: 2"
