"""Weights in safetensors files: read for both sides, compared, and refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import crosscheck

X = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


class Tied(nn.Module):
    """A model that uses one parameter twice, and has a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down, self.last = nn.Linear(4, 6), nn.Linear(6, 4, bias=False), nn.Linear(6, 4, bias=False)
        self.last.weight = self.down.weight
        self.register_buffer("scale", torch.full((6,), 1.5))

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.up(x)) * self.scale
        return self.down(h) + self.last(h * h)


def port(p: dict[str, Any], x: Any) -> Any:
    import jax.numpy as jnp

    h = jnp.tanh(x @ p["up.weight"].T + p["up.bias"]) * p["scale"]
    return h @ p["down.weight"].T + (h * h) @ p["down.weight"].T


def saved(folder: Path, **more: Any) -> Path:
    torch.manual_seed(0)
    state = {name: value for name, value in Tied().state_dict().items() if name != "last.weight"}
    path = folder / "model.safetensors"
    crosscheck.dump(path, **{**state, **more})
    return path


def empty() -> Tied:
    with torch.device("meta"):
        return Tied()


def test_a_file_fills_a_module_on_the_meta_device_and_names_go_on_sharing_a_parameter(tmp_path: Path) -> None:
    model, path = empty(), saved(tmp_path)
    params = crosscheck.read_weights(path, into=model)
    assert model.last.weight is model.down.weight
    assert isinstance(model.up.weight, nn.Parameter)
    assert sorted(params) == ["down.weight", "scale", "up.bias", "up.weight"]
    np.testing.assert_array_equal(params["up.weight"], model.up.weight.detach().numpy())
    report = crosscheck.compare_models(model, port, [X], params=params)
    assert report.passed, report.story()
    # the numbers are in the file, so that none is held twice
    assert np.shares_memory(params["down.weight"], model.down.weight.detach().numpy())


def test_a_wrong_weight_of_a_file_is_named(tmp_path: Path) -> None:
    model, path = empty(), saved(tmp_path)
    params = crosscheck.read_weights(path, into=model)
    wrong = {**params, "up.bias": params["up.bias"] + np.float32(0.25)}
    report = crosscheck.compare_models(model, port, [X], params=wrong)
    assert report.first is not None
    assert report.first.torch == "up"


@pytest.mark.parametrize("given", ["index", "folder"])
def test_several_files_are_read_by_their_index(tmp_path: Path, given: str) -> None:
    whole = crosscheck.read_weights(saved(tmp_path))
    parts = {"a.safetensors": ["up.weight", "scale"], "b.safetensors": ["up.bias", "down.weight"]}
    (tmp_path / "parts").mkdir()
    for file, names in parts.items():
        crosscheck.dump(tmp_path / "parts" / file, **{name: whole[name] for name in names})
    index = tmp_path / "parts" / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, names in parts.items() for name in names}}))
    weights = crosscheck.read_weights(index if given == "index" else tmp_path / "parts")
    assert sorted(weights) == sorted(whole)
    for name, value in whole.items():
        np.testing.assert_array_equal(weights[name], value)


def test_bfloat16_keeps_its_dtype(tmp_path: Path) -> None:
    crosscheck.dump(tmp_path / "a.safetensors", w=torch.tensor([1.5, -2.0], dtype=torch.bfloat16))
    weight = crosscheck.read_weights(tmp_path / "a.safetensors")["w"]
    assert weight.dtype.name == "bfloat16"
    assert weight.tolist() == [1.5, -2.0]


def damaged(folder: Path) -> Path:
    path = folder / "damaged.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00 no header here.")
    return path


def no_index(folder: Path) -> Path:
    path = folder / "a.safetensors.index.json"
    path.write_text("{}")
    return path


REFUSED: dict[str, tuple[Callable[[Path], Any], Callable[[], Any], str]] = {
    "a number": (lambda folder: 3, lambda: None, "file: got int, expected a path"),
    "no such file": (lambda folder: folder / "a.safetensors", lambda: None, "cannot be read"),
    "another ending": (lambda folder: folder / "a.bin", lambda: None, r"ends in '\.bin', expected \.safetensors"),
    "an empty folder": (lambda folder: folder, lambda: None, "holds 0 files of weights"),
    "damaged": (damaged, lambda: None, "cannot be read"),
    "no index": (no_index, lambda: None, "is no index of weights"),
    "no module": (saved, lambda: 3, "into: got int, expected a torch.nn.Module"),
    "a parameter that is not there": (saved, lambda: nn.Linear(4, 2), "the file lacks the parameter 'weight'"),
    "another shape": (
        lambda folder: saved(folder, **{"up.bias": np.zeros(5, np.float32)}),
        empty,
        r"'up\.bias' has shape \(6,\), and \(5,\) in the file",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_used_is_refused_with_one_message(tmp_path: Path, case: str) -> None:
    path, into, message = REFUSED[case]
    with pytest.raises(crosscheck.UsageError, match=message):
        crosscheck.read_weights(path(tmp_path), into=into())


def test_a_buffer_that_no_file_has_is_refused_where_it_has_no_numbers(tmp_path: Path) -> None:
    with torch.device("meta"):
        model = Tied()
        model.register_buffer("table", torch.zeros(3), persistent=False)
    with pytest.raises(crosscheck.UsageError, match="'table', and it has no numbers on the meta device; set a buffer"):
        crosscheck.read_weights(saved(tmp_path), into=model)


def test_a_module_without_numbers_is_not_compared(tmp_path: Path) -> None:
    params = crosscheck.read_weights(saved(tmp_path))
    with pytest.raises(
        crosscheck.UsageError, match=r"'up\.weight' is on the meta device and has no numbers; crosscheck\.read"
    ):
        crosscheck.compare_models(empty(), port, [X], params=params)
    model = Tied()
    model.scale = torch.zeros(6, device="meta")
    with pytest.raises(crosscheck.UsageError, match="'scale' is on the meta device"):
        crosscheck.compare_models(model, port, [X], params=params)
