"""The corpus of pairs: every verdict, cause and side is right. One of sixteen is judged here, all in `corpus(pairs)`."""

import itertools
from collections.abc import Iterator

import jax
import pytest
from pairs import LIBRARIES, MISSING, PAIRS
from pairs.records import Pair
from sampled import sampled

from crosscheck import Diagnosis

pytestmark = pytest.mark.full

RUN = itertools.count(1)


@pytest.fixture(autouse=True)
def let_go_of_compiled_programs() -> Iterator[None]:
    """JAX keeps what it has compiled, and hardly two pairs have a program in common."""
    yield
    if next(RUN) % 50 == 0:
        jax.clear_caches()


def test_the_corpus_is_of_both_kinds() -> None:
    right = sum(pair.passes for pair in PAIRS)
    assert min(right, len(PAIRS) - right) >= 30


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_pairs_of_a_library_are_there(library: str) -> None:
    if library in MISSING:
        pytest.skip(f"its pairs are left out: {library} is not installed")
    assert sum(pair.name.startswith(f"{library}-") for pair in PAIRS) >= 10


@pytest.fixture
def without_diagnosis(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told beyond the verdict takes half of the time and is tested in test_diagnosis.py."""
    monkeypatch.setattr("crosscheck._compare.diagnosis.diagnose", lambda *_: Diagnosis())


HERE = [pair for pair in PAIRS if pair.holds_here]
SHARED = [pytest.param(pair, id=pair.name, marks=sampled(k, one_of=16)) for k, pair in enumerate(HERE)]


@pytest.mark.usefixtures("without_diagnosis")
@pytest.mark.filterwarnings("ignore")  # the functions are other people's habits, warnings and all
@pytest.mark.parametrize("pair", SHARED)
def test_the_verdict_is_right(pair: Pair) -> None:
    report = pair.report()
    assert (report.passed, report.cause, report.side) == (pair.passes, pair.cause, pair.side), str(report)
