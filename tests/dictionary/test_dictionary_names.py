"""What a name means in the dictionary: of PyTorch, of a library of JAX, misspelt, or left out."""

import inspect
import pkgutil
from collections.abc import Iterable

import cli
import pytest
import torch

from crosscheck import Translation, TranslationReport, UsageError, translate
from crosscheck._dictionary.names import left_out, spellings, without_counterpart


@pytest.fixture(scope="module")
def whole() -> TranslationReport:
    return translate()


@pytest.mark.parametrize(
    ("name", "uses"),
    [
        ("nn.BatchNorm2d", {"in inference", "in training", "the running statistics"}),
        ("nn.Embedding", {"", "with padding_idx", "the first weights"}),
        ("nn.CrossEntropyLoss", {"with class weights", "with ignore_index", "with label smoothing", "of probabilities"}),
        ("nn.LSTM", {"a whole sequence", "stacked, num_layers=2", "in both directions", "of packed sequences"}),
        ("flax.nnx.BatchNorm", {"in inference", "in training", "the running statistics"}),
    ],
)
def test_the_name_of_a_module_gives_every_use(name: str, uses: set[str]) -> None:
    assert uses <= {entry.what for entry in translate(name).entries}


def test_every_module_gives_all_uses_of_its_function(whole: TranslationReport) -> None:
    modules = {name for entry in whole.entries for name in entry.names if name.startswith("torch.nn.")}
    for module in {name for name in modules if name.rpartition(".")[2][0].isupper()}:
        calls = {entry.name for entry in whole.entries if module in entry.names}
        uses = {entry.title for entry in whole.entries if entry.name in calls}
        assert uses <= {entry.title for entry in translate(module).entries}, module


@pytest.mark.parametrize("name", ["nn.LSTM", "torch.bucketize", "torch.autograd.grad", "torch.nn.GRU"])
def test_the_exact_name_comes_first(name: str) -> None:
    assert translate(name).entries[0].name == name.replace("nn.LSTM", "torch.nn.LSTM")


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


@pytest.mark.parametrize("name", ["torch.xyzzy", "F.nothing_like_it", "torch.optim.Frobnicator"])
def test_what_is_not_near_is_not_suggested(name: str) -> None:
    with pytest.raises(UsageError, match="no name is near"):
        translate(name)


def test_a_name_that_is_not_there_gets_its_page() -> None:
    with pytest.raises(UsageError, match=r"the page 'optimizers' has most of the names of torch\.optim"):
        translate("torch.optim.Frobnicator")


LIBRARIES = (
    "jax.numpy",
    "jax.numpy.linalg",
    "jax.numpy.fft",
    "jax.nn",
    "jax.nn.initializers",
    "jax.lax",
    "optax",
    "flax.nnx",
)
PRINTED = {"get_printoptions", "printoptions", "set_printoptions"}
"""How numbers are printed, in both frameworks; nothing to compute."""


def public(library: str) -> set[str]:
    """The functions of a library by their full names; of flax nnx, which has few functions of arrays, the modules."""
    home = pkgutil.resolve_name(library)
    named = [(name, member) for name, member in vars(home).items() if callable(member) and not name.startswith("_")]
    if library == "flax.nnx":
        return {f"{library}.{name}" for name, member in named if inspect.isclass(member) and issubclass(member, home.Module)}
    functions = {
        name for name, member in named if not inspect.isclass(member) and getattr(member, "__module__", "") != "typing"
    }
    return {f"{library}.{name}" for name in functions - PRINTED if not name.endswith("_p")}


def not_led_to(library: str, entries: Iterable[Translation]) -> set[str]:
    """What PyTorch may have a counterpart of, and no entry leads to."""
    return public(library) - {name for entry in entries for name in entry.names} - without_counterpart()


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_function_is_found_or_has_no_counterpart(library: str, whole: TranslationReport) -> None:
    pytest.importorskip(library)
    if whole.note:
        pytest.skip("other versions have other functions")
    assert public(library)
    assert not not_led_to(library, whole.entries)
    assert not without_counterpart() & {name for entry in whole.entries for name in entry.names}


@pytest.mark.parametrize(
    ("name", "leads"),
    [
        ("jax.numpy.hsplit", "torch.hsplit"),
        ("optax.huber_loss", ""),
        ("flax.nnx.GroupNorm", "torch.nn.functional.group_norm"),
    ],
)
def test_a_function_that_no_entry_leads_to_is_seen(name: str, leads: str, whole: TranslationReport) -> None:
    library = name.rpartition(".")[0]
    pytest.importorskip(library)
    entries = [entry for entry in whole.entries if name not in entry.names]
    assert name in not_led_to(library, entries)
    assert leads in {*translate(name).meanings, ""}


HOMES = (
    *("torch", "torch.Tensor", "torch.nn", "torch.nn.functional", "torch.nn.init", "torch.nn.utils", "torch.nn.utils.rnn"),
    *("torch.linalg", "torch.fft", "torch.special", "torch.optim", "torch.optim.lr_scheduler", "torch.distributions"),
    *("torch.func", "torch.autograd", "torch.utils.data"),
)
ELSEWHERE = (torch.Tensor, torch.nn.Module, torch.optim.Optimizer)
"""What many modules import."""


def of_pytorch(home: str) -> set[str]:
    """The public functions and classes of a module of PyTorch, or all that tensors have."""
    kind = pkgutil.resolve_name(home)
    members = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    if home != "torch.Tensor":
        members = {name: member for name, member in members.items() if callable(member) and not inspect.ismodule(member)}
    ours = {
        name
        for name, member in members.items()
        if (getattr(member, "__module__", None) or "torch").partition(".")[0] == "torch"
    }
    return {f"{home}.{name}" for name in ours if members[name] not in ELSEWHERE}


@pytest.mark.filterwarnings("ignore")  # names that PyTorch deprecates warn when they are looked at
@pytest.mark.parametrize("home", HOMES)
def test_every_name_of_pytorch_is_found_or_left_out_for_a_reason(home: str, whole: TranslationReport) -> None:
    """Else write an entry, or name it in crosscheck/_dictionary/left_out.json."""
    if whole.note:
        pytest.skip("other versions have other functions")
    known = {name for entry in whole.entries for name in entry.names}
    lacking = {name for name in of_pytorch(home) if not known & {*spellings(name)}}
    assert lacking == {name for name in left_out() if name.rpartition(".")[0] == home}


def test_a_name_that_is_left_out_gets_the_reason() -> None:
    with pytest.raises(UsageError, match=r"leaves out torch\.nn\.AdaptiveLogSoftmaxWithLoss: no library of JAX has it"):
        translate("nn.AdaptiveLogSoftmaxWithLoss")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("torch.Tensor.sin", "torch.sin"),
        ("Tensor.sin()", "torch.sin"),
        ("torch.Tensor.clamp_", "torch.clamp"),
        ("torch.conv2d", "torch.nn.functional.conv2d"),
        ("torch.special.log1p", "torch.log1p"),
        ("F.relu_", "torch.nn.functional.relu"),
        ("nn.init.dirac", "torch.nn.init.dirac_"),
        ("torch.autograd.no_grad", "torch.no_grad"),
        ("torch.distributions.normal.Normal", "torch.distributions.Normal"),
        ("torch.distributions.Beta.log_prob", "torch.distributions.Beta"),
        ("nnx.relu6", "torch.nn.functional.relu6"),
        ("torch.Tensor.T", "torch.t"),
        ("torch.isin", "torch.isin"),
        ("jnp.less_equal", "torch.le"),
    ],
)
def test_a_function_is_found_by_its_other_names(name: str, meant: str) -> None:
    assert meant in translate(name).meanings


def test_a_function_without_a_counterpart_is_told() -> None:
    with pytest.raises(UsageError, match=r"PyTorch has no counterpart of jax\.numpy\.nanmax"):
        translate("jnp.nanmax")


def test_what_is_no_name_is_told() -> None:
    with pytest.raises(UsageError, match="name: got int, expected a text"):
        translate(3)  # type: ignore[arg-type]


def test_the_command_refuses_an_unknown_name() -> None:
    result = cli.run("translate", "hubber_loss")
    assert result.exit_code == 2
    assert "NAME: the dictionary has no 'hubber_loss'; the nearest is torch.nn.functional.huber_loss" in result.output


def test_a_name_with_several_meanings_lists_them() -> None:
    report = translate("softmax_cross_entropy_with_integer_labels")
    assert len(report.meanings) > 1
    assert "meanings: torch.nn.functional.cross_entropy, " in report.headline
    for meaning in report.meanings:
        assert meaning in str(report)
