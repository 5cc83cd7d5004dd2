"""What readers come for is two clicks from Home, and the answer is on the screen, without scrolling."""

from collections.abc import Iterator

import pytest
from conftest import PATIENCE_S, Chromium, serve
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

TASKS = {
    "is my gelu port wrong?": (["gelu"], ["A normal difference", "jax.nn.gelu(x, approximate=False)"]),
    "is my silu port wrong?": (["Activations", "silu"], ["A normal difference"]),
    "what is torch's LayerNorm in flax?": (["LayerNorm"], ["nnx.LayerNorm(6"]),
    "what is torch's Dropout in flax?": (["Dictionary", "dropout / Dropout"], ["nnx.Dropout"]),
    "which functions of JAX have bugs?": (["of JAX"], ["looks like a bug"]),
    "how do I reproduce a bug of JAX?": (
        ["of JAX", "the value is ∞ at x = −1e+300"],
        ["jax.nn.squareplus", "Copy as an issue"],
    ),
}
"""By the question: the links to follow from Home, at most two, and what is then to be seen."""
SEEN = """
const wanted = arguments[0];
const texts = [...document.querySelectorAll("article :is(p, code, td, button)")];
return texts.filter(one => one.textContent.includes(wanted)).some(one => { const box = one.getBoundingClientRect();
  return box.height > 0 && box.top >= 0 && box.top < innerHeight - 10; });
"""


def seen(browser: Chromium, text: str) -> bool:
    """Whether a text is on the screen, without scrolling."""
    return bool(browser.driver.execute_script(SEEN, text))


@pytest.mark.parametrize("question", TASKS)
def test_an_answer_is_two_clicks_from_home_and_above_the_fold(browser: Chromium, site: str, question: str) -> None:
    clicks, answers = TASKS[question]
    assert len(clicks) <= 2
    browser.visit(f"{site}/")
    wait = WebDriverWait(browser.driver, PATIENCE_S)
    moved = "location.href !== arguments[0] && document.readyState === 'complete'"
    for text in clicks:
        before = browser.ask("location.href")
        browser.driver.find_element(By.PARTIAL_LINK_TEXT, text).click()
        wait.until(lambda _, before=before: browser.ask(moved, before), message=text)
    for answer in answers:
        wait.until(lambda _, answer=answer: seen(browser, answer), message=answer)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An answer that is further down."""
    folder = tmp_path_factory.mktemp("below")
    (folder / "index.html").write_text(
        "<!doctype html><article><p>above</p><div style='height: 3000px'></div><p>below</p></article>"
    )
    yield from serve(folder)


def test_an_answer_below_the_fold_is_not_seen(browser: Chromium, planted: str) -> None:
    browser.driver.get(f"{planted}/")
    assert [seen(browser, text) for text in ("above", "below", "missing")] == [True, False, False]
