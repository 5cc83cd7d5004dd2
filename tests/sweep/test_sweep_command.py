"""`crosscheck sweep` and its arguments: what is printed, written, drawn and refused."""

import json
from pathlib import Path
from typing import Any

import cli
import pytest
from click.testing import Result
from PIL import Image

import crosscheck
from crosscheck import UsageError


def run(*arguments: str) -> Result:
    """The command in this process, where the frameworks are loaded already."""
    return cli.run("sweep", *arguments)


@pytest.mark.full
def test_results_are_printed_written_drawn_and_read_again(tmp_path: Path) -> None:
    files = {"json": tmp_path / "gelu.json", "figure": tmp_path / "gelu.png"}
    done = run(
        *("gelu", "--range", "-0.5", "0xbeffff00", "--processes", "1", "--out", str(tmp_path / "kept")),
        *(f"--{option}={path}" for option, path in files.items()),
    )
    assert done.exit_code == 0, done.output
    words = " ".join(done.stdout.split())
    assert words.startswith("gelu, float32: every input from -0.5 to -0.499992371, 257: the own implementations keep")
    rows = [" ".join(line.split()) for line in done.output.splitlines() if line.startswith(("value", "gradient"))]
    wanted = [
        f"{order} {name} "
        for name in ("own torch", "own jax", "torch", "jax", "jax matched")
        for order in ("value", "gradient")
    ]
    assert [row.startswith(start) for row, start in zip(rows, wanted, strict=True)] == [True] * 10
    assert "torch and jax matched differ in bits at" in done.output
    data = json.loads(files["json"].read_text())
    assert (data["schema"], data["function"], data["dtype"]) == ("crosscheck.sweep/1", "gelu", "float32")
    assert [result["inputs"] for result in data["results"]] == [257] * 10
    with Image.open(files["figure"]) as image:
        assert min(image.size) > 500
        assert len(image.convert("RGB").getcolors(2**24) or ()) > 20
    table = run("--table", str(tmp_path))
    assert table.exit_code == 0
    assert table.output.count("gelu") == 11
    read_back = [" ".join(line.split()) for line in table.output.splitlines()]
    assert all(f"gelu {row}" in read_back for row in rows)


def test_a_function_without_errors_is_drawn(tmp_path: Path) -> None:
    report = crosscheck.sweep("relu", range=(1.0, 2.0), implementations=["torch"])
    assert [result.binades for result in report.results] == [(), ()]
    assert [axes.get_title() for axes in report.plot().axes[:2]] == ["relu value, float32", "relu gradient, float32"]
    assert "relu" in report.document().markdown()


def test_an_own_implementation_beyond_its_budget_fails(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        "import dataclasses\nfrom crosscheck import activations\n\n\n"
        "def value(framework, x):\n    return x * 1.00001\n\n\n"
        "MINE = dataclasses.replace(activations['relu'], name='mine', aliases=(), deviations=(), torch_value=value)\n"
    )
    done = run("mine", "--file", str(path), "--range", "1", "1.001", "--order", "0")
    assert done.exit_code == 1, done.output
    assert "the value of own torch is beyond its budget of 4 ULP" in done.output


WRONG = {
    "float64": (("relu", "--dtype", "float64"), "dtype: got float64, whose 2^64 values would take 5,8"),
    "dtype": (("relu", "--dtype", "float8"), "unknown dtype 'float8'"),
    "rows": (("softmax",), "NAME: got softmax, a function of rows, which are too many"),
    "name": (("sigmod",), "did you mean 'sigmoid'"),
    "order": (("relu", "--order", "2"), "unknown order '2'"),
    "implementation": (
        ("gelu", "--implementation", "torch.native.matched"),
        "unknown implementation 'torch.native.matched'",
    ),
    "range order": (("relu", "--range", "1", "-1"), "range: got 1 and -1, expected the lower end first"),
    "range words": (("relu", "--range", "one", "2"), "range: got 'one', expected a number, or bits in hexadecimal"),
    "range nan": (("relu", "--range", "0", "nan"), "range: got nan, which has many bit patterns; give its bits"),
    "range bits": (("relu", "--range", "0", "0x1ffffffff"), "range: got the bits 0x1ffffffff, expected at most 8 digits"),
    "device": (("relu", "--device", "tpu"), "unknown device 'tpu'"),
    "resume": (("relu", "--resume"), "resume: got no folder; give that of the sweep"),
    "nothing": ((), "NAME, --table: give the name of an activation, or a folder of results, and not both"),
    "both": (
        ("relu", "--table", "."),
        "NAME, --table: give the name of an activation, or a folder of results, and not both",
    ),
    "options of a run": (("--table", ".", "--json", "a.json"), "--table: got --json too, which has no effect with it"),
    "one file": (("relu", "--json", "a.svg", "--figure", "a.svg"), "--json, --figure: got the same file a.svg"),
    "no results": (("--table", "/dev"), "table: /dev holds no .json file"),
    "a file of results": (("--table", "/dev/null"), "table: /dev/null is a file, expected a folder"),
    "no folder of results": (("--table", "/nowhere"), "table: /nowhere does not exist, expected a folder"),
    "out": (
        ("relu", "--range", "0", "1", "--processes", "1", "--out", "/dev/null/x"),
        "out: the folder /dev/null/x cannot be",
    ),
    "plot": (("relu", "--figure", "a.txt"), "--figure: got 'a.txt' with the suffix '.txt'"),
}


@pytest.mark.parametrize("what", WRONG)
def test_bad_input_gets_one_message(what: str) -> None:
    arguments, message = WRONG[what]
    done = run(*arguments)
    assert done.exit_code == 2, done.output
    assert message in done.output
    assert done.output.startswith("Error: ")
    assert done.output.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"processes": 0}, "processes: got 0, expected an integer of at least 1"),
        ({"range": (1.0,)}, "range: got"),
        ({"replace": {"torch.nativ": abs}}, "unknown implementation 'torch.nativ'"),
        ({"replace": {"torch": abs}, "processes": 2}, "processes, executor: functions in an implementation's place"),
        ({"implementations": []}, "implementation: got none"),
    ],
    ids=["processes", "range", "replace", "replace and processes", "implementations"],
)
def test_bad_arguments_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        crosscheck.sweep("relu", **options)


def changed(**fields: Any) -> str:
    """A kept sweep with some fields of its first result changed."""
    data = json.loads((Path(__file__).parents[2] / "results" / "relu-float32.json").read_text())
    data["results"][0] |= fields
    return json.dumps(data)


def test_a_file_that_is_no_sweep_is_refused(tmp_path: Path) -> None:
    for content, message in (
        ("{", "is not whole JSON"),
        ('{"schema": "crosscheck.report/1"}', "has the schema 'crosscheck.report/1', expected 'crosscheck.sweep/1'"),
        ('{"schema": "crosscheck.sweep/1"}', "is not a whole sweep: Object missing required field"),
        ("[" * 100_000, "is not whole JSON"),
        (changed(order=7), "results: 'torch', order 7, 4294967296 inputs are no result of a sweep"),
        (changed(max_ulp="many"), "Expected `float | null`, got `str` - at `$.results[0].max_ulp`"),
    ):
        (tmp_path / "a.json").write_text(content)
        done = run("--table", str(tmp_path))
        assert done.exit_code == 2
        assert message in done.output


@pytest.mark.parametrize(("out", "said"), [((), "nothing is kept"), (("--out", "."), "continue with the same command")])
def test_ctrl_c_is_told_once_with_what_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, out: tuple[str, ...], said: str
) -> None:
    def stopped(*given: Any, **options: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("crosscheck._sweep.sweep.sweep", stopped)
    done = run("relu", *out)
    assert (done.exit_code, done.stdout) == (130, "")
    assert done.stderr.startswith(f"Stopped: {said}")
    assert done.stderr.count("\n") == 1
