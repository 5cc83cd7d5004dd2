"""What is made for the documentation: pages, formulas, the reference, and when it is made again."""

import copy
import dataclasses
import functools
import json
import operator
import re
import sys
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import numpy as np
import pytest

import crosscheck

ROOT = Path(__file__).parents[2]

sys.path += [str(ROOT / "docs" / "_make"), str(ROOT / "docs" / "_hooks")]

import activations  # noqa: E402
import blocks  # noqa: E402
import disagreements  # noqa: E402
import examples  # noqa: E402
import headings  # noqa: E402
import issues  # noqa: E402
import notebooks  # noqa: E402
import others  # noqa: E402
import products  # noqa: E402
import reference  # noqa: E402
import rooms  # noqa: E402
import tolerances  # noqa: E402
import upstream  # noqa: E402
import verdict  # noqa: E402
from columns import WIDTH  # noqa: E402
from products import Maker  # noqa: E402


def test_a_product_is_made_again_when_what_it_rests_on_has_changed_or_when_asked(tmp_path: Path) -> None:
    numbers = iter(range(10))

    def make(key: str, again: bool = False) -> str:
        Maker(tmp_path, again=again).make("one", key, lambda: {"site/a/b.md": f"{next(numbers)}"})
        return (tmp_path / "one" / "site" / "a" / "b.md").read_text("utf-8")

    assert [make("k"), make("k"), make("other"), make("other", again=True), make("other")] == list("00122")


def test_a_product_that_fails_leaves_the_old_one_whole_and_nothing_else(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.make("one", "k", lambda: {"a": "old", "b": b"old"})
    with pytest.raises(AttributeError):
        maker.make("one", "other", lambda: {"a": "new", "b": None})  # type: ignore[dict-item]
    assert [path.name for path in tmp_path.iterdir()] == ["one"]
    assert {path.read_text("utf-8") for path in (tmp_path / "one").glob("[ab]")} == {"old"}


def test_a_product_that_nobody_asked_for_any_more_is_forgotten(tmp_path: Path) -> None:
    for name in ("page-old", "other-old"):
        Maker(tmp_path).make(name, "k", dict)
    maker = Maker(tmp_path)
    maker.make("page-new", "k", dict)
    maker.forget("page-")
    assert {path.name for path in tmp_path.iterdir()} == {"page-new", "other-old"}


def test_a_key_knows_the_package_and_the_record(tmp_path: Path) -> None:
    """An edit of another activation's file is no reason to make a page again; one of anything else is."""
    folder = ROOT / "crosscheck" / "_catalogue"
    rests = {path.relative_to(ROOT).as_posix() for path in products.record(folder / "glu.py")}
    assert {f"crosscheck/_catalogue/{name}.py" for name in ("glu", "sigmoid", "_kernels")} <= rests
    assert {"crosscheck/_truth/balls.py", "crosscheck/_recorded/torch-2.13-jax-0.10-avx512.json"} <= rests
    assert "crosscheck/_report/templates/style.css" in rests  # pages show reports
    assert "crosscheck/_catalogue/elu.py" not in rests
    path = tmp_path / "measured.py"
    keys = set()
    for text in ("NUMBER = 31", "NUMBER = 57"):
        path.write_text(text)
        keys |= {products.key(files=[path]), products.key("word", files=[path])}
    assert len(keys) == 4


def test_an_edited_package_changes_the_number_that_a_notebook_shows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")  # Python takes a file of the same second and size for the same
    page, measured = tmp_path / "one.ipynb", tmp_path / "measured.py"
    cells = [nbformat.v4.new_markdown_cell("# One"), nbformat.v4.new_code_cell("import measured\nprint(measured.NUMBER)")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), page)
    for number in (31, 57):
        measured.write_text(f"NUMBER = {number}\n")
        made = Maker(tmp_path / "made")
        assert made.make("one", products.key(files=[page, measured]), lambda: {"site/one.ipynb": notebooks.executed(page)})
        shown = nbformat.read(tmp_path / "made" / "one" / "site" / "one.ipynb", 4)
        assert shown.cells[1].outputs[0].text == f"{number}\n"


EXAMPLES = """
```python exec="true" source="above" result="text" session="one"
x = 6
hidden = 7  # hide
```

Words.

```python exec="true" source="above" result="text" session="one"
print(x * hidden)
```

```python exec="true"
print("**more**")
```

```python
not_run
```
"""


def test_examples_of_a_session_share_their_names_and_are_shown_with_what_they_print() -> None:
    ran = list(examples.run(EXAMPLES, "page"))
    assert [printed for _, printed in ran] == ["", "42\n", "**more**\n"]
    assert [block.shown(printed) for block, printed in ran[1:]] == [
        "```python\nprint(x * hidden)\n```\n\n```text\n42\n```",
        "**more**\n",
    ]
    assert "hide" not in ran[0][0].shown("")


def test_what_an_example_prints_is_folded_and_its_lines_are_those_of_its_session() -> None:
    page = EXAMPLES.replace("hidden = 7  # hide", "def f(): return __import__('sys')._getframe().f_lineno").replace(
        "print(x * hidden)", "def g(): return __import__('sys')._getframe().f_lineno\nprint('word ' * 40, f(), g())"
    )
    printed = [text for _, text in examples.run(page, "page")][1]
    assert max(map(len, printed.splitlines())) <= WIDTH
    assert printed.split()[-2:] == ["2", "3"]


def test_an_example_is_another_one_when_what_was_run_before_it_has_changed() -> None:
    keys = [[block.key for block in blocks.blocks(page)] for page in (EXAMPLES, EXAMPLES.replace("x = 6", "x = 5"))]
    assert [a == b for a, b in zip(*keys, strict=True)] == [False, False, True]
    assert [block.key for block in blocks.blocks(EXAMPLES.replace("Words", "Other words"))] == keys[0]


def test_the_rooms_are_drawn_from_the_code() -> None:
    rows = rooms.table().splitlines()[2:]
    names = {row.split("`")[1] for row in rows}
    assert {"_verify", "_compare", "_truth", "_records"} <= names
    assert all(re.fullmatch(r"\| `\w+` \| \S.*\. \| \d+ \| [\d,]+ \| \d+ \|", row) for row in rows)
    way = rooms.walk(lambda: crosscheck.verify("relu", dtypes=["float32"], orders=[0], quick=True))
    assert "- `verify.verify`: Judge activations against the proven truth" in way
    assert way.index("**`_verify`**") < way.index("**`_truth`**") < way.index("- `truth.Truth.error`")


@pytest.mark.parametrize("name", crosscheck.__all__)
def test_every_public_name_is_documented(name: str) -> None:
    assert reference.documented(name)


def test_an_undocumented_public_name_fails_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crosscheck, "_found", crosscheck._catalogue._found, raising=False)
    with pytest.raises(reference.UndocumentedError, match="without a docstring: _found"):
        reference.pages([*crosscheck.__all__, "_found"])


def test_every_public_name_is_on_the_page() -> None:
    pages = reference.pages(crosscheck.__all__)
    assert sorted(name for names in pages.values() for name in names) == sorted(crosscheck.__all__)
    overview = reference.overview(pages)
    rows = re.findall(r"^\| \[`(\w+)`\]\(python/[\w-]+\.md#crosscheck\.\S+\.\1\) \| \S.* \|$", overview, re.MULTILINE)
    assert sorted(rows) == sorted(crosscheck.__all__)
    described = [re.match(r"---\ndescription: (.+)\n---\n", reference.page(*page)) for page in pages.items()]
    assert len({match and match[1] for match in described}) == len(pages)  # a page without one would have the site's


@pytest.mark.parametrize(
    ("layout", "path"),
    [
        ("report", ("comparisons", 0, "max_ulp")),
        ("arrays", ("comparisons", 0, "figures", "ulp_max")),
        pytest.param("pytest", ("tests", 0, "report", "comparisons", 0, "max_ulp"), marks=pytest.mark.full),
        ("atlas", ("deviations", 0, "results", 0, 0, "ulp")),
        ("atlas-diff", ("changes", 0, "details")),
        ("sweep", ("results", 0, "max_ulp")),
    ],
)
def test_a_real_file_obeys_its_schema_and_another_does_not(layout: str, path: tuple[str | int, ...]) -> None:
    made = reference.example(layout)
    wrong: Any = copy.deepcopy(made)
    *where, last = path
    functools.reduce(operator.getitem, where, wrong)[last] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, reference.schema(layout))
    del made["new" if layout == "atlas-diff" else "summary"]["passed"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, reference.schema(layout))


def test_the_kept_sweeps_obey_their_schema() -> None:
    paths = list((ROOT / "results").glob("*-*.json"))
    assert paths
    for path in paths:
        jsonschema.validate(json.loads(path.read_text()), reference.schema("sweep"))


RECORDS = sorted(Path(crosscheck.__file__).parent.joinpath("_recorded").glob("*.json"))


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_the_records_obey_their_schema_and_another_does_not(path: Path) -> None:
    made = json.loads(path.read_text("utf-8"))
    jsonschema.validate(made, reference.schema("recorded"))
    (region, *_), *_ = made["deviations"].values()
    region["max_ulp"] = "much"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(made, reference.schema("recorded"))


def test_the_schemas_know_what_is_written_and_nothing_else() -> None:
    comparison = reference.schema("report")["$defs"]["Comparison"]["properties"]
    assert set(comparison) == set(reference.example("report")["comparisons"][0])
    arrays = reference.schema("arrays")["$defs"]["ArrayComparison"]["properties"]
    assert set(arrays) == set(reference.example("arrays")["comparisons"][0])


def tolerance(record: Any) -> tolerances.Tolerance:
    """That of the value in float32."""
    (result,) = [row for row in tolerances.measured(record) if (row.dtype, row.order) == ("float32", 0)]
    return result


def test_a_tolerance_holds_and_less_would_not() -> None:
    sigmoid = crosscheck.activations["sigmoid"]
    relative, absolute = [float(part.split()[1]) for part in str(tolerance(sigmoid)).split(" or ")]
    x = np.linspace(tolerances.LOW, tolerances.HIGH, tolerances.COUNT).astype(np.float32)
    torch, jax = sigmoid.torch.native(torch_tensor(x)).numpy(), np.asarray(sigmoid.jax.native(x))
    for how, most in (("rtol", relative), ("atol", absolute)):
        np.testing.assert_allclose(torch, jax, **{"rtol": 0, how: most})
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(torch, jax, **{"rtol": 0, how: 0.8 * most})


def torch_tensor(x: np.ndarray) -> Any:
    import torch

    return torch.from_numpy(x)


@pytest.mark.full
def test_a_framework_that_is_wrong_widens_its_tolerance() -> None:
    # The arguments that match the definition are what is measured: here the planted ones are another function's.
    gelu = crosscheck.activations["gelu"]
    natives = {**gelu.natives, "jax": dataclasses.replace(gelu.natives["jax"], matched={"approximate": True})}
    assert tolerance(dataclasses.replace(gelu, natives=natives)).atol > 100 * tolerance(gelu).atol


@pytest.mark.parametrize(("value", "shown"), [(1.23456e-7, "1.3e-7"), (1.2e-7, "1.2e-7"), (0.5, "5.0e-1")])
def test_a_tolerance_is_rounded_up(value: float, shown: str) -> None:
    assert tolerances.up(value) == shown
    assert float(shown) >= value


@pytest.fixture(scope="module")
def squareplus() -> Any:
    return activations.explanation("squareplus")


def test_a_disagreement_is_called_by_what_happens(squareplus: Any) -> None:
    seen = {disagreement.id: disagreement for disagreement in squareplus.disagreements}
    said = {
        deviation.id: headings.heading(squareplus.activation, deviation, seen[deviation.id])
        for deviation in squareplus.activation.deviations
    }
    assert said["squareplus-at-infinity"] == "JAX: the value is NaN at x = −∞, not 0"
    assert said["squareplus-float64-gradient-overflow"] == "JAX: the gradient is that of another function, in float64"
    assert not [id_ for id_, text in said.items() if id_ in text]
    assert len(set(said.values())) == len(said)


def test_the_severest_disagreements_come_first(squareplus: Any) -> None:
    _, *rows = verdict.listed(squareplus)
    order = [re.findall(r"#([\w-]+)\)", link)[0] for link, _ in rows]
    assert order[:2] == ["squareplus-overflow", "squareplus-at-infinity"]  # a bug, then what is none, of one cause
    assert order[-1] == "squareplus-layout-jax"
    assert sorted(order) == sorted(deviation.id for deviation in squareplus.activation.deviations)


def test_the_verdict_says_whether_the_functions_are_the_same(squareplus: Any) -> None:
    assert "**PyTorch has no such function.**" in verdict.same(squareplus.activation)
    assert "3 of them look like bugs" in verdict.known(squareplus.activation)
    gelu, relu = crosscheck.activations["gelu"], crosscheck.activations["relu"]
    assert "Write `jax.nn.gelu(x, approximate=False)`." in verdict.same(gelu)
    assert verdict.same(relu) == "**PyTorch and JAX compute the same function.**"
    assert verdict.known(dataclasses.replace(relu, deviations=())) == "No disagreement is known."
    assert verdict.known(crosscheck.activations["prelu"]).endswith("is known; it looks like a bug.")


@pytest.mark.parametrize(("name", "side"), [(n, s) for n, record in crosscheck.activations.items() for s in record.natives])
def test_what_to_write_runs_and_is_the_function(name: str, side: str) -> None:
    """The call that a page shows gives what crosscheck's own implementation gives."""
    import jax
    import torch

    record = crosscheck.activations[name]
    x = np.array([[0.25, 0.5, 1.5, 3.0]], np.float32) * (-1 if record.domain[1] <= 0 else 1)
    given = torch_tensor(x) if side == "torch" else jax.numpy.asarray(x)
    got = eval(verdict.call(record, side), {"torch": torch, "jax": jax, "x": given})
    np.testing.assert_allclose(np.asarray(got), np.asarray(getattr(record, side)(given)), rtol=1e-5, atol=1e-6)


def bug(made: Any, id_: str) -> tuple[Any, Any]:
    """The declared deviation with this id, and what was seen of it."""
    return tuple(
        next(candidate for candidate in candidates if candidate.id == id_)
        for candidates in (made.activation.deviations, made.disagreements)
    )


def test_an_issue_is_what_a_maintainer_wants(squareplus: Any) -> None:
    """The symptom in numbers, a program that runs and that people can read, and the versions; no word of crosscheck."""
    deviation, seen = bug(squareplus, "squareplus-overflow")
    text = issues.text(squareplus, deviation, seen)
    assert text.startswith("# jax.nn.squareplus: inf at x = -1e+300 in float64, expected 1e-300\n")
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert "numpy.array([-1e+300] * " in code
    assert f"**Actual**: {examples.python(code, {}).strip()}\n" in text
    assert "**Expected**: 1e-300," in text
    assert re.search(r"^The code: https://github.com/jax-ml/jax/blob/\S+$", text, re.MULTILINE)
    assert re.search(r"^jaxlib: +\d", text, re.MULTILINE)
    assert "crosscheck" not in text
    button = issues.button(squareplus, deviation, seen)
    assert "\n" not in button
    assert "expected 1e-300" in button


def test_what_does_not_show_on_this_machine_is_said_from_the_record_and_has_no_issue(squareplus: Any) -> None:
    """Kernels differ with the width of vectors: a result here may be right, and then there is nothing to copy."""
    deviation, seen = bug(squareplus, "squareplus-overflow")
    sighting = seen.sighting
    right = tuple(dataclasses.replace(result, got=sighting.exact) for result in sighting.results)
    elsewhere = dataclasses.replace(seen, sighting=dataclasses.replace(sighting, results=right))
    assert (
        headings.what(deviation, elsewhere) == headings.what(deviation, seen) == "the value is ∞ at x = −1e+300, not 1e-300"
    )
    assert not issues.reportable(deviation, elsewhere)
    assert "on record, on another machine than this page's: <code>inf</code>" in disagreements.example(elsewhere)
    assert "on record" not in disagreements.example(seen)
    unknown = dataclasses.replace(elsewhere, declared_results={})
    assert headings.what(deviation, unknown) == "the value is wrong at x = −1e+300"


@pytest.mark.full
def test_the_torch_side_of_an_issue_has_torch_s_own_words_on_versions() -> None:
    made = activations.explanation("standardize")
    deviation, seen = bug(made, "standardize-unshifted-gradient")
    text = issues.text(made, deviation, seen)
    assert re.search(r"^PyTorch version: \d", text, re.MULTILINE)
    (code,) = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert f"**Actual**: {examples.python(code, {}).strip()}\n" in text
    got, expected = re.findall(r"^# .*: (\S+) in a row of 2 in float64, expected (\S+)$", text, re.MULTILINE)[0]
    assert got != expected  # with as many digits as it takes
    assert not issues.reportable(*bug(made, "standardize-second-derivative-forward"))  # somebody has filed it


@pytest.mark.parametrize(
    ("bits", "dtype", "said"),
    [
        ("0x3f800000", "float32", "1.0"),
        ("0x3dcccccd", "float32", "0.1"),
        ("0x42ca", "bfloat16", "101.0"),
        ("0x7fe1ccf385ebc8a0", "float64", "1e+308"),
        ("0x7fc00000", "float32", "0x7fc00000"),
    ],
)
def test_numbers_are_written_as_people_read_them(bits: str, dtype: str, said: str) -> None:
    assert issues.readable(bits, dtype) == said


def test_what_is_gone_in_a_newer_release_or_is_no_bug_has_nothing_to_report(squareplus: Any) -> None:
    assert not issues.reportable(*bug(squareplus, "squareplus-layout-jax"))
    assert issues.reportable(*bug(squareplus, "squareplus-overflow"))
    deviation, seen = bug(squareplus, "squareplus-overflow")
    gone = dataclasses.replace(seen, not_seen_in=tuple(upstream.newest_environments()))
    assert not issues.reportable(deviation, gone)
    assert re.fullmatch(r"torch \d+\.\d+ and jax \d+\.\d+", upstream.fixed_in(gone))
    assert 'newest="no"' in disagreements.row(squareplus.activation, deviation, gone)
    assert upstream.fixed_in(seen) == ""


def test_an_issue_is_linked_as_one_and_code_is_not() -> None:
    assert str(upstream.known("https://github.com/jax-ml/jax/issues/39707")).startswith("[jax-ml/jax#39707](https://")
    assert upstream.known("https://github.com/jax-ml/jax/blob/main/jax/_src/nn/functions.py") is None
    bugs = [deviation for record in crosscheck.activations.values() for deviation in record.deviations if deviation.bug]
    assert all(
        deviation.link in upstream.STATES or "189803" in deviation.link
        for deviation in bugs
        if upstream.known(deviation.link)
    )


def test_the_bugs_of_other_functions_are_in_the_same_table() -> None:
    assert others.check() == []
    row = others.row("The gradient of ldexp", others.OTHERS["The gradient of ldexp"], "0.75 0.0\n0.75 0.25\n", "here")
    assert 'href="../undocumented/#the-gradient-of-ldexp"' in row
    assert "<code>0.75 0.0</code>" in row
    fields = set(re.findall(r'<select name="(\w+)">', disagreements.form()))
    assert fields == set(re.findall(r" data-(\w+)=", row))  # the script asks for each


def test_each_choice_of_disagreements_that_a_page_links_to_can_be_made() -> None:
    """What the form of the list does not know it ignores, and shows too much."""
    fields = dict(re.findall(r'<select name="(\w+)">(.*?)</select>', disagreements.form()))
    pages = (page.read_text("utf-8") for page in (ROOT / "docs").glob("*.md"))
    linked = [query for page in pages for query in re.findall(r"disagreements\.md\?([^)#]+)", page)]
    assert linked
    for choice in (part for query in linked for part in query.split("&")):
        name, _, value = choice.partition("=")
        assert f'<option value="{value}">' in fields.get(name, ""), choice
