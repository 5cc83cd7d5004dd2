"""The table of disagreements: whole without a script, filtered and sorted with one, by links too."""

import re
from typing import Any

import pytest
from conftest import PATIENCE_S, SITE, Chromium
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

PAGE = "disagreements/"
SHOWN = "[...document.querySelectorAll('table.atlas tbody tr')].filter(one => !one.hidden)"


def shown(browser: Chromium, name: str) -> list[str]:
    """A property of the rows that are shown."""
    return list(browser.ask(f"{SHOWN}.map(one => one.dataset[arguments[0]])", name))


def choose(browser: Chromium, name: str, value: str) -> None:
    Select(browser.driver.find_element(By.NAME, name)).select_by_value(value)


def test_without_a_script_every_row_is_there(browser: Chromium, site: str) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get(f"{site}/{PAGE}")
        assert len(browser.driver.find_elements(By.CSS_SELECTOR, "table.atlas tbody tr")) > 100
        assert not browser.driver.find_element(By.CSS_SELECTOR, ".atlas-form").is_displayed()
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("function", "silu"),
        ("cause", "convention"),
        ("order", "second derivative"),
        ("dtype", "float16"),
        ("mode", "compile"),
        ("framework", "jax"),
        ("version", "torch-2.13-jax-0.10-avx2"),
        ("bug", "yes"),
        ("newest", "yes"),
    ],
)
def test_it_is_filtered_by_each_of_its_properties(browser: Chromium, site: str, name: str, value: str) -> None:
    browser.open(f"{site}/{PAGE}")
    everything = shown(browser, name)
    wanted = [choices for choices in everything if value in choices.split("|")]
    choose(browser, name, value)
    assert 0 < len(wanted) < len(everything)
    assert shown(browser, name) == wanted
    assert browser.ask("document.querySelector('.atlas-form output').textContent") == f"{len(wanted)} of {len(everything)}"
    browser.driver.find_element(By.CSS_SELECTOR, ".atlas-form [type=reset]").click()
    WebDriverWait(browser.driver, PATIENCE_S).until(lambda _: shown(browser, name) == everything)


def test_a_choice_is_in_the_address_and_can_be_linked_to(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/{PAGE}")
    choose(browser, "function", "gelu")
    choose(browser, "cause", "special")
    assert browser.ask("location.search") == "?function=gelu&cause=special"
    chosen = shown(browser, "function")
    browser.open(f"{site}/{PAGE}?cause=special&function=gelu")
    assert shown(browser, "function") == chosen
    assert set(chosen) == {"gelu"}
    browser.open(f"{site}/{PAGE}?text=threshold")
    assert set(shown(browser, "function")) == {"softplus"}


def test_a_row_has_a_link_of_its_own_and_leads_to_its_reproducer(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/{PAGE}#row-softshrink-compiled-nan")
    row: Any = browser.driver.find_element(By.ID, "row-softshrink-compiled-nan")
    assert browser.ask("document.querySelector('tr:target').id") == "row-softshrink-compiled-nan"
    row.find_element(By.CSS_SELECTOR, "a[href$='#softshrink-compiled-nan']").click()
    there = "location.hash === '#softshrink-compiled-nan' && location.pathname.endsWith('/activations/softshrink/')"
    WebDriverWait(browser.driver, PATIENCE_S).until(lambda _: browser.ask(there))
    assert "torch.compile" in browser.ask("document.querySelector('article').textContent")


@pytest.mark.parametrize(("words", "function"), [("layer_norm", "standardize"), ("jax.nn.gelu", "gelu")])
def test_a_native_name_finds_its_rows(browser: Chromium, site: str, words: str, function: str) -> None:
    browser.open(f"{site}/{PAGE}?text={words}")
    assert function in shown(browser, "function")
    assert set(shown(browser, "function")) <= {function, f"{function}_tanh"}


def test_the_text_of_an_issue_is_copied_with_the_versions(browser: Chromium, site: str) -> None:
    browser.driver.execute_cdp_cmd("Browser.grantPermissions", {"permissions": ["clipboardReadWrite"], "origin": site})
    browser.open(f"{site}/activations/squareplus/#squareplus-overflow")
    browser.driver.find_element(By.CSS_SELECTOR, "#squareplus-overflow ~ div .issue button").click()
    read = "navigator.clipboard.readText().then(done, one => done(String(one)))"
    copied = browser.driver.execute_async_script(f"const done = arguments[0]; setTimeout(() => {read}, 200)")
    assert copied.startswith("# jax.nn.squareplus: inf at x = -1e+300 in float64, expected 1e-300\n")
    assert "```python\nimport jax\n" in copied
    assert re.search(r"^jaxlib: +\d", copied, re.MULTILINE)
    assert "crosscheck" not in copied


def test_a_button_stands_only_where_there_is_something_to_report(browser: Chromium, site: str) -> None:
    """Not where a newer release is right, nor where somebody has filed an issue, nor where it is no bug."""
    browser.open(f"{site}/{PAGE}?bug=yes&newest=yes")
    still = shown(browser, "function")
    buttons = {
        path.parent.name: path.read_text("utf-8").count('class="issue"') for path in SITE.glob("activations/*/index.html")
    }
    assert sum(buttons.values()) > 0
    assert all(count <= still.count(name) for name, count in buttons.items())
    browser.open(f"{site}/{PAGE}?bug=yes&newest=no")
    assert "softshrink" in shown(browser, "function")
    browser.open(f"{site}/activations/softshrink/")
    assert not browser.driver.find_elements(By.CSS_SELECTOR, ".issue")


def test_the_best_bugs_of_other_functions_are_in_the_table(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/{PAGE}?bug=yes")
    assert {"ldexp", "polygamma", "NAdam", "attention"} <= set(shown(browser, "function"))


def test_it_is_sorted_by_a_column_up_and_down(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/{PAGE}")
    head = browser.driver.find_elements(By.CSS_SELECTOR, "table.atlas th button")[2]
    head.click()
    causes = shown(browser, "cause")
    assert causes == sorted(causes)
    head.click()
    assert shown(browser, "cause") == sorted(causes, reverse=True)
    assert browser.ask("document.querySelector('th[aria-sort]').textContent").startswith("cause")
