"""The numbers that parameters may be: others are refused by both frameworks alike, and at the ends all is right."""

import dataclasses
from collections.abc import Iterator
from math import inf, nan
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import torch

import crosscheck
from crosscheck import Range, SpecError, activations

POSITIVE = "a number of at least 1e-30 and of at most 1e+30"
SLOPE = "a number of at least -1e+30 and of at most 1e+30, 0 or at least 1e-30 away from it"
EXPECTED = {
    ("celu", "alpha"): POSITIVE,
    ("elu", "alpha"): SLOPE,
    ("hardshrink", "lambd"): POSITIVE,
    ("leaky_relu", "negative_slope"): SLOPE,
    ("prelu", "weight"): SLOPE,
    ("softplus", "beta"): "a number of at least 1e-15 and of at most 1e+30",
    ("softplus", "threshold"): "a number above -inf",
    ("softshrink", "lambd"): "a number of at least 1e-20 and of at most 1e+30",
    ("squareplus", "b"): "a number of at least 1e-18 and of at most 1e+15",
    ("standardize", "epsilon"): POSITIVE,
    ("threshold", "threshold"): "a finite number",
    ("threshold", "value"): "a number of at least -1e+30 and of at most 1e+30",
}
FAR_AND_NEAR = (nan, inf, -inf, -1.5, 0.0, 1e-40, -1e-40, 1e300, -1e300, 1e40)
"""Of which every parameter refuses some."""


def refused() -> Iterator[tuple[str, str, float]]:
    """What each parameter refuses."""
    for name, activation in activations.items():
        for parameter, allowed in activation.ranges.items():
            yield from ((name, parameter, value) for value in FAR_AND_NEAR if value not in allowed)


X = [[-2.0, -0.25, 0.5, 3.0]]
ARRAYS: dict[str, Any] = {"torch": torch.tensor, "jax": jnp.array}
every_framework = pytest.mark.parametrize("framework", ARRAYS)


def test_every_parameter_but_an_axis_has_a_range() -> None:
    """Those of a new function included: what it may be is part of what it is."""
    given = {(name, key) for name, activation in activations.items() for key in activation.parameters if key != "axis"}
    assert given == {(name, key) for name, activation in activations.items() for key in activation.ranges} == set(EXPECTED)


@every_framework
@pytest.mark.parametrize("power", [62, 70])
def test_an_integer_is_a_number_however_many_bits_it_has(power: int, framework: str) -> None:
    elu = getattr(activations["elu"], framework)
    x = ARRAYS[framework](X)
    assert np.array_equal(np.asarray(elu(x, alpha=-(2**power))), np.asarray(elu(x, alpha=-(2.0**power))))
    with pytest.raises(ValueError, match=r"^threshold: threshold: got "):
        getattr(activations["threshold"], framework)(x, threshold=2**1100)


@every_framework
@pytest.mark.parametrize(("name", "parameter", "value"), list(refused()), ids=str)
def test_another_number_is_refused_with_the_range(name: str, parameter: str, value: float, framework: str) -> None:
    function = getattr(activations[name], framework)
    with pytest.raises(ValueError, match=f"^{name}: {parameter}: got ") as caught:
        function(ARRAYS[framework](X), **{parameter: value})
    assert str(caught.value) == f"{name}: {parameter}: got {value!r}, expected {EXPECTED[name, parameter]}"


def test_each_parameter_refuses_at_least_two_of_them_and_nan_is_one() -> None:
    refusals = list(refused())
    for name, parameter in EXPECTED:
        values = [value for of, which, value in refusals if (of, which) == (name, parameter)]
        assert len(values) >= 2
        assert any(np.isnan(values))


@every_framework
def test_without_its_range_a_wrong_one_is_taken_without_a_word(framework: str) -> None:
    """What the range is there for: celu of a negative alpha is no longer what its name says."""
    celu = dataclasses.replace(activations["celu"], ranges={})
    result = getattr(celu, framework)(ARRAYS[framework](X), alpha=-1.5)
    assert result.shape == (1, 4)


def ends() -> Iterator[tuple[str, dict[str, float]]]:
    """Each function at the finite ends of its ranges, nearest to 0, at 0, and at a number that no narrow dtype holds."""
    for name, activation in activations.items():
        for parameter, allowed in activation.ranges.items():
            for value in (allowed.low, allowed.high, -0.7, 0.0, 0.1, -allowed.smallest, allowed.smallest):
                if np.isfinite(value) and value in allowed and (value or not allowed.smallest or allowed.low < 0):
                    yield name, {**activation.parameters, parameter: float(value)}


ENDS = list({str(end): end for end in ends()}.values())


def right_at(name: str, parameters: dict[str, float], dtypes: list[str]) -> crosscheck.Report:
    """The own implementations alone; the frameworks' have other ranges, and deviations are declared at the usual values."""
    own = dataclasses.replace(activations[name], parameters=parameters, cases=(), natives={}, deviations=())
    return crosscheck.verify(own, dtypes=dtypes, quick=True)


@pytest.mark.parametrize(("name", "parameters"), [end for end in ENDS if not activations[end[0]].rows], ids=str)
def test_all_is_right_at_the_ends(name: str, parameters: dict[str, float]) -> None:
    report = right_at(name, parameters, ["float32"])
    assert report.passed, str(report)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "parameters"), ENDS, ids=str)
def test_all_is_right_at_the_ends_in_every_dtype(name: str, parameters: dict[str, float]) -> None:
    report = right_at(name, parameters, ["float64", "float32", "bfloat16", "float16"])
    assert report.passed, str(report)


@every_framework
@pytest.mark.parametrize("kind", [int, float, np.int64, np.float64, np.float32, np.float16, ml_dtypes.bfloat16])
def test_numbers_of_python_and_numpy_are_looked_at_alike(framework: str, kind: Any) -> None:
    celu, x = getattr(activations["celu"], framework), ARRAYS[framework](X)
    result = celu(x, alpha=kind(2))
    assert result.dtype == x.dtype
    assert (result == celu(x, alpha=2.0)).all()
    with pytest.raises(ValueError, match=r"celu: alpha: got 0.*, expected a number of at least 1e-30"):
        celu(x, alpha=kind(0))
    if kind not in (int, np.int64):
        with pytest.raises(ValueError, match="celu: alpha: got nan, expected a number of at least 1e-30"):
            celu(x, alpha=kind("nan"))


def test_a_parameter_that_is_learned_is_not_looked_into() -> None:
    """A tensor's value would have to be fetched, and a traced one has none."""
    prelu, x = activations["prelu"], torch.tensor(X)
    weight = torch.tensor(1e35, requires_grad=True)
    assert prelu.torch(x, weight=weight).isfinite().all()
    assert prelu.torch(x, weight=torch.tensor(nan)).isnan().any()
    compiled = torch.compile(lambda x, w: prelu.torch(x, weight=w), backend="eager", fullgraph=True)
    assert torch.equal(compiled(x, weight), prelu.torch(x, weight=weight))
    slope = jax.jit(jax.grad(lambda w: prelu.jax(jnp.array(X), weight=w).sum()))(jnp.array(0.5))
    assert slope.item() == -2.25


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_number_is_looked_at_where_torch_compiles(dynamic: bool) -> None:
    celu, x = activations["celu"].torch, torch.tensor(X)
    compiled = torch.compile(lambda x, a: celu(x, alpha=a), backend="eager", fullgraph=True, dynamic=dynamic)
    for alpha in (2.0, 0.5):
        assert torch.equal(compiled(x, alpha), celu(x, alpha=alpha))


def test_a_range_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(SpecError, match=r"Range: got the ends 1.0 and 1.0, expected a lower and a higher one"):
        Range(1.0, 1.0)
    with pytest.raises(SpecError, match=r"Range.low: got '0', expected a number"):
        Range("0", 1.0)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"Range.open: got True, expected True or False for each of the two ends"):
        Range(0.0, 1.0, open=True)  # type: ignore[arg-type]
    with pytest.raises(SpecError, match=r"Range.smallest: got -1.0, expected a number that is not negative"):
        Range(smallest=-1.0)


@pytest.mark.parametrize(
    ("allowed", "inside", "outside"),
    [
        (Range(), (inf, -inf, 0.0), (nan,)),
        (Range(open=(True, True)), (1e308, -1e308, 0), (inf, -inf, nan)),
        (Range(0.0, open=(True, False)), (5e-324, inf), (0.0, -1)),
        (Range(high=2.0, open=(False, True)), (-inf, 1), (2.0, 2, nan)),
        (Range(-1, 1), (-1, 1, 0.5), (1.5, -1.5)),
        (Range(smallest=0.5), (0, 0.5, -0.5), (0.25, -0.25)),
    ],
    ids=str,
)
def test_what_lies_in_a_range(allowed: Range, inside: Any, outside: Any) -> None:
    assert all(value in allowed for value in inside)
    assert not any(value in allowed for value in outside)


def changed(**changes: Any) -> crosscheck.Activation:
    return dataclasses.replace(activations["celu"], natives={}, deviations=(), **changes)


def test_a_record_s_own_values_must_lie_in_its_ranges() -> None:
    with pytest.raises(SpecError, match=r"celu: parameters: alpha: got -1.5, expected a number of at least 1e-30 and"):
        changed(parameters={"alpha": -1.5})
    with pytest.raises(SpecError, match=r"celu: cases: alpha: got 0, expected a number of at least 1e-30"):
        changed(cases=({"alpha": 0},))
    with pytest.raises(SpecError, match=r"celu: ranges: got \['beta'\], expected some of {'alpha'}"):
        changed(ranges={"beta": Range()})
    with pytest.raises(SpecError, match=r"celu: ranges: got .*, expected names of parameters to a Range each"):
        changed(ranges={"alpha": (0, 1)})
    assert dict(changed().ranges) == dict(activations["celu"].ranges)
    with pytest.raises(TypeError):
        changed().ranges["alpha"] = Range()  # type: ignore[index]
