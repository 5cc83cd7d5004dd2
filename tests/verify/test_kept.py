"""What is kept from run to run: it is what would be computed, and not believed where it is damaged or a source changes."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import click
import flint
import numpy as np
import pytest
from click.testing import CliRunner
from contract import ORDERS
from truths import Truth, kept, samples

import crosscheck
from crosscheck._cli import caching

SIGMOID, SOFTMAX = crosscheck.activations.sigmoid, crosscheck.activations.softmax
VARIABLE = "CROSSCHECK_CACHE_DIR"
LARGEST = 2**30
"""How many bytes a command may leave, as the documentation says."""
Look = Callable[..., dict[int, Truth]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where things are kept."""
    monkeypatch.setenv(VARIABLE, str(tmp_path / "kept"))
    kept._sources.cache_clear()
    yield tmp_path / "kept"
    kept._sources.cache_clear()


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def look(activation: Any = SIGMOID, dtype: str = "float32") -> dict[int, Truth]:
    """The truths of some sampled inputs."""
    drawn = samples(activation, activation.parameters, dtype, (100,), seed=0, per_binade=1, uniform=500)
    return next(drawn).truths(activation, ORDERS, activation.parameters)


def bits(truths: dict[int, Truth]) -> list[Any]:
    """All of it: dtypes, shapes and bytes."""
    pieces: list[Any] = []
    for order, truth in sorted(truths.items()):
        for field in fields(truth):
            value = getattr(truth, field.name)
            pieces.append((order, field.name, (value.dtype, value.shape, value.tobytes()) if field.name != "fmt" else value))
    return pieces


def never(*arguments: Any, **options: Any) -> None:
    raise AssertionError("computed again")


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("truth", "row_truth"):
        monkeypatch.setattr(kept, name, never)


@pytest.mark.parametrize(
    ("activation", "dtype"),
    [(SIGMOID, "float64"), (SIGMOID, "float16"), (crosscheck.activations.relu, "bfloat16"), (SOFTMAX, "float32")],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_kept_truth_is_the_computed_one_to_the_bit(
    activation: Any, dtype: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as nothing_kept:
        nothing_kept.setenv(VARIABLE, "")
        computed = look(activation, dtype)
    assert not files(folder)
    first = look(activation, dtype)
    assert len(files(folder)) == 1
    forbid(monkeypatch)
    assert bits(computed) == bits(first) == bits(look(activation, dtype))


def test_few_inputs_are_not_kept(folder: Path) -> None:
    x = np.linspace(-1, 1, 10, dtype=np.float32)
    kept.truths(SIGMOID, x, None, ORDERS, {})
    assert not files(folder)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:20],
        lambda data: data[:-1],
        lambda data: data + b"\0",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data[:-1000] + bytes([data[-1000] ^ 1]) + data[-999:],
    ],
    ids=["empty", "in the checksum", "one byte less", "one byte more", "a bit of the checksum", "a bit of the content"],
)
def test_what_is_damaged_is_computed_again_and_mended(damage: Callable[[bytes], bytes], folder: Path) -> None:
    computed = look()
    (file,) = files(folder)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    assert bits(look()) == bits(computed)
    assert file.read_bytes() == whole


def test_the_truth_of_other_inputs_is_not_believed(folder: Path) -> None:
    computed = look()
    (file,) = files(folder)
    look(crosscheck.activations.relu)
    (other,) = set(files(folder)) - {file}
    shutil.copy(other, file)
    assert bits(look()) == bits(computed)


def test_a_changed_record_has_a_truth_of_its_own(folder: Path) -> None:
    honest = {"dtypes": ["float32"], "orders": [0], "quick": True, "implementations": ["torch"], "modes": ["eager"]}
    assert crosscheck.verify(SIGMOID, **honest).passed
    before = files(folder)
    assert before

    def definition(m: Any, x: Any) -> Any:
        return SIGMOID.definition(m, x) * (1 + x * 0 + m.exp(-x * x) / 2**20)

    report = crosscheck.verify(replace(SIGMOID, definition=definition), **honest)
    assert not report.passed
    assert files(folder) == before  # nothing tells when a function outside of the catalogue changes

    exec("def definition(m, x): return 1 / (1 + m.exp(-2 * x))", unnamed := {})  # a function of no module
    assert not crosscheck.verify(replace(SIGMOID, definition=unnamed["definition"]), **honest).passed

    moved = replace(SIGMOID, definition=crosscheck.activations.tanh.definition, limits=crosscheck.activations.tanh.limits)
    assert not crosscheck.verify(moved, **honest).passed
    assert crosscheck.verify(SIGMOID, **honest).passed


CHANGES = {
    "the definition": ("_catalogue/sigmoid.py", "m.exp(-x)", "m.exp(-2 * x)"),
    "what it may call": ("_catalogue/_kernels.py", "", "\n# changed\n"),
    "the truth's room": ("_truth/decide.py", "", "\n# changed\n"),
    "the formats": ("_arithmetic/formats.py", "", "\n# changed\n"),
    "the records": ("_records/records.py", "", "\n# changed\n"),
}
PROGRAM = """
import numpy as np
from crosscheck import activations
from crosscheck._truth.kept import truths
sigmoid = activations.sigmoid
print(truths(sigmoid, np.linspace(0, 1, 300), None, [0], {})[0].rounded.sum())
"""


@pytest.mark.full
def test_a_changed_source_has_truths_of_its_own(folder: Path, tmp_path: Path) -> None:
    package = tmp_path / "copy" / "crosscheck"
    shutil.copytree(Path(crosscheck.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))

    def run() -> str:
        program = [sys.executable, "-B", "-c", PROGRAM]
        return subprocess.run(program, cwd=package.parent, env=env, capture_output=True, text=True, check=True).stdout

    env = {**os.environ, "PYTHONPATH": str(package.parent)}
    said = run()
    assert run() == said
    assert len(files(folder)) == 1
    for number, (what, (name, old, new)) in enumerate(CHANGES.items()):
        source = package / name
        text = source.read_text()
        source.write_text(text.replace(old, new, 1) if old else text + new)
        assert source.read_text() != text
        assert (run() != said) == (what == "the definition"), what
        assert len(files(folder)) == 2 + number, what
        source.write_text(text)
    assert run() == said
    assert len(files(folder)) == 1 + len(CHANGES)


@pytest.mark.parametrize("change", ["flint", "version", "python"])
def test_another_version_has_truths_of_its_own(change: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    computed = look()
    kept._sources.cache_clear()
    if change == "flint":
        monkeypatch.setattr(flint, "__FLINT_VERSION__", "0.0")
    elif change == "version":
        monkeypatch.setattr(kept, "version", lambda package: "0.0")
    else:
        monkeypatch.setattr(sys, "version", "0.0")
    assert bits(look()) == bits(computed)
    assert len(files(folder)) == 2


def test_processes_and_threads_share_one_folder(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        all_bits = [bits(truths) for truths in pool.map(lambda _: look(), range(8))]
    assert all_bits == all_bits[:1] * 8
    assert len(files(folder)) == 1  # nothing that is half written is left


def test_a_folder_that_cannot_be_written_keeps_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.write_text("a file where the folder would be")
    assert look()[0].judged.any()
    assert folder.read_text() == "a file where the folder would be"

    @click.command()
    @caching.option
    def command() -> None:
        click.echo(os.environ[VARIABLE] or "nothing")

    assert CliRunner().invoke(command).output == "nothing\n"


def test_a_command_leaves_no_more_than_the_bound(folder: Path) -> None:
    programs = Path(variables(env={VARIABLE: str(folder)})["JAX_COMPILATION_CACHE_DIR"])
    yours = folder / "yours.txt"
    paths = [programs / name for name in ("oldest", "older", "new")]
    for number, (path, size) in enumerate([(yours, LARGEST), *zip(paths, (1, LARGEST - 1, 1), strict=True)]):
        path.touch()
        os.truncate(path, size)
        os.utime(path, (1e9 + number, 1e9 + number))
    variables(env={VARIABLE: str(folder)})
    assert files(folder) == sorted([yours, *paths[1:]])
    variables(env={VARIABLE: str(folder)})
    assert files(folder) == sorted([yours, *paths[1:]])


def test_the_documentation_says_the_bound() -> None:
    page = Path(__file__).parents[2] / "docs" / "everyday.md"
    assert f"at most {LARGEST / 2**30:g} GiB is left" in page.read_text(encoding="utf-8")


# The commands


def variables(*arguments: str, env: dict[str, str]) -> dict[str, str]:
    """The variables that a command sees, where these are set and no other one of ours or JAX's."""
    seen: dict[str, str] = {}

    @click.command()
    @caching.option
    def command() -> None:
        seen.update(os.environ)

    cleared = {name: None for name in os.environ if name.startswith(("JAX_", "CROSSCHECK_", "PYTHONWARNINGS"))}
    before = dict(os.environ)
    done = CliRunner().invoke(command, arguments, env={**cleared, **env}, catch_exceptions=False)
    assert done.exit_code == 0
    assert dict(os.environ) == before
    return seen


def test_commands_keep_in_the_users_folder_for_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name, **options: str(tmp_path / name))
    seen = variables(env={})
    assert seen["CROSSCHECK_CACHE_DIR"] == str(tmp_path / "crosscheck")
    assert Path(seen["JAX_COMPILATION_CACHE_DIR"]).is_relative_to(tmp_path / "crosscheck")
    assert seen["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"


@pytest.mark.parametrize(("arguments", "named"), [(["--no-cache"], "somewhere"), ([], "")])
def test_nothing_is_kept_where_a_user_says_so(arguments: list[str], named: str, tmp_path: Path) -> None:
    seen = variables(*arguments, env={"CROSSCHECK_CACHE_DIR": named and str(tmp_path / named)})
    assert not seen["CROSSCHECK_CACHE_DIR"]
    assert "JAX_COMPILATION_CACHE_DIR" not in seen
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "given",
    [
        {"JAX_COMPILATION_CACHE_DIR": "mine"},
        {"JAX_ENABLE_COMPILATION_CACHE": "0"},
        {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "5"},
    ],
    ids="".join,
)
def test_jax_keeps_what_its_own_variables_say(given: dict[str, str], tmp_path: Path) -> None:
    seen = variables(env={"CROSSCHECK_CACHE_DIR": str(tmp_path), **given})
    assert seen["CROSSCHECK_CACHE_DIR"] == str(tmp_path)
    assert {name: value for name, value in seen.items() if name.startswith("JAX_")} == given


@pytest.mark.full  # it takes three starts of both frameworks
def test_a_command_says_the_same_again_and_where_all_that_it_kept_is_damaged(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in os.environ if name.startswith("JAX_")]:
        monkeypatch.delenv(name)

    def run() -> tuple[int, str, str]:
        words = ("verify", "relu", "--quick", "--order", "0", "--implementation", "jax")
        done = command(*words, env={"CROSSCHECK_CACHE_DIR": str(tmp_path / "kept")})
        said = [line for line in done.stderr.splitlines() if not re.search(r"\d% after \d+ s$", line)]
        return done.returncode, done.stdout, "".join(said)

    first = run()
    assert first[::2] == (0, "")
    assert {path.parent.name for path in files(tmp_path / "kept")} == {"truths", "programs"}
    assert run() == first
    for path in files(tmp_path / "kept"):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert run() == first
