"""The dictionary: what a name means, what was judged of each entry, and that a wrong entry is seen."""

import importlib.util
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cli
import jax
import pytest
import torch

import crosscheck
from crosscheck import Translation, TranslationReport, UsageError, translate
from crosscheck._dictionary.entries import entries, families
from crosscheck._translate.judge import judged

FEWEST = 450
FEWEST_DEFAULTS = 80


@pytest.fixture(scope="module")
def whole() -> TranslationReport:
    return translate()


def bare(entry: Translation) -> Translation:
    """Without what was judged."""
    pairs = [replace(pair, verdict="not judged", cause=None, side=None, told="", shown={}, got="") for pair in entry.pairs]
    return replace(entry, pairs=tuple(pairs))


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


def test_defaults_that_differ_have_the_input_that_shows_it(whole: TranslationReport) -> None:
    defaults = [pair for entry in whole.entries for pair in entry.defaults]
    assert sum(bool(entry.defaults) for entry in whole.entries) >= FEWEST_DEFAULTS
    for pair in defaults:
        assert pair.verdict == "differ", pair
        assert pair.told
        assert pair.shown or not pair.inputs, pair


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("torch.nn.functional.cross_entropy", "torch.nn.functional.cross_entropy"),
        ("F.cross_entropy", "torch.nn.functional.cross_entropy"),
        ("cross_entropy", "torch.nn.functional.cross_entropy"),
        ("nn.CrossEntropyLoss", "torch.nn.functional.cross_entropy"),
        ("CrossEntropyLoss()", "torch.nn.functional.cross_entropy"),
        ("crossentropyloss", "torch.nn.functional.cross_entropy"),
        ("optax.softmax_cross_entropy_with_integer_labels", "torch.nn.functional.cross_entropy"),
        ("optax.l2_loss", "torch.nn.functional.mse_loss"),
        ("huber_loss", "torch.nn.functional.huber_loss"),
        ("dropout", "torch.nn.functional.dropout"),
        ("layernorm", "torch.nn.functional.layer_norm"),
        ("LayerNorm", "torch.nn.functional.layer_norm"),
        ("nn.LayerNorm", "torch.nn.functional.layer_norm"),
        ("flax.nnx.LayerNorm", "torch.nn.functional.layer_norm"),
        ("eqx.nn.LayerNorm", "torch.nn.functional.layer_norm"),
        ("batchnorm", "torch.nn.functional.batch_norm"),
        ("jnp.take_along_axis", "torch.gather"),
        ("lax.top_k", "torch.topk"),
        ("xavier_uniform", "torch.nn.init.xavier_uniform_"),
    ],
)
def test_a_name_is_found_in_full_and_by_its_last_part(name: str, meant: str) -> None:
    assert meant in translate(name).meanings


@pytest.mark.parametrize("name", ["huber_los", "F.huberloss2", "", "."])
def test_an_unknown_name_gets_the_nearest(name: str) -> None:
    with pytest.raises(UsageError, match=r"name: the dictionary has no ") as error:
        translate(name)
    assert ("huber_loss" in str(error.value)) == ("hub" in name)


def test_what_is_no_name_is_told() -> None:
    with pytest.raises(UsageError, match="name: got int, expected a text"):
        translate(3)  # type: ignore[arg-type]


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


def one(tmp_path: Path, text: str) -> Translation:
    (tmp_path / "family.toml").write_text(f'title = "A family"\n\n[[entry]]\n{text}\n', "utf-8")
    (entry,) = entries(tmp_path)
    return judged(entry, ("float32",))


def test_a_counterpart_that_is_another_function_is_seen(tmp_path: Path) -> None:
    entry = one(tmp_path, 'torch = "F.softplus(x)"\njax = "jax.nn.softplus(2 * x)"')
    (pair,) = entry.pairs
    assert (pair.verdict, pair.cause, pair.expected) == ("differ", "definition", False)
    assert pair.shown
    assert pair.got
    assert "NOT the same in jax" in entry.summary


def test_defaults_that_are_the_same_are_seen(tmp_path: Path) -> None:
    entry = one(
        tmp_path,
        'torch = "torch.tanh(x)"\njax = "jnp.tanh(x)"\ndefault = [{jax = "jnp.tanh(x)", says = "nothing differs"}]',
    )
    assert [pair.expected for pair in entry.pairs] == [True, False]
    report = TranslationReport("tanh", (entry,), {"packages": {}})
    assert not report.passed


def test_an_edge_that_differs_is_told_and_does_not_fail(tmp_path: Path) -> None:
    entry = one(
        tmp_path,
        'torch = "torch.abs(x)"\njax = "jnp.where(x > 0, x, -x)"\nat."at 0" = {x = "array([0.0, 1.0])"}',
    )
    assert [pair.verdict for pair in entry.pairs] == ["same", "differ"]
    assert entry.summary == "the same, but at 0"
    assert TranslationReport("abs", (entry,), {"packages": {}}).passed


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
    entry = one(tmp_path, f'torch = "torch.rand(50, 50)"\ndraws = true\njax = "{code}"')
    assert (entry.pairs[0].verdict == "same") == same, entry.pairs[0].told


def test_a_library_that_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "equinox", None)
    entry = one(tmp_path, 'torch = "torch.tanh(x)"\nequinox = "eqx.nn.Lambda(jnp.tanh)(x)"')
    assert entry.summary == "not judged here"
    assert "pip install 'torch-jax-crosscheck[dictionary]'" in entry.pairs[0].told
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
        one(tmp_path, text)


@pytest.mark.full
def test_compare_cites_the_entry_where_both_sides_are_calls_that_it_tells_of() -> None:
    story = crosscheck.compare(torch.nn.functional.gelu, jax.nn.gelu, crosscheck.normal(8), order=0, modes="eager").story()
    assert "the dictionary says of them: jax.nn.gelu is the approximation by tanh" in story
    assert "(crosscheck translate jax.nn.gelu)" in story
    other = crosscheck.compare(torch.nn.functional.gelu, jax.nn.silu, crosscheck.normal(8), order=0, modes="eager")
    assert "dictionary" not in other.story()


def test_the_command_tells_and_writes(tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    result = cli.run("translate", "nn.HuberLoss", "--json", str(path))
    assert result.exit_code == 0, result.output
    for text in ("F.huber_loss(x, y, delta=1.0)", "optax.huber_loss(x, y, delta=1.0).mean()", "Judged with torch"):
        assert text in result.output
    data = json.loads(path.read_text("utf-8"))
    assert data["schema"] == "crosscheck.dictionary/1"
    assert [entry["name"] for entry in data["entries"]] == ["torch.nn.functional.huber_loss"]


def test_the_command_refuses_an_unknown_name() -> None:
    result = cli.run("translate", "hubber_loss")
    assert result.exit_code == 2
    assert "NAME: the dictionary has no 'hubber_loss'; the nearest are torch.nn.functional.huber_loss" in result.output


def test_a_name_with_several_meanings_lists_them() -> None:
    report = translate("softmax_cross_entropy_with_integer_labels")
    assert len(report.meanings) > 1
    assert "meanings: torch.nn.functional.cross_entropy, " in report.headline
    for meaning in report.meanings:
        assert meaning in str(report)


def test_the_whole_dictionary_is_listed(whole: TranslationReport) -> None:
    result = cli.run("translate")
    assert result.exit_code == 0
    assert f"{len(whole.entries)} uses of {len(whole.meanings)} calls of PyTorch" in result.output
    assert crosscheck.translate("mse_loss").entries[0] in whole.entries
