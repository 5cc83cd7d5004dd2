"""The reference: every public name, documented or the making fails, and the JSON schemas, which real reports must obey."""

import functools
import json
from collections.abc import Iterator
from typing import Any

import griffe
from layouts import LAYOUTS, example, schema
from products import Content

import crosscheck

GROUPS = {
    "Judge": ("verify", "compare", "assert_agree", "explain", "plot", "sweep"),
    "The catalogue": ("activations",),
    "The atlas of disagreements": ("atlas", "atlas_diff", "Atlas", "AtlasRow", "AtlasDiff"),
    "The dictionary": ("translate", "TranslationReport", "Translation", "TranslatedPair"),
    "Arrays computed elsewhere": ("dump", "compare_arrays", "ArraysReport"),
    "Whole models": (
        "compare_models",
        "ModelsReport",
        "Layer",
        "Fault",
        "Segment",
        "Gradient",
        "copy_weights",
        "WeightMatch",
    ),
    "Settings": ("precision",),
    "Inputs for compare": ("uniform", "normal", "stratified", "every_value"),
    "Reports": ("Report", "PairReport", "Comparison", "CauseCount", "Point", "Finding"),
    "Every input": ("SweepReport", "SweepResult", "SweepDifference", "Binade"),
    "Train a perceptron": (
        "perceptron",
        "perceptrons",
        "losses",
        "Perceptron",
        "PerceptronReport",
        "PerceptronsReport",
        "LossesReport",
    ),
    "Trainings": ("compare_training", "TrainingReport", "TrainingFault", "Drift"),
    "Optimisers": ("compare_optimizers", "optimizers", "OptimizerReport", "OptimizersReport", "OptimizerRun"),
    "Records of an activation": ("Activation", "Limits", "Kink", "Native", "Deviation", "Region", "Anchor", "Seen"),
}
"""The order in which people need them; names that are in no group, and errors, come last."""


class UndocumentedError(Exception):
    """A public name without a docstring."""


def files() -> dict[str, Content]:
    """The page on the Python interface, and each layout of JSON as a schema and an example."""
    made: dict[str, Content] = {"api.md": "\n\n".join(api(crosscheck.__all__))}
    for name in LAYOUTS:
        made[f"{name}.schema.json"] = json.dumps(schema(name), indent=2)
        made[f"{name}.example.json"] = json.dumps(example(name), indent=2, allow_nan=False)
    return {f"site/reference/{name}": text for name, text in made.items()}


def api(names: list[str]) -> Iterator[str]:
    """The page on the Python interface."""
    missing = [name for name in names if not documented(name)]
    if missing:
        raise UndocumentedError(f"public names without a docstring: {', '.join(missing)}")
    yield "# Python\n\nEverything public is a name of `crosscheck` itself. Importing it imports neither framework."
    grouped = {name for group in GROUPS.values() for name in group}
    rest = [name for name in names if name not in grouped]
    errors = [name for name in rest if name.endswith("Error")]
    others = [name for name in rest if name not in errors]
    for title, group in {**GROUPS, "More": others, "Errors": errors}.items():
        entries = [entry(name) for name in group if name in names]
        if entries:
            yield f"## {title}"
            yield from entries


def home(name: str) -> str:
    """The module of the package in which a public name is defined."""
    return str(getattr(crosscheck, name).__module__).removeprefix("crosscheck.")


def documented(name: str) -> bool:
    return bool(source()[f"{home(name)}.{name}"].has_docstring)


@functools.cache
def source() -> Any:
    """The package as it is written, not as it runs: only there a constant has a docstring."""
    return griffe.load("crosscheck")


def entry(name: str) -> str:
    return f"::: crosscheck.{home(name)}.{name}\n    options:\n      heading_level: 3"
