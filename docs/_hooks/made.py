"""What `python docs/_make` has made, put in its place: pages, pictures, executed notebooks, and what examples printed.

Nothing is run here, and no framework is imported. What was not made is an error that says how to make it.
"""

import json
import re
from html import escape, unescape
from pathlib import Path
from typing import Any

from blocks import blocks
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = "build/docs"
MAKE = "run `python docs/_make` where PyTorch and JAX are installed, or `nox -s make`"
MADE_WITH = "made_with"
"""The file of a product that says with what it was computed."""
STYLE = re.compile(r"\s*<style>\s*</style>\s*$")
"""The style sheet that mkdocs-jupyter adds; the template has emptied it."""
SECTIONS = {
    "Learn": "tutorials/*.ipynb",
    "Activations": "activations/*.md",
    "Dictionary": "dictionary/*.md",
    "Reference": "reference/python/*.md",
}
"""The sections of the navigation that list what was made."""


def made(config: MkDocsConfig) -> dict[str, Path]:
    """Each file that was made, by its place in the documentation."""
    folder = Path(config.config_file_path).parent / FOLDER
    sites = sorted(folder.glob("*/site"))
    return {path.relative_to(site).as_posix(): path for site in sites for path in sorted(site.rglob("*")) if path.is_file()}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages that were made in the navigation, below the page that introduces them."""
    found = made(config)
    if not found:
        raise PluginError(f"nothing was made in {FOLDER}/: {MAKE}")
    for section in config.nav or ():
        for title, pattern in SECTIONS.items():
            if title in section:
                section[title][1:1] = [
                    uri for uri in sorted(found, key=numbered) if Path(uri).match(pattern) and uri not in section[title]
                ]
    return config


def numbered(uri: str) -> tuple[str, int, str]:
    """The sort key of a page: by its number, if its name begins with one."""
    folder, _, name = uri.rpartition("/")
    number = name.partition("-")[0]
    return folder, int(number) if number.isdigit() else 0, name


@event_priority(100)  # before mkdocs-jupyter, which takes the notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    found = made(config)
    for file in list(files):
        if file.src_uri.endswith(".ipynb"):
            if file.src_uri not in found:
                raise PluginError(f"{file.src_uri} was not executed: {MAKE}")
            kept = json.loads(Path(file.abs_src_path).read_text("utf-8"))
            executed = json.loads(found[file.src_uri].read_text("utf-8"))
            if sources(kept) != sources(executed):
                raise PluginError(f"{file.src_uri} was changed after it was executed: {MAKE}")
            files.remove(file)
    for uri, path in found.items():
        files.append(File.generated(config, uri, abs_src_path=str(path)))
    return files


def sources(notebook: dict[str, Any]) -> list[str]:
    """What its cells say, without what they gave."""
    return ["".join(cell["source"]) for cell in notebook["cells"]]


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what each example printed into its place; make a notebook's HTML the Markdown that its template wrote."""
    if page.file.src_uri.endswith(".ipynb"):
        return unescape(STYLE.sub("", markdown))
    found = list(blocks(markdown))
    if not found:
        return markdown
    folder = Path(config.config_file_path).parent / FOLDER / ("examples-" + page.file.src_uri.replace("/", "-"))
    path = folder / "outputs.json"
    outputs = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    for block in reversed(found):
        if block.key not in outputs:
            raise PluginError(
                f"{page.file.src_uri}: this example is new or was changed, and was not run: {MAKE}\n{block.code}"
            )
        start, end = block.span
        markdown = markdown[:start] + block.shown(outputs[block.key]) + markdown[end:]
    return markdown


def made_with(page: Page, config: MkDocsConfig) -> str:
    """With what the numbers of a page were computed, "" of one that has none."""
    folder = Path(config.config_file_path).parent / FOLDER
    products = [folder / ("examples-" + page.file.src_uri.replace("/", "-"))]
    if found := made(config).get(page.file.src_uri):
        products.append(folder / found.relative_to(folder).parts[0])
    said = [path.read_text("utf-8") for product in products if (path := product / MADE_WITH).is_file()]
    return next(filter(None, said), "")


def on_page_content(html: str, page: Page, config: MkDocsConfig, **_: object) -> str:
    """Say at the end with what a page's numbers were computed; offer an executed notebook below its title."""
    if said := made_with(page, config):
        html += f'<p class="made-with small">Computed with {escape(said)}.</p>'
    if not page.file.src_uri.endswith(".ipynb"):
        return html
    name = Path(page.file.src_uri).name
    link = f'<p><a class="notebook-download" href="{name}" download>Download this notebook, executed</a></p>'
    return re.sub("</h1>", lambda title: title[0] + link, html, count=1)
