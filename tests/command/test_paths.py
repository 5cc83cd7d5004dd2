"""Files of a command: what is read is never written, and what crosscheck did not write is overwritten with --force alone."""

import gzip
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli import main
from click.testing import CliRunner, Result

import crosscheck

MINE = b"import numpy\nhalf = lambda x: x / 2\nLIST = [1]\n"
RECORD = str(next(Path(crosscheck.__file__).parent.glob("_recorded/*.json")))
DICTIONARY = str(Path(crosscheck.__file__).parent / "_dictionary" / "verdicts.json")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with arrays, a Python file, links to them and a folder within."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mine", raising=False)  # that of another test's folder
    for name in ("a.npy", "b.npy"):
        np.save(name, np.arange(3.0))
    (tmp_path / "mine.py").write_bytes(MINE)
    (tmp_path / "link.npy").symlink_to("a.npy")
    os.link("a.npy", "twin.npy")
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "up").symlink_to("..")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


SPELLINGS: dict[str, Callable[[Path], str]] = {
    "the same name": lambda folder: "a.npy",
    "a dot": lambda folder: "./a.npy",
    "up and down": lambda folder: "inner/../a.npy",
    "a link to the folder": lambda folder: "inner/up/a.npy",
    "a link": lambda folder: "link.npy",
    "a hard link": lambda folder: "twin.npy",
    "absolute": lambda folder: str(folder / "a.npy"),
}


@pytest.mark.parametrize("option", ["--json", "--html", "--markdown"])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_what_is_read_is_not_written_by_any_spelling(folder: Path, spelling: str, option: str) -> None:
    before = (folder / "a.npy").read_bytes()
    name = SPELLINGS[spelling](folder)
    for arguments, what in (
        (("a.npy", "b.npy", option, name), "A"),
        (("b.npy", name, option, "a.npy"), "B"),
        (("b.npy", "b.npy", "--truth", name, option, "a.npy"), "--truth"),
    ):
        done = run("diff", *arguments, "--force")
        assert (done.exit_code, done.stdout) == (2, "")
        assert done.stderr == f"Error: {option}: {arguments[-1]} is also read, as {what}; give another name\n"
    assert (folder / "a.npy").read_bytes() == before


STATES = ("--torch-state", "mine:LIST", "--jax-state", "mine:LIST")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("list", "--file", "mine.py", "--json", "./mine.py"), "--json: ./mine.py is also read, as --file"),
        (("verify", "--file", "mine.py", "--html", "mine.py"), "--html: mine.py is also read, as --file"),
        (("plot", "relu", "--file", "mine.png", "--figure", "mine.png"), "--figure: mine.png is also read"),
        (("atlas", "--diff", "a.npy", "b.npy", "--json", "b.npy"), "--json: b.npy is also read, as NEW.json"),
        (("atlas", "--diff", "a.npy", "b.npy", "--json", "a.npy"), "--json: a.npy is also read, as --diff"),
        (
            ("compare", "mine:half", "mine:half", "--json", "mine.py"),
            "mine.py is also read, as the module mine",
        ),
        (
            ("models", "mine:LIST", "mine:LIST", "--inputs", "mine:LIST", "--params", "mine:LIST", "--html", "mine.py"),
            "mine.py is also read, as the module mine",
        ),
        (
            ("training", "mine:half", "mine:half", *STATES, "--batches", "mine:LIST", "--markdown", "mine.py"),
            "mine.py is also read, as the module mine",
        ),
        (("list", "--json", RECORD), "is also read, as a record of crosscheck"),
        (("translate", "l1_loss", "--json", DICTIONARY), "is also read, as the dictionary"),
        (
            ("sweep", "relu", "--dtype", "bfloat16", "--out", ".", "--json", "relu-bfloat16.journal"),
            "--json: relu-bfloat16.journal is also read, as the journal in --out",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_so_does_every_command(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = run(*arguments, "--force")
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert (folder / "mine.py").read_bytes() == MINE


def test_what_crosscheck_did_not_write_stays_without_force(folder: Path) -> None:
    for content in (
        b"x",
        MINE,
        b'{"schema": "other/1"}',
        b"\x89PNG...",
        gzip.compress(b"{}"),
        b"\x1f\x8bno gzip",
        b"**A**\n",
    ):
        kept = folder / "kept"
        kept.write_bytes(content)
        (folder / "to it").unlink(missing_ok=True)
        (folder / "to it").symlink_to("kept")
        for name in ("kept", "to it"):
            done = run("list", "--json", name)
            assert (done.exit_code, done.stdout) == (2, "")
            expected = (
                f"--json: {name} exists, and crosscheck did not write it; give another name, or --force to overwrite it"
            )
            assert done.stderr == f"Error: {expected}\n"
            assert kept.read_bytes() == content
    assert run("list", "--json", "kept", "--force").exit_code == 0
    assert kept.read_bytes().startswith(b'{\n  "schema": "crosscheck.list/1"')


def test_a_command_runs_twice() -> None:
    """What it wrote the first time, in each of its formats, is overwritten the second time; and an empty file is."""
    Path("empty.json").touch()
    written = ("--html", "a.html", "--markdown", "a.md")
    for json_path in ("a.json", "a.json.gz", "empty.json", "a"):
        for _ in range(2):
            done = run("diff", "a.npy", "b.npy", "--json", json_path, *written)
            assert done.exit_code == 0, done.stderr


@pytest.fixture(scope="module")
def figure() -> Any:
    """What a user draws without the command."""
    return crosscheck.plot("relu")


@pytest.mark.full
@pytest.mark.parametrize("suffix", [".png", ".svg", ".PDF"])
def test_a_figure_is_drawn_twice(suffix: str, figure: Any) -> None:
    for _ in range(2):
        done = run("plot", "relu", "--figure", f"a{suffix}")
        assert (done.exit_code, done.stdout) == (0, f"a{suffix}\n"), done.stderr
    figure.savefig(f"theirs{suffix}")
    assert run("plot", "relu", "--figure", f"theirs{suffix}").exit_code == 2


def test_the_figure_that_is_drawn_unless_another_is_named_overwrites_nothing(folder: Path) -> None:
    (folder / "relu.png").write_bytes(MINE)
    done = run("plot", "relu")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--figure: relu.png exists" in done.stderr
    assert (folder / "relu.png").read_bytes() == MINE


def test_a_device_is_written_to() -> None:
    assert run("list", "--json", os.devnull).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (("list", "--json", ""), "--json"),
        (("list", "--file", ""), "--file"),
        (("diff", "a.npy", ""), "B"),
        (("diff", "a.npy", "b.npy", "--html", ""), "--html"),
        (("sweep", "--table", ""), "--table"),
        (("sweep", "relu", "--out", ""), "--out"),
        (("atlas", "--record", "--out", ""), "--out"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_an_empty_path_is_told(arguments: tuple[str, ...], argument: str) -> None:
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr == f"Error: {argument}: got an empty text, expected a path\n"
