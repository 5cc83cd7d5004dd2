"""The dictionary: what a name means, what was judged of each entry, and that a wrong entry is seen."""

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cli
import jax
import numpy as np
import pytest
import torch
from facts import kind_of

import crosscheck
from crosscheck import Translation, TranslationReport, translate
from crosscheck._dictionary.entries import entries, families
from crosscheck._translate.judge import judged

FEWEST = 750
FEWEST_CONTRASTS = 80
CONTRASTS = {"default": "the defaults differ", "similar": "a similar call differs"}


@pytest.fixture(scope="module")
def whole() -> TranslationReport:
    return translate()


def bare(entry: Translation) -> Translation:
    """Without what was judged."""
    pairs = [replace(pair, verdict="not judged", cause=None, side=None, told="", shown={}, got="") for pair in entry.pairs]
    return replace(entry, pairs=tuple(pairs), parameters={})


def test_the_kept_verdicts_are_of_the_entries_as_they_are(whole: TranslationReport) -> None:
    """Else `crosscheck translate --run --json crosscheck/_dictionary/verdicts.json` writes them anew."""
    assert tuple(map(bare, whole.entries)) == entries()


def test_every_entry_was_judged_and_is_as_it_says(whole: TranslationReport) -> None:
    assert whole.passed
    assert len(whole.entries) >= FEWEST
    for entry in whole.entries:
        assert entry.offered, entry.title
        for pair in entry.pairs:
            assert pair.verdict in ("same", "differ"), (entry.title, pair)
            assert pair.expected, (entry.title, pair)


def test_calls_that_must_differ_have_the_input_that_shows_it(whole: TranslationReport) -> None:
    contrasts = [pair for entry in whole.entries for pair in entry.contrasts]
    assert sum(bool(entry.contrasts) for entry in whole.entries) >= FEWEST_CONTRASTS
    for pair in contrasts:
        assert pair.verdict == "differ", pair
        assert pair.told
        assert pair.got or not pair.inputs, pair


def test_an_edge_says_what_both_sides_give_at_inputs_that_can_be_typed(whole: TranslationReport) -> None:
    edges = [pair for entry in whole.entries for pair in entry.edges]
    assert edges
    for pair in edges:
        assert "PyTorch" in pair.got, pair
        assert "JAX" in pair.got, pair
        assert pair.shown.keys() == pair.inputs.keys(), pair
        for text in pair.shown.values():
            array = np.array(eval(text, {"nan": np.nan, "inf": np.inf, "array": np.array}))
            assert array.dtype.kind in "fbi", pair


@pytest.mark.parametrize(
    ("name", "at", "got"),
    [
        ("torch.gather", "where an index is out of range", "PyTorch raises RuntimeError: index 4 is out of bounds"),
        ("torch.gather", "where an index is out of range", "JAX gives [[1.0, nan]]"),
        ("torch.Tensor.__getitem__", "where an index is out of range", "JAX gives [[1.0], [3.0]]"),
        ("torch.Tensor.to", "at NaN", "[0, 1] in JAX"),
    ],
)
def test_what_jax_does_silently_is_told(name: str, at: str, got: str) -> None:
    edges = [pair for entry in translate(name).entries for pair in entry.edges if pair.at == at]
    assert any(got in pair.got for pair in edges)


def test_a_label_of_minus_1_gets_the_loss_of_the_last_class_in_jax() -> None:
    edges = [
        pair for entry in translate("F.cross_entropy").entries for pair in entry.edges if pair.at == "where a label is -1"
    ]
    logits = np.array([0.0, 1.0, 2.0])
    last = np.log(np.exp(logits).sum()) - logits[-1]
    for pair in edges:
        assert pair.shown == {"logits": "[[0.0, 1.0, 2.0]]", "labels": "[-1]"}
        assert float(pair.got.rpartition("JAX gives ")[2]) == pytest.approx(last, rel=1e-6)
    assert edges


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("softplus", "Above its threshold, 20"),
        ("F.gelu", "approximation by tanh"),
        ("nn.Softmax", "the largest entry of a row"),
    ],
)
def test_what_the_catalogue_has_on_record_leads(name: str, says: str) -> None:
    text = " ".join(str(translate(name)).split())
    assert says in text[: text.index("# PyTorch")]
    assert "crosscheck explain shows all of them" in text


def test_looking_up_imports_no_framework() -> None:
    code = "import crosscheck, sys; crosscheck.translate('mse_loss'); print({'torch', 'jax', 'flax'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.slow
@pytest.mark.parametrize("family", families())
def test_a_run_finds_what_is_kept(family: str, whole: TranslationReport) -> None:
    """Whole where flax and equinox are installed, as in the session `models`; else a sixth of it, and no edges."""
    everything = importlib.util.find_spec("flax") is not None
    entries = [entry for entry in whole.entries if entry.family == family]
    for entry in entries if everything else entries[::6]:
        kept = replace(entry, pairs=tuple(pair for pair in entry.pairs if everything or pair.kind != "edge"))
        for was, is_ in zip(kept.pairs, judged(kept, ("float32",)).pairs, strict=True):
            assert is_.expected, is_
            if is_.verdict != "not judged" and not whole.note:  # with other versions, a verdict may be another one
                assert (is_.verdict, is_.side) == (was.verdict, was.side), (is_, was)


def read(tmp_path: Path, text: str) -> Translation:
    (tmp_path / "family.toml").write_text(f'title = "A family"\n\n[[entry]]\n{text}\n', "utf-8")
    (entry,) = entries(tmp_path)
    return entry


def judged_entry(tmp_path: Path, text: str) -> Translation:
    return judged(read(tmp_path, text), ("float32",))


@pytest.mark.full
def test_a_counterpart_that_is_another_function_is_seen(tmp_path: Path) -> None:
    entry = judged_entry(tmp_path, 'torch = "F.softplus(x)"\njax = "jax.nn.softplus(2 * x)"')
    (pair,) = entry.pairs
    assert (pair.verdict, pair.cause, pair.expected) == ("differ", "definition", False)
    assert pair.shown
    assert pair.got
    assert "NOT the same in jax" in entry.summary


def test_defaults_that_are_the_same_are_seen(tmp_path: Path) -> None:
    entry = judged_entry(
        tmp_path,
        'torch = "torch.tanh(x)"\njax = "jnp.tanh(x)"\ndefault = [{jax = "jnp.tanh(x)", says = "nothing differs"}]',
    )
    assert [pair.expected for pair in entry.pairs] == [True, False]
    report = TranslationReport("tanh", (entry,), {"packages": {}})
    assert not report.passed


@pytest.mark.full
def test_an_edge_that_differs_is_told_with_the_derivative_of_the_sum_and_does_not_fail(tmp_path: Path) -> None:
    """Not along a random direction, with which nobody could check it."""
    entry = judged_entry(
        tmp_path,
        'torch = "torch.abs(x)"\njax = "jnp.where(x >= 0, x, -x)"\nat."at 0" = {x = "array([0.0, 2.0])"}',
    )
    assert [pair.verdict for pair in entry.pairs] == ["same", "differ"]
    (edge,) = entry.edges
    assert (edge.shown, edge.got) == ({"x": "[0.0, 2.0]"}, "the derivative by x: [0.0, 1.0] in PyTorch, [1.0, 1.0] in JAX")
    assert entry.summary == "the same, but at 0"
    assert TranslationReport("abs", (entry,), {"packages": {}}).passed


@pytest.mark.full
def test_derivatives_whose_sum_is_the_same_are_those_of_an_element(tmp_path: Path) -> None:
    entry = judged_entry(
        tmp_path,
        'torch = "x * 1"\njax = "lax.stop_gradient(x) + x[::-1] - lax.stop_gradient(x[::-1])"\n'
        'inputs = {x = "array([3.0])"}\nat."swapped" = {x = "array([1.0, 2.0])"}',
    )
    (edge,) = entry.edges
    assert edge.got == "the derivative of element [0] by x: [1.0, 0.0] in PyTorch, [0.0, 1.0] in JAX"


def test_a_code_that_begins_with_something_else_is_found_by_what_it_is_about(tmp_path: Path) -> None:
    entry = read(
        tmp_path, 'torch = "torch.allclose(x, x)"\ncalls = {jax = "jax.numpy.allclose"}\njax = "jnp.all(jnp.allclose(x, x))"'
    )
    assert entry.names == ("torch.allclose", "jax.numpy.allclose")


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ('jax = "jnp.std(x)", torch = "torch.std(x)"', "default"),
        ('jax = "jnp.std(x, axis=1, ddof=1)", torch = "torch.std(x)"', "default"),
        ('jax = "jnp.var(x)", torch = "torch.std(x)"', "similar"),
        ('jax = "jnp.std(x[0], axis=1, ddof=1)"', "similar"),
        ('jax = "jnp.var(x)", argument = "dim"', "default"),
    ],
)
def test_only_a_call_that_leaves_an_argument_out_differs_by_a_default(tmp_path: Path, given: str, kind: str) -> None:
    text = 'torch = "torch.std(x, dim=1)"\njax = "jnp.std(x, axis=1, ddof=1)"'
    entry = read(tmp_path, f'{text}\ndefault = [{{{given}, says = "..."}}]')
    assert [pair.kind for pair in entry.contrasts] == [kind]
    judged_same = replace(entry, pairs=tuple(replace(pair, verdict="same") for pair in entry.pairs))
    assert judged_same.summary == f"the same, {CONTRASTS[kind]}"


@pytest.mark.parametrize(
    ("code", "same"),
    [
        ("jax.random.uniform(key, (50, 50))", True),
        ("jax.random.uniform(key, (50, 50), minval=0.1)", False),
        ("jax.random.uniform(key, (50, 50)) ** 1.2", False),
        ("jax.random.uniform(key, (50, 51))", False),
    ],
)
def test_another_distribution_is_seen(tmp_path: Path, code: str, same: bool) -> None:
    entry = judged_entry(tmp_path, f'torch = "torch.rand(50, 50)"\ndraws = true\njax = "{code}"')
    assert (entry.pairs[0].verdict == "same") == same, entry.pairs[0].told


def test_a_library_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "equinox", None)
    entry = judged_entry(tmp_path, 'torch = "torch.tanh(x)"\nequinox = "eqx.nn.Lambda(jnp.tanh)(x)"')
    assert entry.summary == "not judged here"
    assert re.search(r"Install it with: python -m pip install '.*\[dictionary\]'", entry.pairs[0].told)
    assert not TranslationReport("tanh", (entry,), {"packages": {}}).passed


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('torch = "torch.tanh(x)"', "expected torch, and what it is in JAX"),
        ('torch = "torch.tanh(x)"\njaxx = "jnp.tanh(x)"', "got jaxx, expected some of"),
        ('torch = "torch.tanh(x)', "family.toml: "),
        (
            'torch = "torch.tanh(x)"\njax = "jnp.tanh(x)"\n[[entry]]\ntorch = "torch.tanh(x)"\njax = "jnp.tanh(x)"',
            "two entries",
        ),
    ],
)
def test_an_entry_that_is_wrong_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        judged_entry(tmp_path, text)


@pytest.mark.full
def test_compare_cites_the_entry_where_both_sides_are_calls_that_it_tells_of() -> None:
    report = crosscheck.compare(torch.nn.functional.gelu, jax.nn.gelu, crosscheck.normal(8), order=0, modes="eager")
    assert "dictionary" in map(kind_of, report.diagnosis.notes)
    assert "(crosscheck translate jax.nn.gelu)" in report.story()
    other = crosscheck.compare(torch.nn.functional.gelu, jax.nn.silu, crosscheck.normal(8), order=0, modes="eager")
    assert "dictionary" not in map(kind_of, other.diagnosis.notes)


def test_the_command_tells_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    result = cli.run("translate", "nn.HuberLoss", "--json", str(path))
    assert result.exit_code == 0, result.output
    for text in ("F.huber_loss(x, y, delta=1.0)", "optax.huber_loss(x, y, delta=1.0).mean()", "Judged with torch"):
        assert text in result.output
    data = json.loads(path.read_text("utf-8"))
    assert data["schema"] == "crosscheck.dictionary/1"
    assert [entry["name"] for entry in data["entries"]] == ["torch.nn.functional.huber_loss"]


def test_the_whole_dictionary_is_listed(whole: TranslationReport) -> None:
    result = cli.run("translate")
    assert result.exit_code == 0
    assert f"{len(whole.entries)} uses of {len(whole.meanings)} calls of PyTorch" in result.output
    assert crosscheck.translate("mse_loss").entries[0] in whole.entries
