"""Reports as Markdown, as one HTML file, in a notebook and as a figure."""

import dataclasses
import os
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import crosscheck
from crosscheck import ArraysReport, Finding, PairReport, Report

pytestmark = pytest.mark.full

EVIL = "<script>alert(1)</script>|`*_[x](y)"


@pytest.fixture(scope="module")
def verified() -> Report:
    return crosscheck.verify("silu", quick=True, dtypes=["float32"])


@pytest.fixture(scope="module")
def failing() -> Report:
    return crosscheck.verify("silu", quick=True, dtypes=["float32"], without=["silu-exp-overflow"])


@pytest.fixture(scope="module")
def compared() -> PairReport:
    return crosscheck.compare(torch.tanh, lambda x: jnp.tanh(x) * 1.001)


@pytest.fixture(scope="module")
def arrays() -> ArraysReport:
    a = {"weight": np.linspace(0, 1, 300, dtype=np.float32), EVIL: np.ones(3)}
    b = {"weight": a["weight"] * np.float32(1.0001), EVIL: np.array([1, 2, np.nan])}
    return crosscheck.compare_arrays(a, b)


@pytest.fixture(params=["verified", "failing", "compared", "arrays"])
def report(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


class Page(HTMLParser):
    """What an HTML page holds: its tags, what they refer to, and its text."""

    VOID = frozenset({"meta", "br", "link", "img"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.refers: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in self.VOID:
            self.open.append(tag)
        self.refers += [value or "" for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data")]

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.open.remove(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_is_whole_and_asks_nothing_of_anything_else(report: Any, tmp_path: Path) -> None:
    report.to_html(tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    page = Page(html)
    assert page.open == []
    assert html.startswith("<!DOCTYPE html>")
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert all(reference.startswith("#") for reference in page.refers)
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)
    assert 'name="viewport"' in html
    assert "color-scheme: light dark" in html


def test_each_form_says_the_verdict_and_shows_the_errors(report: Any) -> None:
    title = report.document().title
    assert title in " ".join(Page(report._repr_html_()).text.split())
    assert report.markdown().startswith("**")
    assert ("FAILED" in title or "DISAGREE" in title) != report.passed
    for html in (report._repr_html_(), report.document().page()):
        assert html.count("<svg") >= 1
        assert 'aria-label="' in html
    assert ("passed" if report.passed else "failed") in report._repr_html_()


def test_the_same_report_makes_the_same_page(compared: PairReport) -> None:
    assert compared.document().page() == compared.document().page()


def test_the_figure_shows_the_errors_over_the_input_and_their_sizes(report: Any) -> None:
    figure = report.plot()
    panels = report.panels()
    assert len(figure.axes) == 2 * len(panels)
    first = next(iter(panels.values()))
    line = figure.axes[0].lines[0]
    profile = next(iter(first.values()))
    np.testing.assert_array_equal(line.get_ydata(), np.where(np.isfinite(profile.worst), profile.worst, np.nan))
    heights = sum(patch.get_height() for patch in figure.axes[len(panels)].patches)
    assert heights == sum(sum(profile.counts) for profile in first.values())


def test_what_fails_is_what_is_drawn(compared: PairReport, failing: Report) -> None:
    value = next(c for c in compared.comparisons if c.order == 0)
    assert value.profile is not None
    assert max(value.profile.worst) == pytest.approx(value.max_ulp)
    assert value.profile.by == "input"
    assert any("silu" in title for title in failing.panels())
    assert "Not declared, so this run fails" in Page(failing.document().page()).text


def test_a_function_whose_results_belong_to_no_input_is_drawn_by_element() -> None:
    report = crosscheck.compare(lambda x: x @ x, lambda x: x @ x, crosscheck.normal((20, 20)))
    profile = report.comparisons[0].profile
    assert profile is not None
    assert profile.by == "element"
    assert sum(profile.counts) == 400
    report.plot()


def test_nothing_compared_is_said_and_not_drawn(compared: PairReport) -> None:
    def fails(x: Any) -> Any:
        raise KeyError(EVIL)

    report = crosscheck.compare(torch.tanh, fails)
    with pytest.raises(ValueError, match="nothing was compared"):
        report.plot()
    page = Page(report.document().page())
    assert "svg" not in page.tags
    assert "script" not in page.tags
    assert EVIL in page.text


def test_a_list_that_is_cut_says_so(verified: Report) -> None:
    findings = tuple(Finding("an-id", True, f"message {number}") for number in range(103))
    text = dataclasses.replace(verified, findings=findings).markdown()
    assert "message 99" in text
    assert "message 100" not in text
    assert "and 3 more" in text


def test_names_with_markup_stay_text(arrays: ArraysReport) -> None:
    page = Page(arrays.document().page())
    assert "script" not in page.tags
    assert EVIL in page.text
    table = next(line for line in arrays.markdown().splitlines() if line.startswith("| ") and "script" in line)
    assert r"\<script\>alert(1)\</script\>\|\`\*\_\[x\](y)" in table
    assert len(re.findall(r"(?<!\\)\|", table)) == 10  # of nine cells


def test_the_profile_is_not_in_the_json_nor_in_what_makes_two_reports_equal(compared: PairReport) -> None:
    assert not any("profile" in comparison for comparison in compared.data()["comparisons"])
    first = compared.comparisons[0]
    assert not next(field for field in dataclasses.fields(first) if field.name == "profile").compare
    assert "profile" not in repr(first)


Command = Callable[..., CompletedProcess[str]]


def test_the_commands_write_both(command: Command, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.ones(4))
    done = command("diff", "a.npy", "a.npy", "--html", "out.html", "--markdown", "out.md")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "out.html").read_text()
    assert (tmp_path / "out.md").read_text().startswith("**AGREE")
    done = command("compare", "torch:tanh", "jax.numpy:tanh", "--html", "pair.html", "--markdown", "pair.md")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "pair.html").read_text()
    done = command("verify", "relu", "--quick", "--dtype", "bfloat16", "--html", "verify.html")
    assert done.returncode == 0, done.stderr
    assert "<svg" in (tmp_path / "verify.html").read_text()


@pytest.mark.parametrize("option", ["--html", "--markdown"])
@pytest.mark.parametrize("path", [os.path.join("no", "such", "file"), "."])
def test_a_report_that_cannot_be_written_is_refused_at_once(command: Command, option: str, path: str) -> None:
    done = command("verify", "relu", option, path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"Error: {option}: ")
    assert done.stdout == ""
