"""One framework alone, or a backend without a dtype: what is there is judged, what is not is said, neither is a failure."""

import json
import pkgutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cli
import click.testing
import jax
import pytest
import torch
from facts import subjects
from kept import environment
from recorded_here import Environment, on_record

import crosscheck

OTHER = {"torch": "jax", "jax": "torch"}
Run = Callable[..., click.testing.Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return cli.run


def hide(monkeypatch: pytest.MonkeyPatch, *frameworks: str) -> None:
    """As where they are not installed: Python refuses to import what is None."""
    for framework in frameworks:
        monkeypatch.setitem(sys.modules, framework, None)


@pytest.fixture(params=("torch", "jax"))
def alone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The framework that is there."""
    hide(monkeypatch, OTHER[request.param])
    return str(request.param)


def said(text: str) -> str:
    return " ".join(text.split())


RELU = ("verify", "relu", "--quick", "--order", "0")


def test_verify_judges_the_framework_that_is_there_and_says_which_is_not(run: Run, alone: str, tmp_path: Path) -> None:
    done = run(*RELU, "--json", "out.json")
    assert done.exit_code == 0, done.output
    assert said(done.stdout).startswith("PASSED: relu: no undeclared disagreement in 2 comparisons of ")
    assert f"; not run here: {OTHER[alone]}. " in said(done.stdout)
    assert f"Not run here: {OTHER[alone]}: {OTHER[alone]} cannot be imported" in said(done.stdout)
    assert f"pip install '.[{OTHER[alone]}]' in a clone" in said(done.stdout)
    data = json.loads((tmp_path / "out.json").read_text())
    assert {comparison["implementation"] for comparison in data["comparisons"]} == {alone, f"{alone}.native"}
    assert [line.partition(":")[0] for line in data["summary"]["skipped"]] == [OTHER[alone]]


def test_a_fault_in_the_framework_that_is_there_fails(alone: str) -> None:
    wrong: Any = {"torch": lambda x: 1.001 * torch.relu(x), "jax": lambda x: 1.001 * jax.nn.relu(x)}[alone]
    report = crosscheck.verify("relu", orders=[0], quick=True, replace={alone: wrong})
    assert [(comparison.implementation, comparison.cause) for comparison in report.comparisons if not comparison.passed] == [
        (alone, "definition")
    ]
    summary = report.summary
    assert (summary.failed, summary.comparisons, summary.passed) == (1, 2, False)
    assert str(report).startswith("FAILED: relu: 1 of 2 ")


def test_what_is_asked_of_the_missing_framework_alone_is_refused(run: Run, alone: str) -> None:
    done = run(*RELU, "--implementation", OTHER[alone], "--implementation", "analytic")
    assert done.exit_code == 2
    assert done.stderr.startswith(f"Error: {OTHER[alone]} cannot be imported")
    assert done.stdout == ""


@pytest.mark.parametrize("command", ["verify", "atlas", "explain", "plot", "sweep"])
def test_without_both_nothing_can_be_judged(run: Run, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    hide(monkeypatch, "torch", "jax")
    done = run(command, "relu", *(["--dtype", "bfloat16"] * (command != "explain")))
    assert done.exit_code == 2
    assert done.stderr.count("cannot be imported") == 2
    assert done.stdout == ""


@pytest.mark.full
def test_an_atlas_is_of_the_framework_that_is_there(run: Run, alone: str, tmp_path: Path) -> None:
    done = run("atlas", "relu", "sigmoid", "--quick", "--mode", "eager", "--processes", "1", "--json", "new.json")
    assert done.exit_code == 0, done.output
    assert f", all declared; not run here: {OTHER[alone]}. " in said(done.stdout)
    rows = json.loads((tmp_path / "new.json").read_text())["deviations"]
    assert {row["side"] for row in rows} == {alone}
    assert {
        outcome["implementation"].partition(".")[0] for row in rows for result in row["results"] for outcome in result
    } == {alone}
    assert "relu-negative-zero" not in {row["id"] for row in rows}, "a choice shows between two alone"


def test_an_atlas_of_one_framework_and_one_of_both_are_compared_in_what_both_have(monkeypatch: pytest.MonkeyPatch) -> None:
    both = crosscheck.atlas("relu", modes=["eager"], quick=True)
    assert {row.id for row in both.rows} == {"relu-negative-zero", "relu-gradient-at-nan"}
    hide(monkeypatch, "jax")
    difference = crosscheck.atlas_diff(both)
    assert difference.changes == ()
    assert subjects(difference.notes) == {("only in one atlas", "old", "jax")}


@pytest.mark.full
def test_explain_tells_of_the_framework_that_is_there(run: Run, alone: str) -> None:
    done = run("explain", "linear")
    assert done.exit_code == 0, done.output
    assert f"; not run here: {OTHER[alone]}. " in said(done.stdout)
    assert "PyTorch and JAX agree" not in said(done.stdout)
    assert f"Not run here: {OTHER[alone]}: {OTHER[alone]} cannot be imported" in said(done.stdout)


def test_a_plot_says_in_its_title_what_it_lacks(run: Run, alone: str, tmp_path: Path) -> None:
    done = run("plot", "relu", "--figure", "out.svg")
    assert (done.exit_code, done.stdout) == (0, "out.svg\n")
    assert done.stderr.startswith(f"Not run here: {OTHER[alone]}: {OTHER[alone]} cannot be imported")
    title = crosscheck.plot("relu").get_suptitle()
    assert title == f"relu in float32: own {alone} and the analytic curve; not run here: {OTHER[alone]}"


def test_a_sweep_is_of_the_framework_that_is_there(run: Run, alone: str) -> None:
    done = run("sweep", "relu", "--dtype", "bfloat16", "--order", "0")
    assert done.exit_code == 0, done.output
    assert f"the own implementations keep the budget at each; not run here: {OTHER[alone]} " in said(done.stdout)
    assert f"Not run here: {OTHER[alone]}: {OTHER[alone]} cannot be imported" in said(done.stdout)
    assert {result.implementation for result in crosscheck.sweep("relu", dtype="bfloat16", orders=[0]).results} == {
        alone,
        f"{alone}.native",
    }


@pytest.mark.parametrize(
    "arguments", [("perceptron",), ("compare", "torch:tanh", "jax.numpy:tanh")], ids=lambda arguments: arguments[0]
)
def test_what_needs_both_says_how_to_install_the_other(run: Run, alone: str, arguments: tuple[str, ...]) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith(f"Error: {OTHER[alone]} cannot be imported")
    assert f"pip install '.[{OTHER[alone]}]' in a clone" in done.stderr


@pytest.mark.usefixtures("without_float16")
def test_a_sweep_of_a_dtype_that_no_framework_has_is_refused(run: Run) -> None:
    done = run("sweep", "relu", "--dtype", "float16", "--implementation", "jax")
    assert done.exit_code == 2
    assert "--dtype: got 'float16', which cannot be run here: JaxRuntimeError" in done.stderr


def test_the_formulas_are_judged_without_any_framework(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "torch", "jax")
    done = run("verify", "relu", "--quick", "--implementation", "analytic", "--dtype", "float64")
    assert done.exit_code == 0, done.output


@pytest.fixture
def without_float16(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where XLA compiles for a CPU of which it has no code for float16."""

    def lost(real: Any) -> Callable[..., Any]:
        def call(what: Any, *arguments: Any, **options: Any) -> Any:
            if "float16" in (str(what), str(getattr(arguments[0], "dtype", ""))):
                raise jax.errors.JaxRuntimeError("INTERNAL: Failed to materialize symbols: { wrapped_convert }")
            return real(what, *arguments, **options)

        return call

    for name in ("flush", "derivatives"):
        place = f"crosscheck._frameworks.jax_backend.{name}"
        monkeypatch.setattr(place, lost(pkgutil.resolve_name(place)))
    kept = "crosscheck._frameworks.environment.dtypes"
    monkeypatch.setattr(kept, pkgutil.resolve_name(kept).__wrapped__)  # which keeps nothing


@pytest.mark.usefixtures("without_float16")
def test_a_dtype_that_a_backend_lacks_is_said_and_the_others_are_judged(run: Run) -> None:
    done = run(*RELU, "--dtype", "float16", "--dtype", "bfloat16")
    assert done.exit_code == 0, done.output
    assert "; not run here: float16 in jax. " in said(done.stdout)
    assert "float16 in jax: JaxRuntimeError: INTERNAL: Failed to materialize symbols" in said(done.stdout)
    report = crosscheck.verify("relu", dtypes=["float16", "bfloat16"], orders=[0], quick=True)
    assert {(comparison.implementation, comparison.dtype) for comparison in report.comparisons} == {
        (implementation, dtype)
        for implementation in ("torch", "torch.native", "jax", "jax.native")
        for dtype in ("float16", "bfloat16")
        if (implementation[:3], dtype) != ("jax", "float16")
    }


@pytest.mark.usefixtures("without_float16")
def test_nothing_but_a_dtype_that_is_not_there_is_nothing_compared(run: Run) -> None:
    done = run(*RELU, "--dtype", "float16", "--implementation", "jax")
    assert done.exit_code == 2
    assert done.stdout.startswith("FAILED: nothing was compared.")
    assert "float16 in jax: JaxRuntimeError" in said(done.stdout)


@pytest.mark.usefixtures("without_float16")
def test_models_are_not_compared_in_a_dtype_that_is_not_there() -> None:
    with pytest.raises(
        crosscheck.UsageError, match=r"dtype: no float16 in jax: JaxRuntimeError: INTERNAL: .*; give another"
    ):
        crosscheck.compare_models(torch.nn.Tanh(), lambda p, x: jax.numpy.tanh(x), [1.0], params={}, dtype="float16")


@pytest.mark.usefixtures("without_float16")
def test_env_says_which_dtypes_are_lacking(run: Run) -> None:
    done = run("env")
    assert done.exit_code == 0, done.output
    assert "lacks: float16: JaxRuntimeError: INTERNAL" in said(done.stdout)


@pytest.mark.parametrize(
    ("torch_has", "flags", "jax_has", "onednn_has", "name"),
    [
        ("AVX512", "", "AVX512", "AVX512", "AVX512"),
        ("AVX512", "--xla_foo=1 --xla_cpu_max_isa=SSE4_2", "AVX512", "AVX512", "SSE4_2 in JAX"),
        ("AVX2", "--xla_cpu_max_isa=AVX2", "AVX512", "AVX2", "AVX2"),
        ("AVX2", "", "AVX512", "AVX2", "AVX512 in JAX"),
        ("AVX2", "--xla_cpu_max_isa=AVX2", "AVX512", "AVX512", "AVX512 in oneDNN"),
    ],
)
def test_what_uses_other_instructions_than_torch_makes_another_environment(
    torch_has: str, flags: str, jax_has: str, onednn_has: str, name: str
) -> None:
    """Otherwise what the records say of a CPU would be held against two CPUs at once."""
    mixed = Environment.of(
        {
            "torch": {"version": "2.13.0", "capability": torch_has, "onednn": onednn_has},
            "jax": {"version": "0.10.2", "capability": jax_has, "xla_flags": flags},
        }
    )
    assert str(mixed).endswith(f", {name}")
    assert on_record(mixed) == (" in " not in name)


def test_jax_alone_knows_the_cpu() -> None:
    described = environment()
    assert described["jax"]["capability"] == described["torch"]["capability"]


NO_MODULES = """
import sys
sys.modules[sys.argv[1]] = None
import crosscheck
for name in crosscheck.__all__:
    getattr(crosscheck, name)
for function in (crosscheck.compare_models, crosscheck.copy_weights):
    try:
        function(None, None, None)
    except crosscheck.MissingFrameworkError as error:
        print(error)
"""


@pytest.mark.full
def test_every_public_name_can_be_read_without_a_framework_and_what_needs_it_says_so(alone: str) -> None:
    """In a process of its own, as modules that are imported already do not import it again."""
    done = subprocess.run([sys.executable, "-c", NO_MODULES, OTHER[alone]], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(f"pip install '.[{OTHER[alone]}]' in a clone") == 2
