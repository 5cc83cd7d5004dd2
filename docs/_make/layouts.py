"""The layouts of JSON: a record for each, from which its schema is made, and a real file, which must obey it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import optax
import torch
from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema

import crosscheck
from crosscheck._arrays.records import ArrayComparison, Limits
from crosscheck._arrays.report import SCHEMA as ARRAYS
from crosscheck._atlas.diff_report import DIFF_SCHEMA as ATLAS_DIFF
from crosscheck._atlas.diff_report import AtlasDiffFile
from crosscheck._atlas.report import SCHEMA as ATLAS
from crosscheck._atlas.report import AtlasFile
from crosscheck._dictionary.records import Translation
from crosscheck._models.report.records import Gradient, WeightMatch
from crosscheck._models.report.report import SCHEMA as MODELS
from crosscheck._models.report.report import Fault, Layer
from crosscheck._recorded.files import SCHEMA as RECORDED
from crosscheck._recorded.files import RecordFile
from crosscheck._recorded.files import files as recorded_files
from crosscheck._report.report import SCHEMA, report_data
from crosscheck._sweep.report import SCHEMA as SWEEP
from crosscheck._sweep.report import SweepFile
from crosscheck._training.optimizers.optimizer_report import SCHEMA as OPTIMIZERS
from crosscheck._training.records import Drift, OptimizerRun
from crosscheck._training.training_report import SCHEMA as TRAINING
from crosscheck._training.training_report import TrainingFault
from crosscheck._translate.file_report import SCHEMA as TRANSLATED_FILE
from crosscheck._translate.report import SCHEMA as DICTIONARY
from crosscheck._verdict.records import Comparison, Finding
from crosscheck.pytest_plugin import SCHEMA as TESTS


@dataclass
class Summary:
    """The end of a report; one on two functions also has ``headline``, ``cause`` and ``side``."""

    passed: bool
    comparisons: int
    failed: int
    points: int
    deviations: list[str]
    findings: list[Finding]
    skipped: list[str] | None = None
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


@dataclass
class ArraysSummary:
    """The end of a report on arrays."""

    passed: bool
    elements: int
    only_a: list[str]
    only_b: list[str]
    refused: dict[str, str]
    first: str | None
    headline: str


@dataclass
class ArraysFile:
    """What `crosscheck diff --json` and `ArraysReport.to_json` write."""

    schema: str
    limits: Limits
    comparisons: list[ArrayComparison]
    summary: ArraysSummary


@dataclass
class OutputOfModels:
    """How far an output is apart where each model runs by itself, and how far rounding alone moves it."""

    apart: float
    drift: float


@dataclass
class ModelsSummary:
    """The end of a report on two models; ``first`` is the module of torch that goes wrong first."""

    passed: bool
    headline: str
    cause: str | None
    side: str | None
    first: str | None
    landmarks: int
    faults: int
    seconds: float


@dataclass
class ModelsFile:
    """What `crosscheck models --json` and `ModelsReport.to_json` write."""

    schema: str
    environment: dict[str, Any]
    layers: list[Layer]
    faults: list[Fault]
    weights: list[WeightMatch]
    gradients: list[Gradient]
    outputs: dict[str, OutputOfModels]
    notes: list[str]
    summary: ModelsSummary


@dataclass
class OptimizerPair:
    """What was seen of one pair of optimisers."""

    torch: str
    jax: str
    passed: bool
    skips: bool
    cause: str | None
    side: str | None
    explanation: str
    settings: dict[str, Any]
    runs: list[OptimizerRun]


@dataclass
class OptimizersFile:
    """What `OptimizerReport.to_json` and `OptimizersReport.to_json` write."""

    schema: str
    environment: dict[str, Any]
    pairs: list[OptimizerPair]


@dataclass
class TrainingSummary:
    """The end of a report on two trainings; ``part`` and ``step`` are those of the first fault."""

    passed: bool
    headline: str
    cause: str | None
    side: str | None
    steps: int
    part: str | None
    step: int | None


@dataclass
class TrainingFile:
    """What `crosscheck training --json` and `TrainingReport.to_json` write."""

    schema: str
    environment: dict[str, Any]
    faults: list[TrainingFault]
    errors: list[dict[str, float]]
    drift: Drift | None
    weights: list[WeightMatch]
    notes: list[str]
    summary: TrainingSummary


@dataclass
class DictionaryFile:
    """What `TranslationReport.to_json` writes: the entries that were asked for, or all."""

    schema: str
    environment: dict[str, Any]
    entries: list[Translation]


@dataclass
class TranslatedCall:
    """A call of PyTorch in a file; ``entry`` is the title of its entry in the dictionary, null where there is none."""

    line: int
    code: str
    name: str
    counterpart: str
    entry: str | None
    differences: list[str]


@dataclass
class TranslatedFile:
    """What `FileTranslation.to_json` writes."""

    schema: str
    environment: dict[str, Any]
    path: str
    calls: list[TranslatedCall]


@dataclass
class TestEntry:
    """What one call of the fixture compared; ``report`` is that of two functions, of two models, or of an activation."""

    test: str
    kind: str
    passed: bool
    headline: str
    report: ReportFile | ModelsFile


@dataclass
class TestsSummary:
    comparisons: int
    passed: int
    failed: int


@dataclass
class TestsFile:
    """What `pytest --crosscheck-json` writes."""

    schema: str
    tests: list[TestEntry]
    summary: TestsSummary


class Schema(GenerateJsonSchema):
    """JSON has no NaN and no infinities: these are strings."""

    def float_schema(self, schema: Any) -> dict[str, Any]:
        return {"anyOf": [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]}


def schema(name: str = "report") -> dict[str, Any]:
    """The JSON schema of a layout, made from the records that are written; their profiles are not."""
    layout, title, _ = LAYOUTS[name]
    made = TypeAdapter(layout).json_schema(schema_generator=Schema)
    made["$defs"].pop("Profile", None)
    for record in made["$defs"].values():
        record["properties"].pop("profile", None)
    return made | {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}


def example(name: str = "report") -> dict[str, Any]:
    """A real file of a layout, small, which must obey its schema."""
    made: dict[str, Any] = LAYOUTS[name][2]()
    jsonschema.validate(made, schema(name))
    return made


def report_example() -> dict[str, Any]:
    return report_data(crosscheck.verify("relu", dtypes=["float32"], orders=[0], modes=["eager"], quick=True))


def atlas_example() -> dict[str, Any]:
    return crosscheck.atlas("relu", dtypes=["float32"], quick=True, usual=True).data()


def atlas_diff_example() -> dict[str, Any]:
    """Between two runs of which one declares less."""
    less, all_ = (crosscheck.atlas("relu", dtypes=["float32"], quick=True, without=w) for w in (["relu-negative-zero"], []))
    return crosscheck.atlas_diff(less, all_).data()


def arrays_example() -> dict[str, Any]:
    weight = np.linspace(0, 1, 5, dtype=np.float32)
    a = {"weight": weight, "bias": np.zeros(2)}
    b = {"weight": weight * np.float32(1.001), "step": np.array([1])}
    return dict(crosscheck.compare_arrays(a, b).data())


TESTED = """
import jax.numpy as jnp
import numpy as np
import torch


def test_tanh(crosscheck):
    crosscheck.assert_agree(torch.tanh, jnp.tanh, order=0)


def test_scaled(crosscheck):
    crosscheck.assert_agree(torch.tanh, lambda x: jnp.tanh(x) * 1.001, order=0)


def test_model(crosscheck):
    model = torch.nn.Linear(3, 2)
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
    port = lambda p, x: x @ p["weight"].T + p["bias"]
    crosscheck.assert_models_agree(model, port, [np.eye(3)], params=params)
"""


def tests_example() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_port.py").write_text(TESTED)
        arguments = ("-q", "-p", "no:cacheprovider", "--crosscheck-json", "all.json")
        subprocess.run([sys.executable, "-m", "pytest", *arguments], cwd=folder, capture_output=True, check=False)
        return cast(dict[str, Any], json.loads(Path(folder, "all.json").read_text()))


def models_example() -> dict[str, Any]:
    """A port with another GELU."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.GELU(), torch.nn.Linear(3, 2))
    params = {name: jnp.asarray(value.detach().numpy()) for name, value in model.named_parameters()}

    def port(p: Any, x: Any) -> Any:
        h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"])
        return h @ p["2.weight"].T + p["2.bias"]

    return dict(crosscheck.compare_models(model, port, [np.eye(3)], params=params).data())


def training_example() -> dict[str, Any]:
    model = torch.nn.Linear(3, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def torch_step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
        return loss

    def jax_step(params: Any, x: Any, y: Any) -> Any:
        loss, grads = jax.value_and_grad(lambda p: ((x @ p["w"].T + p["b"] - y) ** 2).mean())(params)
        return jax.tree.map(lambda p, g: p - 0.05 * g, params, grads), loss

    params = {"w": jax.numpy.asarray(model.weight.detach()), "b": jax.numpy.asarray(model.bias.detach())}
    batches = [[np.eye(3), np.ones((3, 1))]] * 3
    report = crosscheck.compare_training(torch_step, jax_step, batches, torch_state=(model, optimizer), jax_state=params)
    return dict(report.data())


def optimizers_example() -> dict[str, Any]:
    """Two defaults that differ."""
    return dict(crosscheck.compare_optimizers(torch.optim.AdamW, optax.adamw(1e-3)).data())


def dictionary_example() -> dict[str, Any]:
    return dict(crosscheck.translate("hinge_embedding_loss", run=True).data())


def translated_file_example() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "my_model.py")
        path.write_text("from torch import nn\n\nlayer = nn.LayerNorm(8, eps=1e-6)\n")
        return dict(crosscheck.translate_file(path).data()) | {"path": path.name}


def sweep_example() -> dict[str, Any]:
    return dict(
        crosscheck.sweep("relu", dtype="bfloat16", orders=[0], implementations=["torch.native", "jax.native"]).data()
    )


def recorded_example() -> dict[str, Any]:
    """The smallest file of the package."""
    return dict(json.loads(min(recorded_files(), key=lambda path: path.stat().st_size).read_text("utf-8")))


LAYOUTS: dict[str, tuple[type, str, Callable[[], dict[str, Any]]]] = {
    "report": (ReportFile, SCHEMA, report_example),
    "atlas": (AtlasFile, ATLAS, atlas_example),
    "atlas-diff": (AtlasDiffFile, ATLAS_DIFF, atlas_diff_example),
    "arrays": (ArraysFile, ARRAYS, arrays_example),
    "models": (ModelsFile, MODELS, models_example),
    "optimizers": (OptimizersFile, OPTIMIZERS, optimizers_example),
    "dictionary": (DictionaryFile, DICTIONARY, dictionary_example),
    "translated-file": (TranslatedFile, TRANSLATED_FILE, translated_file_example),
    "training": (TrainingFile, TRAINING, training_example),
    "pytest": (TestsFile, TESTS, tests_example),
    "sweep": (SweepFile, SWEEP, sweep_example),
    "recorded": (RecordFile, RECORDED, recorded_example),
}
"""The layouts of JSON: the record, its name, and what makes an example."""
