"""Figures: what they show, that they touch no global state, and that a file is written whole or not at all."""

import dataclasses
import math
import os
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
import numpy as np
import pytest

import crosscheck
from crosscheck import UsageError

pytestmark = pytest.mark.full

Command = Callable[..., subprocess.CompletedProcess[str]]


def assert_written(path: Path, *arguments: str, starts: bytes = b"\x89PNG") -> None:
    done = cli.run("plot", *arguments, "--figure", str(path))
    assert done.exit_code == 0, done.output
    assert path.read_bytes().startswith(starts)


def labels(axes: object) -> list[str]:
    return [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]


def test_the_figure_shows_both_functions_and_every_error() -> None:
    figure = crosscheck.plot("sigmoid")
    top_left, top_right, left, right = figure.axes
    for axes, name in ((top_left, "value"), (top_right, "gradient")):
        assert labels(axes) == ["own torch", "own jax", "analytic"]
        assert axes.get_title() == name
        assert axes.get_legend() is not None
    for axes, budget in ((left, 4), (right, 5)):
        assert labels(axes) == ["own torch", "own jax", "torch", "jax", "budget"]
        assert axes.get_yscale() == "symlog"
        assert axes.get_ylabel() == "error [ULP]"
        assert list(axes.lines[-1].get_ydata()) == [budget, budget]
    native = right.lines[2].get_ydata()
    assert native[-1] > 1e3  # the lost tail
    assert max(right.lines[0].get_ydata()) < 5
    assert top_left.get_xlim() == left.get_xlim() == right.get_xlim() == (-10, 10)
    assert figure.legends


def test_the_curves_are_the_functions() -> None:
    value, gradient, *errors = crosscheck.plot("tanh", dtype="float64", range=(-3, 3)).axes
    for line in value.lines[:2]:
        np.testing.assert_allclose(line.get_ydata(), np.tanh(line.get_xdata()), rtol=1e-14)
    analytic = gradient.lines[2]
    np.testing.assert_allclose(analytic.get_ydata(), 1 / np.cosh(analytic.get_xdata()) ** 2, rtol=1e-14)
    for axes, budget in zip(errors, (4, 5), strict=True):
        assert all(max(line.get_ydata()) <= budget for line in axes.lines[:2])


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_every_dtype_is_drawn(dtype: str) -> None:
    figure = crosscheck.plot("elu", dtype=dtype, range=(-3, 2))
    assert dtype in figure.get_suptitle()
    assert "alpha = 1" in figure.get_suptitle()


def test_a_range_that_float64_can_hardly_hold_is_drawn(tmp_path: Path) -> None:
    figure = crosscheck.plot("relu", dtype="float64", range=(-1e300, 1e300))
    assert figure.axes[0].get_xlim() == (-1e300, 1e300)
    assert_written(tmp_path / "all.png", "relu", "--dtype", "float64", "--range", "-1e300", "1e300")


def test_an_interval_between_neighbours_is_drawn(tmp_path: Path) -> None:
    assert_written(tmp_path / "two.png", "relu", "--range", "1", str(1 + 2**-23))
    with pytest.raises(UsageError, match="expected numbers that differ in float32"):
        crosscheck.plot("relu", range=(1, 1 + 2**-50))


def test_a_function_of_rows_is_drawn_as_one_entry_varies() -> None:
    figure = crosscheck.plot("softmax", dtype="bfloat16", range=(-2, 2))
    title = "softmax(axis = -1) in bfloat16, the first entry of the row (x, 0, 1): own torch"
    assert figure.get_suptitle().startswith(title)
    top_left, top_right, left, right = figure.axes
    for axes, name in ((top_left, "value"), (top_right, "gradient")):
        assert labels(axes) == ["own torch", "own jax", "analytic"]
        assert axes.get_title() == name
    for axes in (left, right):
        assert labels(axes) == ["own torch", "own jax", "torch", "jax", "budget"]
        assert axes.get_ylabel() == "error [ULP]"
        assert max(axes.lines[0].get_ydata()) <= 1
    value, gradient = (axes.lines[2] for axes in (top_left, top_right))
    s = 1 / (1 + np.exp(-value.get_xdata()) * (1 + np.e))
    np.testing.assert_allclose(value.get_ydata(), s, rtol=1e-12)
    np.testing.assert_allclose(gradient.get_ydata(), s * (1 - s), rtol=1e-12)
    for axes, exact in ((top_left, s), (top_right, s * (1 - s))):
        for line in axes.lines[:2]:
            np.testing.assert_allclose(line.get_ydata(), exact, rtol=2**-8)


def test_an_entry_far_from_the_others_is_drawn(tmp_path: Path) -> None:
    assert_written(tmp_path / "far.png", "softmax", "--dtype", "float64", "--range", "-1e300", "1e300")


def test_a_record_of_the_users_is_drawn(activation_file: Path) -> None:
    figure = crosscheck.plot(runpy.run_path(str(activation_file))["MINE"])
    assert labels(figure.axes[2]) == ["own torch", "own jax", "budget"]


def test_the_worst_error_of_a_column_is_shown_and_a_wrong_nan_is_marked() -> None:
    linear = crosscheck.activations["linear"]
    off, nan = (float(crosscheck.plot(linear, range=(-1, 1)).axes[0].lines[0].get_xdata()[i]) for i in (1234, 2000))

    def value(torch: Any, x: Any) -> Any:
        return torch.where(x == nan, math.nan, torch.where(x == off, x + 77 * float(np.spacing(np.float32(off))), x))

    errors = crosscheck.plot(dataclasses.replace(linear, torch_value=value), range=(-1, 1)).axes[2]
    assert labels(errors)[0] == "own torch"
    worst, marked = (line for line in errors.lines if line.get_color() == errors.lines[0].get_color())
    assert np.nanmax(worst.get_ydata()) == 77
    assert abs(worst.get_xdata()[np.nanargmax(worst.get_ydata())] - off) < 2 / 150
    assert marked.get_marker() == "x"
    assert abs(marked.get_xdata() - nan) < 2 / 150
    assert "x: wrong NaN" in [text.get_text() for text in errors.texts]


def test_an_implementation_that_cannot_be_run_is_said() -> None:
    def value(jax: Any, x: Any) -> Any:
        raise TypeError("no")

    figure = crosscheck.plot(dataclasses.replace(crosscheck.activations["linear"], jax_value=value))
    assert "not drawn: own jax (TypeError: no)" in [text.get_text() for axes in figure.axes for text in axes.texts]


@pytest.mark.parametrize(("name", "label"), [("softplus", "torch matched"), ("gelu", "jax matched")])
def test_what_a_framework_ships_with_other_arguments_is_drawn_too(name: str, label: str) -> None:
    errors = crosscheck.plot(name, dtype="float64", range=(-1, 1)).axes[2]
    assert {*labels(errors)} == {"own torch", "own jax", "torch", "jax", label, "budget"}
    assert len({line.get_color() for line in errors.lines}) == len(errors.lines)


def test_pyplot_stays_untouched() -> None:
    code = (
        "import sys, matplotlib, crosscheck; settings = lambda: dict(dict.items(matplotlib.rcParams));"
        "before = settings(); crosscheck.plot('relu'); assert settings() == before;"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": "float31"}, "unknown dtype 'float31'; did you mean 'float32'"),
        ({"range": (3, 3)}, r"range: got 3\.0 and 3\.0, expected the lower one first"),
        ({"range": (math.nan, 1)}, "range: got nan, expected finite numbers"),
        ({"range": 3}, "range: got 3, expected two numbers"),
        ({"range": (1, 2, 3)}, r"range: got \(1, 2, 3\), expected two numbers"),
        ({"range": (0, math.inf)}, "range: got inf, expected finite numbers"),
        ({"range": (0, 1e301), "dtype": "float64"}, r"range: got 1e\+301, expected finite numbers within 1e\+300"),
        ({"range": (0, "10")}, "range: got '10', expected finite numbers"),
        ({"range": (0, True)}, "range: got True, expected finite numbers"),
        (
            {"dtype": "float16", "range": (-1e6, 0)},
            r"range: got -1000000\.0, expected finite numbers within 6.55e\+04, for float16",
        ),
    ],
    ids=str,
)
def test_bad_arguments_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crosscheck.plot("relu", **options)


def test_only_one_name_or_record_is_drawn() -> None:
    with pytest.raises(UsageError, match="what: got list"):
        crosscheck.plot(["relu"])


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError("no space left")

    (tmp_path / "old.png").write_bytes(b"old")
    monkeypatch.setattr(os, "replace", fail)
    done = cli.run("plot", "relu", "--force", "--figure", str(tmp_path / "old.png"))
    assert done.exit_code != 0
    assert "no space left" in done.output
    assert [path.name for path in tmp_path.iterdir()] == ["old.png"]
    assert (tmp_path / "old.png").read_bytes() == b"old"


@pytest.mark.parametrize(("name", "starts"), [("a.png", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")])
def test_the_suffix_says_the_format(name: str, starts: bytes, tmp_path: Path) -> None:
    assert_written(tmp_path / name, "relu", "--range", "-1", "1", starts=starts)


def test_the_command_writes_the_file_and_prints_its_path(command: Command, tmp_path: Path) -> None:
    done = command("plot", "swish")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "silu.png\n"
    assert "Error" not in done.stderr
    data = (tmp_path / "silu.png").read_bytes()
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (1200, 800)


def test_the_command_takes_a_file_and_an_interval(command: Command, activation_file: Path, tmp_path: Path) -> None:
    options = ("--figure", "m.svg", "--dtype", "float64", "--range", "-2", "5e-1")
    done = command("plot", "mine", "--file", str(activation_file), *options)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "m.svg").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("sigmoit",), "did you mean 'sigmoid'?"),
        ((), "Missing argument 'NAME'"),
        (("relu", "--figure", "relu.gif"), "expected one of .png, .svg, .pdf"),
        (("relu", "--figure", "relu"), "with the suffix ''"),
        (("relu", "--figure", "no/such/relu.png"), "--figure: the folder"),
        (("relu", "--range", "2", "1"), "--range: got 2.0 and 1.0, expected the lower one first"),
        (("relu", "--range", "nan", "1"), "--range: got nan, expected finite numbers"),
        (("relu", "--range", "1", "far"), "is not a valid float"),
        (("relu", "--dtype", "float31"), "did you mean 'float32'?"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(
    command: Command, tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    cli.assert_refused(command("plot", *arguments), message)
    assert list(tmp_path.iterdir()) == []
