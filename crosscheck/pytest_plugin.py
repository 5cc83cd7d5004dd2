"""The fixture ``crosscheck`` for tests of other projects: it compares their functions, and summarises all results.

pytest loads this module at every start, so it imports only pytest until a test uses the fixture.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pytest

if TYPE_CHECKING:
    from crosscheck._compare.report import PairReport
    from crosscheck._models.report.report import ModelsReport
    from crosscheck._report.report import Report

    Judged = TypeVar("Judged", PairReport, ModelsReport)

Made = TypeVar("Made")
Written = TypeVar("Written")

SCHEMA = "crosscheck.pytest/1"
MOST_SHOWN = 20


@dataclass(frozen=True)
class TestEntry(Generic[Written]):
    """What one call of the fixture compared; ``report`` is what ``to_json`` writes of it, if there is a file to write."""

    test: str
    kind: str
    passed: bool
    headline: str
    report: Written


@dataclass(frozen=True)
class TestsSummary:
    """How many calls there were, and how many of them passed and failed."""

    comparisons: int
    passed: int
    failed: int


@dataclass(frozen=True)
class TestsFile(Generic[Written]):
    """What ``pytest --crosscheck-json`` writes."""

    schema: str = field(default=SCHEMA, kw_only=True)
    tests: Sequence[TestEntry[Written]]
    summary: TestsSummary


RECORDS = pytest.StashKey[list[TestEntry[Any]]]()
"""The comparisons of the tests in this process."""
PASSED = pytest.StashKey[bool]()
"""Whether a test has passed, before its fixtures end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crosscheck", "comparisons of PyTorch with JAX")
    group.addoption("--crosscheck-seed", type=int, metavar="N", help="the seed of inputs, where a test gives none")
    group.addoption("--crosscheck-device", metavar="DEVICE", help="cpu or gpu, where a test says nothing")
    group.addoption("--crosscheck-dtype", metavar="DTYPE", help="the dtype, where a test gives none")
    group.addoption("--crosscheck-json", metavar="PATH", help="write all comparisons of the run as JSON")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[RECORDS] = []
    path = config.getoption("crosscheck_json")
    if path is not None and (Path(path).is_dir() or not Path(path).absolute().parent.is_dir()):
        raise pytest.UsageError(f"--crosscheck-json: got {path}, expected a file in a folder that exists")
    if path is not None:
        from crosscheck._report.files import replaceable

        if not replaceable(path):
            raise pytest.UsageError(f"--crosscheck-json: {path} exists, and crosscheck did not write it; give another name")
    given = {name: config.getoption(f"crosscheck_{name}") for name in ("device", "dtype")}
    if any(given.values()):
        from crosscheck._records.names import DEVICES, DTYPES

        for name, known in (("device", DEVICES), ("dtype", DTYPES)):
            if given[name] not in (None, *known):
                raise pytest.UsageError(f"--crosscheck-{name}: got {given[name]}, expected one of {', '.join(known)}")


class Crosscheck:
    """The value of the fixture: it compares, and keeps each result for the summary at the end of the test run.

    Each method takes the arguments of the public function of its name, ``assert_models_agree`` those of ``compare_models``.
    The command line gives the defaults of seed, device and dtype.
    """

    def __init__(self, test: str, config: pytest.Config) -> None:
        self._test, self._config = test, config
        self.compared = False

    def __repr__(self) -> str:
        return "<fixture crosscheck>"  # pytest shows it where a test fails

    def assert_agree(self, torch_fn: Any = None, jax_fn: Any = None, inputs: Any = None, **options: Any) -> PairReport:
        """Return the report if the two functions agree; otherwise fail with its story."""
        __tracebackhide__ = True
        return _passed(self.compare(torch_fn, jax_fn, inputs, **options))

    def compare(self, torch_fn: Any = None, jax_fn: Any = None, inputs: Any = None, **options: Any) -> PairReport:
        """Return the report on two functions, even if they disagree."""
        __tracebackhide__ = True
        import crosscheck

        given = self._given("seed", "device", "dtype")
        report = _called(crosscheck.compare, torch_fn, jax_fn, inputs, **{**given, **options})
        self._keep("compare", report.headline, report.passed, report.compared, report.data)
        return report

    def assert_models_agree(
        self, torch_model: Any = None, jax_model: Any = None, inputs: Any = None, **options: Any
    ) -> ModelsReport:
        """Return the report if the two models agree; otherwise fail with its story."""
        __tracebackhide__ = True
        return _passed(self.compare_models(torch_model, jax_model, inputs, **options))

    def compare_models(
        self, torch_model: Any = None, jax_model: Any = None, inputs: Any = None, **options: Any
    ) -> ModelsReport:
        """Return the report on two models, even if they disagree."""
        __tracebackhide__ = True
        import crosscheck

        given = self._given("seed", "dtype")
        report = _called(crosscheck.compare_models, torch_model, jax_model, inputs, **{**given, **options})
        self._keep("compare_models", report.headline, report.passed, len(report.layers), report.data)
        return report

    def verify(self, what: Any = None, **options: Any) -> Report:
        """Return the report on activations, even if one fails."""
        __tracebackhide__ = True
        import crosscheck
        from crosscheck._report.text import headline

        given = self._given("seed", "device")
        if dtype := self._given("dtype"):
            given["dtypes"] = [*dtype.values()]
        report = _called(crosscheck.verify, what, **{**given, **options})
        self._keep("verify", headline(report), report.passed, report.compared, report.data)
        return report

    def _given(self, *names: str) -> dict[str, Any]:
        """The options of the command line."""
        values = {name: self._config.getoption(f"crosscheck_{name}") for name in names}
        return {name: value for name, value in values.items() if value is not None}

    def _keep(self, kind: str, headline: str, passed: bool, compared: int, data: Callable[[], Any]) -> None:
        self.compared |= compared > 0
        report = data() if self._config.getoption("crosscheck_json") else {}
        self._config.stash[RECORDS].append(TestEntry(self._test, kind, passed, headline, report))


def _called(function: Callable[..., Made], *arguments: Any, **options: Any) -> Made:
    """The result of the function; a refused argument is raised again without the traceback inside of crosscheck."""
    __tracebackhide__ = True
    from crosscheck import UsageError

    try:
        return function(*arguments, **options)
    except UsageError as error:
        raise UsageError(str(error)) from None


def _passed(report: Judged) -> Judged:
    __tracebackhide__ = True
    if not report.passed:
        raise AssertionError(report.story())
    return report


@pytest.fixture
def crosscheck(request: pytest.FixtureRequest) -> Iterator[Crosscheck]:
    """Compare functions and models of PyTorch with those of JAX: see ``Crosscheck``."""
    checker = Crosscheck(request.node.nodeid, request.config)
    yield checker
    if request.node.stash.get(PASSED, False) and not checker.compared:
        pytest.fail("the test uses the fixture crosscheck, but compared nothing: call one of its functions", pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if call.when == "call":
        item.stash[PASSED] = report.passed
    return report


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over the records of a worker of pytest-xdist that has ended."""
    sent = json.loads(getattr(node, "workeroutput", {}).get("crosscheck", "[]"))
    node.config.stash[RECORDS].extend(TestEntry(**entry) for entry in sent)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    config = session.config
    if hasattr(config, "workeroutput"):
        config.workeroutput["crosscheck"] = json.dumps([vars(entry) for entry in config.stash[RECORDS]])
        return
    path = config.getoption("crosscheck_json")
    if path is None:
        return
    from crosscheck._report.json_file import write_json

    records = config.stash[RECORDS]
    passed = sum(record.passed for record in records)
    try:
        write_json(path, TestsFile(records, TestsSummary(len(records), passed, len(records) - passed)))
    except OSError as error:
        config.stash[NOT_WRITTEN] = f"{path} was not written: {error}"
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


NOT_WRITTEN = pytest.StashKey[str]()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    records = config.stash[RECORDS]
    path = config.getoption("crosscheck_json")
    if not records and path is None:
        return
    failed = [record for record in records if not record.passed]
    terminalreporter.section("crosscheck")
    terminalreporter.line(f"{len(records)} compared: {len(records) - len(failed)} agree, {len(failed)} do not")
    for record in failed[:MOST_SHOWN]:
        terminalreporter.line(f"{record.test}: {record.headline}")
    if len(failed) > MOST_SHOWN:
        terminalreporter.line(f"and {len(failed) - MOST_SHOWN} more")
    if path is not None:
        terminalreporter.line(config.stash.get(NOT_WRITTEN, f"written to {path}"))
