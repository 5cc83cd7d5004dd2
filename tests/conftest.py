"""What several tests share: the catalogue's report, made once, the command line, and a file with an activation."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

import crosscheck
from crosscheck import Activation, Report
from crosscheck._compare import verify
from crosscheck._compare.judged import Judged

MINE = '''
"""An activation of the user's: half of x."""

from math import inf

from crosscheck import Activation, Limits


def definition(m, x):
    return x / 2


def derivative(m, x):
    return m.where(x == x, 0.5, 0.5)


def second_derivative(m, x):
    return m.where(x == x, 0.0, 0.0)


def value(framework, x):
    return x / 2


MINE = Activation(
    name="mine",
    definition=definition,
    derivative=derivative,
    second_derivative=second_derivative,
    torch_value=value,
    torch_gradient=lambda torch, x: torch.full_like(x, 0.5),
    torch_second=lambda torch, x: torch.zeros_like(x),
    jax_value=value,
    jax_gradient=lambda jax, x: jax.numpy.full_like(x, 0.5),
    jax_second=lambda jax, x: jax.numpy.zeros_like(x),
    limits=Limits(minus=(-inf, 0.5, 0), plus=(inf, 0.5, 0)),
)
'''


collect_ignore = ["browser"]  # looks at the built site: a session of its own runs it

Points = Mapping[str, Sequence[Judged]]
"""What a run keeps of each activation's comparisons."""


@pytest.fixture(scope="session")
def catalogue_run() -> tuple[Report, Points]:
    """The whole catalogue in every dtype, order and mode, run once: the report, and the points that it was made of."""
    kept: dict[str, list[Judged]] = {}

    def run(activation: Activation, *arguments: Any) -> list[Judged]:
        kept[activation.name] = list(verify.run(activation, *arguments))
        return kept[activation.name]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crosscheck._api.run", run)
        return crosscheck.verify(), kept


@pytest.fixture(scope="session")
def catalogue_report(catalogue_run: tuple[Report, Points]) -> Report:
    return catalogue_run[0]


@pytest.fixture(scope="session")
def catalogue_points(catalogue_run: tuple[Report, Points]) -> Points:
    """The judged points of each activation, to which deviations can be applied again and again."""
    return catalogue_run[1]


@pytest.fixture
def activation_file(tmp_path: Path) -> Path:
    """A Python file with one record, called ``mine``."""
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


@pytest.fixture
def command(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``crosscheck`` with arguments, in an empty folder, as a user does."""

    def run(*arguments: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from crosscheck.cli import main; main()", *arguments],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
