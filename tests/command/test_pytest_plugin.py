"""The pytest plugin, driven as a user drives it: real runs of pytest over small projects."""

import json
import sys
from pathlib import Path

import pytest

from crosscheck import pytest_plugin

pytestmark = pytest.mark.full

pytest_plugins = ["pytester"]

AGREES = """
import jax.numpy as jnp, torch

def test_tanh(crosscheck):
    assert crosscheck.assert_agree(torch.tanh, jnp.tanh, [crosscheck_input()], order=0).passed

def crosscheck_input():
    import crosscheck
    return crosscheck.uniform(-1, 1, (50,))
"""
DIFFERS = """
import jax.numpy as jnp, torch

def test_scaled(crosscheck):
    crosscheck.assert_agree(lambda x: x * 2, lambda x: x * 2.001, order=0)
"""
OTHERS = """
def test_verify(crosscheck):
    report = crosscheck.verify("relu", quick=True, orders=[0], implementations=["torch"])
    assert {c.dtype for c in report.comparisons} == {"bfloat16"}

def test_compare_takes_the_command_line_s_dtype_and_its_own(crosscheck):
    import torch, jax.numpy as jnp
    assert crosscheck.compare(torch.abs, jnp.abs, order=0).comparisons[0].dtype == "bfloat16"
    assert crosscheck.compare(torch.abs, jnp.abs, order=0, dtype="float16").comparisons[0].dtype == "float16"
"""
MODELS = """
import jax, numpy, pytest, torch

MODEL = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.GELU(), torch.nn.Linear(4, 2))
PARAMS = {name: jax.numpy.asarray(value.detach().numpy()) for name, value in MODEL.named_parameters()}
INPUTS = [numpy.linspace(-1, 1, 6).reshape(2, 3)]

def port(p, x, approximate=False):
    h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"], approximate=approximate)
    return h @ p["2.weight"].T + p["2.bias"]

def test_right(crosscheck):
    report = crosscheck.assert_models_agree(MODEL, port, INPUTS, params=PARAMS)
    assert report.passed

def test_wrong(crosscheck):
    crosscheck.assert_models_agree(MODEL, lambda p, x: port(p, x, True), INPUTS, params=PARAMS, order=0)

def test_looked_at(crosscheck):
    report = crosscheck.compare_models(MODEL, lambda p, x: port(p, x, True), INPUTS, params=PARAMS, order=0)
    assert report.first.torch == "1"

def test_refused(crosscheck):
    crosscheck.assert_models_agree(MODEL, port, INPUTS)
"""
NOTHING = """
def test_nothing(crosscheck):
    pass

def test_no_function(crosscheck):
    crosscheck.assert_agree()

def test_raises(crosscheck):
    raise KeyError("own trouble")
"""
PLAIN = "def test_plain():\n    pass\n"


def run(pytester: pytest.Pytester, source: str, *arguments: str) -> pytest.RunResult:
    pytester.makepyfile(source)
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def test_what_agrees_passes_and_is_summed_up(pytester: pytest.Pytester) -> None:
    result = run(pytester, AGREES)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= crosscheck =*", "1 compared: 1 agree, 0 do not"])


def test_what_differs_fails_with_the_story_and_nothing_of_the_plugin(pytester: pytest.Pytester) -> None:
    result = run(pytester, DIFFERS)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            ">*crosscheck.assert_agree(lambda x: x * 2, lambda x: x * 2.001, order=0)",
            "E *AssertionError: DISAGREE (definition)*",
            "E *PyTorch *",
            "E *JAX *",
            "1 compared: 0 agree, 1 do not",
            "*::test_scaled: DISAGREE (definition)*",
        ]
    )
    assert "pytest_plugin.py" not in result.stdout.str()


def test_models_are_compared_fail_with_the_story_and_are_in_the_json(pytester: pytest.Pytester) -> None:
    result = run(pytester, MODELS, "--crosscheck-json", "all.json", "--crosscheck-seed", "7")
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        [
            ">*crosscheck.assert_models_agree(MODEL, lambda p, x: port(p, x, True), INPUTS, params=PARAMS, order=0)",
            "E *AssertionError: DISAGREE (definition): 1: gelu: the tanh form in JAX, exact in PyTorch.",
            ">*crosscheck.assert_models_agree(MODEL, port, INPUTS)",
            "E *UsageError: jax_model: got a function without its parameters*",
            "3 compared: 1 agree, 2 do not",
        ]
    )
    assert "pytest_plugin.py" not in result.stdout.str()
    tests = json.loads((pytester.path / "all.json").read_text())["tests"]
    assert [(test["kind"], test["passed"]) for test in tests] == [
        ("compare_models", passed) for passed in (True, False, False)
    ]
    assert [test["report"]["summary"]["first"] for test in tests] == [None, "1", "1"]


def test_the_command_line_s_options_are_defaults(pytester: pytest.Pytester) -> None:
    run(pytester, OTHERS, "--crosscheck-dtype", "bfloat16", "--crosscheck-seed", "7").assert_outcomes(passed=2)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["alone", "xdist"])
def test_the_json_has_every_comparison(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    pytester.makepyfile(test_one=AGREES, test_two=DIFFERS)
    result = pytester.runpytest_subprocess("--crosscheck-json", "all.json", *workers)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["2 compared: 1 agree, 1 do not", "written to all.json"])
    data = json.loads((pytester.path / "all.json").read_text())
    assert data["schema"] == pytest_plugin.SCHEMA
    assert data["summary"] == {"comparisons": 2, "passed": 1, "failed": 1}
    tests = {test["test"]: test for test in data["tests"]}
    assert set(tests) == {"test_one.py::test_tanh", "test_two.py::test_scaled"}
    assert tests["test_two.py::test_scaled"]["report"]["summary"]["cause"] == "definition"
    assert tests["test_one.py::test_tanh"]["report"]["schema"] == "crosscheck.report/1"


def test_nothing_compared_and_no_function_fail_and_other_errors_stay(pytester: pytest.Pytester) -> None:
    result = run(pytester, NOTHING)
    result.assert_outcomes(passed=1, failed=2, errors=1)
    out = result.stdout.str()
    assert "def compare(" not in out
    assert "the test uses the fixture crosscheck, but compared nothing" in out
    assert "torch_fn: got NoneType, expected a function" in out
    report, summary = out.split("short test summary info")
    assert report.count("but compared nothing") == 1
    assert summary.count("but compared nothing") <= 1  # pytest shortens it to the terminal, unless it runs in CI


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--crosscheck-dtype", "float31"), "--crosscheck-dtype: got float31, expected one of float64"),
        (("--crosscheck-device", "tpu"), "--crosscheck-device: got tpu, expected one of cpu, gpu"),
        (("--crosscheck-json", "no/such/folder.json"), "--crosscheck-json: got no/such/folder.json"),
        (("--crosscheck-json", "."), "expected a file in a folder that exists"),
    ],
)
def test_bad_options_are_refused_at_once(pytester: pytest.Pytester, arguments: tuple[str, ...], message: str) -> None:
    result = run(pytester, PLAIN, *arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert message in result.stderr.str()


def test_the_file_of_a_run_overwrites_its_own_and_no_other(pytester: pytest.Pytester) -> None:
    path = pytester.makepyfile("def test_plain():\n    pass\n")
    before = path.read_text()
    refused = pytester.runpytest_subprocess("--crosscheck-json", path.name)
    assert refused.ret == pytest.ExitCode.USAGE_ERROR
    assert f"--crosscheck-json: {path.name} exists, and crosscheck did not write it" in refused.stderr.str()
    assert path.read_text() == before
    for _ in range(2):
        assert pytester.runpytest_subprocess("--crosscheck-json", "all.json").ret == pytest.ExitCode.OK


def test_a_run_that_does_not_use_it_says_nothing_and_imports_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Plugins of other libraries import what they like.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.makepyfile(
        "import sys\n\n"
        "def test_plain():\n"
        "    heavy = {'torch', 'jax', 'numpy', 'matplotlib', 'crosscheck._records'}\n"
        "    assert 'crosscheck.pytest_plugin' in sys.modules\n"
        "    assert not heavy & set(sys.modules)\n"
    )
    result = pytester.runpytest_subprocess("-p", "crosscheck")
    result.assert_outcomes(passed=1)
    assert "= crosscheck =" not in result.stdout.str()


def test_a_file_that_cannot_be_written_in_the_end_is_said_and_fails(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain():\n    import shutil\n    shutil.rmtree('out')\n")
    Path(pytester.path / "out").mkdir()
    result = pytester.runpytest_subprocess("--crosscheck-json", "out/all.json")
    assert result.ret == pytest.ExitCode.INTERNAL_ERROR
    result.stdout.fnmatch_lines(["out/all.json was not written: *"])


def test_the_plugin_is_loaded_by_its_entry_point() -> None:
    from importlib.metadata import entry_points

    assert "crosscheck.pytest_plugin" in {point.value for point in entry_points(group="pytest11")}
    assert sys.modules["crosscheck.pytest_plugin"] is pytest_plugin
