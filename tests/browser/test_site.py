"""The site as a reader's browser shows it, without a network."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import PATIENCE_S, SITE, Chromium, pages, serve
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

PAGES = pages()
ACTIVATIONS = [page for page in PAGES if page.count("/") == 2 and page.startswith("activations/")]
WITH_NUMBERS = "activations|dictionary|disagreements|accuracy|sweep|detection|tutorials/."
PHONE = 390
MOST_BYTES, MOST_OF_HTML = 800_000, 600_000
SMALLEST_LETTERS = 8
"""In pixels, of a figure on a phone."""


def complaints(browser: Chromium, address: str) -> list[str]:
    """What is wrong with a page: requests to other hosts, failed ones, messages in the console, pictures not drawn."""
    browser.open(address)
    host = "/".join(address.split("/")[:3])
    problems = browser.console()
    for event in browser.said():
        parameters = event["params"]
        if event["method"] == "Network.requestWillBeSent":
            url = parameters["request"]["url"]
            if not url.startswith((host, "data:", "blob:", "about:")):
                problems.append(f"asks for {url}")
        elif event["method"] == "Network.loadingFailed" and not parameters.get("canceled"):
            problems.append(f"a request failed: {parameters['errorText']}")
        elif event["method"] == "Network.responseReceived" and parameters["response"]["status"] >= 400:
            problems.append(f"{parameters['response']['status']} for {parameters['response']['url']}")
    broken = browser.ask("[...document.images].filter(one => !one.naturalWidth).map(one => one.src)")
    return problems + [f"not drawn: {source}" for source in broken]


def sideways(browser: Chromium, address: str) -> list[str]:
    """What makes a page wider than the screen."""
    browser.open(address)
    if browser.ask("document.scrollingElement.scrollWidth") <= browser.ask("window.innerWidth") == PHONE:
        return []
    wide = "[...document.querySelectorAll('main *')].filter(one => one.getBoundingClientRect().right > innerWidth)"
    return [*browser.ask(f"{wide}.map(one => one.tagName + '.' + one.className)"), "the page"]


def until(browser: Chromium, script: str, *arguments: object) -> object:
    """Wait until an expression of JavaScript is true."""
    return WebDriverWait(browser.driver, PATIENCE_S).until(lambda _: browser.ask(script, *arguments), message=script)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_asks_nobody_else_and_complains_of_nothing(browser: Chromium, site: str, page: str) -> None:
    assert complaints(browser, f"{site}/{page}") == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_says_what_it_is(browser: Chromium, site: str, page: str) -> None:
    """To search engines, and to those who show a link to it."""
    browser.visit(f"{site}/{page}")
    said = {
        name: browser.ask("document.querySelector(arguments[0])?.content ?? ''", f"meta[{name}]")
        for name in ("name=description", "property='og:title'", "property='og:description'")
    }
    assert all(len(text) > (2 if "title" in name else 10) for name, text in said.items()), said
    assert len(said["name=description"]) < 400
    assert "<" not in said["property='og:title'"]


@pytest.mark.parametrize("page", [page for page in PAGES if re.match(WITH_NUMBERS, page)])
def test_a_page_with_numbers_says_with_what_they_were_computed(page: str) -> None:
    text = (SITE / page / "index.html").read_text(encoding="utf-8")
    assert re.search(r'<p class="made-with small">Computed with torch \d[^<]*, jax \d[^<]*</p>', text)


def test_pages_say_different_things(browser: Chromium, site: str) -> None:
    texts = [(SITE / page / "index.html").read_text(encoding="utf-8") for page in PAGES]
    told = [re.findall(r'<meta name="description" content="([^"]*)"', text) for text in texts]
    assert all(len(descriptions) == 1 for descriptions in told)
    assert len({description for (description,) in told}) == len(PAGES)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_fits_on_a_phone(browser: Chromium, site: str, page: str) -> None:
    browser.size(PHONE, 844)
    assert sideways(browser, f"{site}/{page}") == []


def cut(browser: Chromium, address: str) -> list[str]:
    """The blocks of code, the outputs of programs and the tables that readers see a part of."""
    browser.open(address)
    blocks = "[...document.querySelectorAll('article :is(pre code, .md-typeset__scrollwrap, .wide, .atlas-scroll)')]"
    return list(browser.ask(f"{blocks}.filter(one => one.scrollWidth > one.clientWidth + 1).map(one => one.textContent)"))


@pytest.mark.parametrize("page", PAGES)
def test_nothing_is_cut_on_a_wide_screen(browser: Chromium, site: str, page: str) -> None:
    assert cut(browser, f"{site}/{page}") == []


@pytest.mark.parametrize("page", [page for page in PAGES if re.match("tutorials/.", page)])
def test_a_notebook_has_all_of_its_pictures(browser: Chromium, site: str, page: str) -> None:
    """As many as its cells have, in the notebook that the page offers."""
    browser.open(f"{site}/{page}")
    (path,) = (SITE / page).glob("*.ipynb")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", ())]
    drawn = sum("image/png" in output.get("data", {}) for output in outputs)
    assert drawn == sum("alt" in cell["metadata"] for cell in cells)
    assert browser.ask("document.querySelectorAll('article img.plot').length") == drawn


@pytest.mark.parametrize(
    "page", ["", "activations/gelu/", "tutorials/3-plots/", "tutorials/4-softmax/", "tutorials/5-perceptron/"]
)
def test_a_narrow_figure_is_whole_on_a_phone(browser: Chromium, site: str, page: str) -> None:
    browser.size(PHONE, 844)
    browser.open(f"{site}/{page}")
    right = browser.ask("[...document.querySelectorAll('img.narrow')].map(one => one.getBoundingClientRect().right)")
    assert right
    assert max(right) <= PHONE


@pytest.mark.parametrize("page", PAGES)
def test_nothing_on_a_page_is_named_by_chance(page: str) -> None:
    """No address in memory, no name that a tool made up for a file, no backslash before what none escapes."""
    text = re.sub("<[^>]+>", "", (SITE / page / "index.html").read_text(encoding="utf-8"))
    assert re.findall(r"object at 0x[0-9a-f]+|\b\d{6,}\.py\b|&lt;[\w.-]+\.md \d+&gt;|\\&lt;", text) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_light_to_load(browser: Chromium, site: str, page: str) -> None:
    """With every picture of the light scheme, in which a reader does not load those of the dark one."""
    browser.visit(f"{site}/{page}")
    seen = "document.querySelectorAll(\"img:not([src$='#only-dark'])\")"
    browser.driver.execute_async_script(
        f"Promise.all([...{seen}].map(one => {{ one.loading = 'eager'; return one.decode() }})).then(arguments[0])"
    )
    entries = "[...performance.getEntriesByType('resource'), ...performance.getEntriesByType('navigation')]"
    size = browser.ask(f"{entries}.reduce((sum, one) => sum + one.encodedBodySize, 0)")
    assert 10_000 < size < MOST_BYTES
    assert (SITE / page / "index.html").stat().st_size < MOST_OF_HTML


def test_the_index_of_the_search_is_fetched_when_somebody_turns_to_it(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/compare/")
    fetched = "performance.getEntriesByType('resource').some(one => one.name.endsWith('search_index.json'))"
    assert not browser.ask(fetched)
    browser.driver.find_element(By.CSS_SELECTOR, "input.md-search__input").click()
    until(browser, fetched)


def small_letters(browser: Chromium, address: str) -> list[str]:
    """Figures on a phone whose letters are too small to read: of drawings their height, of pictures their scale."""
    browser.size(PHONE, 844)
    browser.open(address)
    # Matplotlib draws letters as paths, in points, at a font size of 10 or a little less.
    drawn = "[...document.querySelectorAll('article .crosscheck figure svg')]"
    points = browser.ask(f"{drawn}.map(one => 10 * one.getBoundingClientRect().width / one.viewBox.baseVal.width)")
    pictures = "[...document.querySelectorAll('article img.plot')].filter(one => one.offsetWidth)"
    pixels = browser.ask(f"{pictures}.map(one => 14 * one.offsetWidth / one.naturalWidth)")  # 10 points at 100 dots an inch
    return [f"letters of {size} pixels" for size in (*points, *pixels) if size < SMALLEST_LETTERS]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A figure as wide as a page of paper, drawn as wide as a phone."""
    folder = tmp_path_factory.mktemp("small")
    svg = "<svg viewBox='0 0 1000 500' style='width: 500px'></svg>"
    head = "<!doctype html><link rel=icon href=data:,>"
    (folder / "index.html").write_text(f"{head}<article><div class=crosscheck><figure>{svg}</figure></div></article>")
    yield from serve(folder)


def test_a_figure_that_is_too_small_is_seen(browser: Chromium, small: str) -> None:
    assert small_letters(browser, f"{small}/") == ["letters of 5 pixels"]


@pytest.mark.parametrize("page", ["accuracy/", "sweep/", "compare/", "training/", "tutorials/3-plots/", "activations/gelu/"])
def test_a_figure_can_be_read_on_a_phone(browser: Chromium, site: str, page: str) -> None:
    assert small_letters(browser, f"{site}/{page}") == []


@pytest.mark.parametrize("page", ["activations/gelu/", "accuracy/", "dictionary/"])
def test_a_table_is_cards_on_a_phone_and_a_table_elsewhere(browser: Chromium, site: str, page: str) -> None:
    browser.open(f"{site}/{page}")
    cell = "getComputedStyle(document.querySelector('table[data-cards] td:nth-child(2)'), arguments[0])"
    row = "getComputedStyle(document.querySelector('table[data-cards] tbody tr')).display"
    assert browser.ask(row) == "table-row"
    browser.size(PHONE, 844)
    assert browser.ask(row) == "flex"
    assert browser.ask(f"{cell}.content", "::before") != "none"
    wide = (
        "[...document.querySelectorAll('table[data-cards]')].filter(one => one.getBoundingClientRect().right > innerWidth)"
    )
    assert browser.ask(f"{wide}.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", PAGES)
def test_letters_stand_out_in_both_schemes(browser: Chromium, site: str, page: str, scheme: str) -> None:
    browser.scheme(scheme)
    browser.open(f"{site}/{page}")
    colour = "getComputedStyle(document.querySelector(arguments[0]))[arguments[1]].match(/[0-9.]+/g).slice(0, 3).map(Number)"
    letters = sum(browser.ask(colour, "article p, article", "color"))
    paper = sum(browser.ask(colour, "body", "backgroundColor"))
    assert (letters + 250 < paper) if scheme == "light" else (paper + 250 < letters)


@pytest.mark.parametrize("page", ACTIVATIONS)
def test_formulas_are_drawn_with_the_font_that_comes_with_them(browser: Chromium, site: str, page: str) -> None:
    browser.open(f"{site}/{page}")
    sizes = browser.ask("[...document.querySelectorAll('math')].map(one => one.getBoundingClientRect().toJSON())")
    assert sizes
    assert all(size["width"] > 5 and size["height"] > 5 for size in sizes)
    assert browser.ask("[...document.fonts].some(one => one.family.includes('STIX') && one.status === 'loaded')")
    whole = "mfrac:not(msup mfrac, mfrac mfrac)"  # those in exponents and in other fractions are smaller
    heights = browser.ask(f"[...document.querySelectorAll('{whole}')].map(one => one.getBoundingClientRect().height)")
    assert all(height > 25 for height in heights), "a fraction is as high as a line: MathML was not laid out"


def chosen(browser: Chromium) -> set[str]:
    """The labels that are chosen where there is a choice; the theme passes by those that are folded away."""
    unfolded = "[...document.querySelectorAll('.tabbed-set')].filter(one => !one.closest('details:not([open])'))"
    sets = f"{unfolded}.filter(one => one.querySelectorAll(':scope > input').length > 1)"
    label = "one.querySelector(`label[for=${one.querySelector(':scope > input:checked').id}]`).textContent.trim()"
    labels = browser.ask(f"{sets}.map(one => {label})")
    assert len(labels) > 1
    return set(labels)


def test_choosing_jax_once_chooses_it_everywhere(browser: Chromium, site: str) -> None:
    first, second = (f"{site}/{page}" for page in ACTIVATIONS[:2])
    browser.visit(first)
    assert chosen(browser) == {"PyTorch"}
    labels = browser.driver.find_elements(By.CSS_SELECTOR, ".tabbed-labels label")
    next(label for label in labels if label.text == "JAX").click()
    WebDriverWait(browser.driver, PATIENCE_S).until(lambda _: chosen(browser) == {"JAX"})
    browser.visit(second)
    WebDriverWait(browser.driver, PATIENCE_S).until(lambda _: chosen(browser) == {"JAX"})


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("softmax", "activations/softmax/"),
        ("compare", "compare/"),
        ("layernorm", "dictionary/normalisation/"),
        ("cross_entropy", "dictionary/losses/"),
        ("optax.l2_loss", "dictionary/losses/"),
    ],
)
def test_search_finds(browser: Chromium, site: str, words: str, page: str) -> None:
    browser.open(f"{site}/")
    box = browser.driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
    box.click()
    box.send_keys(words)
    links = "[...document.querySelectorAll('.md-search-result__link')].map(one => one.getAttribute('href'))"
    until(browser, f"{links}.some(one => one.includes(arguments[0]))", page)


@pytest.mark.parametrize(
    ("words", "address"),
    [
        *((name, f"/activations/{name}/") for name in ("gelu", "relu", "softmax", "silu")),
        ("cross entropy", "/dictionary/losses/#torch-nn-functional-cross-entropy"),
    ],
)
def test_search_ranks_first_what_is_called_so(browser: Chromium, site: str, words: str, address: str) -> None:
    browser.open(f"{site}/")
    box = browser.driver.find_element(By.CSS_SELECTOR, "input.md-search__input")
    box.click()
    box.send_keys(words)
    links = "[...document.querySelectorAll('.md-search-result__link')].map(one => one.getAttribute('href'))"
    addresses = f"{links}.slice(0, 2).map(one => one.replace(/\\?[^#]*/, ''))"  # the title of its page is above a section
    first = f"{addresses}.find(one => one.includes('#') || !arguments[0].includes('#'))"
    until(browser, f"{first}?.includes(arguments[0])", address)


def test_a_word_is_explained_by_a_tooltip(browser: Chromium, site: str) -> None:
    browser.open(f"{site}/method/")
    word = browser.driver.find_element(By.CSS_SELECTOR, "article abbr")
    ActionChains(browser.driver).move_to_element(word).perform()
    until(
        browser,
        "[...document.querySelectorAll('.md-tooltip2--active, [role=tooltip]')].some(one => one.textContent.length > 20)",
    )


def test_the_reader_can_switch_the_scheme(browser: Chromium, site: str) -> None:
    """The pictures follow."""
    browser.open(f"{site}/{ACTIVATIONS[0]}")
    shown = "[...document.images].filter(one => one.offsetWidth).map(one => new URL(one.src).hash)"
    assert set(browser.ask(shown)) == {"#only-light"}
    browser.driver.find_element(By.CSS_SELECTOR, "label.md-header__button[for^=__palette]:not([hidden])").click()
    until(browser, "document.body.dataset.mdColorScheme === 'slate'")
    assert set(browser.ask(shown)) == {"#only-dark"}


@pytest.mark.parametrize("page", [page for page in PAGES if page.startswith("tutorials/") and page != "tutorials/"])
def test_a_notebook_can_be_downloaded_executed_and_its_solutions_are_folded(browser: Chromium, site: str, page: str) -> None:
    browser.visit(f"{site}/{page}")
    folded = browser.ask("[...document.querySelectorAll('details.success')].map(one => !one.open)")
    assert folded
    assert all(folded)
    link = browser.driver.find_element(By.PARTIAL_LINK_TEXT, "Download this notebook").get_attribute("href")
    text = browser.driver.execute_async_script("fetch(arguments[0]).then(one => one.text()).then(arguments[1])", link)
    assert '"outputs": [\n' in text


@pytest.fixture(scope="session")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page with every fault that the tests look for."""
    folder: Path = tmp_path_factory.mktemp("planted")
    (folder / "index.html").write_text(
        "<!doctype html><link rel=icon href=data:,><main style='width: 700px'>wide</main><img src=missing.png>"
        "<article><div class=language-text><pre><code style='display: block; overflow: auto; width: 9em'>"
        "an output that is cut, since it is long</code></pre></div>"
        "<div class=wide style='overflow: auto; width: 4em'><table><td>atablethatiscut</table></div></article>"
        "<img src=https://example.org/picture.png><script>console.error('planted')</script>"
    )
    yield from serve(folder)


@pytest.mark.parametrize(
    "fault",
    ["asks for https://example.org/picture.png", "a request failed", "404 for", "planted", "not drawn: http://127.0.0.1"],
)
def test_a_planted_fault_is_seen(browser: Chromium, planted: str, fault: str) -> None:
    assert any(fault in complaint for complaint in complaints(browser, f"{planted}/"))


def test_what_is_planted_and_cut_is_seen(browser: Chromium, planted: str) -> None:
    assert cut(browser, f"{planted}/") == ["an output that is cut, since it is long", "atablethatiscut"]


def test_a_planted_wide_page_is_seen(browser: Chromium, planted: str) -> None:
    browser.size(PHONE, 844)
    assert "the page" in sideways(browser, f"{planted}/")
