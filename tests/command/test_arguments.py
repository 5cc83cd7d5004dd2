"""Wrong arguments of public functions: each gets one message that names it; dtypes may be those of a framework."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from cli import main
from click.testing import CliRunner

import crosscheck
from crosscheck import UnknownActivationError, UsageError

elu = crosscheck.activations.elu
X = torch.zeros(2)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: crosscheck.verify(3), "what: got int, expected the name of an activation or an Activation"),
        (lambda: crosscheck.verify(["relu", None]), "what: got NoneType"),
        (lambda: crosscheck.atlas(3), "what: got int"),
        (lambda: crosscheck.sweep([]), "what: got list"),
        (lambda: crosscheck.verify("elu", orders=["0"]), "order: got '0', a str, expected the int 0"),
        (lambda: crosscheck.verify("elu", orders=1.0), "unknown order '1.0'"),
        (lambda: crosscheck.verify("elu", orders=True), "unknown order 'True'"),
        (lambda: crosscheck.verify("elu", dtypes=3), "unknown dtype '3'"),
        (lambda: crosscheck.verify("elu", dtypes=[torch.int8]), "unknown dtype 'int8'"),
        (lambda: crosscheck.verify("elu", dtypes=int), "unknown dtype 'int"),
        (lambda: crosscheck.verify("elu", dtypes=[None]), "unknown dtype 'None'"),
        (lambda: crosscheck.perceptron(dtype=torch.float16), "unknown dtype 'float16'"),
        (lambda: crosscheck.verify("elu", modes=[[]]), "unknown mode '[]'"),
        (lambda: crosscheck.atlas("elu", modes=np.zeros(2)), "unknown mode '0.0'"),
        (lambda: crosscheck.verify("elu", replace=3), "replace: got int, expected a dict of functions"),
        (lambda: crosscheck.verify("elu", replace={"torch": 3}), "replace['torch']: got int, expected a function"),
        (lambda: crosscheck.sweep("elu", replace={"torch": "elu"}), "replace['torch']: got str, expected a function"),
        (lambda: crosscheck.verify("elu", without=3), "unknown deviation '3'"),
        (lambda: crosscheck.verify("elu", layout=np.zeros(2)), "layout: got ndarray, expected True or False"),
        (lambda: crosscheck.verify("elu", quick="no"), "quick: got str, expected True or False"),
        (lambda: crosscheck.sweep("elu", resume=None), "resume: got NoneType, expected True or False"),
        (lambda: crosscheck.verify("elu", progress=3), "progress: got int, expected a function"),
        (lambda: crosscheck.sweep("elu", dtype="bfloat16", progress=3), "progress: got int"),
        (lambda: crosscheck.sweep("elu", dtype="bfloat16", out=3), "out: got int, expected a path"),
        (lambda: crosscheck.atlas_diff(3), "old: got int, expected a path"),
        (lambda: crosscheck.dump(3, x=X), "path: got int, expected a path"),
        (lambda: crosscheck.perceptron(plant=3), "plant: got int, expected a dict of faults by framework"),
        (lambda: crosscheck.perceptron(replace={"jax": 1}), "replace['jax']: got int, expected a function"),
        (lambda: crosscheck.compare(jnp.tanh, torch.tanh), "torch_fn, jax_fn: got a function of JAX first"),
    ],
)
def test_a_wrong_argument_is_named(call: Any, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        call()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("key", [3, None, [], ("relu",)])
def test_a_key_of_the_catalogue_that_is_no_name_is_no_activation(key: Any) -> None:
    with pytest.raises(UnknownActivationError, match=f"activation: got {type(key).__name__}, expected a name"):
        crosscheck.activations[key]
    assert crosscheck.activations.get(key) is None


@pytest.mark.parametrize("wrong", [None, "1", [1.0], 1j, {}])
def test_a_parameter_that_is_no_number_is_refused(wrong: Any) -> None:
    for function, x in ((elu.torch, X), (elu.jax, jnp.zeros(2))):
        with pytest.raises(TypeError, match=r"elu: alpha: got .*, expected a number of at least"):
            function(x, alpha=wrong)


@pytest.mark.parametrize("nan", [float("nan"), np.float32("nan"), np.float64("nan")])
def test_nan_is_no_parameter(nan: Any) -> None:
    with pytest.raises(ValueError, match="elu: alpha: got nan, expected a number"):
        elu.torch(X, alpha=nan)


def test_a_scalar_of_a_framework_is_a_parameter() -> None:
    for alpha in (2, np.float32(2), torch.tensor(2.0)):
        assert torch.equal(elu.torch(torch.full((1,), -1.0), alpha=alpha), elu.torch(torch.full((1,), -1.0), alpha=2.0))


DTYPES = [torch.bfloat16, jnp.bfloat16, jnp.dtype("bfloat16"), "bfloat16"]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_of_frameworks_are_taken(dtype: Any) -> None:
    for dtypes in (dtype, [dtype], (dtype, "bfloat16")):
        report = crosscheck.verify("relu", dtypes=dtypes, orders=np.int64(0), implementations="torch", modes="eager")
        assert [comparison.dtype for comparison in report.comparisons] == ["bfloat16"]
    assert (
        crosscheck.compare(torch.tanh, jnp.tanh, crosscheck.normal(4), dtype=dtype, order=0).comparisons[0].dtype
        == "bfloat16"
    )


def raising(x: Any) -> Any:
    raise RuntimeError("not here")


def test_two_functions_that_raise_are_not_compared() -> None:
    both = crosscheck.compare(raising, raising, crosscheck.normal(4))
    assert not both.passed
    assert not both.ran
    assert both.verdict.startswith("FAILED: raising / raising: nothing was compared, the torch function raised")
    report = crosscheck.compare(raising, jnp.tanh, crosscheck.normal(4))
    assert report.ran
    assert "nothing was compared" not in report.headline


@pytest.mark.parametrize(
    ("line", "code", "message"),
    [
        (
            "compare jax.numpy:tanh torch:tanh",
            2,
            "MODULE:FN, MODULE:FN: got a function of JAX first and one of torch second",
        ),
        ("compare operator:not_ os.path:join --shape 3", 2, ""),
        ("compare os.path:join jax.numpy:tanh --shape 3", 1, ""),
        ("compare torch:tanh jax.numpy:tanh --seed -1", 2, "--seed: got -1, expected"),
        ("verify relu --quick --thorough", 2, "--quick, --thorough: got both"),
        ("verify relu --mode all --mode foo", 2, "unknown mode 'foo'"),
        ("atlas relu --mode foo --mode all", 2, "unknown mode 'foo'"),
        ("atlas --diff a.json b.json c.json", 2, "--diff: got b.json, c.json, expected --diff OLD.json [NEW.json]"),
        ("atlas --diff a.json --seed 0", 2, "--diff: got --seed too, which has no effect with it"),
        ("perceptron --learning-rate 0", 2, "--learning-rate: got 0.0, expected"),
        ("perceptron --epochs 0", 2, "--epochs: got 0, expected an integer of at least 1; --epochs 1000 is what OR needs"),
        ("sweep --table folder --dtype float32", 2, "--table: got --dtype too, which has no effect with it"),
        ("sweep relu --resume", 2, "--resume: got no folder; give that of the sweep to continue, --out FOLDER"),
        ("sweep softmax", 2, "NAME: got softmax, a function of rows"),
        ("list --file nothing.py", 2, "--file: nothing.py does not exist"),
    ],
)
def test_a_command_calls_its_options_by_their_names(line: str, code: int, message: str) -> None:
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == code, done.output
    assert done.stderr.startswith(f"Error: {message}" if message else "")
    assert ("nothing was compared" in done.output) == (code == 2 and not message)


def test_bytes_that_are_no_array_are_no_python_objects(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.npy", "a.npz"):
        (tmp_path / name).write_bytes(bytes(range(7, 200)))
        done = CliRunner().invoke(main, ["diff", name, name])
        assert done.exit_code == 2
        assert done.stderr.startswith(f"Error: A: {name} is not a whole {name[1:]} file: ")
    np.save("objects.npy", np.array([object]), allow_pickle=True)
    assert "holds Python objects" in CliRunner().invoke(main, ["diff", "objects.npy", "objects.npy"]).stderr
