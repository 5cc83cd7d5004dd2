"""The records refuse what contradicts itself, and the catalogue finds what it holds."""

import dataclasses
import re
from collections.abc import Callable
from math import inf, nan
from pathlib import Path
from typing import Any

import cli
import pytest

import crosscheck
from crosscheck import (
    Activation,
    Anchor,
    Deviation,
    Kink,
    Limits,
    Native,
    Region,
    Seen,
    SpecError,
    UnknownActivationError,
)


def activation(**changes: Any) -> Activation:
    """A record of the test's own: ReLU's formulas under another name."""
    plain: dict[str, Any] = {"name": "mine", "aliases": (), "natives": {}, "deviations": ()}
    return dataclasses.replace(crosscheck.activations["relu"], **{**plain, **changes})


def region(**changes: Any) -> Region:
    plain: dict[str, Any] = {
        "order": 0,
        "dtypes": ("float32",),
        "intervals": ((0.0, 1.0),),
        "anchors": (Anchor(0.5, {"torch.native": 0.0}),),
    }
    return Region(**{**plain, **changes})


def deviation(**changes: Any) -> Deviation:
    plain: dict[str, Any] = {
        "id": "mine-differs",
        "cause": "convention",
        "implementations": ("torch.native",),
        "regions": (region(),),
        "reason": "Because.",
        "link": "https://example.org",
        "seen": (Seen(torch="~=2.13.0", jax="~=0.10.2"),),
    }
    return Deviation(**{**plain, **changes})


def kink(**changes: Any) -> Kink:
    return Kink(**{"at": 0.0, "chosen": {1: "left"}, "source": "source", **changes})


def given_parameters(**changes: Any) -> Activation:
    return activation(parameters={"alpha": 1.0}, **changes)


CONTRADICTIONS: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (region, {"order": 3}, "Region.order: got 3, expected one of (0, 1, 2)"),
    (region, {"order": -1}, "Region.order: got -1"),
    (region, {"dtypes": ()}, "Region.dtypes: got ()"),
    (region, {"dtypes": ("float32", "float8")}, "Region.dtypes: got ('float32', 'float8')"),
    (region, {"intervals": ()}, "must not be empty"),
    (region, {"anchors": ()}, "must not be empty"),
    (region, {"intervals": ((1.0, 0.0),)}, "Region.intervals: got (1.0, 0.0), expected low <= high"),
    (region, {"intervals": ((nan, 1.0),)}, "Region.intervals: got (nan, 1.0)"),
    (region, {"intervals": ((0.0, nan),)}, "Region.intervals: got (0.0, nan)"),
    (region, {"anchors": (Anchor(2.0, {}),)}, "Region.anchors: 2.0 lies in none of the intervals"),
    (region, {"anchors": (Anchor(nan, {}),)}, "Region.anchors: nan lies in none of the intervals"),
    (region, {"intervals": ((nan, nan),)}, "Region.anchors: 0.5 lies in none of the intervals"),
    (deviation, {"id": ""}, "must not be empty"),
    (deviation, {"reason": ""}, "'mine-differs': id, reason, link and seen must not be empty"),
    (deviation, {"link": ""}, "must not be empty"),
    (deviation, {"seen": ()}, "must not be empty"),
    (deviation, {"cause": "bug"}, "cause: got 'bug'"),
    (deviation, {"cause": "rounding"}, "cause: got 'rounding'"),
    (deviation, {"cause": "exact"}, "cause: got 'exact'"),
    (deviation, {"implementations": ()}, "implementations: got ()"),
    (deviation, {"implementations": ("torch",)}, "implementations: got ('torch',), expected natives"),
    (deviation, {"implementations": ("numpy.native",)}, "implementations: got ('numpy.native',), expected natives, some of"),
    (deviation, {"modes": ()}, "modes: got ()"),
    (deviation, {"modes": ("eager", "fast")}, "modes: got ('eager', 'fast')"),
    (deviation, {"regions": ()}, "regions must not be empty"),
    (region, {"modes": ("fast",)}, "Region.modes: got ('fast',), expected some of"),
    (region, {"seen": ("here",)}, "Region.seen: got ('here',), expected Seens"),
    (
        deviation,
        {"modes": ("jit",), "regions": (region(modes=("eager",)),)},
        "a region has the modes ('eager',), expected some",
    ),
    (deviation, {"implementations": ("jax.native",)}, "an anchor has results of {'torch.native'}"),
    (activation, {"name": ""}, "Activation.name: got ''"),
    (activation, {"name": "leaky-relu"}, "got 'leaky-relu', expected a Python identifier"),
    (activation, {"natives": {"numpy": Native("numpy.maximum")}}, "natives: got {'numpy'}"),
    (activation, {"cases": ({"alpha": 1.0},)}, "cases: got {'alpha': 1.0}, expected exactly set()"),
    (given_parameters, {"cases": ({},)}, "cases: got {}, expected exactly {'alpha'}"),
    (activation, {"domain": (1.0, 1.0)}, "mine: domain: got (1.0, 1.0), expected a lower and a higher end"),
    (activation, {"rows": True, "domain": (0.0, inf)}, "expected none for a function of rows"),
    (activation, {"torch_gradient": None}, "mine: torch_second is given without torch_gradient"),
    (activation, {"jax_gradient": None}, "mine: jax_second is given without jax_gradient"),
    (activation, {"deviations": (deviation(), deviation())}, "mine: deviations: an id occurs twice"),
    (
        activation,
        {"natives": {"jax": Native("jax.nn.relu", lacks=("beta",))}},
        "mine: natives: jax: got ['beta'], expected",
    ),
    (
        activation,
        {"deviations": (deviation(regions=(region(parameters={"beta": 1.0}),)),)},
        "mine: mine-differs: got ['beta'], expected",
    ),
    (kink, {"chosen": {1: "above"}}, "Kink.chosen: got 'above', expected a number, 'left' or 'right'"),
]


@pytest.mark.parametrize(
    ("build", "changes", "message"),
    CONTRADICTIONS,
    ids=[f"{build.__name__}-{'-'.join(changes)}" for build, changes, _ in CONTRADICTIONS],
)
def test_a_contradiction_is_refused(build: Callable[..., object], changes: dict[str, Any], message: str) -> None:
    build()
    with pytest.raises(SpecError, match=re.escape(message)):
        build(**changes)


@pytest.mark.parametrize(
    ("intervals", "at"),
    [(((nan, nan),), nan), (((0.0, 0.0),), -0.0), (((-inf, 0.0),), -inf), (((0.0, 1.0), (5.0, 6.0)), 6.0)],
    ids=["nan", "zero", "infinity", "second-interval"],
)
def test_named_points_and_closed_intervals_are_regions(intervals: tuple[tuple[float, float], ...], at: float) -> None:
    assert region(intervals=intervals, anchors=(Anchor(at, {}),)).anchors[0].input is at


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (activation(), "name"),
        (region(), "order"),
        (deviation(), "cause"),
        (Anchor(0.0, {}), "input"),
        (Kink(0.0, {1: 0.0}, "source"), "at"),
        (Limits((0, 0, 0), (0, 0, 0)), "plus"),
        (Native("torch.relu"), "path"),
        (Seen(torch=">=2", jax=">=0.4"), "device"),
    ],
    ids=lambda value: type(value).__name__ if dataclasses.is_dataclass(value) else value,
)
def test_records_are_frozen(record: object, field: str) -> None:
    before = getattr(record, field)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(record, field, None)
    assert getattr(record, field) is before


def test_parameters_cannot_be_changed_from_outside() -> None:
    defaults = {"alpha": 1.0}
    record = activation(parameters=defaults)
    defaults["alpha"] = 2.0
    assert record.parameters == {"alpha": 1.0}
    with pytest.raises(TypeError):
        record.parameters["alpha"] = 3.0  # type: ignore[index]


def test_limits_and_kinks_may_depend_on_the_parameters() -> None:
    record = activation(
        parameters={"alpha": 1.0},
        limits=lambda alpha: Limits((-alpha, 0, 0), (inf, 1, 0)),
        kinks=lambda alpha: (Kink(alpha, {1: 0.0}, "source"),),
    )
    assert record.limits_at({"alpha": 3.0}).minus == (-3.0, 0, 0)
    assert record.kinks_at({"alpha": 3.0})[0].at == 3.0


def test_a_native_is_called_with_its_own_defaults_and_with_the_parameters_that_it_has() -> None:
    record = activation(
        parameters={"alpha": 1.0, "beta": 2.0},
        natives={
            "torch": Native("torch.celu", parameters={"alpha": "a"}, matched={"b": 2.0, "exact": True}),
            "jax": Native("jax.nn.celu", lacks=("beta",)),
        },
    )
    other = {"alpha": 3.0, "beta": 2.0}
    assert record.native_arguments("torch", record.parameters) == {}
    assert record.native_arguments("torch", record.parameters, matched=True) == {"b": 2.0, "exact": True}
    assert record.native_arguments("torch", other) == {"a": 3.0, "beta": 2.0}
    assert record.native_arguments("torch", other, matched=True) == {"b": 2.0, "exact": True, "a": 3.0, "beta": 2.0}
    assert record.native_arguments("jax", other) == {"alpha": 3.0}
    assert record.native_arguments("jax", {"alpha": 3.0, "beta": 1.0}) is None
    softmax = crosscheck.activations["softmax"]
    assert softmax.native_arguments("torch", softmax.parameters) == {"dim": -1}


def test_the_catalogue_is_a_sorted_mapping_of_names() -> None:
    names = list(crosscheck.activations)
    assert names == sorted(names)
    assert {"relu", "sigmoid", "tanh"} <= set(names)
    assert len(crosscheck.activations) == len(names)
    assert all(crosscheck.activations[name].name == name for name in names)
    assert all(name in repr(crosscheck.activations) for name in names)


def test_a_name_and_an_alias_find_the_record_by_item_and_by_attribute() -> None:
    assert any(record.aliases for record in crosscheck.activations.values())
    for record in crosscheck.activations.values():
        for name in (record.name, *record.aliases):
            assert crosscheck.activations[name] is record
            assert getattr(crosscheck.activations, name) is record
            assert name in crosscheck.activations
        assert not {*record.aliases} & {*crosscheck.activations}


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownActivationError, match="unknown activation 'sigmod'; did you mean 'sigmoid'") as caught:
        crosscheck.activations["sigmod"]
    assert str(caught.value).startswith("unknown")
    assert isinstance(caught.value, KeyError)
    with pytest.raises(AttributeError, match="did you mean 'sigmoid'"):
        _ = crosscheck.activations.sigmod
    with pytest.raises(AttributeError):
        _ = crosscheck.activations._sigmoid
    assert "sigmod" not in crosscheck.activations


def test_an_unknown_name_near_an_alias_suggests_the_alias() -> None:
    with pytest.raises(UnknownActivationError, match="did you mean 'swish'"):
        crosscheck.activations["swich"]


def test_an_unknown_name_near_none_lists_all() -> None:
    with pytest.raises(UnknownActivationError) as caught:
        crosscheck.activations["zzz"]
    assert "did you mean" not in str(caught.value)
    assert all(name in str(caught.value) for name in crosscheck.activations)


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({}, "mine"),
        ({"name": "other"}, "other"),
        ({"name": "new", "aliases": ("mine",)}, "mine"),
        ({"name": "new", "aliases": ("fine", "other")}, "other"),
    ],
    ids=["name-name", "name-alias", "alias-name", "alias-alias"],
)
def test_one_name_for_two_is_refused(changes: dict[str, Any], taken: str, activation_file: Path) -> None:
    two = f"""
from dataclasses import replace

FIRST = replace(MINE, aliases=("other",))
SECOND = replace(MINE, **{changes})
del MINE
"""
    activation_file.write_text(activation_file.read_text() + two)
    assert repr(taken) in refused(activation_file)


def refused(path: Path) -> str:
    """What the command says of a file without a record that it could take."""
    done = cli.run("list", "--file", str(path))
    assert done.exit_code == 2
    return " ".join(done.output.split())


def test_a_file_gives_its_records(activation_file: Path) -> None:
    done = cli.run("list", "--file", str(activation_file))
    assert done.exit_code == 0
    assert "\nmine " in done.output


NO_RECORD = {
    "absent.py": (None, "does not exist or is not a file"),
    "notes.txt": ("hello", "is not a Python file (its name must end in .py)"),
    "empty.py": ("", "holds no record; assign one, such as MINE = crosscheck.Activation("),
    "half.py": ("def f(:\n", "does not import: SyntaxError"),
    "broken.py": ("1 / 0\n", "does not import: ZeroDivisionError: division by zero"),
    "wanting.py": ("import no_such_module\n", "does not import: ModuleNotFoundError"),
    "wrong.py": ("import crosscheck\ncrosscheck.Region(7, (), (), ())\n", "Region.order: got 7"),
    "leaving.py": ("raise SystemExit(3)\n", "does not import: SystemExit"),
}


@pytest.mark.parametrize("name", NO_RECORD)
def test_a_file_that_gives_no_record_says_why(tmp_path: Path, name: str) -> None:
    text, message = NO_RECORD[name]
    path = tmp_path / name
    if text is not None:
        path.write_text(text)
    said = refused(path)
    assert message in said
    assert str(path) in said


def test_a_folder_is_not_a_file(tmp_path: Path) -> None:
    assert "does not exist or is not a file" in refused(tmp_path)
