"""axe-core on every page: no violation that is serious or critical, in both schemes."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Chromium, pages, serve

AXE = os.environ.get("AXE", "")
RUN = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(
    (found) => done(found.violations), (error) => done([{id: String(error), impact: "critical", nodes: []}]));
"""
GRAVE = ("serious", "critical")

pytestmark = pytest.mark.skipif(
    not Path(AXE).is_file(), reason="AXE names no file of axe-core; nox -s browser gets one with npm"
)


def grave(browser: Chromium, address: str) -> list[str]:
    """The serious and critical violations on a page, each with where it is."""
    browser.open(address)
    browser.driver.execute_script(Path(AXE).read_text(encoding="utf-8"))
    browser.driver.set_script_timeout(60)
    violations: list[dict[str, Any]] = browser.driver.execute_async_script(RUN)
    return [
        f"{violation['id']} ({violation['impact']}): {', '.join(str(node['target']) for node in violation['nodes'][:3])}"
        for violation in violations
        if violation["impact"] in GRAVE
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", pages())
def test_a_page_shuts_nobody_out(browser: Chromium, site: str, page: str, scheme: str) -> None:
    browser.scheme(scheme)
    assert grave(browser, f"{site}/{page}") == []


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A picture without a description, and grey letters on white."""
    folder = tmp_path_factory.mktemp("shut-out")
    (folder / "index.html").write_text(
        "<!doctype html><html lang=en><title>planted</title><link rel=icon href=data:,>"
        "<main><h1>One</h1><img src=data:,><p style='color: #ccc; background: #fff'>grey</p></main>"
    )
    yield from serve(folder)


def test_planted_violations_are_seen(browser: Chromium, planted: str) -> None:
    violations = " ".join(grave(browser, f"{planted}/"))
    assert "image-alt (critical)" in violations
    assert "color-contrast (serious)" in violations
