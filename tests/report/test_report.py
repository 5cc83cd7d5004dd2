"""Reports: the answer first, every failure named, strict JSON written whole or not at all."""

import json
from pathlib import Path

import pytest
from declared import deviation_of

import crosscheck
from crosscheck import Report

FIELDS = {
    "function parameters output wrt implementation against dtype order mode device points exhaustive passed cause causes "
    "side max_ulp max_abs worst deviations"
}


@pytest.fixture(scope="module")
def passed() -> Report:
    return crosscheck.verify("sigmoid", quick=True)


@pytest.fixture(scope="module")
def failed() -> Report:
    return crosscheck.verify("relu", quick=True, implementations=["torch", "jax"], replace={"jax": lambda x: x * 2})


def test_the_first_line_is_the_verdict(passed: Report, failed: Report) -> None:
    assert str(passed).startswith("PASSED: sigmoid: ")
    assert (passed.passed, passed.summary.failed, passed.summary.new) == (True, 0, 0)
    assert str(failed).startswith("FAILED: relu: ")


def test_a_failure_names_side_cause_input_and_results(failed: Report) -> None:
    text = " ".join(str(failed).split())
    assert "jax: definition" in text
    assert "(jax side)" in text
    assert "got " in text
    assert "0x" in text


def test_the_deviations_are_listed_with_their_reasons(passed: Report) -> None:
    declared = deviation_of("sigmoid", "sigmoid-derivative-lost-tail")
    assert passed.deviations[declared.id] == ("inaccurate", declared.reason)
    assert f"{declared.id} inaccurate {declared.reason}" in " ".join(str(passed).split())


def test_json_has_the_documented_layout(passed: Report, tmp_path: Path) -> None:
    passed.to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert data["schema"] == "crosscheck.report/1"
    assert set(data) == {"schema", "environment", "comparisons", "summary"}
    assert data["summary"]["passed"] is True
    assert len(data["comparisons"]) == len(passed.comparisons)
    for comparison in data["comparisons"]:
        assert set(" ".join(FIELDS).split()) <= set(comparison)
        for count in comparison["causes"].values():
            assert count["worst"]["input_bits"].startswith("0x")
    assert data["environment"]["torch"]["version"]


def test_a_failed_comparison_is_written_as_failed(failed: Report, tmp_path: Path) -> None:
    failed.to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text())
    assert data["summary"]["passed"] is False
    assert data["summary"]["failed"] == sum(not c.passed for c in failed.comparisons) > 0
    assert [c["passed"] for c in data["comparisons"]] == [c.passed for c in failed.comparisons]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_json_lacks_are_strings(number: str, tmp_path: Path) -> None:
    function = {"torch": lambda x: x * 0 + float(number)}
    options = {"dtypes": ["float32"], "orders": [0], "implementations": ["torch"], "quick": True}
    crosscheck.verify("sigmoid", **options, replace=function).to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text(), parse_constant=pytest.fail)
    assert data["comparisons"][0]["worst"]["got"] == number


def test_an_interrupted_write_leaves_the_old_file(failed: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    path.write_text("old")

    def interrupt(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        failed.to_json(path)
    assert [file.name for file in tmp_path.iterdir()] == ["report.json"]
    assert path.read_text() == "old"


def test_nothing_compared_is_a_failure() -> None:
    assert not Report((), {}).passed
    assert str(Report((), {})).startswith("FAILED: ")
