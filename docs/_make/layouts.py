"""The layouts of JSON: what writes each, from which its schema is made, and a real file, which must obey it."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jax
import jax.numpy as jnp
import jsonschema
import msgspec
import numpy as np
import optax
import torch

import crosscheck
from crosscheck._recorded.files import RecordFile
from crosscheck._recorded.files import files as recorded_files
from crosscheck._records.plain import plain
from crosscheck._report.json_file import layout
from crosscheck.pytest_plugin import TestsFile

NUMBER = [{"type": "number"}, {"enum": ["nan", "inf", "-inf"]}]
"""JSON has no NaN and no infinities: these are strings."""
ANYTHING = {"description": "Any value; an array is nested lists."}


def schema(name: str = "report") -> dict[str, Any]:
    """The JSON schema of a layout, made from the types that are written; the profiles of comparisons are not."""
    kind, _ = LAYOUTS[name]
    written = layout(kind) if hasattr(kind, "to_json") else kind
    made = plain(msgspec.json.schema(written, schema_hook=lambda _: ANYTHING))
    made["$defs"].pop("Profile", None)
    for record in made["$defs"].values():
        record["properties"].pop("profile", None)
    return cast(dict[str, Any], _numbers(made)) | {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": kind.schema,
    }


def _numbers(made: Any) -> Any:
    if isinstance(made, list):
        return [_numbers(part) for part in made]
    if not isinstance(made, dict):
        return made
    inside = {key: _numbers(value) for key, value in made.items() if (key, value) != ("type", "number")}
    return inside if len(inside) == len(made) else inside | {"anyOf": NUMBER}


def example(name: str = "report") -> dict[str, Any]:
    """A real file of a layout, small, which must obey its schema."""
    made: dict[str, Any] = LAYOUTS[name][1]()
    jsonschema.validate(made, schema(name))
    return made


def report_example() -> dict[str, Any]:
    return crosscheck.verify("relu", dtypes=["float32"], orders=[0], modes=["eager"], quick=True).data()


def atlas_example() -> dict[str, Any]:
    return crosscheck.atlas("relu", dtypes=["float32"], quick=True).data()


def atlas_diff_example() -> dict[str, Any]:
    """Between two runs of which one declares less."""
    less, all_ = (crosscheck.atlas("relu", dtypes=["float32"], quick=True, without=w) for w in (["relu-negative-zero"], []))
    return crosscheck.atlas_diff(less, all_).data()


def arrays_example() -> dict[str, Any]:
    weight = np.linspace(0, 1, 5, dtype=np.float32)
    a = {"weight": weight, "bias": np.zeros(2)}
    b = {"weight": weight * np.float32(1.001), "step": np.array([1])}
    return crosscheck.compare_arrays(a, b).data()


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

    return crosscheck.compare_models(model, port, [np.eye(3)], params=params).data()


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
    return report.data()


def optimizers_example() -> dict[str, Any]:
    """Two defaults that differ."""
    return crosscheck.compare_optimizers(torch.optim.AdamW, optax.adamw(1e-3)).data()


def dictionary_example() -> dict[str, Any]:
    return crosscheck.translate("hinge_embedding_loss", run=True).data()


def translated_file_example() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "my_model.py")
        path.write_text("from torch import nn\n\nlayer = nn.LayerNorm(8, eps=1e-6)\n")
        return crosscheck.translate_file(path).data() | {"path": path.name}


def sweep_example() -> dict[str, Any]:
    return crosscheck.sweep("relu", dtype="bfloat16", orders=[0], implementations=["torch.native", "jax.native"]).data()


def recorded_example() -> dict[str, Any]:
    """The smallest file of the package."""
    return dict(json.loads(min(recorded_files(), key=lambda path: path.stat().st_size).read_text("utf-8")))


LAYOUTS: dict[str, tuple[Any, Callable[[], dict[str, Any]]]] = {
    "report": (crosscheck.PairReport, report_example),
    "atlas": (crosscheck.Atlas, atlas_example),
    "atlas-diff": (crosscheck.AtlasDiff, atlas_diff_example),
    "arrays": (crosscheck.ArraysReport, arrays_example),
    "models": (crosscheck.ModelsReport, models_example),
    "optimizers": (crosscheck.OptimizersReport, optimizers_example),
    "dictionary": (crosscheck.TranslationReport, dictionary_example),
    "translated-file": (crosscheck.FileTranslation, translated_file_example),
    "training": (crosscheck.TrainingReport, training_example),
    "pytest": (
        TestsFile[layout(crosscheck.PairReport) | layout(crosscheck.ModelsReport)],  # type: ignore[misc]
        tests_example,
    ),
    "sweep": (crosscheck.SweepReport, sweep_example),
    "recorded": (RecordFile, recorded_example),
}
"""The layouts of JSON: what writes it, and what makes an example."""
