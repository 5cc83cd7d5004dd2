"""The atlas: every disagreement with its evidence, found by running; what is not declared, and what tells rows apart."""

import dataclasses
import json
import os
import re
import subprocess
from collections.abc import Callable
from math import exp
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cli
import numpy as np
import pytest
from atlases import Input, Number, Outcome, atlas_of, read_atlas
from conftest import task
from contract import DTYPES, IMPLEMENTATIONS, ORDERS, USUAL_MODES
from declared import ANYWHERE, deviation_of
from facts import subjects
from floats import FORMATS, bits_of

import crosscheck
from crosscheck import Activation, Atlas, AtlasRow, UsageError, activations
from crosscheck._atlas.rows import declared_rows, set_beside

pytestmark = pytest.mark.full

Command = Callable[..., subprocess.CompletedProcess[str]]

FIELDS = "id function implementations dtypes orders modes region inputs results truth cause side reason link bug seen beside"


@pytest.fixture(scope="module")
def made() -> Atlas:
    return crosscheck.atlas(["sigmoid", "relu"], quick=True)


def held(number: Number, dtype: str) -> float:
    fmt = FORMATS[dtype]
    return float(np.array([int(number.bits, 16)], fmt.unsigned).view(fmt.dtype)[0])


def assert_same_number(number: Number, dtype: str) -> None:
    """The decimal gives the bits back; that none is shorter is shown where decimals are made, in test_formats.py."""
    given = np.array([float(number.decimal)]).astype(FORMATS[dtype].dtype)
    assert bits_of(given) == number.bits or (number.decimal == "nan" and np.isnan(held(number, dtype)))


def examples(row: AtlasRow) -> list[tuple[Input, dict[tuple[str, str], Outcome], Number | None]]:
    results = [{(outcome.implementation, outcome.mode): outcome for outcome in some} for some in row.results]
    return list(zip(row.inputs, results, row.truth, strict=True))


def test_every_declared_disagreement_is_a_row_that_was_seen(made: Atlas) -> None:
    ran = set(made.coverage.dtypes)
    all_ = [d for name in ("sigmoid", "relu") for d in activations[name].deviations if ran & set(rows_dtypes(d))]
    declared = [d.id for d in all_ if d.cause != "layout"]
    assert len(declared) < len(all_)
    assert [row.id for row in made.rows] == declared
    assert made.passed, str(made)
    assert all(row.seen and row.declared for row in made.rows)
    assert len(made.distinct) == len(made.rows)


def rows_dtypes(deviation: crosscheck.Deviation) -> list[str]:
    return [dtype for region in deviation.regions for dtype in region.dtypes]


def test_each_region_has_an_example_in_each_dtype_with_every_implementation(made: Atlas) -> None:
    for row in made.rows:
        shown = {(at.region, at.dtype) for at in row.inputs}
        ran = made.coverage.dtypes
        assert shown == {(i, dtype) for i, area in enumerate(row.region) for dtype in area.dtypes if dtype in ran}
        for at, results, truth in examples(row):
            wanted = {(implementation, "eager") for implementation in ("torch", "torch.native", "jax", "jax.native")}
            assert set(results) == wanted | {("jax", "jit"), ("jax.native", "jit")}
            assert_same_number(at.x, at.dtype)
            if truth is not None and row.cause == "inaccurate":
                assert any(results[implementation, "eager"].ulp > 1 for implementation in row.implementations)


def test_an_example_holds_the_results_of_now_and_the_truth(made: Atlas) -> None:
    (row,) = (row for row in made.rows if row.id == "sigmoid-derivative-lost-tail")
    assert (row.function, row.cause, row.side) == ("sigmoid", "inaccurate", "both")
    assert row.natives == {"torch.native": "torch.sigmoid", "jax.native": "jax.nn.sigmoid"}
    example = next(candidate for candidate in examples(row) if (candidate[0].order, candidate[0].dtype) == (1, "float32"))
    at, results, truth = example
    assert (at.x.decimal, at.x.bits) == ("19.5", "0x419c0000")
    assert truth is not None
    assert held(truth, "float32") == np.float32(exp(-19.5) / (1 + exp(-19.5)) ** 2)
    for implementation in ("torch.native", "jax.native"):
        lost = results[implementation, "eager"]
        assert lost.got is not None
        assert (lost.got.decimal, lost.ulp > 2**23) == ("0", True)
    assert results["torch", "eager"].ulp < 5


def test_how_far_it_was_seen_is_measured(made: Atlas) -> None:
    (row,) = (row for row in made.rows if row.id == "sigmoid-derivative-lost-tail")
    for area in row.region:
        if set(area.dtypes) & set(made.coverage.dtypes):
            assert {measured.mode for measured in area.measured} <= set(row.modes)
            assert all(0 < measured.points <= measured.of and measured.max_ulp <= area.max_ulp for measured in area.measured)
        else:
            assert area.measured == ()


def test_a_disagreement_of_another_mode_or_layout_is_a_row_where_that_is_run() -> None:
    modes = crosscheck.atlas("prelu", quick=True, modes=["eager", "forward"])
    (row,) = modes.rows
    assert (row.id, row.modes, row.seen, modes.passed) == ("prelu-forward-slope-at-zero", ("forward",), True, True)
    ((_, results, _), *_) = examples(row)
    shown = {key: outcome.got.decimal for key, outcome in results.items() if outcome.got}
    assert (shown["torch.native", "forward"], shown["torch.native", "eager"]) == ("1", "0.25")
    assert {measured.mode for area in row.region for measured in area.measured} == {"forward"}
    assert "in forward" in modes.markdown()
    everywhere = crosscheck.atlas("hard_tanh", quick=True, layout=True)
    (row,) = (row for row in everywhere.rows if row.cause == "layout")
    assert row.seen
    told = {
        outcome.layout: outcome.got.decimal
        for outcome in row.results[0]
        if outcome.implementation == "torch.native" and outcome.got
    }
    assert told == {"array": "0", "alone": "1", "with gaps": "1", "of swapped axes": "1"}
    labels = ("torch", "torch with this input only", "torch in a view with gaps", "torch in a view of swapped axes")
    assert ", ".join(f"{label} {got}" for label, got in zip(labels, told.values(), strict=True)) in everywhere.markdown()


def test_modes_and_layouts_that_one_atlas_lacks_are_not_compared(tmp_path: Path) -> None:
    more = crosscheck.atlas("prelu", quick=True, modes=["eager", "forward"])
    less = dataclasses.replace(more, rows=(), coverage=dataclasses.replace(more.coverage, modes=("eager",)))
    diff = crosscheck.atlas_diff(less, more)
    assert diff.changes == ()
    assert ("only in one atlas", "new", "forward") in subjects(diff.notes)
    gone = dataclasses.replace(more, rows=())
    assert [change.kind for change in crosscheck.atlas_diff(more, gone).changes] == ["vanished"]
    path = tmp_path / "old.json"
    data = more.data()
    del data["coverage"]["modes"], data["coverage"]["layout"]
    for results in (results for row in data["deviations"] for results in row["results"]):
        for result in results:
            del result["layout"]
    path.write_text(json.dumps(data))
    assert read_atlas(path, "old").coverage.modes == ("eager", "jit")


def test_a_mode_that_cannot_be_run_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    made = crosscheck.atlas("relu", quick=True, modes=["eager", "compile"])
    assert made.coverage.modes == ("eager",)
    assert subjects(made.skipped.values()) == {("no compiler", "no-such-compiler")}
    assert made.skipped["compile"].startswith("torch.compile needs a C++ compiler")
    assert f"Not run here: compile: {made.skipped['compile']}" in " ".join(str(made).split())


def of_one_region(name: str, deviation: crosscheck.Deviation, order: int) -> Atlas:
    """An atlas with the declared row of one region alone, in float32."""
    region = next(region for region in deviation.regions if region.order == order and "float32" in region.dtypes)
    only = dataclasses.replace(deviation, regions=(dataclasses.replace(region, dtypes=("float32",)),))
    changed = dataclasses.replace(activations[name], deviations=(only,))
    made = crosscheck.atlas(changed, dtypes=["float32"], quick=True)
    return dataclasses.replace(made, rows=tuple(row for row in made.rows if row.declared))


def test_of_a_function_of_rows_the_row_is_kept() -> None:
    deviations = activations["softmax"].deviations
    deviation = next(d for d in deviations if any(r.order == 1 and "float32" in r.dtypes for r in d.regions))
    (row,) = of_one_region("softmax", deviation, 1).rows
    for at in row.inputs:
        assert at.place is not None
        assert len(at.place.bits) == len(at.place.direction) >= 1
        assert at.place.position is not None


@pytest.mark.full
def test_of_a_row_as_long_as_a_vocabulary_the_lines_that_make_it_are_kept() -> None:
    made = of_one_region("log_softmax", deviation_of("log_softmax", "log_softmax-long-row"), 0)
    ((at, *_),) = (row.inputs for row in made.rows)
    assert at.place is not None
    assert f"in a row of {at.place.length}" in str(made)
    assert not at.place.bits  # a file with them has megabytes for each
    drawn: dict[str, Any] = {"numpy": np}
    exec("\n".join(at.place.made), drawn)
    assert at.place.length == drawn["row"].size


def test_what_is_not_declared_is_a_row_and_fails() -> None:
    made = crosscheck.atlas("relu", quick=True, dtypes=["float32"], without=["relu-gradient-at-nan"])
    assert not made.passed
    (row,) = (row for row in made.rows if not row.declared)
    assert (row.function, row.cause, row.orders, set(row.implementations)) == (
        "relu",
        "convention",
        (1,),
        {"torch.native", "jax.native"},
    )
    ((at, results, truth),) = examples(row)
    assert (at.x.decimal, truth) == ("nan", None)
    assert results["torch.native", "eager"].got != results["jax.native", "eager"].got
    assert row.id in str(made)
    assert "1 not declared" in " ".join(str(made).splitlines()[:2])


def test_a_declaration_that_the_run_refutes_fails() -> None:
    relu = activations["relu"]
    deviation = deviation_of("relu", "relu-negative-zero")
    anchors = (crosscheck.Anchor(-0.0, {"torch.native": 1.0}),)
    regions = (dataclasses.replace(deviation.regions[0], anchors=anchors, seen=()),)
    wrong = dataclasses.replace(deviation, regions=regions, seen=ANYWHERE)
    changed = dataclasses.replace(relu, deviations=(wrong, *(d for d in relu.deviations if d is not deviation)))
    made = crosscheck.atlas(changed, quick=True, dtypes=["float32"])
    assert not made.passed
    (row,) = (row for row in made.rows if row.findings)
    assert row.id == "relu-negative-zero"
    assert "not the declared 1.0" in str(made)


@pytest.fixture(scope="module")
def listed() -> list[AtlasRow]:
    """The rows of the catalogue without examples, for which nothing is run."""

    def nothing(activation: Activation, sought: Any, *others: object) -> SimpleNamespace:
        at = {"order": sought.order, "parameters": activation.parameters, "input": 0.0, "input_bits": "0x0"}
        return SimpleNamespace(dtype=str(sought.x.dtype), mode="eager", exact=None, results=(), row=None, **at)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crosscheck._atlas.rows.sight", nothing)
        plan = task.Plan(DTYPES, ORDERS, IMPLEMENTATIONS, USUAL_MODES, "cpu", 0)
        return [row for activation in activations.values() for row in declared_rows(activation, [], (), (), plan)]


def seen(*rows: AtlasRow) -> Atlas:
    """An atlas of these rows, as if each had occurred."""
    return atlas_of(*(dataclasses.replace(row, seen=True) for row in rows))


def test_rows_of_one_function_order_and_cause_differ_in_region_or_mechanism_and_say_so(listed: list[AtlasRow]) -> None:
    rows = set_beside(listed)
    assert len({row.id for row in rows}) == len(rows) >= 40
    assert any(row.beside for row in rows)
    for row in rows:
        for other in row.beside:
            assert {"region", "mechanism"} & set(other.differs), (row.id, other)
    assert len(seen(*rows).distinct) == len(rows)


def test_a_row_that_repeats_another_is_told(listed: list[AtlasRow]) -> None:
    first = listed[0]
    twin = dataclasses.replace(first, id="another-name")
    assert len(seen(first, twin).distinct) == 1
    assert set_beside([first, twin])[1].beside[0].differs == ()
    moved = dataclasses.replace(twin, region=tuple(dataclasses.replace(a, intervals=((1.0, 2.0),)) for a in twin.region))
    assert len(seen(first, moved).distinct) == 2
    assert set_beside([first, moved])[1].beside[0].differs == ("region",)


def test_the_file_has_the_documented_layout_and_is_read_back(made: Atlas, tmp_path: Path) -> None:
    made.to_json(tmp_path / "atlas.json")
    data = json.loads((tmp_path / "atlas.json").read_text(), parse_constant=pytest.fail)
    assert data["schema"] == "crosscheck.atlas/1"
    assert data["environment"]["jax"]["version"]
    for row in data["deviations"]:
        assert set(FIELDS.split()) <= set(row)
        assert len(row["inputs"]) == len(row["results"]) == len(row["truth"]) > 0
        assert all(at["x"]["bits"].startswith("0x") for at in row["inputs"])
    assert data["summary"]["distinct"] == len(made.rows)
    assert read_atlas(tmp_path / "atlas.json", "old").data() == made.data()


def test_the_command_prints_and_writes_the_whole_table(command: Command, tmp_path: Path) -> None:
    done = command("atlas", "relu", "--quick", "--json", "a.json", "--markdown", "a.md")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("PASSED: ")
    assert "Error" not in done.stderr
    told = "".join(re.split(r"\s+", done.stdout))
    rows = json.loads((tmp_path / "a.json").read_text())["deviations"]
    markdown = (tmp_path / "a.md").read_text()
    assert len(rows) >= 2
    for row in rows:
        assert row["id"] in told
        assert row["id"] in markdown
        assert f"<{row['link']}>" in markdown


def test_the_whole_table_is_laid_out(made: Atlas) -> None:
    text = str(made)
    assert "own torch, own jax: crosscheck's own; torch, jax: what the frameworks ship" in " ".join(text.split())
    for row in made.rows:
        assert row.id in text


def test_an_undeclared_disagreement_exits_1_and_nothing_compared_2(command: Command, tmp_path: Path) -> None:
    options = ("--quick", "--dtype", "float32")
    assert command("atlas", "relu", *options, "--without", "relu-negative-zero").returncode == 1
    for name in ("torch", "jax"):
        (tmp_path / "broken" / name).mkdir(parents=True)
        (tmp_path / "broken" / name / "__init__.py").write_text("raise OSError('damaged')\n")
    done = command(
        "atlas",
        "relu",
        *options,
        env={"PYTHONPATH": os.pathsep.join([str(tmp_path / "broken"), os.environ.get("PYTHONPATH", "")])},
    )
    assert done.returncode == 2
    assert "torch cannot be imported (OSError: damaged)" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("relut",), "did you mean 'relu'?"),
        (("relu", "--dtype", "float31"), "did you mean 'float32'?"),
        (("relu", "--seed", "-1"), "seed: got -1"),
        (("relu", "--without", "relu-nothing"), "unknown deviation 'relu-nothing'"),
        (("relu", "--markdown", "no/such.md"), "--markdown: the folder"),
        (("relu", "--json", "."), "is a folder"),
        (("--diff", "old.json", "--quick"), "--diff: got --quick too, which has no effect with it"),
        (("a.json", "b.json", "--diff", "old.json"), "expected --diff OLD.json [NEW.json]"),
        (("--diff", "old.json"), "--diff: old.json does not exist"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    cli.assert_refused(command("atlas", *arguments), message)


def test_an_activation_is_named_or_given() -> None:
    with pytest.raises(UsageError, match="got none"):
        crosscheck.atlas([])
