"""The reference: every public name, documented or the build fails, and the JSON schema, which a real report must obey."""

import functools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import griffe
import jsonschema
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

import crosscheck
from crosscheck._compare.records import Comparison, Finding
from crosscheck._report.json_file import SCHEMA, report_data

GROUPS = {
    "Judge": ("verify", "compare", "assert_agree", "explain", "plot"),
    "The catalogue": ("activations",),
    "Arrays computed elsewhere": ("dump", "compare_arrays", "ArraysReport"),
    "Settings": ("precision",),
    "Inputs for compare": ("uniform", "normal", "stratified", "every_value"),
    "Reports": ("Report", "PairReport", "Comparison", "CauseCount", "Point", "Finding"),
    "Train a perceptron": (
        "perceptron",
        "perceptrons",
        "losses",
        "Perceptron",
        "PerceptronReport",
        "PerceptronsReport",
        "LossesReport",
    ),
    "Records of an activation": ("Activation", "Limits", "Kink", "Native", "Deviation", "Region", "Anchor", "Seen"),
}
"""The order in which people need them; names that are in no group, and errors, come last."""


@dataclass
class Summary:
    """The end of a report; one on two functions also has ``headline``, ``cause`` and ``side``."""

    passed: bool
    comparisons: int
    failed: int
    points: int
    deviations: list[str]
    findings: list[Finding]
    headline: str | None = None
    cause: str | None = None
    side: str | None = None


@dataclass
class ReportFile:
    """What `--json` and `to_json` write."""

    schema: str
    environment: dict[str, Any]
    comparisons: list[Comparison]
    summary: Summary


class Schema(GenerateJsonSchema):
    """JSON has no NaN and no infinities: these are strings."""

    def float_schema(self, schema: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    for uri, content in (
        ("reference/api.md", "\n\n".join(api(crosscheck.__all__))),
        ("reference/report.schema.json", json.dumps(schema(), indent=2)),
        ("reference/report.example.json", json.dumps(example(), indent=2, allow_nan=False)),
    ):
        files.append(File.generated(config, uri, content=content))
    return files


def api(names: list[str]) -> Iterator[str]:
    """The page on the Python interface."""
    missing = [name for name in names if not documented(name)]
    if missing:
        raise PluginError(f"public names without a docstring: {', '.join(missing)}")
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


def documented(name: str) -> bool:
    return bool(source()[f"{crosscheck._HOME[name]}.{name}"].has_docstring)


@functools.cache
def source() -> Any:
    """The package as it is written, not as it runs: only there a constant has a docstring."""
    return griffe.load("crosscheck")


def entry(name: str) -> str:
    return f"::: crosscheck.{crosscheck._HOME[name]}.{name}\n    options:\n      heading_level: 3"


def schema() -> dict[str, Any]:
    """The JSON schema, made from the records that are written."""
    return TypeAdapter(ReportFile).json_schema(schema_generator=Schema) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": SCHEMA,
    }


def example() -> dict[str, Any]:
    """A real report, small, which must obey the schema."""
    made: Any = report_data(crosscheck.verify("relu", dtypes=["float32"], orders=[0], modes=["eager"], quick=True))
    jsonschema.validate(made, schema())
    return made
