"""Explanations: every declared disagreement with its evidence, and snippets that print what they promise when run."""

import contextlib
import dataclasses
import io
import json
import math
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import crosscheck
from crosscheck import Activation, Deviation, Report, UsageError, _api
from crosscheck._catalogue import load_file
from crosscheck._compare.deviations import seen_here
from crosscheck._numerics.formats import FORMATS
from crosscheck._report.explain import SENTENCES, Disagreement, Explanation, snippet
from crosscheck._spec.records import CAUSES

Command = Callable[..., subprocess.CompletedProcess[str]]

DECLARED = [(a, d) for a in crosscheck.activations.values() for d in a.deviations]

# Gives the wrong value in torch, raises in JAX, and has a parameter.
WRONG = """
import dataclasses
import crosscheck

known = crosscheck.activations


def definition(m, x, negative_slope=0.01):
    return known.leaky_relu.definition(m, x, negative_slope)


def refuse(jax, x, negative_slope):
    raise TypeError("no such thing")


WRONG = dataclasses.replace(
    known.leaky_relu,
    name="wrong",
    definition=definition,
    torch_value=lambda torch, x, negative_slope: known.leaky_relu.torch_value(torch, x, negative_slope) * 1.5,
    torch_gradient=None,
    torch_second=None,
    jax_value=refuse,
    jax_gradient=None,
    jax_second=None,
    natives={},
    deviations=(),
)
"""


def run_snippet(code: str) -> list[str]:
    """What a snippet prints, line by line."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet"})
    return out.getvalue().splitlines()


def same(printed: str, number: float, dtype: str) -> bool:
    with np.errstate(over="ignore"):
        expected = float(np.float64(number).astype(FORMATS[dtype].dtype))
    return printed == repr(expected)


def check_snippets(explanation: Explanation, one: Disagreement) -> None:
    assert one.sighting is not None
    assert one.sighting.results
    for result in one.sighting.results:
        code = snippet(explanation, one.sighting, result)
        assert one.sighting.input_bits in code
        if result.got is None:
            with pytest.raises(Exception, match=r".+"):
                run_snippet(code)
            continue
        assert run_snippet(code) == [repr(result.got)], code
        assert f"# prints {result.got!r}" in code


@pytest.mark.parametrize(("activation", "deviation"), DECLARED, ids=lambda value: getattr(value, "id", ""))
def test_the_snippets_of_a_declared_deviation_reproduce_it(activation: Activation, deviation: Deviation) -> None:
    nothing = Report((), {})
    one = _api._declared(activation, deviation, nothing)
    check_snippets(Explanation(activation, _api._source(activation), nothing, (one,)), one)
    assert one.sighting is not None
    assert [result.subject for result in one.sighting.results] == list(deviation.subjects)
    if seen_here(deviation, _api._deviation_environment(_api.environment(), "cpu")):
        for result in one.sighting.results:
            declared = one.declared_results.get(result.subject)
            assert declared is None or same(repr(result.got), declared, one.sighting.dtype)


def test_every_cause_has_its_sentence() -> None:
    assert tuple(SENTENCES) == CAUSES


def of(report: Report, name: str) -> Report:
    """The part of the catalogue's report that is about one activation."""
    return dataclasses.replace(
        report,
        comparisons=tuple(c for c in report.comparisons if c.function == name),
        findings=tuple(f for f in report.findings if f.deviation.startswith(name)),
    )


def test_the_explanation_says_what_there_is_to_say(catalogue_report: Report) -> None:
    explanation = _api.explained(crosscheck.activations["tanh"], of(catalogue_report, "tanh"))
    text = str(explanation)
    flat = " ".join(text.split())
    assert explanation.passed
    assert r"\tanh(x) = \frac" in text
    for deviation in explanation.activation.deviations:
        assert deviation.id in text
        assert deviation.reason in flat
        assert deviation.link in text
        assert SENTENCES[deviation.cause] in flat
    assert text.count("```python") == sum(len(d.subjects) for d in explanation.activation.deviations)
    assert "not seen in this run" not in text
    data = json.loads(json.dumps(explanation.data(), allow_nan=False))
    assert data["schema"] == "crosscheck.explain/1"
    assert [one["id"] for one in data["disagreements"]] == [d.id for d in explanation.activation.deviations]


def test_kinks_parameters_and_limits_are_said(catalogue_report: Report) -> None:
    text = str(_api.explained(crosscheck.activations["leaky_relu"], of(catalogue_report, "leaky_relu")))
    assert "negative_slope = 0.01" in text
    assert "at x = 0: chosen the gradient 0.01, as in https://" in " ".join(text.split())
    assert "at +infinity value inf, gradient 1" in " ".join(text.split())


def test_an_input_of_nan_and_a_negative_zero_are_kept(catalogue_report: Report) -> None:
    text = str(_api.explained(crosscheck.activations["relu"], of(catalogue_report, "relu")))
    assert "x = -0.0 (0x80000000): float32, value, eager" in text
    assert "x = nan (0x7fc00000): float32, gradient, eager" in text


def test_undeclared_disagreements_are_explained_and_reproduced(tmp_path: Path) -> None:
    path = tmp_path / "wrong.py"
    path.write_text(WRONG)
    (activation,) = load_file(path)
    report = crosscheck.verify(activation, quick=True, orders=[0, 1], dtypes=["float32", "float64", "bfloat16"])
    explanation = _api.explained(activation, report)
    assert not explanation.passed
    found = {(one.subjects, one.cause) for one in explanation.disagreements}
    assert {(("torch",), "definition"), (("jax",), "error")} <= found
    assert all(one.id is None for one in explanation.disagreements)
    for one in explanation.disagreements:
        if one.sighting is None:
            assert one.message is not None
        else:
            check_snippets(explanation, one)
    text = str(explanation)
    assert "NOT DECLARED" in text
    assert "runpy.run_path(" in text
    assert "also in" in text
    assert "jax: error in the gradient (NOT DECLARED)" in text
    assert not any({"torch", "jax"} == set(one.subjects) and one.cause == "error" for one in explanation.disagreements)


def test_each_analytic_formula_can_be_reproduced() -> None:
    relu = crosscheck.activations["relu"]
    broken = dataclasses.replace(relu, derivative=lambda m, x: m.where(x > 0, 1.0, 0.5), deviations=(), natives={})
    report = crosscheck.verify(broken, quick=True, orders=[1], dtypes=["float64"], subjects=["analytic"])
    explanation = _api.explained(broken, report)
    (one,) = explanation.disagreements
    assert one.subjects == ("analytic",)
    assert one.sighting is not None
    code = snippet(explanation, one.sighting, one.sighting.results[0])
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code, {"activation": broken, "RELU": broken})
    assert out.getvalue().strip() == repr(one.sighting.results[0].got)


def test_no_disagreement_is_said(activation_file: Path) -> None:
    (mine,) = load_file(activation_file)
    explanation = _api.explained(mine, crosscheck.verify(mine, quick=True))
    assert explanation.disagreements == ()
    assert "No disagreement: every result of every subject is within its budget" in str(explanation)


def test_the_public_function_is_the_text(monkeypatch: pytest.MonkeyPatch, catalogue_report: Report) -> None:
    asked = []

    def verify(what: Activation, **options: object) -> Report:
        asked.append(what.name)
        return of(catalogue_report, what.name)

    monkeypatch.setattr(_api, "verify", verify)
    text = crosscheck.explain("swish")
    assert asked == ["silu"]
    assert text.startswith("silu, also called swish")


@pytest.mark.parametrize("what", [["relu"], None, 3])
def test_only_a_name_or_a_record_is_explained(what: object) -> None:
    with pytest.raises(UsageError, match=r"what: got \w+, expected the name of an activation or an Activation"):
        crosscheck.explain(what)


def test_the_command_explains_and_writes_json(command: Command, activation_file: Path, tmp_path: Path) -> None:
    done = command("explain", "mine", "--file", str(activation_file), "--json", "mine.json")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.startswith("mine\n")
    assert json.loads((tmp_path / "mine.json").read_text())["summary"]["passed"] is True


def test_the_command_exits_1_where_one_is_not_declared(command: Command, tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    done = command("explain", "wrong", "--file", "wrong.py")
    assert done.returncode == 1, done.stderr
    assert "NOT DECLARED" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("explain", "sigmoit"), "did you mean 'sigmoid'?"),
        (("explain",), "Missing argument 'NAME'"),
        (("explain", "relu", "--json", "no/such.json"), "does not exist"),
        (("explain", "relu", "--file", "nothing.py"), "does not exist"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_bad_input_gets_one_message_and_exit_2(command: Command, arguments: tuple[str, ...], message: str) -> None:
    done = command(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    assert sum(line.startswith("Error:") for line in done.stderr.splitlines()) == 1


def test_the_snippet_check_sees_a_wrong_number() -> None:
    assert not same("0.1", 0.25, "float32")
    assert not same("0.0", -0.0, "float32")
    assert same("nan", math.nan, "bfloat16")
