"""How far a command is: by dtype and order, a bar on a terminal, a line now and then in a pipe."""

import time
from pathlib import Path

import click.testing
import pytest
from cli import main

import crosscheck
from crosscheck._cli import progress


def test_progress_is_told_by_dtype_and_order_and_grows_to_the_whole() -> None:
    told: list[tuple[str, str, float]] = []
    crosscheck.verify("relu", dtypes=["float32", "bfloat16"], quick=True, progress=lambda *event: told.append(event))
    assert {name for name, _, _ in told} == {"relu"}
    assert {what.strip() for _, what, _ in told} == {
        *("float32", "bfloat16"),
        *(f"{dtype} {order}" for dtype in ("float32", "bfloat16") for order in ("value", "gradient", "second derivative")),
    }
    shares = [share for _, _, share in told]
    assert min(shares) == 0
    assert 0.9 < max(shares) <= 1
    halves = {dtype: [share for _, what, share in told if what.startswith(dtype)] for dtype in ("float32", "bfloat16")}
    assert max(halves["float32"]) <= 0.5 <= min(halves["bfloat16"])


def test_several_activations_fill_one_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    moved: list[float] = []
    monkeypatch.setattr("rich.progress.Progress.update", lambda bar, task, completed, **other: moved.append(completed))
    with progress.activations_done(2) as advance:
        for name in ("relu", "silu"):
            for share in (0.0, 0.5):
                advance(name, "float32", share)
    assert moved == [0, 0.5, 1, 1.5]


def test_a_pipe_gets_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(progress, "FIRST", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    said = ""
    with progress.activations_done(2) as advance:
        advance("relu", "float32 gradient", 0.5)
        end = time.monotonic() + 60
        while said.count("relu float32 gradient: 25% after 0 s\n") < 2:
            assert time.monotonic() < end
            said += capsys.readouterr().err
    capsys.readouterr()
    assert capsys.readouterr().err == "", "nothing is said after the end"


@pytest.mark.parametrize(
    "arguments",
    [("verify", "relu", "--quick", "--order", "0"), ("sweep", "relu", "--dtype", "bfloat16", "--order", "0")],
    ids=lambda arguments: arguments[0],
)
def test_the_lines_are_on_standard_error_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    quiet = click.testing.CliRunner().invoke(main, arguments)
    monkeypatch.setattr(progress, "FIRST", 0.0)
    loud = click.testing.CliRunner().invoke(main, arguments)
    assert (loud.exit_code, loud.stdout) == (0, quiet.stdout)
    assert " after 0 s\n" in loud.stderr
